"""Late, amended and cancelled trades in a long journal: as if all had come in order, entry by entry.

One book gets its trades out of order, with corrections, in steps of any size; another gets what came of it in order
and at once.
"""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents import positions
from agents.journal import CHUNK_ENTRIES_MAX, JOURNAL, Chunk, scan_journal
from agents.open_position import check_position, scan_positions, scan_shown
from schemas.numbers import exact_arithmetic
from schemas.units import FeePolicy, LifecycleKind, LotMethod
from tables.partition import TablePartition
from tests.support import MONDAY, SECOND, Books, Fee, LifecycleEventApplied, booked
from topology.log import LogStore

TERMS = [
    {"lot_method": LotMethod.FIFO},
    {"lot_method": LotMethod.LIFO},
    {"lot_method": LotMethod.FIFO, "fee_policy": FeePolicy.CAPITALISED, "inverse": True},
    {"lot_method": LotMethod.LIFO, "fee_policy": FeePolicy.EXPENSED},
    {"lot_method": LotMethod.AVERAGE},
]


def _trade(rng: random.Random, number: int, place: int, terms: dict[str, Any]) -> Any:
    return booked(
        f"t{number:04}",
        Decimal(rng.choice([-3, -2, -1, 1, 2, 3]) * rng.randrange(1, 40)).scaleb(-1),
        Decimal(rng.randrange(900, 1100)).scaleb(-1),
        at=place,
        source_sequence=number,
        fees=(Fee(amount=Decimal("0.03")),) if rng.random() < 0.3 else (),
        **terms,
    )


def _correction(number: int, trade_id: str, trade: Any) -> Any:
    return LifecycleEventApplied(
        event_id=f"c{number}",
        kind=LifecycleKind.CANCEL if trade is None else LifecycleKind.AMEND,
        trade_id=f"c{number}",
        original_trade_id=trade_id,
        book="B1",
        executed_at=MONDAY + number * SECOND,
        trade=trade,
    )


def _disordered(rng: random.Random, count: int, terms: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What comes, and the trades that stand in the end, in order."""
    live = {number: _trade(rng, number, number, terms) for number in range(count)}
    coming = list(live.values())
    for _ in range(count // 40):
        # Late by anything up to all of them.
        late = coming.pop(rng.randrange(count // 2))
        coming.insert(rng.randrange(len(coming)), late)
    place = {event.trade_id: index for index, event in enumerate(coming)}
    for number in range(count // 50):
        which = rng.randrange(count)
        trade = None
        if rng.random() < 0.6:
            moved = which if rng.random() < 0.5 else rng.randrange(count) + 0.5
            trade = _trade(rng, which, moved, terms)
        corrected = live.pop(which, None)
        if corrected is None:
            continue
        if trade is not None:
            live[which] = trade
        position = max(place.get(corrected.trade_id, 0) + 1, rng.randrange(len(coming)))
        coming.insert(min(position + number, len(coming)), _correction(number, corrected.trade_id, trade))
        if trade is not None:
            place[trade.trade_id] = len(coming)
    return coming, sorted(live.values(), key=lambda event: (event.executed_at, event.source_sequence))


def _contents(books: Books) -> tuple[str, list[Any]]:
    table = TablePartition(LogStore(books.log, positions.NAME, 0))
    with exact_arithmetic():
        for opened, shown in zip(scan_positions(table), scan_shown(table), strict=True):
            check_position(opened)
            position = opened.position
            # What slots show after a start is what they showed before, digit for digit.
            assert (shown.book, shown.instrument, shown.lots_open) == ("B1", "X", len(position.lots))
            assert str(shown.average_price) == str(position.average_price)
            assert str(shown.cost_basis) == str(position.cost_basis)
    return books.hash(), list(scan_journal(table, b"B1\x00X"))


@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: "-".join(map(str, terms.values())))
def test_disorder_and_corrections_do_not_show(terms: dict[str, Any], tmp_path: Path) -> None:
    rng = random.Random(repr(terms))
    coming, standing = _disordered(rng, 700, terms)
    with Books(tmp_path / "out of order") as disordered, Books(tmp_path / "in order") as ordered:
        start = 0
        while start < len(coming):
            size = rng.choice([1, 3, 20, 90, 200])
            disordered.bookings(*coming[start : start + size])
            disordered.run()
            start += size
            if rng.random() < 0.2:
                disordered.reopen()
        assert disordered.counts(positions.NAME).refused == 0
        ordered.bookings(*standing)
        ordered.run()
        assert _contents(disordered) == _contents(ordered)
        sizes = [
            len(Chunk.read(value))
            for (_, key), value in disordered.table(positions.NAME).items()
            if key[:1] == JOURNAL
        ]
        assert sum(sizes) == len(standing) and max(sizes) <= 2 * CHUNK_ENTRIES_MAX


@pytest.mark.parametrize("restart", [False, True])
def test_small_chunks_become_one_by_a_late_trade(restart: bool, tmp_path: Path) -> None:
    with Books(tmp_path) as books:
        for number in range(100):
            books.bookings(booked(f"t{number:03}", 1 if number % 3 else -1, at=number))
            books.run()
        stored = [key for _, key in books.table(positions.NAME) if key[:1] == JOURNAL]
        assert len(stored) == 100
        if restart:
            books.reopen()
        books.bookings(booked("late", 2, at=10.5))
        books.run()
        stored = [key for _, key in books.table(positions.NAME) if key[:1] == JOURNAL]
        assert len(stored) <= 11 + 2
        table = TablePartition(LogStore(books.log, positions.NAME, 0))
        assert [entry.trade.trade_id for entry in scan_journal(table, b"B1\x00X")][10:13] == [
            "t010",
            "late",
            "t011",
        ]
