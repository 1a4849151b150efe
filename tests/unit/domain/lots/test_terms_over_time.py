"""Terms that change while a position is flat: what the journal says of them, and what a re-match may not do."""

from decimal import Decimal

import pytest

from domain.lots.position import Position, Terms
from domain.lots.rematch import JournalEntry, TermsConflict, enter, rematch, standing
from schemas.units import LotMethod
from tests.lots_trades import trade

pytestmark = pytest.mark.usefixtures("exact")

ONE, TEN, LAST_IN = Terms(), Terms(multiplier=Decimal(10)), Terms(lot_method=LotMethod.LIFO)


def flat_then_ten() -> tuple[Position, list[JournalEntry]]:
    """Opened and closed at a multiplier of 1, then opened at 10."""
    position = Position(ONE)
    entries = [
        enter(position, trade("t1", 1, 100), ONE),
        enter(position, trade("t2", -1, 103), None),
        enter(position, trade("t3", 2, 100), TEN),
        enter(position, trade("t4", -1, 101), TEN),
    ]
    return position, entries


def test_an_entry_names_terms_only_where_they_begin():
    position, entries = flat_then_ten()
    assert [(entry.terms, entry.terms_before) for entry in entries] == [
        (None, None),
        (None, None),
        (TEN, ONE),
        (None, None),
    ]
    assert position.terms == TEN and position.realised_pnl == 3 + 10


def test_other_terms_are_refused_while_open_and_change_nothing():
    position, _ = flat_then_ten()
    with pytest.raises(TermsConflict) as raised:
        enter(position, trade("t5", 1, 100), LAST_IN)
    assert str(raised.value) == "expected lot_method fifo, as the open position has it, found lifo"
    assert position.terms == TEN and position.quantity == 1


def test_undone_trades_stand_under_the_terms_that_they_had():
    _, entries = flat_then_ten()
    trades = [entry.trade for entry in entries]
    assert standing(ONE, entries) == list(zip(trades, [ONE, ONE, TEN, TEN], strict=True))
    assert standing(ONE, entries[2:]) == list(zip(trades[2:], [TEN, TEN], strict=True))
    # Where nothing begins other terms, they go on under those that are there.
    assert standing(TEN, entries[3:]) == [(trades[3], TEN)]
    assert standing(TEN, []) == []


def test_what_goes_is_told_with_what_it_had_realised():
    position, entries = flat_then_ten()
    done = rematch(position, entries[3:], [])
    assert (done.realised_pnl, done.entries) == ({"t4": Decimal(-10)}, [])
    assert (position.realised_pnl, position.quantity, position.terms) == (3, 2, TEN)
    done = rematch(position, entries[2:3], [])
    assert (position.terms, position.quantity, done.realised_pnl) == (ONE, 0, {})


def test_a_cancel_that_leaves_a_position_open_at_a_change_of_terms_is_a_conflict():
    position, entries = flat_then_ten()
    kept = [item for item in standing(ONE, entries[1:]) if item[0].trade_id != "t2"]
    with pytest.raises(TermsConflict):
        rematch(position, entries[1:], kept)
