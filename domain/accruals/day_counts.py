"""The share of a year between two dates, as an exact fraction of whole days.

Owns: the denominators of day counts. The days themselves, and what a day is under `30/360`, are QuantLib's.
Guarantees: no float: what is accrued over a period, day by day, is an exact decimal before it is rounded.
Source: ISDA 2006 Definitions, section 4.16; ICMA rule 251 for `Act/Act(ISMA)`.
"""

from datetime import date
from fractions import Fraction

import QuantLib as ql

from domain.pricing.fields import folded
from domain.pricing.rates.conventions import DAY_COUNTS, to_date

_DENOMINATORS: dict[str, Fraction] = {
    name: Fraction(days)
    for names, days in (
        (("Act/360", "Actual/360", "A/360"), 360),
        (("Act/365F", "Act/365", "Act/365(Fixed)", "Actual/365F", "Actual/365", "Actual/365(Fixed)"), 365),
        (("A/365F", "A/365", "NL/365", "Act/365(NoLeap)", "Actual/365(NoLeap)", "30/365"), 365),
        (("Act/364", "Actual/364"), 364),
        (("Act/366", "Actual/366"), 366),
        (("30/360", "30/360(BondBasis)", "30/360(ISMA)", "Thirty360", "Thirty360(BondBasis)"), 360),
        (("30/360(US)", "30/360(USA)", "30U/360", "30/360(NASD)", "30E/360", "30/360(European)"), 360),
        (("30/360(EurobondBasis)", "30E+/360", "30/360(Italian)"), 360),
        (("30/360(German)", "30E/360(ISDA)", "30/360(ISDA)"), 360),
        (("Bus/252", "Business/252"), 252),
    )
    for name in map(folded, names)
} | {folded(name): Fraction(36_525, 100) for name in ("Act/365.25", "Actual/365.25")}

_BY_PERIOD = {
    folded(name)
    for name in (
        "Act/Act(ISMA)",
        "Act/Act(ICMA)",
        "Act/Act(Bond)",
        "ActualActual(ISMA)",
        "ActualActual(ICMA)",
        "ActualActual(Bond)",
    )
}
_BY_YEAR = {folded(name) for name in ("Act/Act(ISDA)", "Act/Act", "ActualActual(ISDA)", "ActualActual")}


def day_count_fault(name: str) -> str | None:
    """What a day count should be, where `name` is none that accrues here; None where it is one."""
    known = folded(name)
    if known in _DENOMINATORS or known in _BY_PERIOD or known in _BY_YEAR:
        return None
    return "a day count: Act/365F, Act/360, 30/360, 30E/360, Act/Act(ISMA), Act/Act(ISDA), NL/365, Bus/252"


def days_between(name: str, start: date, end: date) -> int:
    """Days from `start` to `end` as a day count sees them. Raises KeyError for a name that is none."""
    found: int = DAY_COUNTS[folded(name)]().dayCount(to_date(start), to_date(end))
    return found


def year_share(
    name: str, start: date, end: date, period: tuple[date, date] | None = None, frequency: int = 1
) -> Fraction:
    """The share of a year from `start` to `end`.

    `period` is the coupon period that holds both and `frequency` how many of them a year has; only `Act/Act(ISMA)`
    asks for them. Raises KeyError for a name that is no day count of `day_count_fault`.
    """
    known = folded(name)
    if known in _BY_PERIOD:
        first, last = period or (start, end)
        whole = (last - first).days
        return Fraction((end - start).days, whole * frequency) if whole else Fraction(0)
    if known in _BY_YEAR:
        return _by_year(start, end)
    return days_between(name, start, end) / _DENOMINATORS[known]


def _by_year(start: date, end: date) -> Fraction:
    """Days of leap years over 366, other days over 365."""
    if end < start:
        return -_by_year(end, start)
    share = Fraction(0)
    while start.year < end.year:
        following = date(start.year + 1, 1, 1)
        share += Fraction((following - start).days, _days_of(start.year))
        start = following
    return share + Fraction((end - start).days, _days_of(end.year))


def _days_of(year: int) -> int:
    return 366 if ql.Date.isLeap(year) else 365
