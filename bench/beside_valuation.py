"""What a valuation that is overloaded costs the books: fills a second that a worker takes through capture and positions to
their slots, as fast as they come, while marks of ten thousand positions wait by the ten thousand, and while none do.

Both in turns in one run, on the running worker; a worker without the stages behind the books is in the note.
"""

import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.latency import Schedule, quantile, send_and_watch
from bench.row import Row
from clients.python.pks_client import PositionReader
from connectors.shm.writer import remove
from schemas import events, market_data, topics
from schemas.frames import wire
from schemas.times import Nanoseconds, parse_time
from schemas.topics import PARTITIONS_DEFAULT
from schemas.units import MarkQuality, Side
from topology.demo.stack import Stack
from topology.settings import Settings
from topology.sinks.entry import LogEntry

RATE, SECONDS, ROUNDS = 50_000, 1.0, 3
"""Fills by schedule, more than a worker takes."""

UNDERLYINGS, POSITIONS, MARKS, MARKS_TOGETHER = 200, 10_000, 10_000, 1_000
IDLE_SECONDS_MAX = 300.0
_APART = 10_000_000
_START = parse_time("2026-01-05T12:00:00Z")
_Fill: Any = wire(events.FillEvent)
_Mark: Any = wire(market_data.Mark)


class _Worker:
    """A running worker with what is sent to it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._reader = PositionReader(stack.shared_memory)
        self._entry = LogEntry(Settings(data=stack.data), time.time_ns)
        self._rounds = self._marks = 0

    def hold(self) -> None:
        """Positions that marks value."""
        for start in range(0, POSITIONS, MARKS_TOGETHER):
            self._entry.append_fills([_position(number) for number in range(start, start + MARKS_TOGETHER)])
        self.wait()

    def overload(self) -> None:
        """Marks of all of them, many times over."""
        for _ in range(0, MARKS, MARKS_TOGETHER):
            some = [_mark(number) for number in range(self._marks, self._marks + MARKS_TOGETHER)]
            self._marks += MARKS_TOGETHER
            self._entry.publish(topics.MARKS, some, topics.MARKS.key_of)

    def lag(self, *stages: str) -> int:
        """Records that wait before some stages; before all, where none is named."""
        told = urllib.request.urlopen(f"{self._stack.addresses['web']}/metrics", timeout=30).read().decode()
        lags = (line for line in told.splitlines() if line.startswith("pks_lag_events{"))
        asked = [line for line in lags if not stages or any(f'stage="{stage}"' in line for stage in stages)]
        return sum(int(float(line.rpartition(" ")[2])) for line in asked)

    def wait(self) -> None:
        """Until nothing waits."""
        deadline = time.monotonic() + IDLE_SECONDS_MAX
        while self.lag():
            if time.monotonic() > deadline:
                raise RuntimeError(f"expected stages that catch up, found {self.lag()} records that wait")
            time.sleep(0.2)

    def fills(self) -> tuple[float, float]:
        """Fills a second, as fast as they are taken; and how far behind the schedule the last tenth was, in ms."""
        self._rounds += 1
        schedule = Schedule(RATE, SECONDS, self._rounds * _APART, PARTITIONS_DEFAULT)
        began = time.perf_counter()
        found = send_and_watch(self._stack.data, self._reader, schedule)
        return RATE * SECONDS / (time.perf_counter() - began), quantile(found.latencies, 0.99)


def _position(number: int) -> Any:
    return _Fill(
        event_id=f"held-{number}",
        trade_id=f"held-{number}",
        book=f"H{number // UNDERLYINGS}",
        instrument=f"U{number % UNDERLYINGS}",
        side=Side.BUY,
        quantity=Decimal(number % 90 + 10),
        price=Decimal(95),
        executed_at=Nanoseconds(_START + number),
        source_sequence=number,
        source="held",
    )


def _mark(number: int) -> Any:
    return _Mark(
        event_id=f"m{number}",
        source="bench",
        instrument=f"U{number * 7 % UNDERLYINGS}",
        event_time=Nanoseconds(_START + number),
        quality=MarkQuality.LIVE,
        price=Decimal(9_000 + number % 2_000).scaleb(-2),
        source_sequence=number,
    )


@contextmanager
def _running(stages: str) -> Iterator[_Worker]:
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        stack = Stack(Path(folder) / "data", 0, f"/pks-bench-{os.getpid()}", stages=stages)
        stack.start()
        try:
            yield _Worker(stack)
        finally:
            stack.stop()
            remove(stack.shared_memory)


def run(_fills: int) -> list[Row]:
    """Fills a second beside an overloaded valuation, and beside one that has no marks."""
    with _running("books") as worker:
        worker.fills()
        alone = statistics.median(worker.fills()[0] for _ in range(ROUNDS))
    quiet, loaded, left = [], [], []
    with _running("all") as worker:
        worker.hold()
        worker.fills()
        for _ in range(ROUNDS):
            worker.wait()
            quiet.append(worker.fills()[0])
            worker.wait()
            worker.overload()
            loaded.append(worker.fills()[0])
            left.append(worker.lag("mark_routing", "valuation", "pnl"))
    if not all(left):
        raise RuntimeError(
            f"expected a valuation that is behind after the fills, found {left} records that wait"
        )
    note = (
        f"{min(left):,} records and more still waited for valuation; rounds "
        f"{', '.join(f'{rate:,.0f}' for rate in loaded)} and {', '.join(f'{rate:,.0f}' for rate in quiet)}; "
        f"{alone:,.0f} with stages=books"
    )
    rate, reference = statistics.median(loaded), statistics.median(quiet)
    return [
        Row(
            "fills to slots while valuation is overloaded",
            rate,
            "fills/s",
            reference,
            "without marks",
            note=note,
        )
    ]
