"""Fills by themselves: every check, and what each regime requires."""

from decimal import Decimal

import pytest

from domain.capture.validation import (
    ACCEPTED_FEES_MAX,
    EXECUTED_AT_MAX,
    EXECUTED_AT_MIN,
    REGIMES,
    TEXT_CHARACTERS_MAX,
    validate,
)
from schemas.units import Action, LifecycleKind, Regime
from tests.support import Fee, fill

OTC = {"regime": Regime.OTC, "counterparty": "CP", "settlement_date": "2026-01-07"}
INTERNAL = {"regime": Regime.INTERNAL, "counterparty": "B2"}


@pytest.mark.parametrize(
    "good",
    [
        fill(),
        fill(book=None),
        fill(price="0"),
        fill(price="-37.63"),
        fill(quantity="0.000000000000000001"),
        fill(fees=(Fee(amount=Decimal("-1")),)),
        fill(executed_at=EXECUTED_AT_MIN),
        fill(executed_at=EXECUTED_AT_MAX - 1),
        fill(action=Action.CANCEL, original_trade_id="t0"),
        fill(source_sequence=2**63 - 1),
        fill(source_sequence=-(2**63)),
        fill(**OTC),
        fill(**INTERNAL),
    ],
)
def test_good_fills(good):
    assert validate(good) is None


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("trade_id", fill("")),
        ("trade_id", fill("=cmd")),
        ("trade_id", fill("x" * 129)),
        ("instrument", fill(instrument="a\x00b")),
        ("book", fill(book=" ")),
        ("book", fill(book="@x")),
        ("original_trade_id", fill(action=Action.AMEND, original_trade_id="")),
        ("original_trade_id", fill(action=Action.AMEND)),
        ("original_trade_id", fill(original_trade_id="t0")),
        ("original_trade_id", fill("t1", action=Action.AMEND, original_trade_id="t1")),
        ("quantity", fill(quantity="0")),
        ("quantity", fill(quantity="1E+60")),
        ("price", fill(price="NaN")),
        ("price", fill(price="sNaN")),
        ("price", fill(price="-Infinity")),
        ("price", fill(price="1E-61")),
        ("price", fill(price="1E+999999")),
        ("multiplier", fill(multiplier=Decimal(0))),
        ("multiplier", fill(multiplier=Decimal(-1))),
        ("multiplier", fill(multiplier=Decimal("1E+61"))),
        ("accrued_interest", fill(accrued_interest=Decimal("NaN"))),
        ("fees", fill(fees=(Fee(amount=Decimal("Infinity")),))),
        ("fees", fill(fees=tuple(Fee(amount=Decimal(1)) for _ in range(ACCEPTED_FEES_MAX + 1)))),
        ("executed_at", fill(executed_at=EXECUTED_AT_MIN - 1)),
        ("executed_at", fill(executed_at=EXECUTED_AT_MAX)),
        ("recorded_at", fill(recorded_at=2**64)),
        ("recorded_at", fill(recorded_at=-1)),
        ("source_sequence", fill(source_sequence=2**63)),
        ("source_sequence", fill(source_sequence=-(2**63) - 1)),
        ("settlement_date", fill(settlement_date="tomorrow")),
        ("settlement_date", fill(settlement_date="20260107")),
        ("settlement_date", fill(settlement_date="2026-02-30")),
        ("trader", fill(trader="x" * (TEXT_CHARACTERS_MAX + 1))),
        ("event_id", fill(event_id="x" * (TEXT_CHARACTERS_MAX + 1))),
        ("source", fill(source="x" * (TEXT_CHARACTERS_MAX + 1))),
        ("idempotency_hash", fill(idempotency_hash="x" * (TEXT_CHARACTERS_MAX + 1))),
    ],
)
def test_each_field_that_is_wrong_is_named(field: str, bad):
    fault = validate(bad)
    assert fault is not None
    assert fault.field == field
    assert fault.reason and fault.expected
    assert len(fault.found) <= 90


@pytest.mark.parametrize("kind", LifecycleKind)
def test_kinds_that_come_later_are_refused_by_name(kind: LifecycleKind):
    fault = validate(fill(kind=kind))
    assert fault is not None
    assert fault.field == "kind" and kind in fault.reason


def test_each_regime_has_its_rules():
    assert set(REGIMES) == set(Regime)


@pytest.mark.parametrize(
    ("regime", "fields", "missing"),
    [
        (Regime.EXCHANGE, {"book": None}, None),
        (Regime.OTC, OTC, None),
        (Regime.OTC, {**OTC, "counterparty": ""}, "counterparty"),
        (Regime.OTC, {**OTC, "settlement_date": None}, "settlement_date"),
        (Regime.OTC, {**OTC, "book": None}, "book"),
        (Regime.INTERNAL, INTERNAL, None),
        (Regime.INTERNAL, {**INTERNAL, "counterparty": ""}, "counterparty"),
        (Regime.INTERNAL, {**INTERNAL, "book": None}, "book"),
    ],
)
def test_what_a_regime_requires(regime: Regime, fields: dict, missing: str | None):
    fault = validate(fill(**{**fields, "regime": regime}))
    assert (None if fault is None else fault.field) == missing


LONGEST = "x" * TEXT_CHARACTERS_MAX
CANCEL = {"action": Action.CANCEL, "original_trade_id": "t0"}


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "0.5", "multiplier": Decimal("0.5")},
        {"executed_at": EXECUTED_AT_MIN},
        {"executed_at": EXECUTED_AT_MAX - 1},
        {"recorded_at": 0},
        {"recorded_at": EXECUTED_AT_MAX - 1},
        {"source_sequence": 2**63 - 1},
        {"source_sequence": -(2**63)},
        {"fees": (Fee(amount=Decimal(1), kind=LONGEST, currency=LONGEST),) * ACCEPTED_FEES_MAX},
        {"trader": LONGEST},
        {"trader": LONGEST, "account": LONGEST},
    ],
)
def test_the_very_bounds_are_good_whatever_the_fill_does(fields: dict):
    """Of a new fill, which the short way may pass, and of a cancel, which goes through every check."""
    assert validate(fill(**fields)) is None
    assert validate(fill(**fields, **CANCEL)) is None
