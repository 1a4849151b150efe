"""The compiled twin of the capture stage against the plain code: whatever comes, the same bytes in the same order.

Two stages take the same steps, one of them with the twin, the other without: changes of the table, outputs and
refusals must be equal, also where one code goes on with what the other has left.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import native
from agents import trade_capture
from agents.stage import Step
from domain.capture.validation import EXECUTED_AT_MAX, EXECUTED_AT_MIN
from schemas.frames import encode_frames
from schemas.numbers import exact_arithmetic
from schemas.topics import FILLS
from schemas.units import Action, FeePolicy, LifecycleKind, LotMethod, Regime, Side
from tests.stage_support import RecordedStage, written
from tests.support import (
    MONDAY,
    Book,
    ClockTick,
    Fee,
    FillEvent,
    Instrument,
    PostingRules,
    RoutingRule,
    plain_code,
)

pytestmark = pytest.mark.skipif(native.capture() is None, reason=native.description())

NUMBERS = st.sampled_from(
    ["1", "100", "100.00", "1E+2", "5E+3", "0.3", "0.30", "12.125", "1200", "0.00000001", "0.0000010", "0.000001",
     "0", "0.00", "-0", "-3", "-0.25", "9999999999999999999", "10000000000000000000", "1000000000000000000000",
     "123456789012345678901234567890.123456789", "0.000000000000000000000000000000000000000000000000000000000001",
     "1234567890123456789012345678901234567890123456789012345678901", "NaN", "-Infinity", "1E+59", "1E+60"]
)  # fmt: skip
USUALLY = {
    "quantity": st.decimals("0.01", "999", places=2).map(str) | NUMBERS,
    "price": st.decimals("-5", "99", places=3).map(str) | NUMBERS,
    "side": st.sampled_from(Side),
    "book": st.sampled_from(["B1", "B1", "B1", "B2", "Büch", "=B", " ", "x" * 128, "x" * 129, None]),
    "instrument": st.sampled_from(["X", "X", "FUTURE", "INVERSE", "undefined", "undef ined", "a\u0001"]),
}
TEXTS = st.sampled_from(["", "a", 'a "quoted" \\ \u2028é\n\x01 one', "x" * 400, "y" * 1_001])
RARELY = {
    "event_id": st.sampled_from(["", 'e"1', "é"]),
    "correlation_id": TEXTS,
    "causation_id": TEXTS,
    "source": st.sampled_from(["one", "another"]),
    "executed_at": st.sampled_from(
        [EXECUTED_AT_MIN - 1, EXECUTED_AT_MIN, -1, 0, EXECUTED_AT_MAX - 1, EXECUTED_AT_MAX, (1 << 64) - 1]
    )
    | st.integers(0, 10).map(lambda days: MONDAY + days * 86_400 * 10**9 - 1),
    "recorded_at": st.sampled_from([-1, 0, 1, MONDAY, EXECUTED_AT_MAX]),
    "source_sequence": st.sampled_from([0, -1, 200, -(1 << 63), (1 << 63) - 1, 1 << 63]),
    "action": st.sampled_from([Action.AMEND, Action.CANCEL]),
    "original_trade_id": st.integers(0, 9).map("t{}".format),
    "kind": st.sampled_from(LifecycleKind),
    "regime": st.sampled_from(Regime),
    "instrument_scheme": st.sampled_from(["id", "symbol", "isin", ""]),
    "fees": st.sampled_from([(), (Fee(amount=Decimal("0.1")),)]),
    "multiplier": st.sampled_from(["1", "100"]).map(Decimal),
    "inverse": st.booleans(),
    "currency": st.sampled_from(["", "USD", "EUR"]),
    "accrued_interest": st.sampled_from(["0", "0.5"]).map(Decimal),
    "settlement_date": st.sampled_from(["2026-01-07", "2026-02-30", ""]),
    "group_id": TEXTS,
    "leg": st.sampled_from([0, 1, -1, 1 << 40, (1 << 64) - 1]),
    "idempotency_hash": st.sampled_from(["", "h1", "h2"]),
    **dict.fromkeys(
        [
            "venue",
            "account",
            "entity",
            "strategy",
            "trader",
            "counterparty",
            "underlying",
            "instrument_class",
        ],
        TEXTS,
    ),
}
RARE = st.lists(st.sampled_from(sorted(RARELY)), max_size=2).flatmap(
    lambda names: st.fixed_dictionaries({name: RARELY[name] for name in names})
)
CONTENTS = st.tuples(st.integers(0, 9), st.fixed_dictionaries(USUALLY), st.just({}) | RARE)
DEFINITIONS = st.sampled_from(
    [
        Instrument(event_id="d", instrument="X", currency="EUR"),
        Instrument(event_id="d", instrument="X", active=False),
        PostingRules(event_id="d", version=300, definition="{}"),
        Book(event_id="d", book="B1", time_zone="Asia/Tokyo", cut_off="17:00", entity="E"),
        Book(event_id="d", book="B2", lot_methods={"*": LotMethod.LIFO}, fee_policy=FeePolicy.EXPENSED),
    ]
)
EVENTS = st.one_of(CONTENTS, CONTENTS, CONTENTS, CONTENTS, st.integers(0, 60), st.none(), DEFINITIONS)
"""A fill; the number of an earlier one, which comes again; a tick of the clock; a definition, before the step."""


def fill(number: int, trade: int, content: dict[str, Any]) -> Any:
    made = {
        "event_id": f"e{number}",
        "trade_id": f"t{trade}" if number % 3 else f"n{number}",
        "executed_at": MONDAY + number,
        "recorded_at": MONDAY,
        "source_sequence": number,
        "source": "one",
        **content,
        "quantity": Decimal(content["quantity"]),
        "price": Decimal(content["price"]),
    }
    return FillEvent(**made)


def stage() -> RecordedStage:
    made = RecordedStage(trade_capture.stage(waiting_max=5))
    made.define(
        Instrument(event_id="i1", instrument="X", currency="USD"),
        Instrument(
            event_id="i2", instrument="FUTURE", instrument_class="future", multiplier=Decimal(100), underlying="X",
            settlement_days=2,
        ),
        Instrument(event_id="i3", instrument="INVERSE", inverse=True),
        Book(event_id="b1", book="B1", entity="E", calendar="weekdays", lot_methods={"future": LotMethod.AVERAGE}),
        RoutingRule(event_id="r1", rule="r", book="B2", venue="a"),
    )  # fmt: skip
    return made


def compare(steps: list[list[Any]], restarts: set[int]) -> None:
    twin, plain = stage(), stage()
    known: list[Any] = []
    for number, step in enumerate(steps):
        if number in restarts:
            twin.restart()
            plain.restart()
        events: list[Any] = []
        for content in step:
            if content is None:
                events.append(ClockTick(event_id=f"tick{number}", event_time=MONDAY + number))
            elif isinstance(content, int):
                events += [known[content % len(known)]] if known else []
            elif isinstance(content, tuple):
                trade, usual, rare = content
                known.append(fill(len(known), trade, usual | rare))
                events.append(known[-1])
            else:
                twin.define(content)
                plain.define(content)
        frames = encode_frames(events)
        with plain_code():
            expected = written(plain.step(*FILLS.codec.decode(frames[0]))) if frames else None
        found = written(twin.step(*FILLS.codec.decode(frames[0]))) if frames else None
        assert found == expected
        if frames:
            assert twin.changes == plain.changes
        assert twin.counts() == plain.counts()


PLAIN_FILL: dict[str, Any] = {
    "quantity": "5",
    "price": "100",
    "side": Side.BUY,
    "book": "B1",
    "instrument": "X",
}
SOLD = PLAIN_FILL | {"side": Side.SELL, "instrument": "FUTURE", "quantity": "1200"}
AMEND = {"action": Action.AMEND, "original_trade_id": "t1"}


@given(st.lists(st.lists(EVENTS, max_size=12), max_size=8), st.sets(st.integers(0, 7), max_size=2))
@example([[(1, PLAIN_FILL, {}), (2, SOLD, {}), 0, 1], [(3, SOLD, {}), 2, (1, PLAIN_FILL, {})]], {1})
@example([[(9, PLAIN_FILL, AMEND), (1, PLAIN_FILL, {}), (2, SOLD, {"currency": "USD"})]], set())
@settings(max_examples=400, deadline=None)
def test_the_same_bytes(steps: list[list[Any]], restarts: set[int]) -> None:
    compare(steps, restarts)


@given(st.lists(st.fixed_dictionaries(USUALLY), min_size=20, max_size=60), RARE)
@settings(max_examples=100, deadline=None)
def test_the_same_bytes_in_the_usual_case(contents: list[dict[str, Any]], rare: dict[str, Any]) -> None:
    usual = [(number % 10, content, rare) for number, content in enumerate(contents)]
    compare([usual[start : start + 15] for start in range(0, len(usual), 15)], {2})


def test_the_twin_takes_the_usual_case() -> None:
    compiled = native.capture()
    assert compiled is not None
    made = stage()
    fills = [fill(number, number, content) for number, content in enumerate([PLAIN_FILL, SOLD, PLAIN_FILL])]
    with exact_arithmetic():
        assert compiled.capture(made.state, fills, 0, Step(lambda key: 0)) == 3
        again = compiled.capture(made.state, [*fills, fill(9, 9, PLAIN_FILL)], 0, Step(lambda key: 0))
    assert again == 0, "a trade id that is known is not the usual case"
