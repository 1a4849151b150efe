"""The continuous rate of a curve to a time, for options and futures that are valued in the stage.

Owns: curves that are flat, of continuous zero rates, or of discount factors, in the plainest conventions of `pks price`:
Act/365F, linear in the zero rate, loglinear in the discount factor, with the last forward rate beyond the last date.
Guarantees: None for every other curve (bootstrapped, compounded otherwise, another day count or interpolation): whoever
defines one gives it in this form as well (`domain.marks.curves`), where there is one.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import date
from math import log
from typing import Any

YEAR_DAYS = 365.0

ZeroRate = Callable[[date, float], float]
"""The continuous rate from a day over a time in years."""

_PLAIN: Mapping[str, tuple[str, ...]] = {
    "compounding": ("continuous",),
    "day_count": ("Act/365F", "act365f"),
    "interpolation": ("linear", "log_linear", "loglinear"),
}


def zero_rate(definition: str) -> ZeroRate | None:
    """How a curve's definition gives rates; None where only the engine can tell."""
    try:
        terms = json.loads(definition)
        if any(str(terms.get(name, allowed[0])) not in allowed for name, allowed in _PLAIN.items()):
            return None
        build = _KINDS.get(terms["type"])
        return None if build is None or "frequency" in terms else build(terms)
    except (ValueError, KeyError, TypeError, ArithmeticError, IndexError):
        return None


def _flat(terms: Mapping[str, Any]) -> ZeroRate:
    rate = float(terms["rate"])
    return lambda day, years: rate


def _zero(terms: Mapping[str, Any]) -> ZeroRate | None:
    days = [date.fromisoformat(each) for each in terms["dates"]]
    rates = [float(each) for each in terms["rates"]]
    reference = date.fromisoformat(terms.get("reference_date", terms["dates"][0]))
    return _over([(day - reference).days / YEAR_DAYS for day in days], rates, reference, _of_zeros)


def _of_zeros(times: list[float], rates: list[float], at: float) -> float:
    last = times[-1]
    if at <= last or len(times) == 1:
        return _linear(times, rates, at)
    # The forward rate at the last date, d(z t)/dt = z + t z'.
    forward = rates[-1] + last * (rates[-1] - rates[-2]) / (last - times[-2])
    return (rates[-1] * last + forward * (at - last)) / at


def _discount(terms: Mapping[str, Any]) -> ZeroRate | None:
    days = [date.fromisoformat(each) for each in terms["dates"]]
    factors = [log(float(each)) for each in terms["factors"]]
    reference = date.fromisoformat(terms.get("reference_date", terms["dates"][0]))
    times = [(day - reference).days / YEAR_DAYS for day in days]
    if times[0] > 0.0:
        times, factors = [0.0, *times], [0.0, *factors]

    def of_factor(times: list[float], logs: list[float], at: float) -> float:
        beyond = at - times[-1]
        if beyond > 0.0 and len(times) > 1:
            slope = (logs[-1] - logs[-2]) / (times[-1] - times[-2])
            return -(logs[-1] + slope * beyond) / at
        return -_linear(times, logs, at) / at if at > 0.0 else 0.0

    return _over(times, factors, reference, of_factor)


def _over(
    times: list[float],
    values: list[float],
    reference: date,
    read: Callable[[list[float], list[float], float], float],
) -> ZeroRate | None:
    """A curve read twice: to the first day and to the last, since it may begin before the first."""
    if len(times) != len(values) or not times or times != sorted(set(times)):
        return None

    def rate(day: date, years: float) -> float:
        start = max((day - reference).days / YEAR_DAYS, 0.0)
        if years <= 0.0:
            return read(times, values, max(start, 1.0 / YEAR_DAYS))
        end = start + years
        return (read(times, values, end) * end - read(times, values, start) * start) / years

    return rate


def _linear(times: list[float], values: list[float], at: float) -> float:
    if at <= times[0]:
        return values[0]
    if at >= times[-1]:
        return values[-1]
    place = bisect_right(times, at)
    weight = (at - times[place - 1]) / (times[place] - times[place - 1])
    return values[place - 1] + weight * (values[place] - values[place - 1])


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], ZeroRate | None]] = {
    "flat": _flat,
    "zero": _zero,
    "discount": _discount,
}
