"""Late trades into a position with a long history: what one costs by how late it is.

The position has as many trades as fills are asked for (1,000,000: `python -m bench late --fills 1000000`), in random
directions, so that nearly every later trade matches otherwise afterwards. Each late trade is a step of its own, from
the log to the commit; a long re-match is done in slices, and between them come trades of another position.
"""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from agents import positions
from bench.bookings import SPACING, START, apply, booking, random_walk
from bench.row import Row
from bench.throughput import quiet
from bench.workload import Bench, frames_of, fresh_log, one_core
from schemas.numbers import ONE
from schemas.topics import BOOKINGS
from topology.drive import run_until_idle
from topology.runtime import IDLE, PartitionRunner

BACK = {10: 20, 1_000: 10, 10_000: 10}
"""By how many trades one comes late, and how often that is measured."""

_IN_TIME = 20
_SLICES_BETWEEN = 10
"""A trade of another position comes after so many slices."""


def _trade(number: int, trades: int, back: int) -> Any:
    """A trade that comes `back` trades late, the `number`-th of its kind (below 0: in time)."""
    at = START + (trades - back) * SPACING - 1 - number if back >= 0 else START + (trades + number) * SPACING
    name = f"late{back}.{number}"
    return booking(number, Decimal("12.5"), Decimal("100.5"), trade_id=name, executed_at=at)


def _steps(bench: Bench, found: Sequence[Any]) -> list[tuple[float, float]]:
    """Milliseconds of each booking's step, by the clock and of its thread's processor time; the shortest first.

    What the store still compacts of the preparation, in threads of its own, is no part of a step.
    """
    runners = bench.of(positions.NAME)
    measured = []
    with quiet():
        for event in found:
            bench.append(BOOKINGS, frames_of(BOOKINGS, [event]))
            wall, processor = time.perf_counter(), time.thread_time()
            run_until_idle(runners, bench.log)
            measured.append(((time.perf_counter() - wall) * 1e3, (time.thread_time() - processor) * 1e3))
    return sorted(measured)


def _timed(act: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds by the clock and of the thread's processor time."""
    wall, processor = time.perf_counter(), time.thread_time()
    act()
    return (time.perf_counter() - wall) * 1e3, (time.thread_time() - processor) * 1e3


def _step(bench: Bench, runners: Sequence[PartitionRunner]) -> None:
    """A step of what waits, and no slice."""
    for runner in runners:
        records = bench.log.read(BOOKINGS.name, runner.partition, runner.next_offset, 100, 1 << 20)
        if records:
            runner.step(records)


def _whole(bench: Bench, trades: int, reference: float) -> list[Row]:
    """A trade that is late by all, its slices, and the trades of another position that come between them.

    These come just before a slice begins, so that they wait for it.
    """
    runners = bench.of(positions.NAME)
    slices: list[tuple[float, float]] = []
    others: list[tuple[float, float]] = []
    with quiet():
        bench.append(BOOKINGS, frames_of(BOOKINGS, [_trade(0, trades, trades)]))
        first = _timed(lambda: _step(bench, runners))
        while left := [runner for runner in runners if runner.has_idle_work]:
            number = len(slices)
            slices.append(_timed(partial(left[0].step, IDLE)))
            if number % _SLICES_BETWEEN == 0:
                other = booking(number, ONE, ONE, instrument="OTHER", trade_id=f"other{number}")
                bench.append(BOOKINGS, frames_of(BOOKINGS, [other]))
                wall, processor = _timed(lambda: _step(bench, runners))
                others.append((slices[-1][0] + wall, slices[-1][1] + processor))
    whole = (first[0] + sum(wall for wall, _ in slices), first[1] + sum(processor for _, processor in slices))
    name = f"all of {trades:,}"
    rows = [_row(name, [whole], reference)]
    if slices:
        rows.append(_row(f"{name}: a slice of it", sorted(slices), reference))
        rows.append(_row(f"{name}: another position meanwhile", sorted(others), reference))
    return rows


def _row(name: str, measured: Sequence[tuple[float, float]], reference: float) -> Row:
    middle = measured[len(measured) // 2]
    return Row(
        name=f"late trade, by {name}",
        value=middle[0],
        unit="ms",
        reference=reference,
        reference_name="a trade in time",
        cpu_us=middle[1] * 1e3,
        higher_is_better=False,
        note=f"p50; longest {measured[-1][0]:.1f} ms, of {len(measured)}",
    )


def run(trades: int) -> list[Row]:
    """Milliseconds of a late trade, by how late it is."""
    with one_core(), fresh_log() as bench:
        apply(bench, random_walk(trades))
        in_time = _steps(bench, [_trade(number, trades, -1) for number in range(_IN_TIME)])
        reference = in_time[len(in_time) // 2][0]
        rows = []
        for back, times in BACK.items():
            if back < trades:
                late = [_trade(number, trades, back) for number in range(times)]
                rows.append(_row(f"{back:,} of {trades:,}", _steps(bench, late), reference))
        return rows + _whole(bench, trades, reference)
