"""One test for each pitfall of Faust that can occur on the embedded log, with the real transport.

Each names the way in which data or time is lost without the measure against it.
"""

import asyncio
import dataclasses
import selectors
from pathlib import Path

import pytest
from faust.exceptions import ImproperlyConfigured

from agents import positions
from connectors.embedded import consumer as consumer_module
from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.retention import COMPACT_RECORDS_MIN, Retention
from schemas.changelog import RESTORED_KEY, decode_offset, encode_offset
from tests.integration.faust_support import append, plain_app, quick_settings, started, until, worker_over
from tests.support import Books, fill
from topology.stages import build_spine
from topology.worker import serve


@pytest.fixture
def log(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="os") as opened:
        yield opened


def collecting_app(log: EmbeddedLog, folder: Path, seen: list[int], **options):
    """An App whose agent notes the offsets of topic `in` that reach it."""
    app = plain_app(log, folder, **options)
    source = app.topic("in", value_type=bytes, value_serializer="raw")

    @app.agent(source)
    async def collect(stream):
        async for event in stream.events():
            seen.append(event.message.offset)

    return app


def test_p01_what_recovery_clears_was_never_delivered(log: EmbeddedLog, tmp_path: Path):
    # A table in memory is recovered through the consumer; the queues of the streams are cleared at its end.
    log.create_topic("in", 1)
    log.create_topic("plain-counts-changelog", 1, compact=True)
    append(log, "in", [b"x"] * 3_000)
    append(log, "plain-counts-changelog", [b"1"] * 2_000, key=b'"k"')
    seen: list[int] = []
    restored: list[int] = []
    app = collecting_app(log, tmp_path, seen, store="memory://")
    counts = app.Table("counts", default=int, partitions=1)

    @counts.on_recover
    async def note():
        restored.append(counts.get("k"))

    async def run():
        async with started(app):
            append(log, "in", [b"y"] * 100)
            await until(lambda: len(seen) >= 3_100)

    asyncio.run(run())
    assert seen == list(range(3_100))
    assert restored == [1]


def test_p02_a_record_whose_step_fails_is_not_committed(tmp_path: Path):
    settings = quick_settings(tmp_path, partitions=1)
    capture, booking = build_spine(settings)

    def failing(state, frames, step):
        if any(event.trade_id == "t3" for frame in frames for event in frame.events):
            raise MemoryError("expected room for a step, found none")
        capture.handler(state, frames, step)

    async def fail(books):
        async def feed(worker):
            await until(lambda: worker.runners()[0].next_offset == 2)
            books.fills(fill("t3"))

        stages = (dataclasses.replace(capture, handler=failing), booking)
        return await serve(settings, stages, log=books.log, services=[feed], handle_signals=False)

    async def go_on(books):
        async with worker_over(books.log, settings) as running:
            await running.idle()

    with Books(tmp_path / "data") as books:
        books.fills(fill("t1"))
        books.fills(fill("t2"))
        assert asyncio.run(fail(books)) == 1
        assert books.log.committed("trade_capture", "pd.canonical", 0) == 2
        asyncio.run(go_on(books))
        assert books.log.committed("trade_capture", "pd.canonical", 0) == 3
        assert books.counts().applied == 3


def test_p03_an_unacked_record_right_after_the_committed_one_is_never_stepped_over(
    log: EmbeddedLog, tmp_path: Path
):
    log.create_topic("in", 1)
    append(log, "in", [b"x"] * 10)
    app = plain_app(log, tmp_path, broker_commit_interval=3_600.0)
    events = []

    @app.agent(app.topic("in", value_type=bytes, value_serializer="raw"))
    async def hold(stream):
        async for event in stream.noack().events():
            events.append(event)

    async def run():
        async with started(app):
            await until(lambda: len(events) == 10)
            for event in events[:4]:
                event.ack()
            await app.consumer.commit()
            committed = [log.committed("plain", "in", 0)]
            for event in events[5:]:
                event.ack()
            await app.consumer.commit()
            committed.append(log.committed("plain", "in", 0))
            events[4].ack()
            await app.consumer.commit()
            return [*committed, log.committed("plain", "in", 0)]

    assert asyncio.run(run()) == [4, 4, 10]


def test_p04_subscribing_does_not_wait_for_the_assignment(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    seen: list[int] = []
    app = collecting_app(log, tmp_path, seen)

    async def run():
        async with started(app):
            # As while a subscription is under way: the assignment waits until `subscribe` has returned.
            app.topics._subscription_done = asyncio.get_running_loop().create_future()
            generation = app.consumer_generation_id
            await asyncio.wait_for(app.consumer.subscribe(["in"]), 5.0)
            await until(lambda: app.consumer_generation_id > generation)
            assert app.rebalancing
            app.topics._subscription_done.set_result(None)
            await until(lambda: not app.rebalancing)
            append(log, "in", [b"x"])
            await until(lambda: seen == [0])

    asyncio.run(run())
    assert seen == [0]


def test_p05_records_belong_to_the_generation_of_their_assignment(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    seen: list[int] = []
    app = collecting_app(log, tmp_path, seen)
    generations: list[int] = []

    @app.on_partitions_assigned.connect
    async def note(*_args, **_named):
        generations.append(app.consumer_generation_id)

    async def run():
        async with started(app):
            for number in range(3):
                append(log, "in", [b"x"])
                await until(lambda: log.committed("plain", "in", 0) == number + 1)  # noqa: B023
                await app.consumer.subscribe(["in"])
                await until(lambda: len(generations) == number + 2 and not app.rebalancing)  # noqa: B023

    asyncio.run(run())
    assert seen == [0, 1, 2]
    assert generations == [1, 2, 3, 4]


def test_p06_the_last_record_of_a_changelog_outlives_compaction_and_recovery_ends(
    log: EmbeddedLog, tmp_path: Path
):
    log.create_topic("in", 1)
    log.create_topic("plain-counts-changelog", 1, compact=True)
    for value in range(COMPACT_RECORDS_MIN):
        append(log, "plain-counts-changelog", [str(value).encode()], key=b'"k"')
    append(log, "plain-counts-changelog", [None], key=b'"k"')
    later = log.appended_at + 10_000 * 1_000_000_000
    retention = Retention(log, clock=lambda: later)
    retention.run_round()
    assert [record.value for record in log.read("plain-counts-changelog", 0, 0, 10, 1 << 20)] == [None]
    append(log, "plain-counts-changelog", [b"1"] * COMPACT_RECORDS_MIN, key=b'"other"')
    retention.run_round()
    retention.run_round()
    assert log.start_offset("plain-counts-changelog", 0) == log.end_offset("plain-counts-changelog", 0) - 1
    app = collecting_app(log, tmp_path, [], store="memory://")
    counts = app.Table("counts", default=int, partitions=1)
    restored = []

    @counts.on_recover
    async def note():
        restored.append(dict(counts.items()))

    async def run():
        async with started(app):
            await until(lambda: not app.rebalancing)

    asyncio.run(run())
    assert restored == [{"other": 1}]


def test_p07_a_table_is_never_ahead_of_its_changelog(tmp_path: Path):
    settings = quick_settings(tmp_path)

    async def run(books):
        async with worker_over(books.log, settings) as running:
            books.fills(*(fill(f"t{number}", at=number) for number in range(50)))
            books.tick()
            await running.idle()

    with Books(tmp_path / "data", partitions=2) as books:
        asyncio.run(run(books))
        ends = {
            partition: books.log.end_offset("pks-positions-changelog", partition) for partition in range(2)
        }
        noted = {partition: books.log.get(positions.NAME, partition, RESTORED_KEY) for partition in range(2)}
        assert sum(ends.values()) > 0
        assert {
            partition: 0 if value is None else decode_offset(value) + 1 for partition, value in noted.items()
        } == ends
        # One that is, all the same, is refused: its changelog was lost.
        transaction = books.log.transaction()
        transaction.put(positions.NAME, 0, RESTORED_KEY, encode_offset(ends[0] + 100))
        transaction.commit()
        with pytest.raises(StateError, match="the changelog lost records"):
            asyncio.run(run(books))


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock goes only while it sleeps, and which never really sleeps."""

    def __init__(self) -> None:
        super().__init__(selectors.DefaultSelector())
        self.slept = 0.0
        select = self._selector.select
        begun = super().time()

        def select_at_once(timeout=None):
            found = select(0)
            if not found and timeout:
                self.slept += timeout
            return found

        self._selector.select = select_at_once
        self.time = lambda: begun + self.slept


def test_p08_nothing_sleeps_before_the_worker_is_ready(tmp_path: Path):
    settings = quick_settings(tmp_path)

    async def run(log):
        async with worker_over(log, settings):
            return asyncio.get_running_loop().slept

    with (
        EmbeddedLog.owner(tmp_path / "data", sync="os") as log,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        slept = runner.run(run(log))
    assert slept < 0.5


def test_p09_what_waits_is_bounded_in_records_and_a_resumed_partition_goes_on_by_itself(
    log: EmbeddedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(consumer_module, "_IDLE_SECONDS", 3_600.0)
    log.create_topic("in", 1)
    append(log, "in", [b"x"] * 500)
    app = plain_app(log, tmp_path, stream_buffer_maxsize=10)
    seen: list[int] = []
    waiting: list[int] = []

    async def run():
        gate = asyncio.Event()

        @app.agent(app.topic("in", value_type=bytes, value_serializer="raw"))
        async def slow(stream):
            async for event in stream.events():
                await gate.wait()
                waiting.append(stream.channel.queue.qsize())
                seen.append(event.message.offset)

        async with started(app):
            await until(lambda: app.consumer._positions.get(("in", 0), 0) >= 10)
            assert app.consumer._positions["in", 0] <= 11
            gate.set()
            await until(lambda: len(seen) == 500)
            tps = app.consumer.assignment()
            app.consumer.pause_partitions(tps)
            append(log, "in", [b"x"] * 3)
            wakeup = app.consumer._wakeup
            await until(lambda: wakeup._waiters and not wakeup.is_set())
            assert len(seen) == 500
            app.consumer.resume_partitions(tps)
            await until(lambda: len(seen) == 503)

    asyncio.run(run())
    assert seen == list(range(503))
    assert max(waiting) <= 10


def test_p09_a_full_queue_holds_up_no_other(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("full", 1)
    log.create_topic("free", 1)
    append(log, "full", [b"x"] * 500)
    app = plain_app(log, tmp_path, stream_buffer_maxsize=10)
    seen: list[int] = []

    async def run():
        gate = asyncio.Event()

        @app.agent(app.topic("full", value_type=bytes, value_serializer="raw"))
        async def slow(stream):
            async for event in stream.events():
                await gate.wait()
                seen.append(event.message.offset)

        @app.agent(app.topic("free", value_type=bytes, value_serializer="raw"))
        async def quick(stream):
            async for event in stream.events():
                seen.append(-event.message.offset)

        async with started(app):
            await until(lambda: app.consumer._positions.get(("full", 0), 0) >= 10)
            append(log, "free", [b"x"] * 5)
            await until(lambda: seen == [0, -1, -2, -3, -4])
            gate.set()
            await until(lambda: len(seen) == 505)

    asyncio.run(run())
    assert seen[5:] == list(range(500))


def test_p09_what_waits_is_bounded_in_bytes(
    log: EmbeddedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(consumer_module, "WAITING_BYTES_MAX", 64 * 1024)
    monkeypatch.setattr(consumer_module, "READ_BYTES_MAX", 16 * 1024)
    log.create_topic("in", 1)
    append(log, "in", [bytes(8 * 1024)] * 200)
    app = plain_app(log, tmp_path)
    seen: list[int] = []
    waiting: list[int] = []

    async def run():
        gate = asyncio.Event()

        @app.agent(app.topic("in", value_type=bytes, value_serializer="raw"))
        async def slow(stream):
            async for event in stream.events():
                await gate.wait()
                waiting.append(stream.channel.queue.qsize())
                seen.append(event.message.offset)

        async with started(app):
            await until(lambda: app.consumer._room(("in", 0)) <= 0)
            gate.set()
            await until(lambda: len(seen) == 200)

    asyncio.run(run())
    assert seen == list(range(200))
    assert max(waiting) <= 10


def test_p11_there_is_no_leader_topic_and_headers_are_kept(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    app = plain_app(log, tmp_path)
    source = app.topic("in", value_type=bytes, value_serializer="raw")
    headers: list[dict] = []
    times: list[float] = []

    @app.agent(source)
    async def note(stream):
        async for event in stream.events():
            headers.append(event.headers)
            times.append(event.message.timestamp)

    async def run():
        async with started(app):
            await source.send(value=b"x", headers={"reply": b"there"}, timestamp=12.5)
            await until(lambda: headers)

    asyncio.run(run())
    assert headers == [{"reply": b"there"}]
    assert times == [12.5]
    assert not [name for name in log.topics() if "leader" in name]


def test_p12_a_second_app_with_the_same_id_is_refused(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    first_seen: list[int] = []
    second_seen: list[int] = []

    async def run():
        first = collecting_app(log, tmp_path, first_seen)
        async with started(first):
            second = collecting_app(log, tmp_path, second_seen)
            with pytest.raises(ImproperlyConfigured, match="expected one App with the id 'plain'"):
                await second.start()
            await second.stop()
            append(log, "in", [b"x"])
            await until(lambda: first_seen == [0])
        third = collecting_app(log, tmp_path, second_seen)
        async with started(third):
            append(log, "in", [b"x"])
            await until(lambda: second_seen)

    asyncio.run(run())
    assert first_seen == [0]
    assert second_seen == [1]


def test_p13_a_lost_table_is_restored_straight_from_its_changelog(tmp_path: Path):
    settings = quick_settings(tmp_path)
    read_by_consumer: list[int] = []

    async def run(books):
        async with worker_over(books.log, settings) as running:
            # A queue counts what was put into it: what stock recovery reads comes this way.
            read_by_consumer.append(running.worker.apps[1].tables.changelog_queue._unfinished_tasks)
            books.fills(*(fill(f"t{number}", book=f"B{number % 5}", at=number) for number in range(100)))
            await running.idle()

    with Books(tmp_path / "data", partitions=2) as books:
        asyncio.run(run(books))
        before = books.table(positions.NAME)
        assert len(before) > 100
        for partition in range(2):
            transaction = books.log.transaction()
            for place, key in before:
                if place == partition:
                    transaction.delete(positions.NAME, partition, key)
            transaction.commit()
        assert books.table(positions.NAME) == {}
        asyncio.run(run(books))
        after = books.table(positions.NAME)
        unchanged = {place: value for place, value in after.items() if place[1][:1] not in (b"c", b"\x00")}
        assert unchanged == {
            place: value for place, value in before.items() if place[1][:1] not in (b"c", b"\x00")
        }
        assert books.counts(positions.NAME).applied == 100
        assert read_by_consumer == [0, 0]
