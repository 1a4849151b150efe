"""What a sink that cannot write costs the positions: the time from a fill to its slot while the sinks of Postgres keep
up, while their server stands still, and while they catch up, one after the other in one run.

Fills come by schedule at 5,000 a second, as in `bench.latency`. A quarter of the run the sinks keep up, for half of it
the server is stopped (all its processes, so that every connection hangs), a quarter is measured from the moment at which it
goes on. At the end the sinks' rows are counted against what was sent: `--fills 600000` stops it for 60 s.
"""

import asyncio
import gc
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.latency import Schedule, quantile, send_and_watch
from bench.row import Row
from clients.python.pks_client import PositionReader
from connectors.postgres.migrating import migrate
from connectors.servers.postgres import LocalPostgres
from connectors.servers.process import ServerUnavailable
from connectors.shm.writer import remove
from schemas.topics import PARTITIONS_DEFAULT
from topology.demo.stack import Stack

RATE = 5_000
WARM_SECONDS = 2.0
PART_SECONDS_MIN = 2.0
CATCH_UP_SECONDS_MAX = 300.0
_APART = 10_000_000
"""Between the numbers of the fills of two parts of the run."""

_TIES = """
select (select count(*) from trade.trade),
    (select count(*) from position.effect where known_to_ns = 9223372036854775807),
    (select sum(quantity) from position.position) = (select sum(quantity) from trade.trade)
"""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part of the run gave: fills, the seconds until the last had its slot, and latencies in milliseconds."""

    fills: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.fills / self.seconds

    @property
    def slow(self) -> float:
        return quantile(self.latencies, 0.99)


@contextmanager
def _running() -> Iterator[tuple[LocalPostgres, Stack]]:
    """A server, and a worker whose sinks write to it."""
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        Path(folder).chmod(0o755)
        with LocalPostgres(Path(folder) / "postgres") as server:
            asyncio.run(migrate(server.url()))
            shared_memory = f"/pks-bench-{os.getpid()}"
            stack = Stack(Path(folder) / "data", 0, shared_memory, postgres=server.url())
            stack.start()
            try:
                yield server, stack
            finally:
                stack.stop()
                remove(shared_memory)


class _Sender:
    """Sends the parts of the run, each with fills of its own."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._reader = PositionReader(stack.shared_memory)
        self._parts = 0
        self.fills = 0

    def send(self, seconds: float, schedule: Schedule | None = None) -> _Part:
        """Send for so long, by a schedule that was made before where one is given."""
        schedule = schedule or self.schedule(seconds)
        began = time.perf_counter()
        found = send_and_watch(self._stack.data, self._reader, schedule)
        fills = int(RATE * seconds)
        self.fills += fills
        return _Part(fills, time.perf_counter() - began, found.latencies)

    def schedule(self, seconds: float) -> Schedule:
        """The schedule of the next part."""
        self._parts += 1
        made = Schedule(RATE, seconds, self._parts * _APART, PARTITIONS_DEFAULT)
        gc.collect()
        return made


async def _caught_up(url: str, fills: int) -> float:
    """Wait until Postgres has every fill in both sinks; the seconds that it took."""
    connection = await asyncpg.connect(url)
    started = time.perf_counter()
    try:
        while True:
            trades, effects, ties = await connection.fetchrow(_TIES)
            if trades == effects == fills and ties:
                return time.perf_counter() - started
            if time.perf_counter() - started > CATCH_UP_SECONDS_MAX:
                raise RuntimeError(
                    f"expected {fills:,} trades in Postgres, found {trades:,}, {effects:,} effects"
                )
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


def run(fills: int) -> list[Row]:
    """The figures while the server stands still, and while the sinks catch up, beside those while they keep up."""
    seconds = max(PART_SECONDS_MIN, fills / RATE / 4)
    try:
        with _running() as (server, stack):
            sender = _Sender(stack)
            sender.send(WARM_SECONDS)
            asyncio.run(_caught_up(server.url(), sender.fills))
            keeping_up = sender.send(seconds)
            asyncio.run(_caught_up(server.url(), sender.fills))
            halted, after = sender.schedule(2 * seconds), sender.schedule(seconds)
            server.signal(signal.SIGSTOP)
            try:
                stopped = sender.send(2 * seconds, halted)
            finally:
                server.signal(signal.SIGCONT)
            catching_up = sender.send(seconds, after)
            left = asyncio.run(_caught_up(server.url(), sender.fills))
            ties = f"{sender.fills:,} fills sent, as many in Postgres {left:.1f} s after the last"
    except ServerUnavailable as error:
        return [Row(name="a stopped sink", value=None, unit="ms", note=str(error))]
    return [
        *_rows(f"its server stands still for {2 * seconds:.0f} s", stopped, keeping_up, ""),
        *_rows("they catch up", catching_up, keeping_up, ties),
    ]


def _rows(while_what: str, part: _Part, beside: _Part, note: str) -> list[Row]:
    reference = "the same worker while its sinks keep up"
    halves = f"p50 {quantile(part.latencies, 0.5):.2f} ms, beside {quantile(beside.latencies, 0.5):.2f} ms"
    return [
        Row(
            name=f"fill -> slot, p99 at {RATE:,}/s, sinks of Postgres: {while_what}",
            value=part.slow,
            unit="ms",
            reference=beside.slow,
            reference_name=reference,
            higher_is_better=False,
            note="; ".join(filter(None, [halves, note])),
        ),
        Row(
            name=f"fills applied, {RATE:,}/s sent, sinks of Postgres: {while_what}",
            value=part.rate,
            unit="fills/s",
            reference=beside.rate,
            reference_name=reference,
        ),
    ]
