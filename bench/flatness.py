"""Whether a fill costs the same however much there is: open lots in one position, positions in the stage.

Each size is reached by the stage itself; then the same fills are measured on top. The reference of each row is the
smallest size, so its ratio says what size costs. Sizes go up to the number of fills asked for (`--fills 1000000`).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from agents import positions
from bench.bookings import apply, booking, one_each
from bench.row import Row
from bench.throughput import time_of
from bench.workload import Bench, frames_of, fresh_log, one_core
from schemas.topics import BOOKINGS
from topology.drive import run_until_idle

LOTS = (10, 1_000, 100_000, 1_000_000)
POSITIONS = (10_000, 100_000, 1_000_000)
MEASURED = 20_000
"""Fills of a round; fewer where fewer are asked for."""
_ROUNDS = 3


def _measure(bench: Bench, rounds: Sequence[Sequence[Any]]) -> float:
    """Processor time of a fill in microseconds: the least of some rounds."""
    found = []
    for part in rounds:
        bench.append(BOOKINGS, frames_of(BOOKINGS, part))
        _, processor = time_of(lambda: run_until_idle(bench.of(positions.NAME), bench.log))
        found.append(processor / len(part) * 1e6)
    return min(found)


def _opening(count: int) -> Iterator[Any]:
    """Buys only: each leaves a lot."""
    return (booking(number, Decimal(2), Decimal(100)) for number in range(count))


def _in_and_out(first: int, count: int) -> list[Any]:
    """Buys and sells of a lot in turn: as many lots are open afterwards as before."""
    return [
        booking(number, Decimal(2 if number % 2 else -2), Decimal(100 + number % 7))
        for number in range(first, first + count)
    ]


def _lots(size: int, count: int) -> float:
    with fresh_log() as bench:
        apply(bench, _opening(size))
        return _measure(bench, [_in_and_out(size + place * count, count) for place in range(_ROUNDS)])


def _spread(size: int, first: int, count: int, books: int = 200) -> list[Any]:
    """Fills of positions drawn evenly from `size`."""
    rng = random.Random(first)
    found = []
    for number in range(first, first + count):
        place = rng.randrange(size)
        quantity = Decimal(rng.randrange(1, 100_000)).scaleb(-2)
        found.append(
            booking(
                number,
                quantity if rng.random() < 0.5 else -quantity,
                Decimal(rng.randrange(9_000, 11_000)).scaleb(-2),
                book=f"BOOK{place % books}",
                instrument=f"INST{place // books}",
            )
        )
    return found


def _positions(size: int, count: int) -> float:
    with fresh_log() as bench:
        apply(bench, one_each(size))
        return _measure(bench, [_spread(size, size + place * count, count) for place in range(_ROUNDS)])


def _rows(what: str, sizes: Sequence[int], measure: Callable[[int, int], float], most: int) -> list[Row]:
    rows: list[Row] = []
    smallest = None
    for size in sizes:
        if size > most:
            continue
        found = measure(size, min(MEASURED, most))
        smallest = found if smallest is None else smallest
        rows.append(
            Row(
                name=f"a fill with {size:,} {what}",
                value=found,
                unit="us",
                reference=smallest,
                reference_name=f"with {sizes[0]:,}",
                cpu_us=found,
                higher_is_better=False,
                note="processor time",
            )
        )
    return rows


def run(most: int) -> list[Row]:
    """Processor time of a fill by open lots, and by positions."""
    with one_core():
        return [
            *_rows("open lots in its position", LOTS, _lots, most),
            *_rows("positions", POSITIONS, _positions, most),
        ]
