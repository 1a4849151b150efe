"""Curves of a request: flat, from zero rates, from discount factors, or bootstrapped from instruments.

A curve is asked for discount factors from its `reference_date` on. Beyond its last date it goes on with the last forward
rate (`extrapolate`: false refuses that instead). Rates are continuous unless `compounding` says otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import QuantLib as ql

from domain.pricing.fields import Fields
from domain.pricing.rates.bootstrap import bootstrapped
from domain.pricing.rates.conventions import compounding, day_count, frequency, from_date, to_date

FACTOR_MAX = 1e6


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve and where it stands in the request. `last_date` is None where it has no end."""

    fields: Fields
    structure: Any
    handle: Any
    last_date: date | None

    @property
    def reference_date(self) -> date:
        """The day to which it discounts."""
        return from_date(self.structure.referenceDate())

    def extrapolated(self, last_needed: date) -> dict[str, str]:
        """A remark for the answer where figures need the curve beyond its last date."""
        if self.last_date is None or last_needed <= self.last_date:
            return {}
        if not self.fields.flag("extrapolate", True):
            raise self.fields.fault("", f"a curve to {last_needed}", f"one to {self.last_date}")
        return {"curve_extrapolated_from": self.last_date.isoformat()}

    def require_by(self, day: date) -> None:
        """Refuse a curve that begins after the day for which it is first needed."""
        if self.reference_date > day:
            expected = f"a date on or before {day}, for which the curve is needed"
            raise self.fields.fault("reference_date", expected, str(self.reference_date))

    def require_from(self, day: date, fields: Fields, name: str) -> None:
        """Refuse what happens before the curve begins."""
        if day < self.reference_date:
            raise fields.fault(
                name, f"a date on or after the curve's reference_date {self.reference_date}", str(day)
            )


def read_curve(fields: Fields, name: str = "curve") -> Curve:
    """The curve in a field of the request."""
    part = fields.part(name)
    build = part.choice("type", _BUILDERS, expected=", ".join(_BUILDERS))
    return build(part, fields.date("evaluation_date"))


def _curve(fields: Fields, structure: Any, last_date: date | None) -> Curve:
    structure.enableExtrapolation()
    return Curve(fields, structure, ql.YieldTermStructureHandle(structure), last_date)


def _rate_terms(fields: Fields) -> tuple[Any, Any]:
    """Compounding and frequency; `compounded` takes the frequency beside it, which without one is a compounding."""
    if fields.values.get("compounding") == "compounded":
        return ql.Compounded, frequency(fields, "frequency")
    if "compounding" not in fields and "frequency" in fields:
        return ql.Compounded, frequency(fields, "frequency")
    chosen = compounding(fields)
    if chosen[0] == ql.Compounded and "frequency" in fields and frequency(fields, "frequency") != chosen[1]:
        raise fields.fault("frequency", f"{fields.values['compounding']}, as compounding has it")
    return chosen


def _flat(fields: Fields, evaluation_date: date) -> Curve:
    reference = to_date(fields.date("reference_date", evaluation_date))
    terms = _rate_terms(fields)
    structure = ql.FlatForward(
        reference, fields.rate("rate"), day_count(fields, "day_count", "Act/365F"), *terms
    )
    return _curve(fields, structure, None)


_ZERO_CURVES: Mapping[str, tuple[Callable[..., Any], Callable[[], Any]]] = {
    "linear": (ql.ZeroCurve, ql.Linear),
    "cubic": (ql.NaturalCubicZeroCurve, ql.SplineCubic),
    "monotoniccubic": (ql.MonotonicCubicZeroCurve, ql.MonotonicCubic),
}
_DISCOUNT_CURVES: Mapping[str, Callable[..., Any]] = {
    "loglinear": ql.DiscountCurve,
    "logcubic": ql.NaturalLogCubicDiscountCurve,
}


def _zero(fields: Fields, evaluation_date: date) -> Curve:
    dates, rates = fields.dates("dates"), fields.numbers("rates")
    _check_lengths(fields, "rates", len(rates), len(dates))
    reference = fields.date("reference_date", dates[0])
    _check_first(fields, dates, reference)
    if reference < dates[0]:
        dates, rates = [reference, *dates], [rates[0], *rates]
    if len(dates) == 1:
        raise fields.fault("dates", "at least one date after the reference_date", str(dates[0]))
    make, interpolation = fields.choice(
        "interpolation", _ZERO_CURVES, "linear", expected="linear, cubic, monotonic_cubic"
    )
    terms = _rate_terms(fields)
    if terms[0] == ql.Continuous:
        # The frequency of a continuous rate is not used; QuantLib asks for one all the same.
        terms = (ql.Continuous, ql.Annual)
    days = [to_date(day) for day in dates]
    count = day_count(fields, "day_count", "Act/365F")
    return _curve(fields, make(days, rates, count, ql.NullCalendar(), interpolation(), *terms), dates[-1])


def _discount(fields: Fields, evaluation_date: date) -> Curve:
    dates, factors = fields.dates("dates"), fields.numbers("factors", least=1e-12, most=FACTOR_MAX)
    _check_lengths(fields, "factors", len(factors), len(dates))
    reference = fields.date("reference_date", dates[0] if factors[0] == 1.0 else evaluation_date)
    _check_first(fields, dates, reference)
    if reference == dates[0] and factors[0] != 1.0:
        raise fields.fault("factors", f"1 at the reference_date {reference}", str(factors[0]))
    if reference < dates[0]:
        dates, factors = [reference, *dates], [1.0, *factors]
    if len(dates) == 1:
        raise fields.fault("dates", "at least one date after the reference_date", str(dates[0]))
    kind = fields.choice("interpolation", _DISCOUNT_CURVES, "loglinear", expected="log_linear, log_cubic")
    structure = kind([to_date(day) for day in dates], factors, day_count(fields, "day_count", "Act/365F"))
    return _curve(fields, structure, dates[-1])


def _check_lengths(fields: Fields, name: str, found: int, dates: int) -> None:
    if found != dates:
        raise fields.fault(name, f"{dates} numbers, as there are dates", str(found))


def _check_first(fields: Fields, dates: list[date], reference: date) -> None:
    if dates[0] < reference:
        raise fields.fault("dates[0]", f"a date on or after the reference_date {reference}", str(dates[0]))


def _bootstrap(fields: Fields, evaluation_date: date) -> Curve:
    reference = fields.date("reference_date", evaluation_date)
    discounting = read_curve_beside(fields, evaluation_date)
    structure = bootstrapped(fields, reference, discounting)
    return _curve(fields, structure, from_date(structure.maxDate()))


def read_curve_beside(fields: Fields, evaluation_date: date) -> Any:
    """The handle of `discount_curve` of a bootstrap: swaps are then discounted with it, not with the new curve."""
    if "discount_curve" not in fields:
        return None
    part = fields.part("discount_curve")
    build = part.choice("type", _BUILDERS, expected=", ".join(_BUILDERS))
    return build(part, evaluation_date).handle


_BUILDERS: Mapping[str, Callable[[Fields, date], Curve]] = {
    "flat": _flat,
    "zero": _zero,
    "discount": _discount,
    "bootstrap": _bootstrap,
}
