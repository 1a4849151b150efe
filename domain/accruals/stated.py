"""Accrued interest that an exchange states, reproduced from a bond's coupon: by which convention, or why not.

An answer of the exchange does not say by which day count a bond accrues, so the conventions of its market are tried, the
usual one first: face x rate x days / 365; the share of a known coupon; 30/360 and actual days over those of the year, by which
eurobonds accrue. What accrues in another currency than it is settled in is converted at one rate of a currency for all
bonds, which is given, or is the one that most of them imply.

Assumes: `exact_arithmetic()` around it. Guarantees: a figure counts as reproduced only where it is equal to the last decimal
that the exchange states.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import QuantLib as ql

from domain.accruals.coupons import CouponBond, CouponPeriod, accrued_interest, rounded
from domain.pricing.rates.conventions import from_date, to_date
from schemas.accruals import StatedBond
from schemas.numbers import ZERO, divide_price

RATE_DECIMALS = 4
"""Decimals of an official rate of exchange."""

_CENTS = 2
_FINE = 6
"""Decimals to which eurobonds' figures are stated."""

_MONTH_DAYS = Fraction(365, 12)


class Convention(StrEnum):
    """How a figure was reproduced."""

    NO_COUPON = "no coupon: nothing accrues"
    COUPON_DATE = "coupon date: the next period begins"
    RATE = "face x rate x days / 365"
    AMOUNT = "coupon x days / days of the period"
    WHOLE_PERIOD = "face x rate x days / 365, from before its issue (the period of the bond that it replaced)"
    THIRTY = "face x rate by 30/360"
    ACTUAL = "face x rate by Act/Act(ISDA)"


class Reason(StrEnum):
    """Why a figure was not reproduced."""

    NOT_STATED = "the exchange states none"
    FLOATING = "floating: the rate, or the coupon, of the period is not in the answer"
    ZERO = "the exchange states 0 though a coupon is known: structured or subordinated, it does not accrue by time"
    NO_RATE = "no rate of exchange for its currency"
    OTHER = "none of the conventions gives the figure"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one bond: the convention by which its figure is reproduced (`converted` if in another currency), or
    why it is not, with the nearest figure."""

    bond: StatedBond
    convention: Convention | None = None
    reason: Reason | None = None
    converted: bool = False
    nearest: Decimal | None = None


def compare(bonds: Iterable[StatedBond], rates: Mapping[str, Decimal]) -> Iterator[Outcome]:
    """Each bond's outcome; `rates` by currency, in that of settlement."""
    for bond in bonds:
        yield _outcome(bond, rates)


def implied_rates(bonds: Iterable[StatedBond]) -> dict[str, tuple[Decimal, int]]:
    """By currency the rate of exchange that most bonds of it imply, and how many do; none where no two agree."""
    votes: dict[str, Counter[Decimal]] = {}
    for bond in bonds:
        if bond.currency == bond.settlement_currency or not bond.accrued:
            continue
        found = {
            rounded(divide_price(bond.accrued, exact), RATE_DECIMALS)
            for _, accrued in _candidates(bond, _FINE)
            for exact in (accrued, rounded(accrued, _CENTS))
            if exact
        }
        votes.setdefault(bond.currency, Counter()).update(found)
    return {
        currency: most
        for currency, counted in sorted(votes.items())
        for most in counted.most_common(1)
        if most[1] > 1
    }


def _outcome(bond: StatedBond, rates: Mapping[str, Decimal]) -> Outcome:
    stated = bond.accrued
    if stated is None:
        return Outcome(bond, reason=Reason.NOT_STATED)
    if not bond.next_coupon or not bond.period_days:
        return _zero(bond, stated, Convention.NO_COUPON)
    if bond.next_coupon == bond.settlement_date:
        return _zero(bond, stated, Convention.COUPON_DATE)
    if not bond.amount and bond.rate is None:
        if not stated:
            return Outcome(bond, Convention.NO_COUPON)
        return Outcome(bond, reason=Reason.FLOATING)
    converted = bond.currency != bond.settlement_currency
    rate = _rate(bond, rates)
    if converted and rate is None and stated:
        return Outcome(bond, reason=Reason.NO_RATE, converted=True)
    decimals = max(_CENTS, -int(stated.as_tuple().exponent))
    nearest: Decimal | None = None
    for convention, accrued in _candidates(bond, max(_FINE, decimals)):
        for exact in (rounded(accrued, _CENTS), rounded(accrued, _FINE), accrued):
            expected = rounded(exact if rate is None else exact * rate, decimals)
            if expected == stated:
                return Outcome(bond, convention, converted=converted)
            if nearest is None or abs(expected - stated) < abs(nearest - stated):
                nearest = expected
    reason = Reason.ZERO if not stated else Reason.FLOATING if bond.rate is None else Reason.OTHER
    return Outcome(bond, reason=reason, converted=converted, nearest=nearest)


def _rate(bond: StatedBond, rates: Mapping[str, Decimal]) -> Decimal | None:
    """What its currency costs in that of its settlement, crossed where both have a rate; None where not, or where they
    are one."""
    if bond.currency == bond.settlement_currency:
        return None
    rate, into = rates.get(bond.currency), rates.get(bond.settlement_currency)
    return rate if into is None or rate is None else divide_price(rate, into)


def _zero(bond: StatedBond, stated: Decimal, convention: Convention) -> Outcome:
    if not stated:
        return Outcome(bond, convention)
    return Outcome(bond, reason=Reason.OTHER, nearest=ZERO)


def _candidates(bond: StatedBond, decimals: int) -> Iterator[tuple[Convention, Decimal]]:
    """What has accrued on a bond by each convention that it has the figures for, in its own currency."""
    if not bond.next_coupon or not bond.period_days:
        return
    end, settled = date.fromisoformat(bond.next_coupon), date.fromisoformat(bond.settlement_date)
    start = end - timedelta(days=bond.period_days)
    months = _months(bond)
    nominal = from_date(to_date(end) - ql.Period(months, ql.Months)) if months else start
    if bond.rate is not None:
        yield Convention.RATE, _accrued("Act/365F", bond, start, end, settled, decimals)
    if bond.amount:
        period = CouponPeriod(start, end, end, bond.face, amount=bond.amount)
        yield Convention.AMOUNT, accrued_interest(CouponBond("Act/365F", (period,), 1, decimals), settled)
    if bond.rate is not None:
        yield Convention.THIRTY, _accrued("30/360", bond, nominal, end, settled, decimals)
        yield Convention.ACTUAL, _accrued("Act/Act(ISDA)", bond, nominal, end, settled, decimals)
        yield Convention.WHOLE_PERIOD, _accrued("Act/365F", bond, nominal, end, settled, decimals)


def _months(bond: StatedBond) -> int:
    """Of how many months a coupon is: as many as its amount says, else as its period has days."""
    if bond.rate and bond.amount and bond.face:
        return round(12 * Fraction(bond.amount) / (Fraction(bond.face) * Fraction(bond.rate)))
    return round(bond.period_days / _MONTH_DAYS)


def _accrued(
    day_count: str, bond: StatedBond, start: date, end: date, settled: date, decimals: int
) -> Decimal:
    period = CouponPeriod(start, end, end, bond.face, rate=bond.rate)
    return accrued_interest(CouponBond(day_count, (period,), 1, decimals), settled)
