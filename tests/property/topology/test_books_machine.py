"""Both stages as a machine that anything may happen to, against a model that recomputes everything.

Fills, duplicates, the same id with other content, late fills, amends of price, quantity, time, instrument and
book, cancels, corrections before their trades, restarts, small and large steps: after each, every position must
equal the reference over the trades that hold, digit for digit.
"""

import dataclasses
import shutil
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from domain.lots import reference
from domain.lots.calculate import LotsOptions, calculate
from domain.lots.position import Terms, Trade
from schemas.identity import content_id
from schemas.numbers import exact_arithmetic
from schemas.units import Action, FeePolicy, LotMethod, Side
from tests.lots_trades import FEES, POSITIVE_PRICES, QUANTITIES
from tests.support import MONDAY, SECOND, Book, Books, Fee, FillEvent, Instrument, soak_minutes

BOOKS = {
    "B1": (LotMethod.FIFO, FeePolicy.CAPITALISED),
    "B2": (LotMethod.LIFO, FeePolicy.EXPENSED),
    "B3": (LotMethod.AVERAGE, FeePolicy.CAPITALISED),
}
INSTRUMENTS = {"X": ("1", False), "Y": ("10", False), "I": ("100", True)}

CONTENTS = st.fixed_dictionaries(
    {
        "book": st.sampled_from(sorted(BOOKS)),
        "instrument": st.sampled_from(sorted(INSTRUMENTS)),
        "side": st.sampled_from(Side),
        "quantity": QUANTITIES,
        "price": POSITIVE_PRICES,
        "executed_at": st.integers(0, 12).map(lambda second: MONDAY + second * SECOND),
        "fees": FEES.map(lambda fee: (Fee(amount=fee),) if fee else ()),
    }
)


@dataclasses.dataclass
class Expected:
    """What the model knows of a trade: its place, what it says now, and whether it was cancelled."""

    sequence: int
    content: Any
    cancelled: bool = False


class BooksMachine(RuleBasedStateMachine):
    trades = Bundle("trades")
    corrections = Bundle("corrections")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pks-machine-"))
        self.books = Books(self.folder, partitions=2)
        self.sent = 0
        self.model: dict[str, Expected] = {}
        self.refused = 0
        self.duplicates = 0
        self.waiting: dict[str, list[Any]] = {}
        self.seen: set[tuple[str, str]] = set()
        for book, (method, policy) in BOOKS.items():
            self.books.define(
                Book(event_id=f"d{book}", book=book, lot_methods={"*": method}, fee_policy=policy)
            )
        for name, (multiplier, inverse) in INSTRUMENTS.items():
            self.books.define(
                Instrument(
                    event_id=f"d{name}", instrument=name, multiplier=Decimal(multiplier), inverse=inverse
                )
            )

    def teardown(self) -> None:
        try:
            self.calculator_says_the_same()
        finally:
            self.books.close()
            shutil.rmtree(self.folder)

    def fill(self, trade_id: str, content: dict[str, Any], **fields: Any) -> Any:
        self.sent += 1
        made = FillEvent(
            event_id="", trade_id=trade_id, source="machine", source_sequence=self.sent, **content, **fields
        )
        return msgspec.structs.replace(made, event_id=content_id("fill", str(self.sent)))

    # -- what happens ---------------------------------------------------------------------------------------------

    @rule(target=trades, content=CONTENTS)
    def trade(self, content: dict[str, Any]) -> str:
        trade_id = f"t{len(self.model)}"
        made = self.fill(trade_id, content)
        self.books.book(made)
        self.model[trade_id] = Expected(made.source_sequence, made)
        self.seen.add((made.book, made.instrument))
        return trade_id

    @rule(trade_id=trades)
    def again(self, trade_id: str) -> None:
        content = self.first(trade_id)
        self.books.book(content)
        self.duplicates += 1

    @rule(trade_id=trades, content=CONTENTS)
    def other_content(self, trade_id: str, content: dict[str, Any]) -> None:
        first = self.first(trade_id)
        assume(any(getattr(first, name) != value for name, value in content.items()))
        self.books.book(self.fill(trade_id, content))
        self.refused += 1

    def first(self, trade_id: str) -> Any:
        """The fill that booked the trade."""
        for event in self.books.events("pd.canonical"):
            if event.trade_id == trade_id:
                return event
        raise AssertionError(trade_id)

    @rule(
        target=corrections,
        trade_id=trades,
        content=CONTENTS,
        kept=st.sets(st.sampled_from(["book", "instrument", "executed_at", "side"])),
    )
    def amend(self, trade_id: str, content: dict[str, Any], kept: set[str]) -> Any:
        expected = self.model[trade_id]
        content = content | {name: getattr(expected.content, name) for name in kept}
        made = self.fill(f"a{self.sent}", content, action=Action.AMEND, original_trade_id=trade_id)
        self.books.book(made)
        self.correct(made)
        return multiple() if expected.cancelled else made

    @rule(target=corrections, trade_id=trades)
    def cancel(self, trade_id: str) -> Any:
        expected = self.model[trade_id]
        content = {
            name: getattr(expected.content, name)
            for name in ("book", "instrument", "side", "quantity", "price", "executed_at", "fees")
        }
        made = self.fill(f"c{self.sent}", content, action=Action.CANCEL, original_trade_id=trade_id)
        was_cancelled = expected.cancelled
        self.books.book(made)
        self.correct(made)
        return multiple() if was_cancelled else made

    @rule(correction=corrections)
    def correction_again(self, correction: Any) -> None:
        self.books.book(correction)
        self.duplicates += 1

    @rule(target=trades, content=CONTENTS, later=CONTENTS, cancels=st.booleans())
    def correction_before_its_trade(
        self, content: dict[str, Any], later: dict[str, Any], cancels: bool
    ) -> str:
        trade_id = f"t{len(self.model)}"
        action = Action.CANCEL if cancels else Action.AMEND
        early = self.fill(f"e{self.sent}", later, action=action, original_trade_id=trade_id)
        made = self.fill(trade_id, content)
        self.books.book(early)
        self.books.book(made)
        self.model[trade_id] = Expected(made.source_sequence, made)
        self.seen.add((made.book, made.instrument))
        self.correct(early)
        return trade_id

    def correct(self, made: Any) -> None:
        expected = self.model[made.original_trade_id]
        if expected.cancelled:
            self.refused += 1
        elif made.action is Action.CANCEL:
            expected.cancelled = True
        else:
            expected.content = made
            self.seen.add((made.book, made.instrument))

    @rule(contents=st.lists(CONTENTS, min_size=2, max_size=12), events=st.integers(1, 5))
    def many_in_small_steps(self, contents: list[dict[str, Any]], events: int) -> None:
        for content in contents:
            trade_id = f"t{len(self.model)}"
            made = self.fill(trade_id, content)
            self.books.fills(made)
            self.model[trade_id] = Expected(made.source_sequence, made)
            self.seen.add((made.book, made.instrument))
        self.books.run(max_events=events)

    @rule()
    def restart(self) -> None:
        self.books.reopen()

    # -- what holds -----------------------------------------------------------------------------------------------

    def holding(self) -> dict[tuple[str, str], list[Trade]]:
        """The trades of each position, as the model has them."""
        found: dict[tuple[str, str], list[Trade]] = {place: [] for place in self.seen}
        for trade_id, expected in self.model.items():
            if not expected.cancelled:
                content = expected.content
                quantity = content.quantity if content.side is Side.BUY else -content.quantity
                fee = sum((fee.amount for fee in content.fees), Decimal(0))
                found[content.book, content.instrument].append(
                    Trade(trade_id, content.executed_at, expected.sequence, quantity, content.price, fee)
                )
        return found

    @invariant()
    def every_position_equals_the_reference(self) -> None:
        positions = self.books.positions()
        holding = self.holding()
        assert positions.keys() == holding.keys()
        for (book, instrument), trades in holding.items():
            method, policy = BOOKS[book]
            multiplier, inverse = INSTRUMENTS[instrument]
            terms = Terms(method, policy, Decimal(multiplier), inverse)
            with exact_arithmetic():
                figures = reference.position(trades, terms)
                found = reference.residuals(positions[book, instrument].position, figures)
            assert not any(found.values()), (book, instrument, found)

    @invariant()
    def nothing_is_counted_twice_or_lost(self) -> None:
        counts = self.books.counts()
        assert (counts.duplicates, counts.refused, counts.waiting) == (self.duplicates, self.refused, 0)
        assert counts.read == counts.applied + counts.duplicates + counts.refused + counts.waiting
        assert len(self.books.dead_letters()) == self.refused

    def calculator_says_the_same(self) -> None:
        """`pks lots` over the trades that hold gives the position of the running system."""
        holding = [
            (trade_id, expected)
            for trade_id, expected in self.model.items()
            if not expected.cancelled and (expected.content.book, expected.content.instrument) == ("B1", "X")
        ]
        if not holding:
            return
        fills = [
            msgspec.structs.replace(
                expected.content, trade_id=trade_id, action=Action.NEW, original_trade_id=None
            )
            for trade_id, expected in holding
        ]
        with exact_arithmetic():
            options = LotsOptions(*BOOKS["B1"])
            [result] = calculate(fills, [expected.sequence for _, expected in holding], options).positions
            kept = self.books.position("B1", "X")
            assert list(result.position.lots) == list(kept.lots)
            assert result.position.realised_pnl == kept.realised_pnl
            assert result.position.net_realised_pnl == kept.net_realised_pnl


def test_anything_may_happen():
    run_state_machine_as_test(BooksMachine, settings=settings(max_examples=15, stateful_step_count=30))


@pytest.mark.soak
def test_anything_may_happen_for_long():
    """500 examples of 120 steps, or as many as its minutes allow."""
    ends = time.monotonic() + 60 * soak_minutes()
    for _ in range(50):
        run_state_machine_as_test(
            BooksMachine, settings=settings(max_examples=10, stateful_step_count=120, derandomize=False)
        )
        if time.monotonic() > ends:
            break
