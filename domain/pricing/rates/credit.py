"""Credit value adjustment of an exposure profile, given or simulated: what the counterparty's default, and one's own, is expected to cost.

Source: J. Gregory, The xVA Challenge, chapters 17 and 18.

CVA = sum over i of EPE(t_i) x (S(t_i-1) - S(t_i)) x (1 - recovery), with S(t) = exp(-hazard_rate x t) from the
evaluation date on, t by `hazard_day_count`. DVA is the same sum over the negative exposure (its size, whatever its
sign), with `own_hazard_rate` and `own_recovery` where they are given, else with the counterparty's. The profile is
`profile`, or that of `swap` by simulation, which the answer then shows and labels `simulated`.
"""

from dataclasses import dataclass
from datetime import date
from math import exp, sqrt
from typing import Any

import numpy as np

from domain.pricing.fields import RATE_MAX, Fields
from domain.pricing.rates import conventions
from domain.pricing.rates.conventions import to_date
from domain.pricing.rates.curves import Curve, read_curve
from domain.pricing.rates.exposure import Exposure, Paths, simulated_exposure


@dataclass(frozen=True, slots=True)
class _Risk:
    """How probable a default between two dates of a profile is, times what is lost then, for both sides."""

    counterparty: list[float]
    own: list[float]


def credit_valuation_adjustment(fields: Fields) -> dict[str, Any]:
    """CVA and DVA, both as amounts of at least 0; `price` is the CVA."""
    if fields.one_of("profile", "swap") == "swap":
        return _of_simulation(fields)
    dates, positive, negative = _profile(fields)
    risk = _risk(fields, dates)
    curve = _discounting(fields)
    remark: dict[str, str] = {}
    if curve is not None:
        curve.require_from(dates[0], fields, "profile[0].date")
        remark = curve.extrapolated(dates[-1])
        factors = [curve.structure.discount(to_date(day)) for day in dates]
        positive = [amount * factor for amount, factor in zip(positive, factors, strict=True)]
        negative = [amount * factor for amount, factor in zip(negative, factors, strict=True)]
    cva, dva = _sum(positive, risk.counterparty), _sum(negative, risk.own)
    return {"price": cva, "cva": cva, "dva": dva, **remark}


def _of_simulation(fields: Fields) -> dict[str, Any]:
    """CVA and DVA of the swap's own profile, and the profile: discounted, and of the paths of one seed."""
    if not fields.flag("discounted", True):
        raise fields.fault("discounted", "true, as a simulated profile is")
    exposure = simulated_exposure(fields)
    risk = _risk(fields, exposure.dates)
    cva, cva_error = _of_paths(exposure.positive, risk.counterparty)
    dva, dva_error = _of_paths(exposure.negative, risk.own)
    return {
        "price": cva,
        "cva": cva,
        "dva": dva,
        "cva_standard_error": cva_error,
        "dva_standard_error": dva_error,
        "simulated": True,
        "paths": exposure.paths,
        "seed": exposure.seed,
        "profile": _shown(exposure),
        **exposure.remark,
    }


def _shown(exposure: Exposure) -> list[dict[str, Any]]:
    """The profile in the form in which a request gives one."""
    return [
        {"date": day.isoformat(), "epe": float(positive.mean()), "ene": -float(negative.mean()) + 0.0}
        for day, positive, negative in zip(exposure.dates, exposure.positive, exposure.negative, strict=True)
    ]


def _of_paths(exposures: list[Paths], losses: list[float]) -> tuple[float, float]:
    """The mean over all paths and its standard error; a path and its mirror image are one draw."""
    by_path = np.zeros_like(exposures[0])
    for exposure, loss in zip(exposures, losses, strict=True):
        by_path += exposure * loss
    pairs = by_path.reshape(2, -1).mean(axis=0)
    error = float(pairs.std(ddof=1)) / sqrt(len(pairs)) if len(pairs) > 1 else 0.0
    return float(by_path.mean()), error


def _risk(fields: Fields, dates: list[date]) -> _Risk:
    day_count = conventions.day_count(fields, "hazard_day_count", "Act/365F")
    today = to_date(fields.date("evaluation_date"))
    times = [day_count.yearFraction(today, to_date(day)) for day in dates]
    hazard_rate = fields.number("hazard_rate", least=0.0, most=RATE_MAX)
    recovery = fields.number("recovery", least=0.0, most=1.0)
    own_hazard_rate = fields.number("own_hazard_rate", hazard_rate, least=0.0, most=RATE_MAX)
    own_recovery = fields.number("own_recovery", recovery, least=0.0, most=1.0)
    return _Risk(
        _expected_losses(times, hazard_rate, recovery), _expected_losses(times, own_hazard_rate, own_recovery)
    )


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


def _expected_losses(times: list[float], hazard_rate: float, recovery: float) -> list[float]:
    """For each date, the share of its exposure that is expected to be lost."""
    survival, found = 1.0, []
    for time in times:
        following = exp(-hazard_rate * time)
        found.append((survival - following) * (1.0 - recovery))
        survival = following
    return found


def _sum(exposures: list[float], losses: list[float]) -> float:
    return sum((exposure * loss for exposure, loss in zip(exposures, losses, strict=True)), 0.0)
