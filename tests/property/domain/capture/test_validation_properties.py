"""The short way through validation says what the checks say, one by one."""

import dataclasses
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from domain.capture.validation import CHECKS, validate
from schemas.times import Nanoseconds
from schemas.units import Action, LifecycleKind, Regime
from tests.support import Fee, FillEvent, fill

NUMBERS = st.one_of(
    st.sampled_from(
        [*map(Decimal, ("0", "-0", "1", "-1", "1E+70", "1E-70", "0E+70", "0E-99", "Infinity", "-Infinity"))]
    ),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.integers(-(10**61), 10**61).map(Decimal),
)
NAMES = st.one_of(
    st.text(max_size=140), st.sampled_from(["", " ", "=a", "-a", "a-b", "a\n", "é", "x" * 128, "x" * 129])
)
TIMES = st.one_of(st.integers(-(1 << 64), 1 << 64), st.just(0))
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "trade_id": NAMES,
    "instrument": NAMES,
    "book": st.none() | NAMES,
    "original_trade_id": st.none() | NAMES,
    "quantity": NUMBERS,
    "price": NUMBERS,
    "accrued_interest": NUMBERS,
    "multiplier": st.none() | NUMBERS,
    "executed_at": TIMES.map(Nanoseconds),
    "recorded_at": TIMES.map(Nanoseconds),
    "source_sequence": TIMES,
    "action": st.sampled_from(Action),
    "regime": st.sampled_from(Regime),
    "kind": st.none() | st.sampled_from(LifecycleKind),
    "settlement_date": st.none() | st.sampled_from(["", "2026-01-05", "2026-02-30", "5 January"]),
    "fees": st.lists(st.builds(Fee, amount=NUMBERS), max_size=2).map(tuple),
    "venue": st.sampled_from(["", "V", "v" * 1_000, "v" * 1_001]),
    "currency": st.none() | st.sampled_from(["", "USD", "U" * 1_001]),
}


def test_every_field_that_has_a_check_is_varied() -> None:
    unchecked = {
        "event_id",
        "correlation_id",
        "causation_id",
        "schema_version",
        "source",
        "side",
        "instrument_scheme",
    }
    texts = {"account", "entity", "strategy", "trader", "counterparty", "underlying", "instrument_class"}
    others = {"inverse", "group_id", "leg", "idempotency_hash"}
    names = {field.name for field in msgspec.structs.fields(FillEvent)}
    assert names == set(CHANGES) | unchecked | texts | others


@given(st.dictionaries(st.sampled_from(sorted(CHANGES)), st.none(), max_size=3), st.data())
@example({}, None)
def test_the_short_way_says_what_the_checks_say(varied: dict[str, None], data: Any) -> None:
    values = {name: data.draw(CHANGES[name], label=name) for name in varied}
    found = msgspec.structs.replace(fill(quantity="1.5"), **values)
    faults = [fault for check in CHECKS if (fault := check(found)) is not None]
    expected = faults[0] if faults else None
    assert validate(found) == expected
    assert expected is None or dataclasses.is_dataclass(expected)
