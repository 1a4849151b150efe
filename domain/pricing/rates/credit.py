"""Credit value adjustment of an exposure profile: what the counterparty's default, and one's own, is expected to cost.

Source: J. Gregory, The xVA Challenge, chapters 17 and 18.

CVA = sum over i of EPE(t_i) x (S(t_i-1) - S(t_i)) x (1 - recovery), with S(t) = exp(-hazard_rate x t) from the
evaluation date on, t by `hazard_day_count`. DVA is the same sum over the negative exposure (its size, whatever its
sign), with `own_hazard_rate` and `own_recovery` where they are given, else with the counterparty's.
"""

from datetime import date
from math import exp
from typing import Any

from domain.pricing.fields import RATE_MAX, Fields
from domain.pricing.rates import conventions
from domain.pricing.rates.conventions import to_date
from domain.pricing.rates.curves import Curve, read_curve


def credit_valuation_adjustment(fields: Fields) -> dict[str, Any]:
    """CVA and DVA, both as amounts of at least 0; `price` is the CVA."""
    dates, positive, negative = _profile(fields)
    day_count = conventions.day_count(fields, "hazard_day_count", "Act/365F")
    today = to_date(fields.date("evaluation_date"))
    times = [day_count.yearFraction(today, to_date(day)) for day in dates]
    hazard_rate = fields.number("hazard_rate", least=0.0, most=RATE_MAX)
    recovery = fields.number("recovery", least=0.0, most=1.0)
    own_hazard_rate = fields.number("own_hazard_rate", hazard_rate, least=0.0, most=RATE_MAX)
    own_recovery = fields.number("own_recovery", recovery, least=0.0, most=1.0)
    curve = _discounting(fields)
    remark: dict[str, str] = {}
    if curve is not None:
        curve.require_from(dates[0], fields, "profile[0].date")
        remark = curve.extrapolated(dates[-1])
        factors = [curve.structure.discount(to_date(day)) for day in dates]
        positive = [amount * factor for amount, factor in zip(positive, factors, strict=True)]
        negative = [amount * factor for amount, factor in zip(negative, factors, strict=True)]
    cva = _expected_loss(positive, times, hazard_rate, recovery)
    dva = _expected_loss(negative, times, own_hazard_rate, own_recovery)
    return {"price": cva, "cva": cva, "dva": dva, **remark}


def _profile(fields: Fields) -> tuple[list[date], list[float], list[float]]:
    """Dates and the size of positive and negative exposure at them; each entry has a date and at least one of both."""
    dates: list[date] = []
    positive, negative = [], []
    before = fields.date("evaluation_date")
    for point in fields.parts("profile"):
        day = point.date("date")
        if day < before or (dates and day == before):
            raise point.fault("date", f"a date after {before}")
        if "epe" not in point and "ene" not in point:
            raise point.fault("epe", "epe, ene or both", "neither")
        dates.append(day)
        positive.append(point.number("epe", 0.0, least=0.0))
        negative.append(abs(point.number("ene", 0.0)))
        before = day
    return dates, positive, negative


def _discounting(fields: Fields) -> Curve | None:
    """The curve that discounts the profile; None where it is discounted already."""
    discounted = fields.flag("discounted", "curve" not in fields)
    if discounted and "curve" in fields:
        raise fields.fault("curve", "none, as the profile is discounted", "a curve")
    if not discounted and "curve" not in fields:
        raise fields.fault("curve", "a curve, as the profile is not discounted", "nothing")
    return None if discounted else read_curve(fields)


def _expected_loss(exposures: list[float], times: list[float], hazard_rate: float, recovery: float) -> float:
    survival, total = 1.0, 0.0
    for exposure, time in zip(exposures, times, strict=True):
        following = exp(-hazard_rate * time)
        total += exposure * (survival - following)
        survival = following
    return total * (1.0 - recovery)
