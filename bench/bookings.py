"""Bookings without end for the figures that need a state of a certain size, and the state that they make.

Everything passes the positions stage itself, on an embedded log, a portion at a time: what is made need not fit into
memory.
"""

import random
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from agents import positions
from bench.workload import Bench, frames_of
from schemas import events
from schemas.frames import wire
from schemas.times import Nanoseconds
from schemas.topics import BOOKINGS
from topology.drive import run_until_idle

START = 1_767_571_200_000_000_000
SPACING = 1_000
"""Nanoseconds between two trades, so that there is room for a late one."""

PORTION = 20_000

_TradeBooked = wire(events.TradeBooked)


def booking(
    number: int,
    quantity: Decimal,
    price: Decimal,
    *,
    book: str = "BOOK",
    instrument: str = "INST",
    trade_id: str | None = None,
    executed_at: int | None = None,
) -> Any:
    """A booked trade, the `number`-th."""
    name = trade_id or f"t{number}"
    at = Nanoseconds(START + number * SPACING if executed_at is None else executed_at)
    return _TradeBooked(
        event_id=f"e{name}",
        correlation_id=f"e{name}",
        causation_id=f"e{name}",
        source="bench",
        trade_id=name,
        book=book,
        instrument=instrument,
        quantity=quantity,
        price=price,
        executed_at=at,
        recorded_at=at,
        source_sequence=number,
        business_date="2026-01-05",
    )


def random_walk(count: int, seed: int = 1) -> Iterator[Any]:
    """Trades of one position, half of them buys: it opens, closes and flips."""
    rng = random.Random(seed)
    for number in range(count):
        quantity = Decimal(rng.randrange(1, 100_000)).scaleb(-2)
        price = Decimal(rng.randrange(9_000, 11_000)).scaleb(-2)
        yield booking(number, quantity if rng.random() < 0.5 else -quantity, price)


def one_each(count: int, books: int = 200, first: int = 0) -> Iterator[Any]:
    """A trade for each of `count` positions, spread over books."""
    rng = random.Random(count)
    for number in range(first, first + count):
        quantity = Decimal(rng.randrange(1, 100_000)).scaleb(-2)
        price = Decimal(rng.randrange(9_000, 11_000)).scaleb(-2)
        place = number - first
        yield booking(
            number, quantity, price, book=f"BOOK{place % books}", instrument=f"INST{place // books}"
        )


def apply(bench: Bench, found: Iterable[Any], portion: int = PORTION) -> None:
    """Let bookings through the positions stage."""
    runners = bench.of(positions.NAME)
    bookings = iter(found)
    while part := list(islice(bookings, portion)):
        bench.append(BOOKINGS, frames_of(BOOKINGS, part))
        run_until_idle(runners, bench.log)
