"""The exposure of an interest rate swap to its counterparty, by simulation of the short rate (Hull and White, one factor).

Source: D. Brigo, F. Mercurio, Interest Rate Models, chapter 3.3 (the model, its bonds); J. Gregory, The xVA Challenge,
chapter 15 (exposure profiles).

r(t) = x(t) + phi(t), dx = -a x dt + sigma dW, phi fits the curve of the request. x and its integral are drawn exactly at
each date, so that dates far apart cost no accuracy; for each path there is its mirror image (antithetic). A floating
coupon is fixed on its path; what a forecast curve adds to the curve that discounts is held as it is today.
Guarantees: the same request gives the same figures; with a volatility of 0 they are those of today's forward rates.
"""

from dataclasses import dataclass, field
from datetime import date
from math import exp, expm1, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import QuantLib as ql

from domain.pricing.fields import Fields
from domain.pricing.rates import conventions
from domain.pricing.rates.conventions import from_date, to_date
from domain.pricing.rates.curves import Curve, read_curve
from domain.pricing.rates.swaps import build_swap, check_curves

PATHS_DEFAULT, PATHS_MAX = 10_000, 200_000
SEED_DEFAULT = 7
DRAWS_MAX = 20_000_000
"""Most paths x dates of a request."""

MEAN_REVERSION_LEAST, MEAN_REVERSION_MOST = 1e-3, 10.0
VOLATILITY_MOST = 1.0
_DAYS_A_YEAR = 365.0

Paths = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exposure:
    """The discounted positive and negative part of a swap's value by date and path, and what was simulated."""

    dates: list[date]
    positive: list[Paths]
    negative: list[Paths]
    seed: int
    remark: dict[str, str]

    @property
    def paths(self) -> int:
        """How many paths, mirror images counted."""
        return len(self.positive[0])


@dataclass(frozen=True, slots=True)
class _Model:
    """Hull-White with times in years from today; `a` is the mean reversion."""

    a: float
    sigma: float
    curve: Curve
    today: Any
    _discounts: dict[int, float] = field(default_factory=dict)

    def time(self, day: Any) -> float:
        return float((day - self.today) / _DAYS_A_YEAR)

    def discount(self, day: Any) -> float:
        """Today's price of a bond. Each is asked for at every date of the profile."""
        serial = day.serialNumber()
        found = self._discounts.get(serial)
        if found is None:
            structure = self.curve.structure
            found = self._discounts[serial] = structure.discount(day) / structure.discount(self.today)
        return found

    def reach(self, years: float) -> float:
        """B: how much a bond of that many years moves with x."""
        return -expm1(-self.a * years) / self.a

    def integral_variance(self, years: float) -> float:
        """V: the variance of the integral of x over that many years."""
        a = self.a
        decay = 2.0 / a * exp(-a * years) - 0.5 / a * exp(-2.0 * a * years) - 1.5 / a
        return max((self.sigma / a) ** 2 * (years + decay), 0.0)

    def bond(self, at: Any, x: Paths, until: Any) -> Paths:
        """The price on a day, by path, of a bond that ends on a later one."""
        start, end = self.time(at), self.time(until)
        v = self.integral_variance
        known = self.discount(until) / self.discount(at) * exp(0.5 * (v(end - start) - v(end) + v(start)))
        found: Paths = known * np.exp(-self.reach(end - start) * x)
        return found


@dataclass(slots=True)
class _Payment:
    """A payment of the swap, signed. Where it is floating, what its rate is made of; `fixed` once it is known, by path."""

    day: Any
    amount: float = 0.0
    fixing_day: Any = None
    start: Any = None
    end: Any = None
    years: float = 0.0
    weight: float = 0.0
    basis: float = 0.0
    fixed: Paths | None = None

    def rate(self, model: _Model, at: Any, x: Paths) -> Paths:
        ratio = model.bond(at, x, self.start) / model.bond(at, x, self.end)
        found: Paths = (ratio - 1.0) / self.years + self.basis
        return found

    def value(self, model: _Model, at: Any, x: Paths) -> Paths:
        discount = model.bond(at, x, self.day)
        if self.fixing_day is None:
            return self.amount * discount
        rate = self.fixed if self.fixed is not None else self.rate(model, at, x)
        found: Paths = (self.amount + self.weight * rate) * discount
        return found


def simulated_exposure(fields: Fields) -> Exposure:
    """The exposure of `swap` (the fields of an interest rate swap), discounted by `curve`, as `simulation` says."""
    part, terms = fields.part("swap"), fields.part("simulation")
    curve = read_curve(fields)
    forecast = read_curve(fields, "forecast_curve") if "forecast_curve" in fields else curve
    swap = build_swap(_with_date(part, fields), forecast.handle)
    remark = check_curves(swap, curve, forecast)
    today = to_date(fields.date("evaluation_date"))
    curve.require_by(from_date(today))
    model = _Model(
        terms.number("mean_reversion", 0.03, least=MEAN_REVERSION_LEAST, most=MEAN_REVERSION_MOST),
        terms.number("volatility", least=0.0, most=VOLATILITY_MOST),
        curve,
        today,
    )
    payments = _payments(swap, model)
    days = _days(terms, today, max(payment.day for payment in payments))
    seed = terms.whole("seed", SEED_DEFAULT, most=999_999_999)
    paths = terms.whole("paths", PATHS_DEFAULT, least=2, most=PATHS_MAX)
    if paths * len(days) > DRAWS_MAX:
        expected = f"at most {DRAWS_MAX // len(days):,} paths over {len(days)} dates"
        raise terms.fault("paths", expected, str(paths))
    positive, negative = _simulate(model, payments, days, paths // 2, seed)
    return Exposure([from_date(day) for day in days], positive, negative, seed, remark)


def _with_date(part: Fields, fields: Fields) -> Fields:
    """The swap's fields with the evaluation date of the request."""
    return part.extended({"evaluation_date": fields.values.get("evaluation_date")})


def _days(terms: Fields, today: Any, last: Any) -> list[Any]:
    """The dates of the profile: `dates`, or one a period of `frequency` from today on, and the last payment."""
    if "dates" in terms:
        given = [to_date(day) for day in terms.dates("dates")]
        if given[0] <= today:
            raise terms.fault(
                "dates[0]", f"a date after the evaluation_date {from_date(today)}", str(from_date(given[0]))
            )
        return given
    period = ql.Period(conventions.frequency(terms, "frequency", "quarterly"))
    days, count = [], 1
    while (day := today + period * count) < last:
        days.append(day)
        count += 1
    return [*days, last]


def _payments(swap: Any, model: _Model) -> list[_Payment]:
    """What is still to be paid, seen by the side that the request names."""
    found = []
    sign = 1.0 if swap.type() == ql.Swap.Payer else -1.0
    for leg, way in ((swap.fixedLeg(), -sign), (swap.floatingLeg(), sign)):
        for flow in leg:
            if flow.date() <= model.today:
                continue
            coupon = ql.as_floating_rate_coupon(flow)
            if coupon is None or coupon.fixingDate() < model.today:
                found.append(_Payment(flow.date(), way * flow.amount()))
            else:
                found.append(_floating(coupon, way, model))
    return found


def _floating(coupon: Any, way: float, model: _Model) -> _Payment:
    weight = way * coupon.nominal() * coupon.accrualPeriod()
    start, end = max(coupon.accrualStartDate(), model.today), coupon.accrualEndDate()
    years = coupon.index().dayCounter().yearFraction(coupon.accrualStartDate(), end)
    payment = _Payment(
        coupon.date(), weight * coupon.spread(), coupon.fixingDate(), start, end, years, weight
    )
    rate = (model.discount(start) / model.discount(end) - 1.0) / years
    payment.basis = coupon.rate() - coupon.spread() - rate
    return payment


def _simulate(
    model: _Model, payments: list[_Payment], days: list[Any], pairs: int, seed: int
) -> tuple[list[Paths], list[Paths]]:
    chance = np.random.default_rng(seed)
    fixings = {payment.fixing_day for payment in payments if payment.fixing_day is not None}
    serials = {day.serialNumber(): day for day in [*days, *fixings]}
    wanted = {day.serialNumber() for day in days}
    x, integral = np.zeros(2 * pairs), np.zeros(2 * pairs)
    positive: list[Paths] = []
    negative: list[Paths] = []
    before = 0.0
    for serial in sorted(serials):
        day = serials[serial]
        now = model.time(day)
        if now > before:
            x, integral = _drawn(model, now - before, x, integral, chance)
            before = now
        for payment in payments:
            if payment.fixing_day is not None and payment.fixing_day == day:
                payment.fixed = payment.rate(model, day, x)
        if serial in wanted:
            value = np.zeros_like(x)
            for payment in payments:
                if payment.day > day:
                    value += payment.value(model, day, x)
            discount = model.discount(day) * np.exp(-integral - 0.5 * model.integral_variance(now))
            value *= discount
            positive.append(np.maximum(value, 0.0))
            negative.append(np.maximum(-value, 0.0))
    return positive, negative


def _drawn(
    model: _Model, years: float, x: Paths, integral: Paths, chance: np.random.Generator
) -> tuple[Paths, Paths]:
    """x and its integral after some time: two normal numbers with the covariance that they have together."""
    a, sigma, reach = model.a, model.sigma, model.reach(years)
    deviation = sigma * sqrt(-expm1(-2.0 * a * years) / (2.0 * a))
    first, second = (chance.standard_normal(len(x) // 2) for _ in range(2))
    first, second = np.concatenate((first, -first)), np.concatenate((second, -second))
    covariance = 0.5 * (sigma * reach) ** 2
    along = covariance / deviation if deviation > 0.0 else 0.0
    rest = sqrt(max(model.integral_variance(years) - along * along, 0.0))
    moved = integral + x * reach + along * first + rest * second
    return x * exp(-a * years) + deviation * first, moved
