"""The compiled twin of the positions stage against the plain code: whatever comes, the same bytes in the same order.

Two stages take the same steps, one of them with the twin, the other without: changes of the table, outputs and
refusals must be equal, also where one code goes on with what the other has left.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import native
from agents import positions
from agents.stage import InvariantBroken, Step
from schemas.numbers import exact_arithmetic
from schemas.units import FeePolicy, LifecycleKind, LotMethod
from tests.stage_support import RecordedStage, written
from tests.support import MONDAY, Fee, LifecycleEventApplied, TradeBooked, plain_code

pytestmark = pytest.mark.skipif(native.positions() is None, reason=native.description())

NUMBERS = st.sampled_from(
    ["1", "-1", "2", "-3", "0.3", "-0.30", "12.125", "-0.00000001", "0.0000007", "5E+3", "0", "0.00",
     "9999999999999999999", "-10000000000000000000", "123456789012345678901234567890.123456789",
     "-0.000000000000000000000000000000000000000000000000000000000001"]
)  # fmt: skip
QUANTITIES = (NUMBERS | st.integers(-6, 6).map(str)).filter(Decimal)
PRICES = NUMBERS | st.sampled_from(["100", "99.5", "3", "7", "64000.125"])
CURRENCIES = st.sampled_from(["", "", "", "", "USD", 'a "quoted" \\ \u2028é\n\x01 one'])
TRADES = st.tuples(
    st.sampled_from([("B1", "X"), ("B1", "Y"), ("Büch", "X")]),
    QUANTITIES,
    PRICES,
    st.sampled_from([(), (), (), ("0.1",), ("-0.25", "0.25"), ("0",)]),
    st.integers(-3, 12),
    CURRENCIES,
    st.sampled_from([LotMethod.FIFO] * 6 + [LotMethod.LIFO, LotMethod.AVERAGE]),
    st.sampled_from([FeePolicy.EXCLUDED] * 6 + [FeePolicy.EXPENSED, FeePolicy.CAPITALISED]),
    st.sampled_from(["1", "1", "1", "100", "1.0"]),
    st.sampled_from([False] * 8 + [True]),
    st.sampled_from(["one", "one", "another"]),
    st.sampled_from(
        [
            {},
            {"business_date": "2026-01-05", "settlement_date": "2026-01-07", "entity": "Bücher"},
            {"accrued_interest": Decimal("-0.50"), "account": 'a "quoted" one', "posting_rules": 300},
            {"accrued_interest": Decimal("0.00"), "underlying": "BTC", "instrument_class": "perpetual"},
        ]
    ),
)
FEE_KINDS = ({}, {"kind": "commission", "currency": "GBP"}, {"kind": "rebate é"})
EVENTS = st.one_of(TRADES, TRADES, TRADES, TRADES, st.integers(0, 60), st.tuples(st.integers(0, 60)))
"""A trade; the number of an earlier event, which comes again; or that of one whose trade is cancelled."""


def trade(number: int, content: tuple[Any, ...]) -> Any:
    place, quantity, price, fees, moment, currency, lot_method, fee_policy, *rest = content
    multiplier, inverse, source, details = rest
    return TradeBooked(
        event_id=f"e{number}",
        correlation_id="" if number % 3 else f"f\"{number}",
        source=source,
        trade_id=f"t{number}",
        book=place[0],
        instrument=place[1],
        quantity=Decimal(quantity),
        price=Decimal(price),
        executed_at=MONDAY + 10 * number + moment if moment else -number,
        source_sequence=number,
        fees=tuple(Fee(amount=Decimal(fee), **FEE_KINDS[number % 3]) for fee in fees),
        settlement_currency=currency,
        lot_method=lot_method,
        fee_policy=fee_policy,
        multiplier=Decimal(multiplier),
        inverse=inverse,
        **details,
    )  # fmt: skip


def events_of(steps: list[list[Any]]) -> list[list[Any]]:
    known: list[Any] = []
    made: list[list[Any]] = []
    for step in steps:
        events = []
        for content in step:
            if isinstance(content, int):
                if not known:
                    continue
                event = known[content % len(known)]
            elif len(content) == 1:
                if not known:
                    continue
                first = known[content[0] % len(known)]
                event = LifecycleEventApplied(
                    event_id=f"c{len(known)}", kind=LifecycleKind.CANCEL, trade_id=f"c{len(known)}",
                    original_trade_id=first.trade_id, book=first.book, executed_at=MONDAY, source="one",
                )  # fmt: skip
            else:
                event = trade(len(known), content)
                known.append(event)
            events.append(event)
        made.append(events)
    return made


def compare(steps: list[list[Any]], restarts: set[int]) -> None:
    twin, plain = RecordedStage(positions.stage()), RecordedStage(positions.stage())
    for number, events in enumerate(events_of(steps)):
        if number in restarts:
            twin.restart()
            plain.restart()
        try:
            with plain_code():
                expected = written(plain.step(*events))
        except (
            InvariantBroken,
            ArithmeticError,
        ) as error:  # no price of an inverse contract is zero, and so on
            with pytest.raises(type(error)):
                twin.step(*events)
            return
        found = written(twin.step(*events))
        assert found == expected
        assert twin.changes == plain.changes
        assert twin.counts() == plain.counts()


FIFO = (("B1", "X"), "5", "100", (), 1, "", LotMethod.FIFO, FeePolicy.EXCLUDED, "1", False, "one", {})
CLOSE = (("B1", "X"), "-7", "101", ("0.1",), 1, "", LotMethod.FIFO, FeePolicy.EXCLUDED, "1", False, "one", {})


@given(st.lists(st.lists(EVENTS, max_size=12), max_size=8), st.sets(st.integers(0, 7), max_size=2))
@example([[FIFO, FIFO, CLOSE, CLOSE], [CLOSE, FIFO, FIFO], [CLOSE]], {1})
@example([[FIFO] * 150 + [CLOSE] * 100, [CLOSE, CLOSE], [0, 1, (2,), FIFO]], set())
@settings(max_examples=300, deadline=None)
def test_the_same_bytes(steps: list[list[Any]], restarts: set[int]) -> None:
    compare(steps, restarts)


MIXED = st.lists(
    st.tuples(
        st.sampled_from("XYZ"), st.integers(-30, 30).filter(bool), st.integers(1, 9999), st.integers(1, 3)
    ),
    min_size=40,
    max_size=200,
)


@given(MIXED)
@settings(max_examples=60, deadline=None)
def test_the_same_bytes_in_the_usual_case(trades: list[tuple[str, int, int, int]]) -> None:
    contents = [
        (("B1", name), f"{quantity}e-1", f"{price}e-2", (), moment, "", *FIFO[6:])
        for name, quantity, price, moment in trades
    ]
    compare([contents[start : start + 25] for start in range(0, len(contents), 25)], {2})


def test_the_twin_takes_the_usual_case() -> None:
    compiled = native.positions()
    assert compiled is not None
    stage = RecordedStage(positions.stage())
    events = events_of([[FIFO, CLOSE, FIFO]])[0]
    with exact_arithmetic():
        assert compiled.book(stage.state, events, 0, Step(lambda key: 0)) == 3
