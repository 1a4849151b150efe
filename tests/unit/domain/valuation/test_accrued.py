"""Accrued interest by each way that terms may tell it; by conventions as QuantLib has it."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
import QuantLib as ql

from domain.valuation.accrued import accrued_interest, months_before
from schemas.numbers import exact_arithmetic

BOND = {
    "model": "bond",
    "face": "1000",
    "coupon": "0.0725",
    "frequency": "semiannual",
    "maturity_date": "2031-08-31",
}
COUNTS = {
    "ActAct(ISMA)": ql.ActualActual(ql.ActualActual.ISMA),
    "Act/365F": ql.Actual365Fixed(),
    "Act/360": ql.Actual360(),
    "30/360": ql.Thirty360(ql.Thirty360.BondBasis),
}


def of_quantlib(day: date, count: str) -> float:
    schedule = ql.Schedule(
        ql.Date(31, 8, 2021),
        ql.Date(31, 8, 2031),
        ql.Period(ql.Semiannual),
        ql.NullCalendar(),
        ql.Unadjusted,
        ql.Unadjusted,
        ql.DateGeneration.Backward,
        False,
    )
    bond = ql.FixedRateBond(0, 1000.0, schedule, [0.0725], COUNTS[count])
    return bond.accruedAmount(ql.Date(day.day, day.month, day.year)) * 10.0


@pytest.mark.parametrize("count", COUNTS)
def test_by_convention_it_is_as_quantlib_has_it(count: str):
    with exact_arithmetic():
        for days in range(0, 800, 7):
            day = date(2024, 2, 20) + timedelta(days)
            found = accrued_interest({**BOND, "day_count": count}, day)
            assert found is not None
            assert float(found) == pytest.approx(of_quantlib(day, count), abs=1e-9), day


def test_what_is_stated_for_the_day_holds_before_all_else():
    terms = {**BOND, "day_count": "Act/365F", "accrued_interest": "12.34", "accrual_date": "2026-01-05"}
    with exact_arithmetic():
        assert accrued_interest(terms, date(2026, 1, 5)) == Decimal("12.34")
        assert accrued_interest(terms, date(2026, 1, 6)) != Decimal("12.34")


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-01-05", "0"),
        ("2026-01-06", "0.25"),
        ("2026-07-06", "45.5"),
        ("2026-01-04", None),
        ("2026-07-07", None),
    ],
)
def test_equal_parts_of_a_coupon_that_is_known(day: str, expected: str | None):
    terms = {"coupon_amount": "45.50", "coupon_period_days": "182", "next_coupon_date": "2026-07-06"}
    with exact_arithmetic():
        found = accrued_interest(terms, date.fromisoformat(day))
    assert found == (None if expected is None else Decimal(expected))


def test_before_the_start_and_from_maturity_on_nothing_accrues():
    terms = {**BOND, "day_count": "Act/365F", "start_date": "2024-03-10"}
    with exact_arithmetic():
        assert accrued_interest(terms, date(2024, 3, 9)) == 0
        found = accrued_interest(terms, date(2024, 3, 20))
        assert found is not None
        assert float(found) == pytest.approx(72.5 * 10 / 365)
        assert accrued_interest(terms, date(2031, 8, 31)) == 0
    assert accrued_interest({"face": "1000"}, date(2024, 3, 9)) is None


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [("2024-08-31", 6, "2024-02-29"), ("2024-03-31", 1, "2024-02-29"), ("2024-01-15", 13, "2022-12-15")],
)
def test_months_keep_the_day_as_far_as_they_have_it(day: str, months: int, expected: str):
    assert months_before(date.fromisoformat(day), months) == date.fromisoformat(expected)
