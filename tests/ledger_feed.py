"""What twins of the money stages are tried on: updates of positions as the stage before tells them, and all else that comes."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from agents import positions
from connectors.files.documents import read_document
from connectors.files.source import open_source
from schemas import topics
from schemas.units import FeePolicy, LifecycleKind, LotMethod
from tests.ledger_support import PeriodLocked, PostingRules, day_closed, movement, told
from tests.stage_support import StageInMemory
from tests.support import MONDAY, Fee, LifecycleEventApplied, TradeBooked
from topology.money.rules import STANDARD

CLASSES: list[dict[str, Any]] = [
    {"instrument_class": "equity", "settlement_currency": "USD"},
    {"instrument_class": "equity", "settlement_currency": "JPY"},
    {"instrument_class": "what else", "settlement_currency": 'a "quoted" é\n one'},
    {"instrument_class": "bond", "settlement_currency": "KWD", "accrued_interest": Decimal("0.12345")},
    {"instrument_class": "fx", "settlement_currency": "USD", "underlying": "EUR"},
    {"instrument_class": "spot", "settlement_currency": "USDT", "underlying": "ETH"},
    {"instrument_class": "future", "settlement_currency": "USD", "multiplier": Decimal(100)},
    {"instrument_class": "perpetual", "settlement_currency": "BTC", "inverse": True},
    {"instrument_class": "option", "settlement_currency": "EUR", "lot_method": LotMethod.AVERAGE},
    {"instrument_class": "equity", "settlement_currency": "USD", "fee_policy": FeePolicy.CAPITALISED},
]
FEES = st.sampled_from(
    [(), (), (("1.25", "commission", ""),), (("0.333", "tax", ""), ("-0.01", "rebate é", "GBP")), (("0.005", "commission", ""),),
     (("0", "x", "EUR"), ("0.0049", "commission", "USD"), ("12345678901234567890.123", "x", ""))]
)  # fmt: skip
QUANTITIES = st.integers(-6, 6).filter(bool).map(str) | st.sampled_from(
    ["0.01", "-0.333", "1e-9", "-5E+3", "12345678901234567890.5"]
)
PRICES = st.sampled_from(["100", "99.5", "3.3333", "0.0001", "64000.125", "-37.63", "0", "1e-12"])
TRADES = st.tuples(
    st.sampled_from(["B1", "B1", "Büch"]),
    st.integers(0, len(CLASSES) - 1),
    QUANTITIES,
    PRICES,
    FEES,
    st.integers(-3, 12),
    st.sampled_from(
        [{}, {}, {"account": "other"}, {"settlement_date": "2026-01-07"}, {"settlement_date": "2026-01-05"},
         {"business_date": ""}, {"business_date": "2026-01-06"}, {"business_date": "2029-02-01"}, {"posting_rules": 1},
         {"posting_rules": 7}, {"entity": "another"}]
    ),
)  # fmt: skip
EVENTS = st.one_of(
    TRADES, TRADES, TRADES, TRADES, TRADES,
    st.tuples(st.sampled_from(["again", "cancel"]), st.integers(0, 60)),
    st.tuples(st.sampled_from(["close", "lock"]), st.integers(5, 12)),
    st.tuples(st.just("move"), st.integers(-300, 300).filter(bool)),
)  # fmt: skip
"""A trade; an earlier update again, or a trade cancelled; the end of a day, or a lock; a movement of cash."""


def trade(number: int, content: tuple[Any, ...]) -> Any:
    book, kind, quantity, price, fees, moment, details = content
    values = {
        "business_date": "2026-01-05",
        "entity": "E",
        "account": "A",
        **CLASSES[kind],
        **details,
    }
    return TradeBooked(
        event_id=f'e"{number}',
        correlation_id="" if number % 3 else f"f{number}",
        source="one" if number % 5 else "",
        trade_id=f"t{number}",
        book=book,
        instrument=f"X{kind}",
        quantity=Decimal(quantity),
        price=Decimal(price) or Decimal(1) if "inverse" in values else Decimal(price),
        executed_at=MONDAY + 10 * number + moment,
        source_sequence=number,
        fees=tuple(Fee(amount=Decimal(amount), kind=name, currency=currency) for amount, name, currency in fees),
        **values,
    )  # fmt: skip


class Feed:
    """What the ledger is given: updates of positions, in steps, with what else comes between them."""

    def __init__(self) -> None:
        self.positions = StageInMemory(positions.stage())
        self.trades: list[Any] = []
        self.updates: list[Any] = []
        self.number = 0

    def events(self, content: tuple[Any, ...]) -> list[Any]:
        self.number += 1
        what, which = content[0], content[1]
        if what == "again":
            return [self.updates[which % len(self.updates)]] if self.updates else []
        if what == "close":
            return [day_closed(book, f"2026-01-{which:02d}") for book in ("B1", "Büch")]
        if what == "lock":
            return [
                PeriodLocked(
                    event_id=f"l{self.number}", through=f"2026-01-{which - 1:02d}", user="u", entity="E"
                )
            ]
        if what == "move":
            return [movement(f"m{self.number}", str(which))]
        if what == "cancel":
            return self.cancelled(which) if self.trades else []
        self.trades.append(trade(self.number, content))
        return self.booked(self.trades[-1])

    def cancelled(self, which: int) -> list[Any]:
        first = self.trades.pop(which % len(self.trades))
        return self.booked(
            LifecycleEventApplied(
                event_id=f"c{self.number}", kind=LifecycleKind.CANCEL, trade_id=f"c{self.number}",
                original_trade_id=first.trade_id, book=first.book, executed_at=MONDAY, source="one",
            )
        )  # fmt: skip

    def booked(self, booking: Any) -> list[Any]:
        found = told(self.positions.step(booking), topics.POSITIONS)
        self.updates += found
        return found


def finer_rules() -> Any:
    """A version of the rules that makes the minor unit of a currency finer."""
    content = read_document(open_source(str(STANDARD))).content
    finer = {**content, "scales": {**content["scales"], "USD": 4}}
    return PostingRules(event_id="r1", version=1, definition=json.dumps(finer))


RULES = finer_rules()
