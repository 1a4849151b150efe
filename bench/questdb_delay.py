"""How long a booking takes into QuestDB: until it is confirmed, and until a query shows it.

A process of its own appends 5,000 bookings a second to a log, by schedule; this one runs the sink, as `pks sink questdb`
does, and asks the table for its count all the while. The time of a booking is that of its append. Beside it stands the
client library alone: as many rows as come in a tick, written by the same schedule and confirmed.
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from questdb import Sender, TimestampNanos

from bench.bookings import one_each
from bench.row import Row
from bench.sink_loop import run_as_sink
from connectors.embedded.log import EmbeddedLog
from connectors.questdb.bookings import TABLE, row_of
from connectors.questdb.server import QuestdbSettings, query
from connectors.servers.questdb import LocalQuestdb
from connectors.sink import Batch, Item, Sink, TopicPartition, Unavailable
from schemas.frames import encode_frames
from schemas.topics import BOOKINGS
from topology.settings import Settings
from topology.sinks.feed import Feed
from topology.sinks.registry import SINK_BY_NAME
from topology.sinks.runner import SinkRunner
from topology.stages import build_stages, create_topics

RATE = 5_000
TICK_SECONDS = 0.005
LOOK_SECONDS = 0.01
WAIT_SECONDS_MAX = 60.0
_A_TICK = int(RATE * TICK_SECONDS)
_COUNT = f"select count() from {TABLE}"


class _Nobody:
    """Nothing is refused here."""

    async def put(self, item: Item, reason: str) -> None:
        raise AssertionError(reason)


class _Timed:
    """A sink that notes when each of its events was appended, and how long it took until it was confirmed."""

    keeps_offsets = False

    def __init__(self, sink: Sink) -> None:
        self.name, self.topics = sink.name, sink.topics
        self._sink = sink
        self.appended: list[int] = []
        self.confirmed: list[float] = []

    async def open(self) -> Mapping[TopicPartition, int]:
        return await self._sink.open()

    async def write(self, batch: Batch) -> None:
        await self._sink.write(batch)
        now = time.time_ns()
        self.appended += [item.appended_at for item in batch.items]
        self.confirmed += [(now - item.appended_at) / 1e6 for item in batch.items]

    async def close(self) -> None:
        await self._sink.close()


def _append(folder: Path, ticks: int, pipe: Any) -> None:
    """The process that appends."""
    with EmbeddedLog.owner(folder, sync="group") as log:
        create_topics(log, build_stages(Settings()), 1)
        bookings = one_each(ticks * _A_TICK)
        frames = [encode_frames(islice(bookings, _A_TICK))[0] for _ in range(ticks)]
        pipe.send("ready")
        pipe.recv()
        due = time.perf_counter()
        for frame in frames:
            transaction = log.transaction()
            transaction.append(BOOKINGS.name, 0, None, frame)
            transaction.commit()
            due += TICK_SECONDS
            time.sleep(max(0.0, due - time.perf_counter()))
        pipe.recv()


async def _follow(
    folder: Path, settings: QuestdbSettings, total: int, pipe: Any
) -> tuple[_Timed, list[float]]:
    """Run the sink until the table shows everything; with it the milliseconds until each booking was shown."""
    made = SINK_BY_NAME["questdb"].make(Settings(questdb=settings.url, data=folder))
    sink = _Timed(made)
    feed = Feed(folder, sink.topics, events_max=5_000)
    running = asyncio.ensure_future(SinkRunner(sink, feed, _Nobody(), folder).run())
    shown: list[float] = []
    try:
        while not await asyncio.to_thread(_has_table, settings):
            await asyncio.sleep(LOOK_SECONDS)
        pipe.send("go")
        async with asyncio.timeout(WAIT_SECONDS_MAX + total / RATE):
            while len(shown) < total:
                rows = await asyncio.to_thread(query, settings, _COUNT)
                now = time.time_ns()
                known = min(int(rows[0][0]), len(sink.appended))
                shown += [(now - appended) / 1e6 for appended in sink.appended[len(shown) : known]]
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        feed.close()
    return sink, shown


def _has_table(settings: QuestdbSettings) -> bool:
    """Whether the sink has connected, and made its table."""
    try:
        query(settings, _COUNT)
    except Unavailable:
        return False
    return True


def _bare(settings: QuestdbSettings, ticks: int) -> list[float]:
    """Milliseconds until a tick's rows are confirmed, without PKS."""
    bookings = one_each(ticks * _A_TICK, first=ticks * _A_TICK)
    made = [
        [row_of(Item(BOOKINGS.name, 0, 0, 0, 1, 0, booked)) for booked in islice(bookings, _A_TICK)]
        for _ in range(ticks)
    ]
    taken = []
    with Sender.from_conf(settings.client) as sender:
        due = time.perf_counter()
        for rows in made:
            began = time.perf_counter()
            buffer = sender.new_buffer()
            for row in rows:
                assert row is not None, "a booking has a row"
                buffer.row(TABLE, symbols=row[0], columns=row[1], at=TimestampNanos(row[2]))
            sender.flush(buffer)
            taken.append((time.perf_counter() - began) * 1e3)
            due += TICK_SECONDS
            time.sleep(max(0.0, due - time.perf_counter()))
    return sorted(taken)


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def measure(server: LocalQuestdb, seconds: float) -> Row:
    """The figure, over so many seconds of bookings."""
    settings = QuestdbSettings(f"http://{server.address}")
    ticks = int(seconds / TICK_SECONDS)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        mine, theirs = context.Pipe()
        appender = context.Process(target=_append, args=(Path(folder), ticks, theirs))
        appender.start()
        try:
            mine.recv()
            sink, shown = run_as_sink(_follow(Path(folder), settings, ticks * _A_TICK, mine))
            mine.send("end")
        finally:
            appender.join(WAIT_SECONDS_MAX)
            appender.kill()
    bare = _bare(settings, ticks)
    return Row(
        name=f"booking until confirmed by QuestDB, p99 at {RATE:,}/s",
        value=_quantile(sink.confirmed, 0.99),
        unit="ms",
        reference=_quantile(bare, 0.99),
        reference_name="p99 of the client library's rows and flush for as many",
        higher_is_better=False,
        note=f"p50 {_quantile(sink.confirmed, 0.5):.1f} ms; shown by a query, its write-ahead log applied: p50 "
        f"{_quantile(shown, 0.5):.0f} ms, p99 {_quantile(shown, 0.99):.0f} ms; of {len(shown):,} bookings",
    )
