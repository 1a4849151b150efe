"""The guarantee `low_latency` on a real broker: two that both believe to own a partition, and what counts."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import ChangelogError, FencedError
from connectors.kafka.link import Link, parse_url
from connectors.kafka.log import KafkaLog
from connectors.kafka.low_latency import LowLatency
from connectors.kafka.reference import ReferenceTopics
from connectors.kafka.succession import step_keys
from schemas.changelog import pack_changes
from schemas.topics import BOOKINGS, POSITIONS
from tests.kafka_support import events_of, make_topics, running_broker, stages

PLACE = 2
"""The partition that is written."""

OTHER = 3

CHANGELOG = stages()[1].changelog


class Owner:
    """A log of positions that noted nothing yet; `take_over` makes it an owner."""

    def __init__(self, link: Link, folder: Path) -> None:
        self.state = EmbeddedLog.owner(folder, sync="os")
        self.noted: dict[int, int] = {}
        self._reader = ChangelogReader(
            link, group=folder.name, topic=CHANGELOG, table="positions", state=self.state
        )
        writer = LowLatency(
            link, changelog=CHANGELOG, note_consumed=self.noted.update, read_on=self._reader.read_on
        )
        self.log = KafkaLog(
            writer,
            self._reader,
            link=link,
            group="positions",
            input_topic=BOOKINGS.name,
            table="positions",
            changelog=CHANGELOG,
            state=self.state,
            reference=ReferenceTopics(link, [], folder.name),
        )

    def take_over(self, consumed: int = 0) -> int:
        return self.log.take_over({PLACE: consumed})[PLACE]

    def book(
        self, value: bytes, consumed: int, *, output: bytes = b'[{"event_id":"x"}]', partition: int = PLACE
    ) -> None:
        """A step with an output, a change and an input offset."""
        transaction = self.log.transaction()
        transaction.append(POSITIONS.name, partition, None, output)
        transaction.put("positions", partition, b"k", value)
        transaction.append(CHANGELOG, partition, b"\x00step", pack_changes([b"k", value]))
        transaction.commit_offset("positions", BOOKINGS.name, partition, consumed)
        transaction.commit()

    def value(self) -> bytes | None:
        return self.log.get("positions", PLACE, b"k")

    def read_anew(self) -> bytes | None:
        """What the changelog says."""
        self._reader.catch_up(PLACE)
        return self.value()

    def close(self) -> None:
        self._reader.close()
        self.state.close()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        link = parse_url(f"kafka://{running.address}")
        make_topics(link)
        yield link


@pytest.fixture
def owners(link: Link, tmp_path: Path) -> Iterator[list[Owner]]:
    found = [Owner(link, tmp_path / name) for name in ("first", "second", "reader")]
    yield found
    for each in found:
        each.close()


def test_of_two_that_believe_to_own_a_partition_the_later_one_counts(owners: list[Owner]) -> None:
    first, second, reader = owners
    start = first.take_over()
    first.book(b"1", start + 1)
    assert second.take_over() == start + 1 and second.value() == b"1"
    # The first hung meanwhile, and knows of nothing.
    with pytest.raises(FencedError, match="another worker has taken over"):
        first.book(b"wrong", start + 2)
    assert first.value() == b"1" and reader.read_anew() == b"1"
    # What the first left behind stands between the records of the second, which counts all the same.
    second.book(b"2", start + 2)
    second.book(b"3", start + 3)
    assert second.value() == reader.read_anew() == b"3"
    assert second.noted == {PLACE: start + 3}
    # The first begins again, and goes on where the second was.
    assert first.take_over() == start + 3 and first.value() == b"3"
    first.book(b"4", start + 4)
    with pytest.raises(FencedError):
        second.book(b"wrong", start + 4)
    assert reader.read_anew() == first.value() == b"4"


def test_a_step_whose_last_record_is_missing_does_not_count(link: Link, owners: list[Owner]) -> None:
    first, second, reader = owners
    start = first.take_over()
    first.book(b"whole", start + 1)
    token = first.log._reader.owner(PLACE)
    producer = Producer(link.producer())
    begun = next(iter(step_keys(token or b"", 0, 2)))
    producer.produce(CHANGELOG, pack_changes([b"k", b"half"]), begun, PLACE)
    assert producer.flush(30) == 0
    assert reader.read_anew() == b"whole"
    assert second.take_over() == start + 1 and second.value() == b"whole"
    second.book(b"next", start + 2)
    assert reader.read_anew() == b"next"


def test_an_output_is_there_before_its_step_counts(link: Link, owners: list[Owner]) -> None:
    first, second, _ = owners
    start = first.take_over()
    second.take_over()
    output = b'[{"event_id":"of the former owner"}]'
    with pytest.raises(FencedError):
        first.book(b"wrong", start + 1, output=output)
    # At least once: whoever goes on computes the same again.
    assert output[1:-1] in events_of(link)


def test_a_group_that_is_ahead_of_the_changelog_is_an_error(owners: list[Owner]) -> None:
    first, *_ = owners
    consumed = first.take_over()
    with pytest.raises(ChangelogError, match="the changelog lost records"):
        first.take_over(consumed + 1)


def test_a_takeover_waits_for_one_that_a_rebalance_has_made_idle(owners: list[Owner]) -> None:
    """They share a reader: where both read at a time, each loses what the other takes."""
    first, second, _ = owners
    begin = {partition: first.log.take_over({partition: 0})[partition] for partition in (PLACE, OTHER)}
    first.log.take_over(begin)
    for partition, offset in begin.items():
        first.book(b"v", offset + 1, partition=partition)
    next_one = threading.Thread(target=second.log.take_over, args=({OTHER: 0},))
    ended_within: list[bool] = []

    def in_the_midst(*_: int) -> None:
        if not ended_within:
            next_one.start()
            next_one.join(1.0)
            ended_within.append(not next_one.is_alive())

    assert second.log.take_over({PLACE: 0}, in_the_midst) == {PLACE: begin[PLACE] + 1}
    next_one.join(60)
    assert ended_within == [False]
    assert [second.log.get("positions", partition, b"k") for partition in begin] == [b"v", b"v"]
