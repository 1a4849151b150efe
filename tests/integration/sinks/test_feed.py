"""What a sink reads: everything once, in order, in bounded batches, and nothing that a power cut could take back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.log import EmbeddedLog
from schemas import topics
from schemas.frames import encode_frames
from tests.support import Books, fill
from topology.rebuilding.rebuild import open_to_rebuild
from topology.rebuilding.repartition import repartition
from topology.settings import Settings
from topology.sinks import feed as feed_module
from topology.sinks.feed import Feed, FeedFault
from topology.sinks.letters import letter_of
from topology.stages import create_topics

FILLS = topics.FILLS.name


def append(log: EmbeddedLog, *names: str, partition: int = 0) -> None:
    transaction = log.transaction()
    transaction.append(FILLS, partition, None, encode_frames([fill(name) for name in names])[0])
    transaction.commit()


@pytest.fixture
def two(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        yield books


def taken(feed: Feed, batches: int) -> list[list[str]]:
    async def take() -> list[list[str]]:
        return [[item.event.trade_id for item in (await feed.next()).items] for _ in range(batches)]

    return asyncio.run(take())


def test_the_order_is_that_of_the_log_over_all_partitions(two: Books):
    for number in range(6):
        append(two.log, f"t{number}", partition=number % 2)
    feed = Feed(two.folder, [FILLS], events_max=4, durable_only=False)
    feed.seek({})
    assert taken(feed, 2) == [["t0", "t1", "t2", "t3"], ["t4", "t5"]]
    assert feed.behind() == (0, 0)
    feed.close()


def test_a_batch_says_where_each_partition_goes_on(two: Books):
    append(two.log, "a", "b", partition=1)
    append(two.log, "c", partition=1)
    feed = Feed(two.folder, [FILLS], events_max=2, durable_only=False)
    feed.seek({})
    first = asyncio.run(feed.next())
    assert first.next_offsets == {(FILLS, 0): 0, (FILLS, 1): 1}
    assert [(item.offset, item.place) for item in first.items] == [(0, 0), (0, 1)]
    feed.seek(first.next_offsets)
    assert taken(feed, 1) == [["c"]]
    feed.rewind(first.next_offsets)
    lag, oldest = feed.behind()
    assert (lag, oldest > 0) == (1, True)
    assert taken(feed, 1) == [["c"]]
    feed.close()


def test_a_commit_is_whole_however_little_is_read_at_first(two: Books, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed_module, "READ_BYTES", 1)
    monkeypatch.setattr(feed_module, "READ_BYTES_MIN", 1)
    transaction = two.log.transaction()
    for name, partition in (("a", 0), ("b", 1), ("c", 0), ("d", 1)):
        transaction.append(FILLS, partition, None, encode_frames([fill(name)])[0])
    transaction.commit()
    append(two.log, "e")
    feed = Feed(two.folder, [FILLS], events_max=1, durable_only=False)
    feed.seek({})
    assert taken(feed, 2) == [["a", "b", "c", "d"], ["e"]]
    feed.close()


def test_a_log_that_ends_before_the_sink_is_refused(two: Books):
    append(two.log, "a")
    feed = Feed(two.folder, [FILLS], events_max=10)
    with pytest.raises(
        FeedFault, match=r"pd\.canonical/0 up to offset 2, which the far side has, found it up to 1"
    ):
        feed.seek({(FILLS, 0): 2})
    feed.close()


def test_only_what_is_synced_is_handed_on(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="os") as log:
        create_topics(log, (), 1)
        append(log, "synced")
        append(log, "as well")
        assert log.wait_durable(log.sequence)
        append(log, "not yet")
        feed = Feed(tmp_path / "data", [FILLS], events_max=10)
        feed.seek({})
        assert taken(feed, 1) == [["synced", "as well"]]
        waiting = feed.behind()[0]
        assert waiting == 1, "it is committed, and seen, but not handed on"
        assert log.wait_durable(log.sequence)
        assert taken(feed, 1) == [["not yet"]]
        feed.close()


class Holed:
    """A log whose reader does not see one record, for so many reads."""

    def __init__(self, log: EmbeddedLog, offset: int, reads: int) -> None:
        self._log, self._offset, self.reads = log, offset, reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def read(self, topic: str, partition: int, offset: int, *bounds: int) -> list[Any]:
        found = self._log.read(topic, partition, offset, *bounds)
        if not self.reads or bounds == (1, 1):
            return found
        self.reads -= 1
        return [record for record in found if record.offset != self._offset]


@pytest.mark.parametrize(("hole", "place"), [(2, 2), (3, 2), (2, 0)])
def test_a_record_that_is_not_seen_yet_is_waited_for(two: Books, hole: int, place: int):
    for name in "abcde":
        append(two.log, name)
    feed = Feed(two.folder, [FILLS], events_max=10, durable_only=False)
    feed.seek({(FILLS, 0): place})
    feed._log = Holed(feed.log, hole, 3)
    assert taken(feed, 1) == [list("abcde"[place:])]
    assert feed._log.reads == 0
    feed.close()


def test_a_record_that_stays_away_ends_the_sink(two: Books, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed_module, "GAP_SECONDS_MAX", 0.05)
    for name in "abc":
        append(two.log, name)
    feed = Feed(two.folder, [FILLS], events_max=10, durable_only=False)
    feed.seek({(FILLS, 0): 1})
    feed._log = Holed(feed.log, 1, 1 << 30)
    with pytest.raises(FeedFault, match=r"pd\.canonical/0 from offset 1 on, found 2 to 2 with a gap"):
        taken(feed, 1)
    feed.close()


def test_an_event_is_found_by_its_place(two: Books):
    append(two.log, "a", "b")
    feed = Feed(two.folder, [FILLS], events_max=10)
    found = feed.item(FILLS, 0, 0, 1)
    assert found is not None and found.event.trade_id == "b"
    assert feed.item(FILLS, 0, 0, 2) is None
    assert feed.item(FILLS, 0, 7, 0) is None
    feed.close()


def test_a_log_that_was_moved_is_written_again_from_its_first_record(two: Books):
    """Offsets of before would name other events: none of them is taken for one of now."""
    two.book(fill("a"), fill("b"), fill("c"))
    feed = Feed(two.folder, [FILLS], events_max=10, durable_only=False)
    feed.seek({})
    before = asyncio.run(feed.next())
    letter = letter_of("far", before.items[0], "no")
    feed.close()
    two.close()
    with open_to_rebuild(two.folder, "os") as log:
        repartition(log, two.stages, Settings(), 3)
    feed = Feed(two.folder, [FILLS], events_max=10, durable_only=False)
    feed.seek(before.next_offsets)
    after = asyncio.run(feed.next())
    assert sorted(item.event.trade_id for item in after.items) == ["a", "b", "c"]
    assert {name for name, _ in after.next_offsets} == {f"{FILLS}@1"}
    again = [letter_of("far", item, "no").event_id for item in after.items]
    assert letter.event_id not in again
    item = after.items[0]
    assert feed.item(f"{FILLS}@1", item.partition, item.offset, item.place) == item
    assert feed.item(FILLS, item.partition, item.offset, item.place) is None
    feed.seek(after.next_offsets)
    assert feed.behind() == (0, 0)
    feed.close()
