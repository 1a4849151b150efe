"""Coupons: the periods of a bond, what has accrued on a day, what is paid at the end.

Owns: accrued interest and coupons of one bond, by its periods: fixed, amortising (each period has the face that is
outstanding in it) and floating (a period has its rate once that is fixed).
Assumes: `exact_arithmetic()` around it; accrual dates are unadjusted, payment dates moved by the calendar.
Guarantees: what accrues over the days of a period adds up to its coupon, since each day's share is the difference of
two rounded amounts: rounding leaves nothing over. A day belongs to the period that begins on it: on a coupon date
nothing has accrued. From the ex-coupon date on the buyer does not get the coupon, so accrued interest is negative.
Source: rules of the Moscow Exchange for accrued interest (a rate in force: face x rate x days / 365, half up to the
cent; none: coupon x days / days of the period); ICMA rule 251 for day counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from itertools import pairwise

import QuantLib as ql

from domain.accruals.day_counts import year_share
from domain.pricing.fields import folded
from domain.pricing.rates.conventions import CALENDARS, CONVENTIONS, from_date, to_date
from schemas.numbers import ZERO

_ROUNDING = Context(prec=2_000, rounding=ROUND_HALF_UP)
_MONTHS = {1: 12, 2: 6, 4: 3, 12: 1}
"""Months of a period by how many periods a year has."""


class NotFixed(Exception):
    """The rate of a floating period is not known: what accrues in it is not, either."""


@dataclass(frozen=True, slots=True)
class CouponPeriod:
    """One period: `rate` a year per 1.00 of the `face` outstanding, or the whole `amount` of a bond, or neither where a
    floating rate is not fixed. `redemption` of the face is paid back at its end."""

    start: date
    end: date
    payment_date: date
    face: Decimal
    rate: Decimal | None = None
    amount: Decimal | None = None
    redemption: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class CouponBond:
    """What accrues on one bond. `decimals` are those of an amount per bond; `ex_coupon_days` are business days of
    `calendar` before the end of a period."""

    day_count: str
    periods: tuple[CouponPeriod, ...]
    frequency: int = 1
    decimals: int = 2
    calendar: str = "null"
    ex_coupon_days: int = 0

    def period_of(self, day: date) -> CouponPeriod | None:
        """The period in which interest accrues on a day: the one that began on it or before; None outside of all."""
        return next((period for period in self.periods if period.start <= day < period.end), None)


def rounded(number: Decimal, decimals: int) -> Decimal:
    """`number` half up (away from zero) to so many decimals."""
    return number.quantize(Decimal(1).scaleb(-decimals), context=_ROUNDING)


def times(amount: Decimal, share: Fraction, decimals: int) -> Decimal:
    """`amount` times an exact share, rounded once."""
    product = Fraction(amount) * share
    scaled = product * 10**decimals
    whole, rest = divmod(abs(scaled.numerator), scaled.denominator)
    whole += 2 * rest >= scaled.denominator
    return Decimal(whole if scaled >= 0 else -whole).scaleb(-decimals, _ROUNDING)


def coupon(bond: CouponBond, period: CouponPeriod) -> Decimal:
    """What one bond is paid at the end of a period, without what is paid back. Raises NotFixed."""
    return (
        rounded(period.amount, bond.decimals)
        if period.amount is not None
        else _up_to(bond, period, period.end)
    )


def accrued_interest(bond: CouponBond, day: date) -> Decimal:
    """What has accrued on one bond by a settlement date; 0 outside of its periods, negative once it is ex coupon.

    Raises NotFixed.
    """
    period = bond.period_of(day)
    if period is None:
        return ZERO
    accrued = _up_to(bond, period, day)
    return accrued - coupon(bond, period) if day >= ex_coupon_date(bond, period) else accrued


def earned(bond: CouponBond, day: date) -> Decimal:
    """What one bond earns on a day: what a holder at its end has more than one at its beginning. Raises NotFixed."""
    period = bond.period_of(day)
    if period is None:
        return ZERO
    after = date.fromordinal(day.toordinal() + 1)
    until = coupon(bond, period) if after == period.end else _up_to(bond, period, after)
    return until - _up_to(bond, period, day)


def ex_coupon_date(bond: CouponBond, period: CouponPeriod) -> date:
    """From which settlement date on a buyer does not get the coupon of a period."""
    if not bond.ex_coupon_days:
        return period.end
    calendar = CALENDARS[folded(bond.calendar)]()
    return from_date(calendar.advance(to_date(period.end), -bond.ex_coupon_days, ql.Days, ql.Preceding))


def _up_to(bond: CouponBond, period: CouponPeriod, day: date) -> Decimal:
    if period.rate is not None:
        whole = (period.start, period.end)
        share = year_share(bond.day_count, period.start, day, whole, bond.frequency)
        return times(period.face * period.rate, share, bond.decimals)
    if period.amount is not None:
        days = Fraction((day - period.start).days, (period.end - period.start).days)
        return times(period.amount, days, bond.decimals)
    raise NotFixed(f"{period.start} to {period.end}")


def coupon_periods(
    start: date,
    maturity: date,
    frequency: int,
    face: Decimal,
    rates: Sequence[Decimal | None],
    *,
    calendar: str = "null",
    convention: str = "following",
    end_of_month: bool = False,
    amortisation: Mapping[date, Decimal] | None = None,
) -> tuple[CouponPeriod, ...]:
    """The periods of a bond, counted back from its maturity; the last of `rates` holds for the periods that follow.

    `frequency` is 1, 2, 4 or 12 a year. `amortisation` says what of the face is paid back at the ends of which periods;
    what is left is paid back at maturity. Raises ValueError where it names another day, or more than the face.
    """
    schedule = ql.Schedule(
        to_date(start),
        to_date(maturity),
        ql.Period(_MONTHS[frequency], ql.Months),
        ql.NullCalendar(),
        ql.Unadjusted,
        ql.Unadjusted,
        ql.DateGeneration.Backward,
        end_of_month,
    )
    moved, rule = CALENDARS[folded(calendar)](), CONVENTIONS[folded(convention)]
    days = [from_date(day) for day in schedule.dates()]
    back = dict(amortisation or {})
    unknown = sorted(back.keys() - set(days[1:]))
    if unknown:
        raise ValueError(f"expected amortisation at the end of a period, found {unknown[0]}")
    if sum(back.values(), ZERO) > face:
        raise ValueError(
            f"expected amortisation of at most the face {face}, found {sum(back.values(), ZERO)}"
        )
    periods = []
    for number, (first, last) in enumerate(pairwise(days)):
        redemption = face if last == maturity else back.get(last, ZERO)
        paid = from_date(moved.adjust(to_date(last), rule))
        rate = rates[min(number, len(rates) - 1)] if rates else None
        periods.append(CouponPeriod(first, last, paid, face, rate, None, redemption))
        face -= redemption
    return tuple(periods)
