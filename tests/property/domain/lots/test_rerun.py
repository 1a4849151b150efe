"""A re-match by stretches against the run in order: position, outcomes, lots and P&L, under all terms."""

from bisect import bisect_right
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.book_hash import position_digest
from domain.lots.matching import apply
from domain.lots.outcomes import Closed, Figure, Outcome, applied_of, outcome
from domain.lots.position import Lot, OrderKey, Position, Terms, Trade
from domain.lots.rerun import Rerun, realised_of
from schemas.numbers import exact_arithmetic
from schemas.units import FeePolicy, LotMethod
from tests.lots_trades import TERMS_AND_TRADES, trades

PLAIN = st.builds(Terms, st.sampled_from([LotMethod.FIFO, LotMethod.LIFO]))
CASES = st.one_of(
    TERMS_AND_TRADES, PLAIN.flatmap(lambda terms: st.tuples(st.just(terms), trades(terms))), TERMS_AND_TRADES
)
EXAMPLES = settings(max_examples=3 * settings().max_examples)


def in_order(terms: Terms, made: list[Trade]) -> tuple[Position, list[Outcome]]:
    position = Position(terms)
    return position, [outcome(apply(position, one), terms) for one in made]


def figure_of(found: Outcome) -> Figure:
    return found.realised_pnl if type(found) is Closed else found


def realised_by(found: Outcome) -> Decimal:
    figure = figure_of(found)
    return Decimal(0) if figure is None else realised_of(figure)


@EXAMPLES
@given(CASES)
def test_an_outcome_gives_the_whole_back(case: tuple[Terms, list[Trade]]):
    terms, made = case
    with exact_arithmetic():
        position = Position(terms)
        for one in made:
            applied = apply(position, one)
            assert applied_of(one, outcome(applied, terms)) == applied


@EXAMPLES
@given(CASES, st.data())
def test_a_rerun_equals_the_run_in_order(case: tuple[Terms, list[Trade]], data: st.DataObject):
    terms, made = case
    if len(made) < 2:
        return
    changed = made[data.draw(st.integers(0, len(made) - 1))]
    leaves = data.draw(st.booleans())
    without = [one for one in made if one is not changed]
    before, after = (made, without) if leaves else (without, made)
    start = sum(one.order < changed.order for one in before)
    cut = data.draw(st.integers(start, len(before)))
    named_max = data.draw(st.sampled_from([0, 1, 100]))
    with exact_arithmetic():
        position, outcomes = in_order(terms, before)
        stored: dict[OrderKey, Lot] = {lot.order: lot for lot in position.lots}
        rerun = Rerun(position, changed.order, named_max)
        times = sorted({one.executed_at for one in made})
        rerun.realised.ends = ends = sorted(data.draw(st.sets(st.sampled_from(times), max_size=3)))
        stretches = [stretch for stretch in (slice(start, cut), slice(cut, None)) if outcomes[stretch]]
        closed = all(found is None or type(found) is Closed for found in outcomes[start:])
        if closed and data.draw(st.booleans()):
            rerun.take_back_all()
            for stretch in reversed(stretches):
                found = outcomes[stretch]
                rerun.restore(list(map(figure_of, found)), [one for one in found if type(one) is Closed])
        else:
            for stretch in reversed(stretches):
                rerun.take_back(outcomes[stretch])
        kept, figures = before[start:], list(map(figure_of, outcomes[start:]))
        if leaves:
            figures.pop(0)
            rerun.leave(kept.pop(0))
            rematched = []
        else:
            rematched = [rerun.enter(changed)]
        middle = data.draw(st.integers(0, len(kept)))
        rematched += rerun.match(kept[:middle], figures[:middle])
        rematched += rerun.match(kept[middle:], figures[middle:])
        changes = rerun.finish()

        expected, whole = in_order(terms, after)
        assert position_digest("B", "X", position) == position_digest("B", "X", expected)
        assert position.held_fees == expected.held_fees and position.lots == expected.lots
        assert [*outcomes[:start], *rematched] == whole
        own = {one.trade_id: realised_by(found) for one, found in zip(before, outcomes, strict=True)}
        changed_by = [
            (one.trade_id, realised_by(found) - own[one.trade_id])
            for one, found in zip(kept, rematched[not leaves :], strict=True)
        ]
        changed_by = [item for item in changed_by if item[1]]
        assert (rerun.realised.count, rerun.realised.named) == (len(changed_by), changed_by[:named_max])
        at = {one.trade_id: one.executed_at for one in kept}
        moved: dict[int, Decimal] = {}
        for trade_id, change in changed_by:
            day = bisect_right(ends, at[trade_id])
            moved[day] = moved.get(day, Decimal(0)) + change
        found_moved = {day: change for day, (_, change) in rerun.realised.moved.items()}
        assert found_moved == (moved if ends else {})
        assert all(bisect_right(ends, when) == day for day, (when, _) in rerun.realised.moved.items())
        # What became of each lot is enough to keep a store of lots right.
        for order, lot in changes.items():
            if lot is None:
                stored.pop(order, None)
            else:
                stored[order] = lot
        assert [stored[order] for order in sorted(stored)] == list(position.lots)
        if terms.fee_policy is FeePolicy.EXCLUDED:
            assert position.net_realised_pnl == position.realised_pnl
