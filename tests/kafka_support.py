"""A real broker for tests, workers on it, and what they leave: skipped with the reason where none can be started, a failure in CI."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import positions
from agents.counters import read_counts
from bench.workload import frames_of, fresh_log
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.link import Link
from connectors.kafka.local_broker import LocalBroker
from connectors.kafka.topics import ensure_topics, partition_counts
from connectors.servers.process import ServerUnavailable
from schemas.topics import FILLS, PARTITIONS_DEFAULT, POSITIONS, Topic
from tables.partition import TablePartition
from tests.support import eventually
from topology.cluster.places import topic_plans
from topology.drive import run_until_idle
from topology.log import LogStore
from topology.replaying.outcome import books_of
from topology.settings import Settings
from topology.stages import build_stages

PARTITIONS = PARTITIONS_DEFAULT
PATIENCE = 180.0
"""Seconds until a test gives up on what workers and a broker do; on a free machine it takes a few."""

ROOT = Path(__file__).parents[1]


class _Identified(msgspec.Struct):
    event_id: str


_identified = msgspec.json.Decoder(_Identified).decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


@contextmanager
def running_broker(folder: Path, **options: Any) -> Iterator[LocalBroker]:
    """A broker with its data in `folder`."""
    try:
        broker = LocalBroker(folder, **options)
        broker.start()
    except ServerUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    try:
        yield broker
    finally:
        broker.stop()


def stages() -> Any:
    return build_stages(Settings(data=Path("unused")))


def make_topics(link: Link) -> None:
    ensure_topics(link, topic_plans(stages(), PARTITIONS))


def remake_topic(link: Link, name: str) -> None:
    """Delete a topic and make it anew, as somebody may who wants it empty."""
    client = AdminClient(link.common())  # kept: what it was asked ends with it
    client.delete_topics([name], operation_timeout=30)[name].result(30)
    eventually(lambda: name not in partition_counts(link), 30)
    make_topics(link)


class View:
    """The positions table as its changelog on the cluster has it, followed in a database of its own."""

    def __init__(self, link: Link, folder: Path) -> None:
        self._state = EmbeddedLog.owner(folder, sync="os")
        stage = stages()[1]
        self._reader = ChangelogReader(
            link, group="view", topic=stage.changelog, table=stage.table.name, state=self._state
        )

    def _catch_up(self) -> None:
        for partition in range(PARTITIONS):
            self._reader.catch_up(partition)

    def hash(self) -> str:
        self._catch_up()
        return str(books_of(self._state, range(PARTITIONS))[0].hexadecimal)

    def waiting(self) -> int:
        """Bookings that wait for a re-match, or are what it is done for."""
        self._catch_up()
        tables = [TablePartition(LogStore(self._state, positions.NAME, place)) for place in range(PARTITIONS)]
        return sum(counts.waiting for table in tables for counts in read_counts(table).values())

    def close(self) -> None:
        self._reader.close()
        self._state.close()


class Expected:
    """What the embedded log makes of fills, and of `more` records: the hash of its books, and how many trades."""

    def __init__(self, fills: Sequence[Any], *more: tuple[int, bytes]) -> None:
        self.frames = frames_of(FILLS, fills)
        with fresh_log() as embedded:
            embedded.append(FILLS, [*self.frames, *more])
            run_until_idle(embedded.runners, embedded.log)
            self.hash = str(books_of(embedded.log, range(PARTITIONS))[0].hexadecimal)
        self.trades = len({fill.trade_id for fill in fills})


def produce_records(
    link: Link, topic: Topic, frames: Sequence[tuple[int, bytes]], seconds: float = 60.0
) -> None:
    """Append frames to a topic of the cluster; it may be away for some seconds."""
    producer = Producer(link.producer(message_timeout_ms=int(seconds * 1e3)))
    for partition, frame in frames:
        producer.produce(topic.name, frame, partition=partition)
    assert producer.flush(seconds) == 0


def produce_fills(link: Link, frames: Sequence[tuple[int, bytes]], seconds: float = 60.0) -> None:
    """Append frames of fills to the cluster; it may be away for some seconds."""
    produce_records(link, FILLS, frames, seconds)


def events_of(link: Link, topic: Topic = POSITIONS) -> list[bytes]:
    """Every committed event of a topic, as it is written."""
    client = Consumer(link.consumer("events", enable_partition_eof=True))
    client.assign([TopicPartition(topic.name, partition, 0) for partition in range(PARTITIONS)])
    found: list[bytes] = []
    ended = 0
    while ended < PARTITIONS:
        for message in client.consume(1_000, 0.2):
            if message.error() is not None:
                ended += 1
            else:
                found += raw_events(message.value())
    client.close()
    return found


def raw_events(frame: bytes) -> list[bytes]:
    """The events of a frame, as they are written."""
    return [bytes(event) for event in _split(frame)]


def ids_of(events: Sequence[bytes]) -> list[str]:
    """The ids of events."""
    return [_identified(event).event_id for event in events]


def start_worker(
    link: Link, folder: Path, name: str, *, ends_at: str = "", **environment: str
) -> subprocess.Popen[bytes]:
    """A worker of the stages that keep the books (of others by `PKS_STAGES`); with `ends_at` it signals itself there
    (`tests.faults.kafka_points`)."""
    environment = {"PKS_STAGES": "books", **environment}
    command = [sys.executable, "-m", "tests.integration.cluster_worker", f"kafka://{link.brokers}"]
    command += [str(folder), name, *([ends_at] if ends_at else [])]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})


LOW_LATENCY = {"PKS_GUARANTEES": '{"positions": "low_latency"}'}
"""The environment of a worker whose positions have the guarantee `low_latency`."""


def environment_of(guarantee: str) -> dict[str, str]:
    """The environment of a worker whose positions have a guarantee."""
    return LOW_LATENCY if guarantee == "low_latency" else {}


def assert_outputs(link: Link, trades: int, guarantee: str) -> None:
    """None lost; none doubled, or under `low_latency` only with the same id and bytes."""
    events = events_of(link)
    ids = ids_of(events)
    assert len(set(ids)) == trades
    if guarantee == "exactly_once":
        assert len(ids) == trades
    else:
        assert len(set(events)) == trades
