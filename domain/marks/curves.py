"""Whether a curve can be built: from what it states, or bootstrapped from its instruments; and what it is in plain form.

Owns: the check of a curve before it is published, the search for the one quote that spoils it, and its plain form.
Guarantees: a curve that passes is built by whoever prices with it; one that does not names a field, what was expected and
what was found; a plain form equals its curve at its dates, between them and beyond the last.
"""

import json
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from itertools import pairwise
from math import exp, log
from typing import Any

from domain.pricing.fields import Fields, Unpriceable
from domain.pricing.rates.conventions import from_date, to_date
from domain.pricing.rates.curves import Curve, read_curve
from domain.pricing.rates.session import run
from domain.valuation.rates import YEAR_DAYS, ZeroRate, zero_rate

_WITH_DATES = ("zero", "discount")
_CURVE = "curve."
_EQUAL_LOG_FACTOR = 1e-10
"""Of the discount factor: on a billion, less than a unit."""


def curve_fault(definition: Mapping[str, Any]) -> Unpriceable | None:
    """What is wrong with a curve in the form of `pks price`; None where nothing is.

    It must say its `reference_date`, or the dates that it begins with: a curve that is kept must not move with the day on
    which somebody prices with it.
    """
    try:
        _build(definition)
    except Unpriceable as fault:
        return _of_one_instrument(definition, fault)
    return None


def plain_form(definition: str) -> str:
    """The same curve as one of discount factors or of continuous zero rates at its own dates, which valuation reads
    without a pricing library; empty where it is stated so already, or where neither is the same between its dates.

    Assumes a curve of which `curve_fault` finds nothing wrong.
    """
    if zero_rate(definition) is not None:
        return ""
    terms = json.loads(definition, parse_float=str, parse_int=str)
    return str(_build(terms, _plain).get("plain", ""))


def _plain(request: Fields) -> dict[str, Any]:
    curve = read_curve(request)
    reference, tomorrow = curve.reference_date, curve.reference_date + timedelta(1)
    stated = {"reference_date": reference.isoformat()}
    if curve.last_date is None:
        days = [reference + timedelta(365)]
        candidates: list[dict[str, Any]] = [{"type": "flat", **stated, "rate": -_log_factor(curve, days[0])}]
    else:
        days = [day for day in map(from_date, curve.structure.dates()) if day > reference]
        factors = [exp(_log_factor(curve, day)) for day in days]
        # Zero rates begin with one at the reference date, which no factor tells: that of the day after does.
        more = sorted({tomorrow, *days})
        rates = [-_log_factor(curve, day) * YEAR_DAYS / (day - reference).days for day in more]
        candidates = [
            {"type": "discount", **stated, "dates": _texts(days), "factors": factors},
            {"type": "zero", **stated, "dates": _texts(more), "rates": rates},
        ]
    for candidate in candidates:
        text = json.dumps(candidate)
        rate = zero_rate(text)
        if rate is not None and _is_same(rate, curve, [reference, *days]):
            return {"plain": text}
    return {}


def _log_factor(curve: Curve, day: date) -> float:
    return log(curve.structure.discount(to_date(day)))


def _texts(days: list[date]) -> list[str]:
    return [day.isoformat() for day in days]


def _is_same(rate: ZeroRate, curve: Curve, days: list[date]) -> bool:
    """Whether rates are the curve's at its days, in the middle between them, and one and ten years beyond the last."""
    looked_at = {*days[1:], *(first + (last - first) / 2 for first, last in pairwise(days))}
    looked_at |= {days[-1] + timedelta(365), days[-1] + timedelta(3650)}
    for day in looked_at:
        years = (day - days[0]).days / YEAR_DAYS
        if years > 0.0 and abs(rate(days[0], years) * years + _log_factor(curve, day)) > _EQUAL_LOG_FACTOR:
            return False
    return True


def _build(
    definition: Mapping[str, Any], then: Callable[[Fields], dict[str, Any]] | None = None
) -> dict[str, Any]:
    fields = Fields(definition)
    if "reference_date" in fields or definition.get("type") not in _WITH_DATES:
        reference = fields.date("reference_date")
    else:
        reference = fields.dates("dates")[0]
    request = Fields({"evaluation_date": reference.isoformat(), "curve": definition})
    try:
        return run(then or _built, request)
    except Unpriceable as fault:
        raise Unpriceable(fault.field.removeprefix(_CURVE), fault.expected, fault.found) from None


def _built(request: Fields) -> dict[str, Any]:
    curve = read_curve(request)
    if curve.last_date is not None:
        # Builds all of it: a bootstrap that has no solution says so now.
        curve.structure.discount(curve.structure.maxDate())
    return {}


def _of_one_instrument(definition: Mapping[str, Any], fault: Unpriceable) -> Unpriceable:
    """The same fault, with the instrument named without which there would be none, where it is one alone."""
    instruments = definition.get("instruments")
    if fault.field != "instruments" or not isinstance(instruments, list) or len(instruments) < 2:
        return fault
    suspects = []
    for index in range(len(instruments)):
        others = [*instruments[:index], *instruments[index + 1 :]]
        try:
            _build({**definition, "instruments": others})
        except Unpriceable:
            continue
        suspects.append(index)
    if len(suspects) != 1:
        return fault
    quote = instruments[suspects[0]]
    name = "price" if "price" in quote else "rate"
    found = f"{quote.get(name)} ({fault.found})"
    return Unpriceable(
        f"instruments[{suspects[0]}].{name}", "a quote that a curve with the others reprices", found
    )
