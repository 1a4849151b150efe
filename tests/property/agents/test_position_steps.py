"""Books do not depend on how bookings were cut into steps, nor on restarts between them.

One run takes all bookings in one step and never restarts; the other takes few a step and forgets its memory now
and then. Tables, journals, outputs, and a table rebuilt from the changelog alone must all be the same.
"""

import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents import positions
from agents.journal import scan_journal
from agents.open_position import check_position, scan_positions
from agents.position_state import load_index
from domain.book_hash import position_digest
from domain.lots.matching import apply
from domain.lots.position import Position
from schemas.changelog import changes_of
from schemas.numbers import exact_arithmetic
from schemas.topics import POSITIONS
from schemas.units import FeePolicy, LifecycleKind, LotMethod
from tables.partition import TablePartition
from tables.store import MemoryStore
from tests.support import MONDAY, SECOND, Books, Fee, LifecycleEventApplied, booked
from topology.log import LogStore

METHODS = list(LotMethod)
POLICIES = list(FeePolicy)


def _bookings(seed: int, count: int, instruments: int) -> list[Any]:
    rng = random.Random(seed)
    made: list[Any] = []
    live: list[Any] = []
    for number in range(count):
        chance = rng.random()
        if chance < 0.03 and made:
            made.append(rng.choice(made))
        elif chance < 0.12 and live:
            before = live.pop(rng.randrange(len(live)))
            trade = None
            if chance > 0.06:
                moved = rng.random() < 0.3
                instrument = f"X{rng.randrange(instruments)}" if moved else before.instrument
                trade = _trade(rng, number, before.trade_id, instrument, rng.choice([before.at, number]))
                live.append(trade)
            made.append(
                LifecycleEventApplied(
                    event_id=f"c{number}",
                    kind=LifecycleKind.CANCEL if trade is None else LifecycleKind.AMEND,
                    trade_id=f"c{number}",
                    original_trade_id=before.trade_id,
                    book="B1",
                    executed_at=MONDAY + number * SECOND,
                    trade=None if trade is None else trade.booked,
                )
            )
        else:
            late = rng.randrange(1, 200) if rng.random() < 0.1 else 0
            trade = _trade(rng, number, f"t{number}", f"X{rng.randrange(instruments)}", max(number - late, 0))
            live.append(trade)
            made.append(trade.booked)
    return made


class _trade:  # noqa: N801
    def __init__(self, rng: random.Random, number: int, trade_id: str, instrument: str, at: int) -> None:
        self.trade_id, self.instrument, self.at = trade_id, instrument, at
        place = int(instrument[1:])
        self.booked = booked(
            trade_id,
            rng.choice([-3, -2, -1, 1, 2, 3]) * Decimal(rng.randrange(1, 40)).scaleb(-1),
            str(Decimal(rng.randrange(900, 1100)).scaleb(-1)),
            instrument=instrument,
            at=at,
            event_id=f"e{number}",
            source_sequence=number,
            lot_method=METHODS[place % 3],
            fee_policy=POLICIES[place // 3 % 3],
            inverse=place % 5 == 4,
            fees=(Fee(amount=Decimal("0.07")),) if rng.random() < 0.5 else (),
        )


def _contents(table: TablePartition, trade_ids: set[str]) -> dict[str, Any]:
    with exact_arithmetic():
        opened = list(scan_positions(table))
        for position in opened:
            check_position(position)
        return {
            "positions": {
                (found.book, found.instrument): (
                    position_digest(found.book, found.instrument, found.position),
                    found.revision,
                    found.last,
                )
                for found in opened
            },
            "journal": {found.key: list(scan_journal(table, found.key)) for found in opened},
            "index": {trade_id: load_index(table, "B1", trade_id) for trade_id in trade_ids},
        }


def _rebuilt(books: Books) -> TablePartition:
    """The table as its changelog alone gives it."""
    store = MemoryStore()
    for record in books.log.read(positions.stage().changelog, 0, 0, 1 << 30, 1 << 40):
        store.write(dict(changes_of(record.key or b"", record.value)))
    return TablePartition(store)


@pytest.mark.parametrize("seed", range(6))
def test_steps_and_restarts_do_not_show(seed: int, tmp_path: Path) -> None:
    bookings = _bookings(seed, 700, instruments=[1, 3, 9][seed % 3])
    trade_ids = {event.trade_id for event in bookings}
    rng = random.Random(-seed - 1)
    with Books(tmp_path / "one") as one, Books(tmp_path / "many") as many:
        one.bookings(*bookings)
        one.run()
        start = 0
        while start < len(bookings):
            size = rng.choice([1, 1, 2, 5, 30])
            many.bookings(*bookings[start : start + size])
            many.run()
            start += size
            if rng.random() < 0.1:
                many.reopen()
        assert one.event_bytes(POSITIONS) == many.event_bytes(POSITIONS)
        tables = [TablePartition(LogStore(books.log, positions.NAME, 0)) for books in (one, many)]
        expected = _contents(tables[0], trade_ids)
        assert expected == _contents(tables[1], trade_ids)
        assert expected == _contents(_rebuilt(one), trade_ids) == _contents(_rebuilt(many), trade_ids)
        _assert_replayable(tables[1])


def _assert_replayable(table: TablePartition) -> None:
    """Each position is what its journal's trades give, matched in order from nothing."""
    with exact_arithmetic():
        for opened in scan_positions(table):
            position = Position(opened.position.terms)
            applied = defaultdict(list)
            for entry in scan_journal(table, opened.key):
                applied[entry.trade.trade_id].append(apply(position, entry.trade))
                assert applied[entry.trade.trade_id] == [entry.applied]
            assert position_digest(opened.book, opened.instrument, position) == position_digest(
                opened.book, opened.instrument, opened.position
            )


def test_a_long_journal_in_reverse_and_from_any_place(tmp_path: Path) -> None:
    with Books(tmp_path) as books:
        books.bookings(*(booked(f"t{number:04}", at=number) for number in range(300)))
        books.run()
        books.bookings(
            booked("late", at=100.5), *(booked(f"u{number}", at=400 + number) for number in range(3))
        )
        books.run()
        table = TablePartition(LogStore(books.log, positions.NAME, 0))
        key = b"B1\x00X"
        whole = list(scan_journal(table, key))
        orders = [entry.trade.order for entry in whole]
        assert orders == sorted(orders)
        assert len(orders) == 304
        for place in (0, 1, 63, 64, 65, 101, 102, 200, 303):
            start = orders[place]
            assert list(scan_journal(table, key, start)) == whole[place:]
            assert list(scan_journal(table, key, start, reverse=True)) == whole[place:][::-1]
