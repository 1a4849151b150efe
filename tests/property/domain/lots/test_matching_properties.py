"""Lot matching against the reference, and the identities that always hold."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.lots import reference
from domain.lots.matching import Applied, apply, lot_changes, matches, undo
from domain.lots.position import Lot, OrderKey, Position, Terms, Trade
from domain.lots.rematch import JournalEntry, enter, rematch
from schemas.numbers import exact_arithmetic
from schemas.units import FeePolicy, LotMethod
from tests.lots_trades import TERMS, TERMS_AND_TRADES, trade, trades
from tests.support import soak_minutes

EXAMPLES = settings(max_examples=2 * settings().max_examples)

Case = tuple[Terms, list[Trade]]


def in_order(terms: Terms, made: Sequence[Trade]) -> tuple[Position, list[JournalEntry]]:
    position = Position(terms)
    return position, [JournalEntry(one, apply(position, one)) for one in made]


def snapshot(position: Position) -> tuple[object, ...]:
    """Everything of a position, digit for digit."""
    figures = (position.quantity, position.value, position.realised_pnl, position.net_realised_pnl)
    return (*figures, position.fees, position.held_fees, tuple(position.lots), position.terms)


def canonical(position: Position) -> str:
    """The same as text: `1.0` and `1` are told apart by `repr`, not by `==`."""
    from domain.book_hash import position_digest

    return f"{position_digest('B', 'X', position):x}"


@EXAMPLES
@given(TERMS_AND_TRADES)
def test_the_fast_path_equals_the_reference_to_the_last_digit(case: Case):
    terms, made = case
    with exact_arithmetic():
        position, _ = in_order(terms, made)
        found = reference.residuals(position, reference.position(made[::-1], terms))
        assert not any(found.values()), found


@settings(max_examples=60)
@given(TERMS_AND_TRADES)
def test_every_step_and_match_equals_the_reference(case: Case):
    terms, made = case
    with exact_arithmetic():
        position = Position(terms)
        found = []
        for count, one in enumerate(made, 1):
            found.extend(matches(one, apply(position, one), terms))
            figures = reference.position(made[:count], terms)
            assert not any(reference.residuals(position, figures).values())
        if made:
            assert [tuple(getattr(match, name) for name in match.__struct_fields__) for match in found] == [
                tuple(getattr(match, name) for name in match.__slots__) for match in figures.matches
            ]


@EXAMPLES
@given(TERMS_AND_TRADES)
def test_rounding_is_far_below_what_anyone_sees(case: Case):
    terms, made = case
    with exact_arithmetic():
        position, _ = in_order(terms, made)
    figures = reference.position(made, terms, rounded=False)
    # Each match rounds once at 36 decimals; values at 60 decimals are multiplied by at most 100.
    bound = Fraction(len(made) + 1, 10**36) * 2
    assert abs(Fraction(position.realised_pnl) - figures.realised_pnl) <= bound
    assert abs(Fraction(position.net_realised_pnl) - figures.net_realised_pnl) <= 3 * bound
    assert Fraction(position.quantity) == figures.quantity and Fraction(position.fees) == figures.fees
    average = position.average_price
    assert (average is None) == (figures.average_price is None)
    if average is not None and figures.average_price is not None:
        assert abs(Fraction(average) - figures.average_price) <= Fraction(1, 10**18)


@EXAMPLES
@given(TERMS_AND_TRADES)
def test_nothing_is_left_when_flat(case: Case):
    terms, made = case
    with exact_arithmetic():
        position, entries = in_order(terms, made)
        if position.quantity:
            last = Trade("close", 10**9, 0, -position.quantity, Decimal(7), Decimal("0.01"))
            entries.append(JournalEntry(last, apply(position, last)))
        assert (position.quantity, position.value, position.held_fees) == (0, 0, 0)
        assert not position.lots and position.average_price is None and position.cost_basis == 0
        if not terms.inverse:
            paid = sum((entry.trade.quantity * entry.trade.price for entry in entries), Decimal(0))
            assert position.realised_pnl == -paid * terms.multiplier
        if terms.fee_policy is FeePolicy.EXCLUDED:
            assert position.net_realised_pnl == position.realised_pnl
        else:
            assert position.net_realised_pnl == position.realised_pnl - position.fees


@EXAMPLES
@given(TERMS_AND_TRADES)
def test_sums_over_lots_and_matches_are_the_position(case: Case):
    terms, made = case
    with exact_arithmetic():
        position, entries = in_order(terms, made)
        lots, opposite = position.lots, position.quantity < 0
        assert sum(lot.quantity for lot in lots) == position.quantity
        assert sum(lot.value for lot in lots) == position.value
        assert sum(lot.fee for lot in lots) == position.held_fees
        assert all((lot.quantity < 0) == opposite for lot in lots)
        assert [lot.order for lot in lots] == sorted(lot.order for lot in lots)
        found = [match for entry in entries for match in matches(entry.trade, entry.applied, terms)]
        assert sum(match.realised_pnl for match in found) == position.realised_pnl
        assert all(match.quantity > 0 for match in found)
        opened = sum(abs(one.quantity) for one in made) - 2 * sum(match.quantity for match in found)
        assert opened == abs(position.quantity)
        assert sum(one.fee for one in made) == position.fees


@EXAMPLES
@given(TERMS_AND_TRADES, st.integers(0, 50))
def test_undo_is_the_inverse_of_apply(case: Case, back: int):
    terms, made = case
    with exact_arithmetic():
        position = Position(terms)
        before = []
        entries = []
        for one in made:
            before.append(snapshot(position))
            entries.append(JournalEntry(one, apply(position, one)))
        after = snapshot(position)
        for entry in reversed(entries[-back:] if back else []):
            undo(position, entry.trade, entry.applied)
            assert snapshot(position) == before.pop()
        for entry in entries[-back:] if back else []:
            assert apply(position, entry.trade) == entry.applied
        assert snapshot(position) == after


@EXAMPLES
@given(TERMS_AND_TRADES, st.data())
def test_a_late_trade_equals_the_run_in_order(case: Case, data: st.DataObject):
    terms, made = case
    if not made:
        return
    place = data.draw(st.integers(0, len(made) - 1))
    late = made[place]
    with exact_arithmetic():
        expected, _ = in_order(terms, made)
        position, entries = in_order(terms, [one for one in made if one is not late])
        undone = entries[place:]
        kept = [(entry.trade, None) for entry in undone]
        outcome = rematch(position, undone, [(late, None), *kept])
        assert snapshot(position) == snapshot(expected) and canonical(position) == canonical(expected)
        assert entries[:place] + outcome.entries == in_order(terms, made)[1]


@EXAMPLES
@given(TERMS.flatmap(lambda terms: st.tuples(st.just(terms), trades(terms, 25), trades(terms, 3))), st.data())
def test_an_amend_equals_the_run_in_order(case: tuple[Terms, list[Trade], list[Trade]], data: st.DataObject):
    terms, made, others = case
    if not made or not others:
        return
    place = data.draw(st.integers(0, len(made) - 1))
    old, content = made[place], others[0]
    moved = data.draw(st.sampled_from([old.executed_at, content.executed_at, 0, 999]))
    new = Trade(old.trade_id, moved, old.source_sequence, content.quantity, content.price, content.fee)
    amended = sorted([one for one in made if one is not old] + [new], key=lambda one: one.order)
    with exact_arithmetic():
        expected, whole = in_order(terms, amended)
        position, entries = in_order(terms, made)
        before = position.realised_pnl
        start = min(old.order, new.order)
        undone = [entry for entry in entries if entry.trade.order >= start]
        replaced = [one for one in amended if one.order >= start]
        outcome = rematch(position, undone, [(one, None) for one in replaced])
        assert snapshot(position) == snapshot(expected) and canonical(position) == canonical(expected)
        assert outcome.entries == whole[len(whole) - len(replaced) :]
        assert sum(outcome.realised_pnl.values(), Decimal(0)) == position.realised_pnl - before


@EXAMPLES
@given(TERMS_AND_TRADES, st.data())
def test_a_cancelled_trade_was_never_there(case: Case, data: st.DataObject):
    terms, made = case
    if not made:
        return
    place = data.draw(st.integers(0, len(made) - 1))
    without = made[:place] + made[place + 1 :]
    with exact_arithmetic():
        expected, _ = in_order(terms, without)
        position, entries = in_order(terms, made)
        stored: dict[OrderKey, Lot] = {lot.order: lot for lot in position.lots}
        outcome = rematch(position, entries[place:], [(one, None) for one in without[place:]])
        assert snapshot(position) == snapshot(expected)
        # What became of each lot is enough to keep a store of lots right.
        for order, lot in outcome.lots.items():
            if lot is None:
                stored.pop(order, None)
            else:
                stored[order] = lot
        assert [stored[order] for order in sorted(stored)] == list(position.lots)


@EXAMPLES
@given(st.lists(TERMS_AND_TRADES, min_size=2, max_size=4), st.data())
def test_undoing_beyond_a_change_of_terms_equals_the_run_in_order(cases: list[Case], data: st.DataObject):
    """Terms change while flat; a trade is cancelled in one of the stretches, and the flat points stay flat."""
    made: list[tuple[Trade, Terms | None]] = []
    for terms, stretch in cases:
        with exact_arithmetic():
            position, _ = in_order(terms, stretch)
            left = -position.quantity
        if left:
            stretch = [*stretch, Trade("", 0, 0, left, Decimal(7))]
        for index, one in enumerate(stretch):
            number = len(made)
            named = Trade(f"t{number}", number, 0, one.quantity, one.price, one.fee)
            made.append((named, terms if index == 0 else None))
    if not made:
        return
    start = data.draw(st.integers(0, len(made) - 1))
    with exact_arithmetic():
        position = Position(made[0][1] or Terms())
        entries = [enter(position, *one) for one in made]
        before = snapshot(position)
        changes = {one.trade_id: terms for one, terms in made if terms is not None}
        figures = reference.position([one for one, _ in made], position.terms, changes)
        assert not any(reference.residuals(position, figures).values())
        outcome = rematch(position, entries[start:], made[start:])
        assert snapshot(position) == before and outcome.entries == entries[start:]


@EXAMPLES
@given(TERMS_AND_TRADES)
def test_lot_changes_keep_a_store_of_lots_right(case: Case):
    terms, made = case
    stored: dict[OrderKey, Lot] = {}

    def keep(applied: Applied, *, undone: bool) -> None:
        changes: dict[OrderKey, Lot | None] = {}
        lot_changes(applied, changes, undone=undone)
        for order, lot in changes.items():
            if lot is None:
                stored.pop(order, None)
            else:
                stored[order] = lot

    with exact_arithmetic():
        position = Position(terms)
        entries = []
        for one in made:
            entries.append(JournalEntry(one, apply(position, one)))
            keep(entries[-1].applied, undone=False)
            assert [stored[order] for order in sorted(stored)] == list(position.lots)
        for entry in reversed(entries):
            undo(position, entry.trade, entry.applied)
            keep(entry.applied, undone=True)
            assert [stored[order] for order in sorted(stored)] == list(position.lots)


@EXAMPLES
@given(TERMS_AND_TRADES, st.data())
def test_a_fill_in_two_parts_is_worth_the_same(case: Case, data: st.DataObject):
    terms, made = case
    if not made:
        return
    place = data.draw(st.integers(0, len(made) - 1))
    whole = made[place]
    share = data.draw(st.sampled_from(["0.5", "0.1", "0.999999"]).map(Decimal))
    parts = [
        Trade(f"{whole.trade_id}{name}", whole.executed_at, whole.source_sequence, quantity, whole.price, fee)
        for name, quantity, fee in (
            ("a", whole.quantity * share, whole.fee * share),
            ("b", whole.quantity * (1 - share), whole.fee * (1 - share)),
        )
    ]
    split = made[:place] + parts + made[place + 1 :]
    one = reference.position(made, terms, rounded=False)
    two = reference.position(split, terms, rounded=False)
    with exact_arithmetic():
        once, _ = in_order(terms, made)
        twice, _ = in_order(terms, split)
    if terms.lot_method is not LotMethod.LIFO:
        # The last in of two halves is another lot than the whole: their order is the one thing LIFO sees.
        assert one.realised_pnl == two.realised_pnl
        assert abs(once.realised_pnl - twice.realised_pnl) <= Decimal(4 * len(split)).scaleb(-36)
        if terms.fee_policy is not FeePolicy.CAPITALISED or not any(part.fee for part in made):
            assert one.net_realised_pnl == two.net_realised_pnl
    assert once.quantity == twice.quantity and once.fees == twice.fees


@EXAMPLES
@given(TERMS_AND_TRADES, st.sampled_from(["2", "0.5", "10"]).map(Decimal))
def test_everything_scales_with_the_quantity(case: Case, factor: Decimal):
    terms, made = case
    scaled = [
        Trade(
            one.trade_id,
            one.executed_at,
            one.source_sequence,
            one.quantity * factor,
            one.price,
            one.fee * factor,
        )
        for one in made
    ]
    once, times = (reference.position(each, terms, rounded=False) for each in (made, scaled))
    with exact_arithmetic():
        position, _ = in_order(terms, scaled)
    assert times.realised_pnl == once.realised_pnl * Fraction(factor)
    assert times.average_price == once.average_price
    assert abs(Fraction(position.realised_pnl) - times.realised_pnl) <= Fraction(2 * len(made) + 2, 10**36)


@EXAMPLES
@given(TERMS_AND_TRADES)
def test_the_other_side_of_every_trade_earns_the_opposite(case: Case):
    terms, made = case
    other_side = [
        Trade(one.trade_id, one.executed_at, one.source_sequence, -one.quantity, one.price, one.fee)
        for one in made
    ]
    with exact_arithmetic():
        ours, _ = in_order(terms, made)
        theirs, _ = in_order(terms, other_side)
        assert theirs.realised_pnl == -ours.realised_pnl and theirs.value == -ours.value
        assert theirs.average_price == ours.average_price
        assert theirs.net_realised_pnl - theirs.realised_pnl == ours.net_realised_pnl - ours.realised_pnl


@pytest.mark.soak
def test_a_long_life_equals_the_reference():
    """200,000 trades of each method in ten minutes: no drift."""
    number = int(200_000 * min(1.0, soak_minutes() / 10))
    for method in LotMethod:
        for inverse in (False, True):
            terms = Terms(lot_method=method, fee_policy=FeePolicy.CAPITALISED, inverse=inverse)
            made = [
                trade(f"t{at}", (at * 7919 % 13 - 6) or 1, 100 + at * 31 % 17, fee=at % 3, at=at)
                for at in range(number)
            ]
            with exact_arithmetic():
                position, _ = in_order(terms, made)
                assert not any(reference.residuals(position, reference.position(made, terms)).values())
