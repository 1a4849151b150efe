"""What sinks cost: a trade until it is committed in Postgres, and how fast a sink catches up.

Each beside a bare loop of the same client library on the same server: for the time to the commit a loop that copies as
many rows as come in five milliseconds and commits; for the catching up a loop that copies rows that are ready, as text,
into a table with the same indexes. The time of a commit is the server's own (`track_commit_timestamp`), that of the trade
is when its booking was appended to the log.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg

from bench.bookings import one_each
from bench.row import Row
from bench.sink_loop import run_as_sink
from connectors.embedded.log import EmbeddedLog
from connectors.postgres.copying import copy_lines
from connectors.postgres.migrating import migrate
from connectors.postgres.trades import TradesSink, line_of_trade, trade_columns
from connectors.servers.postgres import LocalPostgres
from connectors.servers.process import ServerUnavailable
from connectors.sink import Item, TopicPartition
from schemas.frames import encode_frames
from schemas.topics import BOOKINGS
from topology.settings import Settings
from topology.sinks.feed import Feed
from topology.sinks.runner import SinkRunner
from topology.stages import build_stages, create_topics

RATE = 5_000
TICK_SECONDS = 0.005
A_TICK = int(RATE * TICK_SECONDS)
PACED_SECONDS = 8.0
WARM_SECONDS = 2.0
BATCH = 5_000
ROUNDS = 3

_LATENCIES = """
select percentile_cont($1::float8[]) within group (order by
    (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1e9 - known_at_ns)::float8 / 1e6)
from trade.trade where known_at_ns >= $2
"""


class _Nobody:
    """Nothing is refused here."""

    async def put(self, item: Item, reason: str) -> None:
        raise AssertionError(reason)


@contextmanager
def _server() -> Iterator[LocalPostgres]:
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        Path(folder).chmod(0o755)
        with LocalPostgres(Path(folder) / "postgres", settings={"track_commit_timestamp": "on"}) as server:
            yield server


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _database(server: LocalPostgres, name: str) -> str:
    asyncio.run(_execute(server.url(), f"create database {name}"))
    asyncio.run(migrate(server.url(name)))
    return server.url(name)


@contextmanager
def _log(sync: Any) -> Iterator[EmbeddedLog]:
    with (
        tempfile.TemporaryDirectory(prefix="pks-bench-") as folder,
        EmbeddedLog.owner(Path(folder), sync=sync) as log,
    ):
        create_topics(log, build_stages(Settings()), 1)
        yield log


def _append(log: EmbeddedLog, frame: bytes) -> None:
    transaction = log.transaction()
    transaction.append(BOOKINGS.name, 0, None, frame)
    transaction.commit()


def _lines(bookings: Iterable[Any]) -> list[str]:
    """Bookings as rows that are ready for COPY."""
    return [line_of_trade(Item(BOOKINGS.name, 0, 0, 0, 0, 0, booked)) for booked in bookings]


# -- catching up ------------------------------------------------------------------------------------------------


class _Opened(TradesSink):
    """The sink, and when it had connected: the bare loop has too before its time begins."""

    opened_at = 0.0

    async def open(self) -> Mapping[TopicPartition, int]:
        offsets = await super().open()
        self.opened_at = time.perf_counter()
        return offsets


def _sink_seconds(log: EmbeddedLog, url: str, trades: int) -> float:
    async def run() -> float:
        sink = _Opened(url)
        feed = Feed(log.folder, sink.topics, events_max=BATCH, durable_only=False)
        runner = SinkRunner(sink, feed, _Nobody(), log.folder)
        running = asyncio.ensure_future(runner.run())
        while runner.status.written < trades:
            await asyncio.sleep(0.005)
        taken = time.perf_counter() - sink.opened_at
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        feed.close()
        return taken

    return run_as_sink(run())


def _bare_seconds(url: str, batches: Sequence[Sequence[str]]) -> float:
    async def run() -> float:
        connection = await asyncpg.connect(url)
        started = time.perf_counter()
        for lines in batches:
            async with connection.transaction():
                await copy_lines(connection, "trade", "trade", trade_columns(), lines)
        taken = time.perf_counter() - started
        await connection.close()
        return taken

    return run_as_sink(run())


def _bulk(server: LocalPostgres, trades: int) -> Row:
    with _log("os") as log:
        # A commit a frame, as stages write them: one over all would be one batch of the sink.
        for frame in encode_frames(one_each(trades)):
            _append(log, frame)
        remaining = iter(one_each(trades))
        batches = []
        while part := list(islice(remaining, BATCH)):
            batches.append(_lines(part))
        sink = bare = float("inf")
        for number in range(ROUNDS):
            bare = min(bare, _bare_seconds(_database(server, f"bare{number}"), batches))
            sink = min(sink, _sink_seconds(log, _database(server, f"sink{number}"), trades))
    return Row(
        name="trades into Postgres, catching up",
        value=trades / sink,
        unit="trades/s",
        reference=trades / bare,
        reference_name="a bare COPY of rows that are ready, with asyncpg",
        note=f"best of {ROUNDS}, in turns; batches of {BATCH:,}",
    )


# -- a trade until it is committed ------------------------------------------------------------------------------


def _append_paced(log: EmbeddedLog, frames: Sequence[bytes], warm_ticks: int) -> int:
    """Append a frame a tick; the time of the log after the ticks that warm up, from which the run counts."""
    counts_from = 0
    due = time.perf_counter()
    for number, frame in enumerate(frames):
        _append(log, frame)
        if number == warm_ticks:
            counts_from = log.appended_at
        due += TICK_SECONDS
        time.sleep(max(0.0, due - time.perf_counter()))
    return counts_from


async def _bare_latencies(url: str, lines: Sequence[str]) -> list[float]:
    """Milliseconds of a copy and commit of a tick's rows, paced alike."""
    connection = await asyncpg.connect(url)
    taken = []
    due = time.perf_counter()
    for start in range(0, len(lines), A_TICK):
        began = time.perf_counter()
        async with connection.transaction():
            await copy_lines(connection, "trade", "trade", trade_columns(), lines[start : start + A_TICK])
        taken.append((time.perf_counter() - began) * 1e3)
        due += TICK_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await connection.close()
    return sorted(taken)


async def _measured(url: str, counts_from: int, wanted: int) -> list[float]:
    connection = await asyncpg.connect(url)
    try:
        while await connection.fetchval("select count(*) from trade.trade") < wanted:
            await asyncio.sleep(0.1)
        found: list[float] = await connection.fetchval(_LATENCIES, [0.5, 0.99], counts_from)
        return found
    finally:
        await connection.close()


def _paced(server: LocalPostgres) -> Row:
    url = _database(server, "paced")
    ticks, warm_ticks = round(PACED_SECONDS / TICK_SECONDS), round(WARM_SECONDS / TICK_SECONDS)
    wanted = ticks * A_TICK
    bookings = one_each(1 + wanted)
    first = encode_frames(islice(bookings, 1))[0]
    # Made before: whoever encodes bookings has no part in this figure.
    frames = [encode_frames(islice(bookings, A_TICK))[0] for _ in range(ticks)]
    with _log("group") as log:
        sink = subprocess.Popen(
            [sys.executable, "-m", "topology", "sink", "postgres-trades", "--data", str(log.folder)],
            env={**os.environ, "PKS_POSTGRES": url, "PKS_PARTITIONS": "1", "PKS_SYNC": "group"},
        )
        try:
            # The first trade is waited for: from then on the sink runs.
            _append(log, first)
            asyncio.run(_measured(url, 0, 1))
            counts_from = _append_paced(log, frames, warm_ticks)
            median, slow = asyncio.run(_measured(url, counts_from, 1 + wanted))
        finally:
            sink.terminate()
            sink.wait()
    lines = _lines(one_each(wanted))
    bare = asyncio.run(_bare_latencies(_database(server, "paced_bare"), lines))
    return Row(
        name=f"trade until committed in Postgres, p99 at {RATE:,}/s",
        value=slow,
        unit="ms",
        reference=bare[int(len(bare) * 0.99)],
        reference_name="p99 of a bare copy and commit of as many rows",
        higher_is_better=False,
        note=f"p50 {median:.1f} ms, bare p50 {bare[len(bare) // 2]:.1f} ms",
    )


def run(trades: int) -> list[Row]:
    """Both figures; without the server's programs they say so."""
    try:
        with _server() as server:
            return [_bulk(server, trades), _paced(server)]
    except ServerUnavailable as error:
        return [Row(name="trades into Postgres", value=None, unit="trades/s", note=str(error))]
