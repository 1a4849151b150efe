"""Topics that reach their stream in batches: whole commits of all partitions, bounded, acknowledged by partition."""

import asyncio
from pathlib import Path

import pytest

from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog
from tests.integration.faust_support import append, plain_app, started, until


@pytest.fixture
def log(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="os") as opened:
        opened.create_topic("in", 2)
        yield opened


def batching_app(log: EmbeddedLog, folder: Path, gate: asyncio.Event, **bounds: int):
    """An App whose agent notes its batches, and acknowledges those of partition 0."""
    app = plain_app(log, folder, topic_partitions=2)
    app.batched_topics = frozenset({"in"})
    app.batch_records_max = bounds.get("records", 1_000)
    app.batch_bytes_max = bounds.get("size", 1 << 20)
    app.batch_backlog_bytes_max = bounds.get("backlog", app.batch_bytes_max)
    app.batches = []

    @app.agent(app.topic("in", value_type=bytes, value_serializer="raw", allow_empty=True))
    async def take(stream):
        async for event in stream.noack().events():
            records = event.message.records
            app.batches.append({tp.partition: [record.offset for record in records[tp]] for tp in records})
            await gate.wait()
            for tp, part in records.items():
                if tp.partition == 0:
                    app.consumer.acknowledge(tp, part[-1].offset)

    return app


def both(log: EmbeddedLog, values: list[bytes]) -> None:
    """One commit over both partitions."""
    transaction = log.transaction()
    for partition in range(2):
        for value in values:
            transaction.append("in", partition, None, value)
    transaction.commit()


def test_what_comes_while_a_batch_is_worked_on_is_the_next_one(log: EmbeddedLog, tmp_path: Path):
    async def run():
        gate = asyncio.Event()
        app = batching_app(log, tmp_path, gate)
        async with started(app):
            both(log, [b"x"])
            await until(lambda: len(app.batches) == 1)
            append(log, "in", [b"y"])
            # The first one to come waits in the queue, the others in the log.
            await until(lambda: next(iter(app.topics._topics)).queue.qsize() == 1)
            for _ in range(20):
                both(log, [b"z"] * 5)
            gate.set()
            await until(lambda: len(app.batches) == 3)
            await app.consumer.commit()
        return app.batches

    batches = asyncio.run(run())
    assert batches == [{0: [0], 1: [0]}, {0: [1]}, {0: list(range(2, 102)), 1: list(range(1, 101))}]
    # What is not acknowledged is not committed, and holds up no other partition.
    assert log.committed("plain", "in", 0) == 102
    assert log.committed("plain", "in", 1) is None


def ten_commits(log: EmbeddedLog) -> None:
    for _ in range(10):
        both(log, [b"x" * 100] * 2)


def test_a_batch_is_bounded_and_holds_whole_commits(log: EmbeddedLog, tmp_path: Path):
    ten_commits(log)

    async def run(**bounds: int):
        gate = asyncio.Event()
        gate.set()
        app = batching_app(log, tmp_path, gate, **bounds)
        async with started(app):
            await until(lambda: sum(len(batch[1]) for batch in app.batches) == 20)
        return [len(batch[0]) for batch in app.batches if 0 in batch]

    assert asyncio.run(run(records=8)) == [4, 4, 4, 4, 4]
    with EmbeddedLog.owner(tmp_path / "again", sync="os") as log:
        log.create_topic("in", 2)
        ten_commits(log)
        assert asyncio.run(run(size=1_000)) == [6, 6, 6, 2]
    # Under a backlog each step takes half of what waits, and shrinks with it.
    with EmbeddedLog.owner(tmp_path / "third", sync="os") as log:
        log.create_topic("in", 2)
        ten_commits(log)
        assert asyncio.run(run(size=1_000, backlog=10_000)) == [10, 6, 4]
    with EmbeddedLog.owner(tmp_path / "fourth", sync="os") as log:
        log.create_topic("in", 2)
        ten_commits(log)
        assert asyncio.run(run(size=500, backlog=1_500)) == [8, 6, 4, 2]


def test_a_gap_in_a_batch_ends_the_app(log: EmbeddedLog, tmp_path: Path):
    append(log, "in", [b"a", b"b", b"c"])
    key = log._prefixes["in", 0] + (1).to_bytes(8, "big")
    log._database.delete(key)

    async def run():
        app = batching_app(log, tmp_path, asyncio.Event())
        async with started(app):
            await until(lambda: app.crashed)
            return app.crash_reason, app.batches

    reason, batches = asyncio.run(run())
    assert isinstance(reason, StateError) and batches == []
