"""The stages on a real Kafka broker: the same books as on the embedded log, whoever is killed in between."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from bench.workload import WORKLOADS, frames_of, fresh_log, make_fills
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import FencedError, TopicError
from connectors.kafka.exactly_once import ExactlyOnce
from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from connectors.kafka.log import KafkaLog
from connectors.kafka.reference import ReferenceTopics
from connectors.kafka.topics import TopicPlan, ensure_topics
from schemas.topics import BOOKINGS, FILLS, POSITIONS
from tests.kafka_support import (
    PARTITIONS,
    View,
    events_of,
    ids_of,
    make_topics,
    running_broker,
    stages,
    start_worker,
)
from tests.support import eventually
from topology.drive import run_until_idle
from topology.replaying.outcome import books_of


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def link(broker: LocalBroker) -> Link:
    return parse_url(f"kafka://{broker.address}")


def test_two_workers_one_killed_again_and_again_give_the_books_of_the_embedded_log(
    link: Link, tmp_path: Path
) -> None:
    fills = make_fills(WORKLOADS["W"], 8_000)
    frames = frames_of(FILLS, fills)
    with fresh_log() as embedded:
        embedded.append(FILLS, frames)
        run_until_idle(embedded.runners, embedded.log)
        expected = str(books_of(embedded.log, range(PARTITIONS))[0].hexadecimal)
    make_topics(link)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    workers = {name: start_worker(link, tmp_path / name, name) for name in ("one", "two")}
    view = View(link, tmp_path / "view")
    try:
        producer = Producer(link.producer())
        killed = itertools.cycle(("one", "two"))
        before = view.hash()
        for number, (partition, frame) in enumerate(frames):
            producer.produce(FILLS.name, frame, partition=partition)
            producer.flush()
            if number % 10 == 9:
                # Some of it is applied, maybe not all.
                eventually(lambda before=before: view.hash() != before, 60)
                before = view.hash()
                name = next(killed)
                workers[name].kill()
                workers[name].wait()
                workers[name] = start_worker(link, tmp_path / name, name)
        eventually(lambda: view.hash() == expected, 60)
        ids = ids_of(events_of(link, POSITIONS))
        assert len(ids) == len(set(ids)) == len({fill.trade_id for fill in fills})
        for worker in workers.values():
            worker.terminate()
        assert [worker.wait(30) for worker in workers.values()] == [0, 0]
        fresh = View(link, tmp_path / "fresh")
        assert fresh.hash() == expected
        fresh.close()
    finally:
        view.close()
        for worker in workers.values():
            worker.kill()
            worker.wait()


def open_log(link: Link, folder: Path, group: str, client: Consumer) -> tuple[KafkaLog, EmbeddedLog]:
    state = EmbeddedLog.owner(folder, sync="os")
    changelog = stages()[1].changelog
    writer = ExactlyOnce(
        link,
        input_topic=BOOKINGS.name,
        changelog=changelog,
        transactional_id="pks-fenced",
        group_metadata=client.consumer_group_metadata,
    )
    log = KafkaLog(
        writer,
        ChangelogReader(link, group=group, topic=changelog, table="positions", state=state),
        link=link,
        group=group,
        input_topic=BOOKINGS.name,
        table="positions",
        changelog=changelog,
        state=state,
        reference=ReferenceTopics(link, [], f"{group}-reference"),
    )
    return log, state


def test_who_was_replaced_writes_nothing_any_more(link: Link, tmp_path: Path) -> None:
    make_topics(link)
    client = Consumer(link.consumer("fenced"))
    first, first_state = open_log(link, tmp_path / "first", "fenced", client)
    second, second_state = open_log(link, tmp_path / "second", "fenced", client)
    first.start()
    second.start()
    before = len(ids_of(events_of(link, POSITIONS)))
    transaction = first.transaction()
    transaction.append(POSITIONS.name, 0, None, b"[]")
    transaction.put("positions", 0, b"k", b"v")
    with pytest.raises(FencedError, match="another worker has taken over"):
        transaction.commit()
    assert first.get("positions", 0, b"k") is None
    transaction = second.transaction()
    transaction.put("positions", 0, b"k", b"v")
    transaction.commit()
    assert second.get("positions", 0, b"k") == b"v"
    assert len(ids_of(events_of(link, POSITIONS))) == before
    client.close()
    first_state.close()
    second_state.close()


def test_a_topic_with_other_partitions_is_refused(link: Link) -> None:
    ensure_topics(link, [TopicPlan("counted", 3)])
    with pytest.raises(TopicError, match=r"found counted 3 of 4.*repartition\.md"):
        ensure_topics(link, [TopicPlan("counted", 4)])
