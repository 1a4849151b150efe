"""The positions stage as a machine that anything may happen to, against an independent model of lots.

Trades in order and late, in one step or many, duplicates, the same id with other content, other terms, amends of
price, quantity, side, time, instrument, book and terms, cancels, trades put in again after their cancel, commits
that fail, restarts: after each, what is committed must be what the model makes of the trades that hold.
"""

import dataclasses
from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from agents import journal, journal_chunks, positions
from agents.open_position import scan_positions
from agents.stage import Step
from domain.lots.position import Terms, Trade
from schemas.numbers import exact_arithmetic
from schemas.topics import POSITIONS
from schemas.units import FeePolicy, LifecycleKind, LotMethod
from tests.lots_model import TOLERANCE, Conflict, Figures, differences, figures
from tests.stage_support import StageInMemory, emitted, run_for_long
from tests.support import MONDAY, SECOND, Fee, LifecycleEventApplied, TradeBooked, plain_code

PLACES = (("B1", "X"), ("B1", "Y"), ("B2", "X"))

QUANTITIES = st.sampled_from([*range(-5, 0), *range(1, 6), "0.3", "-0.7", "12.125", "-0.00000001"]).map(
    Decimal
)
PRICES = st.sampled_from([1, 2, 3, 7, 100, "99.5", "0.01", "64000.125"]).map(Decimal)
FEES = st.sampled_from([0, 0, 0, 1, "0.07", "-0.3"]).map(Decimal)
CONTENTS = st.tuples(QUANTITIES, PRICES, FEES, st.integers(0, 15))
TERMS = st.builds(
    Terms,
    st.sampled_from(LotMethod),
    st.sampled_from(FeePolicy),
    st.sampled_from(["1", "100", "0.1"]).map(Decimal),
    st.booleans(),
)
NUMBERS = st.integers(0, 1 << 16)


@dataclasses.dataclass
class Known:
    """What the model knows of a trade of a book: its content, the first one, and whether it holds."""

    event: Any
    first: Any
    live: bool = True

    @property
    def place(self) -> tuple[str, str]:
        return self.event.book, self.event.instrument


def terms_of(event: Any) -> Terms:
    return Terms(event.lot_method, event.fee_policy, event.multiplier, event.inverse)


def trade_of(event: Any) -> Trade:
    fee = sum((fee.amount for fee in event.fees), Decimal(0))
    return Trade(event.trade_id, event.executed_at, event.source_sequence, event.quantity, event.price, fee)


class PositionsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = StageInMemory(positions.stage(cached_lots_max=4))
        self.sent = 0
        self.known: dict[tuple[str, str], Known] = {}
        self.corrections: list[Any] = []
        self.expected: dict[tuple[str, str], Figures] = {}
        self.emitted: dict[tuple[str, str], dict[str, Fraction]] = {}
        self.applied = self.duplicates = self.refused = self.closes = 0

    @initialize(terms=st.tuples(TERMS, TERMS, TERMS))
    def terms_of_places(self, terms: tuple[Terms, ...]) -> None:
        self.terms = dict(zip(PLACES, terms, strict=True))

    # -- what happens ---------------------------------------------------------------------------------------------

    def booked(
        self, place: tuple[str, str], content: tuple[Any, ...], trade_id: str, sequence: int, terms: Terms
    ) -> Any:
        quantity, price, fee, second = content
        self.sent += 1
        return TradeBooked(
            event_id=f"e{self.sent}",
            source="machine",
            trade_id=trade_id,
            book=place[0],
            instrument=place[1],
            quantity=quantity,
            price=price,
            executed_at=MONDAY + second * SECOND,
            source_sequence=sequence,
            fees=(Fee(amount=fee),) if fee else (),
            lot_method=terms.lot_method,
            fee_policy=terms.fee_policy,
            multiplier=terms.multiplier,
            inverse=terms.inverse,
        )

    def new(self, number: int, content: tuple[Any, ...], terms: Terms | None = None) -> Any:
        place = PLACES[number % 3]
        return self.booked(place, content, f"t{self.sent}", self.sent, terms or self.terms_now(place))

    def terms_now(self, place: tuple[str, str]) -> Terms:
        """The terms of a position: those of its last trade."""
        held = self.holding(place)
        return terms_of(max(held, key=lambda event: trade_of(event).order)) if held else self.terms[place]

    def correction(self, known: Known, trade: Any, correction_id: str | None = None, leg: int = 0) -> Any:
        self.sent += 1
        return LifecycleEventApplied(
            event_id=f"e{self.sent}",
            source="machine",
            kind=LifecycleKind.CANCEL if trade is None else LifecycleKind.AMEND,
            trade_id=correction_id or f"c{self.sent}",
            original_trade_id=known.first.trade_id,
            book=known.first.book if trade is None else trade.book,
            executed_at=MONDAY,
            trade=trade,
            leg=leg,
        )

    def step(self, *events: Any) -> None:
        self.take(self.stage.step(*events))

    def take(self, step: Step) -> None:
        """Each update goes on from the one before it."""
        for update in emitted(step, POSITIONS.name):
            kept = self.emitted.setdefault((update["book"], update["instrument"]), {"revision": Fraction(0)})
            for name in ("quantity", "cost_basis", "realised_pnl", "net_realised_pnl", "fees"):
                kept[name] = kept.get(name, Fraction(0)) + Fraction(update.get(f"{name}_delta", 0))
                assert kept[name] == Fraction(update.get(name, 0)), name
            assert update["revision"] == kept["revision"] + 1
            kept["revision"] += 1

    @rule(number=NUMBERS, content=CONTENTS)
    def trade(self, number: int, content: tuple[Any, ...]) -> None:
        event = self.new(number, content)
        self.step(event)
        self.book(event)

    @rule(number=NUMBERS, content=CONTENTS, terms=TERMS)
    def trade_of_other_terms(self, number: int, content: tuple[Any, ...], terms: Terms) -> None:
        event = self.new(number, content, terms)
        self.step(event)
        self.book(event)

    @rule(number=NUMBERS, content=CONTENTS, terms=TERMS)
    def other_terms_after_a_close(self, number: int, content: tuple[Any, ...], terms: Terms) -> None:
        """Flat after everything, then a trade of other terms: they begin with it."""
        place = PLACES[number % 3]
        self.closes += 1
        second = 15 + self.closes
        left = -sum((event.quantity for event in self.holding(place)), Decimal(0))
        events = [self.new(number, (*content[:3], second), terms)]
        if left:
            events.insert(0, self.new(number, (left, *content[1:3], second)))
        self.step(*events)
        for event in events:
            self.book(event)

    @rule(number=NUMBERS, contents=st.lists(CONTENTS, min_size=2, max_size=4), again=st.booleans())
    def trades_in_one_step(self, number: int, contents: list[tuple[Any, ...]], again: bool) -> None:
        events = [self.new(number >> at, content) for at, content in enumerate(contents)]
        self.step(*events, *events[: int(again)])
        for event in [*events, *events[: int(again)]]:
            if (event.book, event.trade_id) in self.known:
                self.duplicates += 1
            else:
                self.book(event)

    @rule(number=NUMBERS, contents=st.lists(CONTENTS, min_size=1, max_size=3))
    def commit_fails(self, number: int, contents: list[tuple[Any, ...]]) -> None:
        self.stage.fail(*(self.new(number >> at, content) for at, content in enumerate(contents)))

    @rule()
    def restart(self) -> None:
        self.stage.restart()

    def any_known(self, number: int) -> Known | None:
        found = list(self.known.values())
        return found[number % len(found)] if found else None

    @rule(number=NUMBERS)
    def again(self, number: int) -> None:
        known = self.any_known(number)
        if known is not None:
            self.step(known.first)
            self.duplicates += 1

    @rule(number=NUMBERS, content=CONTENTS)
    def other_content(self, number: int, content: tuple[Any, ...]) -> None:
        known = self.any_known(number)
        if known is not None:
            first = known.first
            place = (first.book, first.instrument)
            event = self.booked(place, content, first.trade_id, first.source_sequence, terms_of(first))
            self.step(event)
            same = ("quantity", "price", "fees", "executed_at")
            if all(getattr(event, name) == getattr(first, name) for name in same):
                self.duplicates += 1
            else:
                self.refused += 1

    @rule(number=NUMBERS, content=CONTENTS, kept=st.integers(0, 15), terms=st.none() | TERMS, to=NUMBERS)
    def amend(self, number: int, content: tuple[Any, ...], kept: int, terms: Terms | None, to: int) -> None:
        """An amend; of a cancelled trade, it puts the trade in again. Now and then to another instrument."""
        known = self.any_known(number)
        if known is None:
            return
        event = known.event
        before = (event.quantity, event.price, trade_of(event).fee, (event.executed_at - MONDAY) // SECOND)
        parts = tuple(
            old if kept >> at & 1 else new for at, (old, new) in enumerate(zip(before, content, strict=True))
        )
        place = known.place
        if event.book == "B1" and to % 3 == 0:
            place = PLACES[to // 3 % 2]
        own = terms or (terms_of(event) if place == known.place else self.terms_now(place))
        made = self.booked(place, parts, event.trade_id, event.source_sequence, own)
        correction = self.correction(known, made)
        self.step(correction)
        self.put(known, made, correction)

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        known = self.any_known(number)
        if known is not None:
            correction = self.correction(known, None)
            self.step(correction)
            self.take_out(known, correction)

    @rule(number=NUMBERS, content=CONTENTS)
    def move_to_another_book(self, number: int, content: tuple[Any, ...]) -> None:
        known = self.any_known(number)
        if known is None or known.event.book != "B1":
            return
        event = known.event
        there = self.known.get(("B2", event.trade_id))
        place = ("B2", "X")
        made = self.booked(place, content, event.trade_id, event.source_sequence, self.terms_now(place))
        out = self.correction(known, None)
        into = self.correction(known, made, out.trade_id, leg=1)
        self.step(out, into)
        self.take_out(known, out)
        self.put(there or Known(made, made, live=False), made, into)

    @rule(number=NUMBERS, same=st.booleans())
    def correction_again(self, number: int, same: bool) -> None:
        if self.corrections:
            known = self.corrections[number % len(self.corrections)]
            if same:
                self.step(known)
                self.duplicates += 1
            else:
                owner = self.known[known.book, known.original_trade_id]
                self.step(self.correction(owner, known.trade, known.trade_id))
                self.refused += 1

    # -- what the model makes of it -------------------------------------------------------------------------------

    def holding(self, place: tuple[str, str]) -> list[Any]:
        return [known.event for known in self.known.values() if known.live and known.place == place]

    def refigure(self, *places: tuple[str, str]) -> bool:
        """Compute positions again; False, and nothing changed, where terms do not fit."""
        found = {}
        try:
            for place in places:
                held = [(trade_of(event), terms_of(event)) for event in self.holding(place)]
                found[place] = figures(held)
        except Conflict:
            return False
        self.expected.update(found)
        return True

    def book(self, event: Any) -> None:
        """A new trade; a late one must have the terms that its position has now."""
        place = (event.book, event.instrument)
        held = self.holding(place)
        late = any(trade_of(event).order < trade_of(other).order for other in held)
        key = (event.book, event.trade_id)
        fits = not late or terms_of(event) == self.terms_now(place)
        if fits:
            self.known[key] = Known(event, event)
            fits = self.refigure(place)
        if fits:
            self.applied += 1
        else:
            self.known.pop(key, None)
            self.refused += 1

    def put(self, known: Known, made: Any, correction: Any) -> None:
        before = (known.event, known.live)
        places = {(made.book, made.instrument), known.place}
        key = (made.book, made.trade_id)
        new = key not in self.known
        self.known[key] = known
        known.event, known.live = made, True
        if self.refigure(*places):
            self.applied += 1
            self.corrections.append(correction)
        else:
            self.refused += 1
            known.event, known.live = before
            if new:
                del self.known[key]

    def take_out(self, known: Known, correction: Any) -> None:
        was_live, known.live = known.live, False
        if was_live and self.refigure(known.place):
            self.applied += 1
            self.corrections.append(correction)
        else:
            self.refused += 1
            known.live = was_live

    # -- what holds -----------------------------------------------------------------------------------------------

    @invariant()
    def every_position_is_what_the_model_says(self) -> None:
        found = {}
        with exact_arithmetic():
            for opened in scan_positions(self.stage.committed):
                found[opened.book, opened.instrument] = opened.position
            assert found.keys() == self.expected.keys()
            for place, expected in self.expected.items():
                assert not (wrong := differences(found[place], expected)), (place, wrong)

    @invariant()
    def money_is_neither_made_nor_lost(self) -> None:
        """What a position has realised is what its trades paid and took, less what it holds: in any method."""
        for place, expected in self.expected.items():
            held = self.holding(place)
            if len({terms_of(event) for event in held}) != 1:
                continue
            terms = terms_of(held[0])
            worth = sum(
                Fraction(event.quantity)
                * (1 / Fraction(event.price) if terms.inverse else Fraction(event.price))
                for event in held
            )
            gained = sum(lot.value for lot in expected.lots) - worth
            direction = -1 if terms.inverse else 1
            assert abs(expected.realised_pnl - direction * Fraction(terms.multiplier) * gained) <= TOLERANCE

    @invariant()
    def every_input_is_counted_once(self) -> None:
        expected = (self.applied, self.duplicates, self.refused, 0)
        assert self.stage.counts() == (sum(expected), *expected)


@pytest.fixture(autouse=True)
def chunks_of_few_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of some trades is many chunks, as a long one is."""
    for module in (journal, journal_chunks):
        monkeypatch.setattr(module, "CHUNK_ENTRIES_MAX", 3)


@pytest.mark.parametrize("code", [nullcontext, plain_code], ids=["as installed", "plain"])
def test_whatever_happens_to_positions(code: Callable[[], Any]):
    with code():
        run_state_machine_as_test(
            PositionsMachine, settings=settings(max_examples=100, stateful_step_count=50)
        )


@pytest.mark.soak
def test_whatever_happens_to_positions_for_long():
    assert run_for_long(PositionsMachine, examples=10_000, steps=100) > 0
