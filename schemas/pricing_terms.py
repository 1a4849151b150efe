"""What an instrument's definition says of its pricing: a model of `pks price`, and the fields of it that never change.

Owns: the fields that each model takes, and their checks. What markets say (spot, forward, volatility where none is
declared, rates of a curve, evaluation date) is filled in when it is priced.
Guarantees: terms in one canonical text (sorted, numbers as their digits in text), or a fault that names the field.

`linear` needs nothing. `bsm`, `black76` and `future` are priced in the valuation stage, and so is `bond`, a bond that is
quoted clean, whose accrued interest is declared or follows from its coupon. Every other model is the engine's, and its
fields are checked there.
"""

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from schemas.numbers import parse_decimal
from schemas.times import parse_time

PRICING_BYTES_MAX = 64 * 1024

ENGINE_MODELS = (
    "american",
    "fixed_rate_bond",
    "zero_coupon_bond",
    "interest_rate_swap",
    "overnight_swap",
    "cva",
)
"""Models that only the engine prices."""

DECLARED_ELSEWHERE = frozenset({"expiry", "value_by", "underlying_instrument"})
"""Fields that say what to fill in, and are none of the engine's."""

VALUE_BY = ("mark", "model")
"""What an option or a future is worth: its own mark where there is one (the default), or its model."""

FREQUENCIES = {"annual": 1, "semiannual": 2, "quarterly": 4, "monthly": 12}
ACCRUAL_DAY_COUNTS = ("ActAct(ISMA)", "Act/365F", "Act/360", "30/360")
"""Day counts by which a `bond` accrues in the stage."""

Check = Callable[[str], str | None]
"""What a value should be, where it is not; None where it is."""


def _number(least: float | None = None, *, above: float | None = None) -> Check:
    def check(text: str) -> str | None:
        try:
            found = parse_decimal(text)
        except ValueError as error:
            return str(error)
        if above is not None and found <= above:
            return f"a number above {above:g}"
        if least is not None and found < least:
            return f"a number of at least {least:g}"
        return None

    return check


def _one_of(*choices: str) -> Check:
    return lambda text: None if text in choices else f"one of {', '.join(choices)}"


def _day(text: str) -> str | None:
    try:
        if len(text) == 10 and date.fromisoformat(text):
            return None
    except ValueError:
        pass
    return "a date that exists, as YYYY-MM-DD"


def _time(text: str) -> str | None:
    try:
        parse_time(text)
    except ValueError as error:
        return str(error)
    return None


def _name(text: str) -> str | None:
    return None if 1 <= len(text) <= 128 and text.isprintable() else "1 to 128 printable characters"


_CARRY: Mapping[str, Check] = {
    "expiry": _time,
    "rate": _number(),
    "curve": _name,
    "value_by": _one_of(*VALUE_BY),
}
_OPTION: Mapping[str, Check] = {
    **_CARRY,
    "option_type": _one_of("call", "put"),
    "strike": _number(above=0),
    "volatility": _number(0),
    "underlying_instrument": _name,
}
_FIELDS: Mapping[str, Mapping[str, Check]] = {
    "linear": {},
    "bsm": {**_OPTION, "dividend_yield": _number()},
    "black76": _OPTION,
    "future": {**_CARRY, "dividend_yield": _number(), "underlying_instrument": _name},
    "bond": {
        "face": _number(above=0),
        "accrued_interest": _number(),
        "accrual_date": _day,
        "coupon": _number(),
        "frequency": _one_of(*FREQUENCIES),
        "day_count": _one_of(*ACCRUAL_DAY_COUNTS),
        "issue_date": _day,
        "start_date": _day,
        "maturity_date": _day,
        "coupon_amount": _number(0),
        "coupon_period_days": _number(above=0),
        "next_coupon_date": _day,
    },
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "bsm": ("option_type", "strike", "expiry"),
    "black76": ("option_type", "strike", "expiry"),
    "future": ("expiry",),
    "bond": ("face",),
}
_BOND_WAYS = (
    ("accrued_interest", "accrual_date"),
    ("coupon_amount", "coupon_period_days", "next_coupon_date"),
    ("coupon", "frequency", "day_count", "maturity_date"),
)
"""How a bond's accrued interest may be told, in the order in which they hold: as stated for a day, in equal parts of a
coupon of known amount, or by the conventions of its coupon."""

MODELS = (*_FIELDS, *ENGINE_MODELS)

COLUMNS = frozenset(name for fields in _FIELDS.values() for name in fields) | {
    "model",
    "calendar",
    "convention",
    "end_of_month",
    "ex_coupon_days",
    "fixed_rate",
    "float_index",
    "notional",
    "side",
    "tenor",
}
"""Fields of pricing that may stand as columns of a definition of their own."""


class PricingFault(ValueError):
    """Terms that are none: the field, what was expected and what was found."""

    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(f"expected {expected} in {field}, found {found}")
        self.field = field
        self.expected = expected
        self.found = found


def pricing_terms(text: str) -> dict[str, Any]:
    """The terms that a canonical text holds; none where it is empty."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def canonical_pricing(text: str) -> str:
    """The terms of a JSON object, checked, in their canonical text; empty stays empty. Raises PricingFault."""
    if not text:
        return ""
    if len(text.encode()) > PRICING_BYTES_MAX:
        raise PricingFault("pricing", f"at most {PRICING_BYTES_MAX} bytes", str(len(text.encode())))
    try:
        terms = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise PricingFault("pricing", "a JSON object with a model", text[:80]) from None
    if not isinstance(terms, dict):
        raise PricingFault("pricing", "a JSON object with a model", text[:80])
    _check(terms)
    return json.dumps(terms, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _check(terms: Mapping[str, Any]) -> None:
    model = terms.get("model")
    if model not in MODELS:
        raise PricingFault("pricing.model", f"one of {', '.join(MODELS)}", str(model)[:80])
    fields = _FIELDS.get(model)
    if fields is None:
        return
    for name, value in terms.items():
        if name == "model":
            continue
        check = fields.get(name)
        if check is None:
            raise PricingFault(
                f"pricing.{name}", f"a field of {model}: {', '.join(fields) or 'none'}", name[:80]
            )
        expected = check(value) if isinstance(value, str) else "text or a number"
        if expected is not None:
            raise PricingFault(f"pricing.{name}", expected, str(value)[:80])
    for name in _REQUIRED.get(model, ()):
        if name not in terms:
            raise PricingFault(f"pricing.{name}", f"a value, which {model} needs", "nothing")
    if "rate" in terms and "curve" in terms:
        raise PricingFault("pricing.curve", "a rate or a curve", "both")
    if model == "bond":
        for way in _BOND_WAYS:
            missing = [name for name in way if name not in terms]
            if missing and len(missing) < len(way):
                raise PricingFault(f"pricing.{missing[0]}", f"a value beside {', '.join(way)}", "nothing")
