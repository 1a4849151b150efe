"""Accrued interest of bonds: fixed, amortising, floating, ex coupon; days add up to the coupon."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest
import QuantLib as ql
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.accruals.coupons import (
    CouponBond,
    CouponPeriod,
    NotFixed,
    accrued_interest,
    coupon,
    coupon_periods,
    earned,
    ex_coupon_date,
)
from domain.pricing.fields import folded
from domain.pricing.rates.conventions import DAY_COUNTS, to_date
from schemas.numbers import exact_arithmetic

D = Decimal


@pytest.fixture(autouse=True)
def _exactly() -> Iterator[None]:
    with exact_arithmetic():
        yield


OFZ = CouponBond(
    "Act/365F",
    coupon_periods(date(2023, 9, 20), date(2026, 9, 16), 2, D(1000), [D("0.0775")]),
    frequency=2,
)


def test_an_amortising_bond_pays_on_what_is_outstanding():
    periods = coupon_periods(
        date(2023, 1, 31),
        date(2026, 1, 31),
        2,
        D(1000),
        [D("0.08"), D("0.09")],
        calendar="Russia",
        end_of_month=True,
        amortisation={date(2025, 1, 31): D(400)},
    )
    assert [period.face for period in periods] == [1000, 1000, 1000, 1000, 600, 600]
    assert [period.redemption for period in periods] == [0, 0, 0, 400, 0, 600]
    assert [period.rate for period in periods] == [D("0.08"), *[D("0.09")] * 5]
    assert periods[-1].end == date(2026, 1, 31) and periods[-1].payment_date == date(2026, 2, 2)
    with pytest.raises(ValueError, match="end of a period, found 2025-01-30"):
        coupon_periods(
            date(2023, 1, 31), date(2026, 1, 31), 2, D(1000), [D(0)], amortisation={date(2025, 1, 30): D(1)}
        )
    with pytest.raises(ValueError, match="at most the face"):
        coupon_periods(
            date(2023, 1, 31), date(2026, 1, 31), 2, D(1), [D(0)], amortisation={date(2025, 7, 31): D(2)}
        )


@settings(max_examples=30)
@given(
    st.sampled_from(("Act/365F", "Act/360", "30/360", "30E/360", "Act/Act(ISMA)", "Act/Act(ISDA)", "NL/365")),
    st.decimals("0", "0.5", places=5),
    st.integers(0, 4),
    st.sampled_from((1, 2, 4, 12)),
    st.dates(date(2019, 6, 1), date(2021, 6, 1)),
)
def test_the_days_of_a_period_add_up_to_its_coupon(
    day_count: str, rate: Decimal, decimals: int, frequency: int, start: date
):
    periods = coupon_periods(start, start + timedelta(days=400), frequency, D(1000), [rate])
    bond = CouponBond(day_count, periods, frequency, decimals)
    for period in periods:
        days = [period.start + timedelta(days=n) for n in range((period.end - period.start).days)]
        assert sum(earned(bond, day) for day in days) == coupon(bond, period)
        assert accrued_interest(bond, period.start) == 0
        so_far = D(0)
        for day in days:
            assert accrued_interest(bond, day) == so_far
            so_far += earned(bond, day)


@given(
    st.dates(date(2023, 9, 20), date(2026, 9, 15)), st.sampled_from(("Act/365F", "30/360", "Act/Act(ISMA)"))
)
def test_accrued_interest_is_that_of_quantlib(day: date, day_count: str):
    bond = CouponBond(day_count, OFZ.periods, 2, decimals=8)
    dates = [period.start for period in OFZ.periods] + [OFZ.periods[-1].end]
    schedule = ql.Schedule(
        [to_date(when) for when in dates],
        ql.NullCalendar(),
        ql.Unadjusted,
        ql.Unadjusted,
        ql.Period(6, ql.Months),
        ql.DateGeneration.Backward,
        False,
        [True] * (len(dates) - 1),
    )
    counter = (
        ql.ActualActual(ql.ActualActual.ISMA, schedule)
        if "ISMA" in day_count
        else DAY_COUNTS[folded(day_count)]()
    )
    reference = ql.FixedRateBond(0, 1000.0, schedule, [0.0775], counter, ql.Unadjusted, 1000.0)
    # QuantLib gives it per 100 of the face.
    expected = reference.accruedAmount(to_date(day)) * 10
    assert abs(float(accrued_interest(bond, day)) - expected) < 1e-6


def test_a_coupon_without_a_rate_accrues_by_its_amount():
    period = CouponPeriod(date(2024, 1, 1), date(2024, 4, 1), date(2024, 4, 1), D(1000), amount=D("20.25"))
    bond = CouponBond("Act/365F", (period,))
    assert accrued_interest(bond, date(2024, 2, 15)) == D("10.01")  # 20.25 x 45 / 91
    assert earned(bond, date(2024, 3, 31)) == D("20.25") - accrued_interest(bond, date(2024, 3, 31))


def test_outside_of_its_periods_nothing_accrues():
    assert accrued_interest(OFZ, date(2023, 9, 15)) == 0 == accrued_interest(OFZ, date(2026, 9, 16))
    assert earned(OFZ, date(2023, 9, 15)) == 0


def test_what_floats_accrues_once_it_is_fixed():
    period = CouponPeriod(date(2024, 1, 1), date(2024, 4, 1), date(2024, 4, 1), D(1000))
    for reckon in (accrued_interest, earned):
        with pytest.raises(NotFixed, match="2024-01-01 to 2024-04-01"):
            reckon(CouponBond("Act/365F", (period,)), date(2024, 2, 1))


def test_ex_coupon_the_seller_keeps_it():
    bond = CouponBond("Act/365F", OFZ.periods, 2, calendar="Russia", ex_coupon_days=3)
    period = OFZ.periods[0]
    assert period.end == date(2024, 3, 16)
    # Three business days before a Saturday.
    assert ex_coupon_date(bond, period) == date(2024, 3, 13)
    assert accrued_interest(bond, date(2024, 3, 12)) > 0
    ex = accrued_interest(bond, date(2024, 3, 13))
    assert ex == accrued_interest(OFZ, date(2024, 3, 13)) - coupon(bond, period) < 0
    # What is earned a day does not change: the coupon is owed to whoever held it.
    assert earned(bond, date(2024, 3, 13)) == earned(OFZ, date(2024, 3, 13))
