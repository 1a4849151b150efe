"""Shares of a year: exact, and what QuantLib says to the last digit of its floats."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accruals.day_counts import day_count_fault, year_share
from domain.pricing.fields import folded
from domain.pricing.rates.conventions import DAY_COUNTS, to_date

NAMES = (
    "Act/360",
    "Act/365F",
    "NL/365",
    "Act/364",
    "Act/366",
    "Act/365.25",
    "30/360",
    "30/360(US)",
    "30/360(NASD)",
    "30E/360",
    "30E+/360",
    "30/360(German)",
    "30/365",
    "Bus/252",
    "Act/Act(ISDA)",
)
DAYS = st.dates(date(1999, 1, 1), date(2060, 12, 31))


@given(st.sampled_from(NAMES), DAYS, DAYS)
def test_shares_are_those_of_quantlib(name: str, one: date, other: date):
    start, end = sorted((one, other))
    expected = DAY_COUNTS[folded(name)]().yearFraction(to_date(start), to_date(end))
    assert abs(float(year_share(name, start, end)) - expected) < 1e-12 * max(1, abs(expected))


@given(DAYS, DAYS, DAYS, st.sampled_from(("Act/360", "Act/365F", "Act/Act(ISDA)", "Act/Act(ISMA)")))
def test_shares_of_actual_days_add_up(one: date, two: date, three: date, name: str):
    start, middle, end = sorted((one, two, three))
    if start == end:
        return
    whole = (start, end)
    parts = year_share(name, start, middle, whole) + year_share(name, middle, end, whole)
    assert parts == year_share(name, start, end, whole)


@pytest.mark.parametrize(
    ("name", "start", "end", "expected"),
    [
        ("Act/365F", date(2024, 2, 28), date(2024, 3, 1), Fraction(2, 365)),
        ("NL/365", date(2024, 2, 28), date(2024, 3, 1), Fraction(1, 365)),
        ("Act/360", date(2024, 2, 29), date(2024, 3, 1), Fraction(1, 360)),
        ("30/360", date(2024, 2, 29), date(2024, 3, 1), Fraction(2, 360)),
        ("30E/360", date(2023, 11, 27), date(2024, 2, 16), Fraction(79, 360)),
        ("Act/Act(ISDA)", date(2023, 12, 31), date(2024, 1, 2), Fraction(1, 365) + Fraction(1, 366)),
        # A year in which no period is a leap year, counted from a leap day.
        ("Act/Act(ISDA)", date(2024, 2, 29), date(2025, 2, 28), Fraction(307, 366) + Fraction(58, 365)),
    ],
)
def test_leap_days(name: str, start: date, end: date, expected: Fraction):
    assert year_share(name, start, end) == expected


def test_isma_counts_days_of_the_period():
    period = (date(2024, 1, 31), date(2024, 7, 31))
    assert year_share("Act/Act(ISMA)", date(2024, 1, 31), date(2024, 3, 1), period, 2) == Fraction(
        30, 182 * 2
    )


def test_names():
    assert day_count_fault("actual / 365 (fixed)") is None
    assert day_count_fault("Act/Act(AFB)") is not None and day_count_fault("") is not None
