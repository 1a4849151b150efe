"""Bonds with fixed coupons and with none: price from a yield, a clean price or a curve, and what follows from it.

Sources: QuantLib's schedules, coupons and cash-flow functions; F. J. Fabozzi, Bond Markets, Analysis, and Strategies,
chapters 3 and 4 (yield, duration, convexity).

Accrual dates are unadjusted; `convention` and `calendar` move payments only. All money is per `face`. A yield discounts
period by period with the bond's day count. Duration and convexity are the first and second derivative of the dirty price
by the yield, over the price (modified duration with its sign turned).
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import QuantLib as ql

from domain.pricing.fields import Fields
from domain.pricing.rates import conventions
from domain.pricing.rates.conventions import from_date, to_date
from domain.pricing.rates.curves import read_curve
from domain.pricing.rates.solving import NoYield, yield_of_price

SETTLEMENT_DAYS_MAX = 365
COUPON_MAX = 10.0


@dataclass(frozen=True, slots=True)
class _Bond:
    """A bond in the form that is computed with: its cash flows, the day it settles, how its yield compounds."""

    leg: Any
    settlement: Any
    day_count: Any
    compounding: tuple[Any, Any]

    @property
    def accrued_interest(self) -> float:
        return float(ql.CashFlows.accruedAmount(self.leg, False, self.settlement))

    @property
    def last_payment_date(self) -> date:
        return from_date(ql.CashFlows.maturityDate(self.leg))

    def rate(self, rate: float) -> Any:
        return ql.InterestRate(rate, self.day_count, *self.compounding)

    def dirty_price_of_yield(self, rate: float) -> float:
        return float(ql.CashFlows.npv(self.leg, self.rate(rate), False, self.settlement, self.settlement))

    def dirty_price_of_curve(self, handle: Any) -> float:
        return float(ql.CashFlows.npv(self.leg, handle, False, self.settlement, self.settlement))

    def duration(self, rate: float, kind: Any) -> float:
        return float(ql.CashFlows.duration(self.leg, self.rate(rate), kind, False, self.settlement))

    def convexity(self, rate: float) -> float:
        return float(ql.CashFlows.convexity(self.leg, self.rate(rate), False, self.settlement))


def fixed_rate_bond(fields: Fields) -> dict[str, Any]:
    """A bond with fixed coupons, which may step: the last rate of a list repeats."""
    source = fields.one_of("yield", "clean_price", "curve")
    bond = _read_bond(fields)
    accrued = bond.accrued_interest
    remark: dict[str, str] = {}
    if source == "yield":
        rate = fields.rate("yield")
        _check_yield(fields, "yield", rate, bond.compounding)
        dirty = bond.dirty_price_of_yield(rate)
        _check_price(fields, dirty)
    else:
        if source == "clean_price":
            dirty = fields.number("clean_price") + accrued
        else:
            dirty, remark = _price_off_curve(fields, bond)
        rate = _yield(fields, source, bond, dirty)
    return {
        "price": dirty,
        "clean_price": dirty - accrued,
        "dirty_price": dirty,
        "accrued_interest": accrued,
        "yield": rate,
        "macaulay_duration": bond.duration(rate, ql.Duration.Simple),
        "modified_duration": bond.duration(rate, ql.Duration.Modified),
        "convexity": bond.convexity(rate),
        "settlement_date": from_date(bond.settlement).isoformat(),
        **remark,
    }


def _read_bond(fields: Fields) -> _Bond:
    issue, start, maturity = _dates(fields)
    face = fields.number("face", 100.0, above=0.0)
    convention = conventions.convention(fields, "convention", "following")
    calendar = conventions.calendar(fields)
    day_count = conventions.day_count(fields, "day_count")
    compounding = conventions.compounding(fields)
    schedule = _schedule(fields, start, maturity)
    coupons = fields.numbers("coupon", least=0.0, most=COUPON_MAX)
    periods = len(schedule) - 1
    if len(coupons) > periods:
        raise fields.fault("coupon", f"at most {periods} rates, one a period", str(len(coupons)))
    bond = ql.FixedRateBond(
        0,
        face,
        schedule,
        coupons,
        day_count,
        convention,
        100.0,
        to_date(issue),
        calendar,
        ql.Period(fields.whole("ex_coupon_days", 0, most=366), ql.Days),
        conventions.calendar(fields, "ex_coupon_calendar") if "ex_coupon_calendar" in fields else calendar,
        ql.Unadjusted,
        False,
    )
    leg = bond.cashflows()
    settlement = _settlement(fields, calendar, issue, from_date(ql.CashFlows.maturityDate(leg)))
    last_period = fields.flag("simple_in_last_period", False) and _remaining_dates(leg, settlement) == 1
    terms = (ql.Simple, compounding[1]) if last_period else compounding
    return _Bond(leg, settlement, day_count, terms)


def _dates(fields: Fields) -> tuple[date, date, date]:
    """Issue, start of the first coupon, maturity; issue and start stand for one another."""
    if "issue_date" not in fields and "start_date" not in fields:
        raise fields.fault("issue_date", "issue_date or start_date", "neither")
    start = fields.date("start_date", fields.date("issue_date") if "issue_date" in fields else None)
    issue = fields.date("issue_date", start)
    maturity = fields.date("maturity_date")
    for name, day in (("start_date", start), ("issue_date", issue)):
        if maturity <= day:
            raise fields.fault("maturity_date", f"a date after {name} {day}")
    return issue, start, maturity


def _schedule(fields: Fields, start: date, maturity: date) -> Any:
    """Coupon periods backwards from maturity; `first_coupon_date` and `penultimate_coupon_date` place odd ones."""
    stubs, first = [], start
    for name in ("first_coupon_date", "penultimate_coupon_date"):
        if name not in fields:
            stubs.append(ql.Date())
            continue
        day = fields.date(name)
        if not start < day < maturity:
            raise fields.fault(name, f"a date after {start} and before {maturity}")
        start = day
        stubs.append(to_date(day))
    return ql.Schedule(
        to_date(first),
        to_date(maturity),
        _coupon_period(fields),
        ql.NullCalendar(),
        ql.Unadjusted,
        ql.Unadjusted,
        ql.DateGeneration.Backward,
        fields.flag("end_of_month", False),
        *stubs,
    )


def _coupon_period(fields: Fields) -> Any:
    """Months by `frequency`, or `coupon_period_days`, as the bonds of the Moscow Exchange have it."""
    if fields.one_of("frequency", "coupon_period_days") == "frequency":
        return ql.Period(conventions.frequency(fields, "frequency"))
    return ql.Period(fields.whole("coupon_period_days", least=7, most=3_660), ql.Days)


def _settlement(fields: Fields, calendar: Any, issue: date | None, last_payment: date) -> Any:
    """The day on which the bond settles: never before it is issued; a bond that is paid back has none."""
    if fields.one_of("settlement_date", "settlement_days") == "settlement_date":
        day = fields.date("settlement_date")
    else:
        days = fields.whole("settlement_days", most=SETTLEMENT_DAYS_MAX)
        day = from_date(calendar.advance(to_date(fields.date("evaluation_date")), days, ql.Days))
    if issue is not None:
        day = max(day, issue)
    if day >= last_payment:
        raise fields.fault("maturity_date", f"a last payment after settlement on {day}", str(last_payment))
    return to_date(day)


def _remaining_dates(leg: Any, settlement: Any) -> int:
    """How many days of payment are left."""
    return len({flow.date().serialNumber() for flow in leg if flow.date() > settlement})


def _check_yield(fields: Fields, name: str, rate: float, compounding: tuple[Any, Any]) -> None:
    """A compounded yield of -100 % a period or less discounts by nothing that is a number."""
    if compounding[0] == ql.Compounded and rate <= -float(compounding[1]):
        raise fields.fault(name, f"a yield above {-float(compounding[1]):g}")


def _check_price(fields: Fields, dirty: float) -> None:
    """A simple yield far below 0 turns the sign of a price."""
    if not dirty > 0.0:
        raise fields.fault("yield", "a yield that leaves the price above 0")


def _price_off_curve(fields: Fields, bond: _Bond) -> tuple[float, dict[str, str]]:
    curve = read_curve(fields)
    curve.require_from(from_date(bond.settlement), fields, "settlement_date")
    remark = curve.extrapolated(bond.last_payment_date)
    return bond.dirty_price_of_curve(curve.handle), remark


def _yield(fields: Fields, source: str, bond: _Bond, dirty: float) -> float:
    kind, frequency = bond.compounding
    lowest = -float(frequency) if kind == ql.Compounded else None
    if kind == ql.Simple:
        # A simple yield discounts up to the point where 1 + yield x time is 0.
        total = bond.dirty_price_of_yield(0.0)
        lowest = -1.0 / (total / bond.dirty_price_of_yield(1.0) - 1.0)
    try:
        return yield_of_price(bond.dirty_price_of_yield, dirty, lowest)
    except NoYield as none:
        raise fields.fault(source, str(none), f"a dirty price of {dirty:.12g}") from None


def zero_coupon_bond(fields: Fields) -> dict[str, Any]:
    """A bond that pays its face at maturity, from a curve or a yield."""
    source = fields.one_of("yield", "curve")
    face = fields.number("face", 100.0, above=0.0)
    calendar = conventions.calendar(fields)
    convention = conventions.convention(fields, "convention", "following")
    maturity = fields.date("maturity_date")
    payment = from_date(calendar.adjust(to_date(maturity), convention))
    issue = fields.date("issue_date") if "issue_date" in fields else None
    if issue is not None and maturity <= issue:
        raise fields.fault("maturity_date", f"a date after issue_date {issue}")
    settlement = _settlement(fields, calendar, issue, payment)
    remark: dict[str, str] = {}
    if source == "curve":
        curve = read_curve(fields)
        curve.require_from(from_date(settlement), fields, "settlement_date")
        remark = curve.extrapolated(payment)
        factor = curve.structure.discount(to_date(payment)) / curve.structure.discount(settlement)
    else:
        rate, compounding = fields.rate("yield"), conventions.compounding(fields)
        _check_yield(fields, "yield", rate, compounding)
        day_count = conventions.day_count(fields, "day_count", "Act/365F")
        factor = ql.InterestRate(rate, day_count, *compounding).discountFactor(settlement, to_date(payment))
        _check_price(fields, factor)
    price = face * factor
    return {
        "price": price,
        "clean_price": price,
        "dirty_price": price,
        "settlement_date": from_date(settlement).isoformat(),
        **remark,
    }
