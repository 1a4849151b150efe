"""The accrued interest of one bond on a day, in exact decimals.

Owns: the three ways in which terms may tell it, in the order in which they hold: stated for the day itself; equal parts
of a coupon of known amount; the coupon's conventions (ActAct(ISMA), Act/365F, Act/360, 30/360 US).
Assumes: terms as `schemas.pricing_terms` checks them. Accrual is to the day asked for, which the caller takes from the
time of the mark; periods go back from maturity in whole months, days at the end of a month kept.
Guarantees: None where the terms do not tell it; a division that does not end is rounded half-even to 36 decimals. What
markets round to (the cent, the kopeck) is not applied here.
"""

import calendar
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from schemas.numbers import ZERO, divide_money
from schemas.pricing_terms import FREQUENCIES


def accrued_interest(terms: Mapping[str, Any], day: date) -> Decimal | None:
    """What one bond has accrued on `day`; None where its terms do not say."""
    if terms.get("accrual_date") == day.isoformat():
        return Decimal(terms["accrued_interest"])
    if "coupon_amount" in terms:
        return _part_of_amount(terms, day)
    if "coupon" in terms:
        return _by_convention(terms, day)
    return None


def _part_of_amount(terms: Mapping[str, Any], day: date) -> Decimal | None:
    """Coupon x days since the last payment / days of the period, while the declared period runs."""
    days_left = (date.fromisoformat(terms["next_coupon_date"]) - day).days
    period = Decimal(terms["coupon_period_days"])
    if not 0 <= days_left <= period:
        return None
    return divide_money(Decimal(terms["coupon_amount"]) * (period - days_left), period)


def _by_convention(terms: Mapping[str, Any], day: date) -> Decimal | None:
    maturity = date.fromisoformat(terms["maturity_date"])
    if day >= maturity:
        return ZERO
    frequency = FREQUENCIES[terms["frequency"]]
    start, end = _period(maturity, 12 // frequency, day)
    if "start_date" in terms:
        first = date.fromisoformat(terms["start_date"])
        if day < first:
            return ZERO
        start = max(start, first)
    nominal = Decimal(terms["face"]) * Decimal(terms["coupon"])
    count = terms["day_count"]
    days = (day - start).days
    if count == "ActAct(ISMA)":
        whole_start, _ = _period(maturity, 12 // frequency, day)
        return divide_money(nominal * days, Decimal(frequency * (end - whole_start).days))
    if count == "30/360":
        days = _thirty_days(start, day)
    return divide_money(nominal * days, Decimal(365 if count == "Act/365F" else 360))


def _period(maturity: date, months: int, day: date) -> tuple[date, date]:
    """The period of a coupon in which `day` stands; its first day counts, its last does not."""
    end, number = maturity, 0
    while True:
        number += 1
        start = months_before(maturity, number * months)
        if start <= day:
            return start, end
        end = start


def months_before(day: date, months: int) -> date:
    """The same day some months before; the last of a month that has no such day."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _thirty_days(start: date, end: date) -> int:
    """Days of 30/360 (US bond basis), without its rule for February."""
    first = min(start.day, 30)
    last = 30 if end.day == 31 and first == 30 else end.day
    return 360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first
