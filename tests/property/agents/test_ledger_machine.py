"""The ledger against fifty lines that sum all trades up anew: trades in any order, amends, cancels, days, restarts."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas import events
from schemas.frames import wire
from schemas.identity import content_id
from schemas.units import LifecycleKind, LotMethod
from tests.ledger_support import MoneyBooks, SimpleLedger, compare, day_closed
from tests.stage_support import run_for_long
from tests.support import Fee, LifecycleEventApplied, booked
from topology.money.rules import standard_rules

INSTRUMENTS: dict[str, dict[str, Any]] = {
    "SHARE": {"instrument_class": "equity", "settlement_currency": "USD"},
    "YEN": {"instrument_class": "equity", "settlement_currency": "JPY"},
    "DINAR": {"instrument_class": "bond", "settlement_currency": "KWD"},
    "EUR/USD": {"instrument_class": "fx", "settlement_currency": "USD", "underlying": "EUR"},
    "BTCUSDT": {"instrument_class": "spot", "settlement_currency": "USDT", "underlying": "BTC"},
    "ETHUSDT": {"instrument_class": "spot", "settlement_currency": "USDT", "underlying": "ETH"},
    "FUTURE": {"instrument_class": "future", "settlement_currency": "USD", "multiplier": Decimal(100)},
    "PERP": {
        "instrument_class": "perpetual",
        "settlement_currency": "BTC",
        "multiplier": Decimal(100),
        "inverse": True,
    },
    "AVERAGE": {
        "instrument_class": "option",
        "settlement_currency": "EUR",
        "lot_method": LotMethod.AVERAGE,
        "multiplier": Decimal(100),
    },
}

quantities = st.decimals("-1000", "1000", places=3).filter(bool)
prices = st.decimals("0.0001", "1000", places=4)
fees = st.lists(
    st.builds(
        lambda amount, kind, currency: Fee(amount=amount, kind=kind, currency=currency),
        st.decimals("-5", "5", places=6),
        st.sampled_from(["commission", "tax", "what else"]),
        st.sampled_from(["", "USD", "BNB"]),
    ),
    max_size=2,
).map(tuple)
contents = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from(sorted(INSTRUMENTS)),
        "quantity": quantities,
        "price": prices,
        "fees": fees,
        "at": st.integers(0, 3 * 86_400),
    }
)


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.books = MoneyBooks()
        self.simple = SimpleLedger(standard_rules())
        self.number = 0
        self.day = 4

    def content(self, trade_id: str, content: dict[str, Any]) -> Any:
        content = dict(content)
        at = content.pop("at")
        day = f"2026-01-{5 + at // 86_400:02d}"
        return booked(
            trade_id,
            entity="E",
            account="A",
            business_date=day,
            at=at,
            **content,
            **INSTRUMENTS[content["instrument"]],
        )

    @rule(content=contents)
    def trade(self, content: dict[str, Any]) -> None:
        self.number += 1
        trade = self.content(f"t{self.number}", content)
        self.books.book(trade)
        self.simple.trades[trade.trade_id] = trade

    @rule(content=contents, which=st.integers(0, 1_000_000))
    def amend(self, content: dict[str, Any], which: int) -> None:
        if not self.simple.trades:
            return
        trade_id = sorted(self.simple.trades)[which % len(self.simple.trades)]
        self.number += 1
        trade = self.content(trade_id, content)
        self.correct(trade_id, trade, LifecycleKind.AMEND)
        self.simple.trades[trade_id] = trade

    @rule(which=st.integers(0, 1_000_000))
    def cancel(self, which: int) -> None:
        if not self.simple.trades:
            return
        self.number += 1
        trade_id = sorted(self.simple.trades)[which % len(self.simple.trades)]
        self.correct(trade_id, None, LifecycleKind.CANCEL)
        del self.simple.trades[trade_id]

    def correct(self, trade_id: str, trade: Any, kind: LifecycleKind) -> None:
        before = self.simple.trades[trade_id]
        self.books.book(
            LifecycleEventApplied(
                event_id=content_id("correction", str(self.number)),
                kind=kind,
                trade_id=f"c{self.number}",
                original_trade_id=trade_id,
                book="B1",
                executed_at=before.executed_at if trade is None else trade.executed_at,
                trade=trade,
                source="test",
            )
        )

    @rule()
    def close_day(self) -> None:
        self.day += 1
        self.books.post(
            day_closed("B1", f"2026-01-{self.day:02d}" if self.day < 32 else f"2026-02-{self.day - 31:02d}")
        )

    @rule()
    def restart(self) -> None:
        self.books.restart()

    @invariant()
    def holds(self) -> None:
        self.books.check()
        compare(self.books, self.simple)
        assert not self.books.refusals


LedgerMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLedger = LedgerMachine.TestCase


@pytest.mark.soak
def test_ledger_for_long():
    assert run_for_long(LedgerMachine, 5_000, 60)


def test_wire_classes_are_those_of_the_books():
    assert booked().__class__ is wire(events.TradeBooked)
