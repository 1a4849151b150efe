"""Bonds: against plain sums, from yield to price and back, off curves."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.pricing_reference import bond_price
from tests.pricing_support import BOND, priced, refused

FREQUENCIES = {"annual": 1, "semiannual": 2, "quarterly": 4, "monthly": 12}
PLAIN: dict[str, Any] = {
    "evaluation_date": "2024-02-15",
    "settlement_date": "2024-02-15",
    "start_date": "2020-07-10",
    "maturity_date": "2030-07-10",
    "frequency": "semiannual",
    "coupon": 0.05,
    "day_count": "ActAct(ISMA)",
}


def _flat(rate: float, **terms: Any) -> dict[str, Any]:
    return {"type": "flat", "rate": rate, "day_count": "Act/365F", **terms}


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("coupon", [0, 0.05, 0.12])
@pytest.mark.parametrize("rate", [-0.01, 0, 0.04, 0.25])
@pytest.mark.parametrize("days", [0, 1, 155, 156, 1500, 2300])
def test_against_plain_sums(frequency: str, coupon: float, rate: float, days: int):
    settlement = date(2024, 2, 15) + timedelta(days=days)
    dirty, accrued = bond_price(
        date(2020, 7, 10), date(2030, 7, 10), settlement, coupon, FREQUENCIES[frequency], rate
    )
    terms = {**PLAIN, "settlement_date": str(settlement), "frequency": frequency, "coupon": coupon}
    answer = priced("fixed_rate_bond", **terms, **{"yield": rate, "compounding": frequency})
    assert answer["price"] == answer["dirty_price"] == pytest.approx(dirty, abs=1e-10)
    assert answer["accrued_interest"] == pytest.approx(accrued, abs=1e-10)
    assert answer["clean_price"] == pytest.approx(dirty - accrued, abs=1e-10)


@pytest.mark.parametrize("compounding", [*FREQUENCIES, "continuous"])
@pytest.mark.parametrize("rate", [-0.02, 0.0, 0.03, 0.5])
@pytest.mark.parametrize("simple", [False, True])
@pytest.mark.parametrize("settlement", ["2024-02-15", "2030-03-01"])
def test_a_yield_is_the_yield_of_its_clean_price(
    compounding: str, rate: float, simple: bool, settlement: str
):
    terms = {
        **PLAIN,
        "settlement_date": settlement,
        "compounding": compounding,
        "simple_in_last_period": simple,
    }
    price = priced("fixed_rate_bond", **terms, **{"yield": rate})
    back = priced("fixed_rate_bond", **terms, clean_price=price["clean_price"])
    assert back["yield"] == pytest.approx(rate, abs=1e-12)
    for name in ("price", "macaulay_duration", "modified_duration", "convexity"):
        assert back[name] == pytest.approx(price[name], rel=1e-10), name


@pytest.mark.parametrize("compounding", ["annual", "semiannual", "continuous"])
@pytest.mark.parametrize("settlement", ["2024-02-15", "2030-03-01"])
@pytest.mark.parametrize("simple", [False, True])
def test_duration_and_convexity_are_the_slopes_of_the_price(compounding: str, settlement: str, simple: bool):
    terms = {
        **PLAIN,
        "settlement_date": settlement,
        "compounding": compounding,
        "simple_in_last_period": simple,
    }

    def at(rate: float) -> dict[str, Any]:
        return priced("fixed_rate_bond", **terms, **{"yield": rate})

    step = 1e-5
    middle, up, down = at(0.04), at(0.04 + step), at(0.04 - step)
    slope = (up["price"] - down["price"]) / (2 * step)
    curvature = (down["modified_duration"] * down["price"] - up["modified_duration"] * up["price"]) / (
        2 * step
    )
    assert middle["modified_duration"] == pytest.approx(-slope / middle["price"], abs=1e-6)
    assert middle["convexity"] == pytest.approx(curvature / middle["price"], abs=1e-5)
    if compounding == "continuous" and not (simple and settlement > "2030"):
        assert middle["macaulay_duration"] == pytest.approx(middle["modified_duration"], abs=1e-12)
    elif settlement < "2030":
        periods = FREQUENCIES[compounding]
        assert middle["macaulay_duration"] == pytest.approx(
            middle["modified_duration"] * (1 + 0.04 / periods), abs=1e-10
        )


def test_a_price_off_a_curve_is_for_the_settlement_date():
    today = priced("fixed_rate_bond", **PLAIN, curve=_flat(0.04))
    later = {**PLAIN, "settlement_date": "2024-02-20"}
    answer = priced("fixed_rate_bond", **later, curve=_flat(0.04))
    # No coupon in between: the price grows at the curve's rate.
    assert answer["price"] == pytest.approx(today["price"] * 2.718281828459045 ** (0.04 * 5 / 365), rel=1e-12)
    day_one = [date(2024, 2, 15) + timedelta(days=days) for days in (0, 400, 3000)]
    zero = {"type": "zero", "dates": [str(day) for day in day_one], "rates": [0.04, 0.04, 0.04]}
    assert priced("fixed_rate_bond", **later, curve=zero)["price"] == pytest.approx(
        answer["price"], rel=1e-12
    )
    error = refused("fixed_rate_bond", **later, curve=_flat(0.04, reference_date="2024-03-01"))
    assert error["field"] == "settlement_date" and "2024-03-01" in error["expected"]


def test_all_money_is_per_face():
    one = priced("fixed_rate_bond", **PLAIN, curve=_flat(0.04))
    many = priced("fixed_rate_bond", **PLAIN, face=1_000, curve=_flat(0.04))
    for name in ("price", "clean_price", "dirty_price", "accrued_interest"):
        assert many[name] == pytest.approx(10 * one[name], rel=1e-14), name
    for name in ("yield", "macaulay_duration", "modified_duration", "convexity"):
        assert many[name] == pytest.approx(one[name], rel=1e-10), name
    again = priced("fixed_rate_bond", **PLAIN, face=1_000, clean_price=many["clean_price"])
    assert again["yield"] == pytest.approx(one["yield"], abs=1e-12)


def test_the_convention_moves_payments_and_not_accrual():
    weekend = {**PLAIN, "start_date": "2020-07-12", "maturity_date": "2026-07-12"}  # a Sunday
    still = priced("fixed_rate_bond", **weekend, convention="unadjusted", calendar="US", curve=_flat(0.04))
    moved = priced("fixed_rate_bond", **weekend, convention="following", calendar="US", curve=_flat(0.04))
    assert still["accrued_interest"] == moved["accrued_interest"]
    assert moved["price"] < still["price"], "a day later"


@pytest.mark.parametrize(
    ("calendar", "evaluation_date", "expected"),
    [
        ("null", "2024-04-30", "2024-05-01"),
        ("TARGET", "2024-04-30", "2024-05-02"),
        ("US", "2024-07-03", "2024-07-05"),
        ("UK", "2024-08-23", "2024-08-27"),
        ("Russia", "2024-06-11", "2024-06-13"),
        ("MOEX", "2024-06-11", "2024-06-13"),
    ],
)
def test_settlement_days_are_business_days_of_the_calendar(
    calendar: str, evaluation_date: str, expected: str
):
    terms = {**PLAIN, "evaluation_date": evaluation_date, "settlement_days": 1}
    del terms["settlement_date"]
    answer = priced("fixed_rate_bond", **terms, calendar=calendar, curve=_flat(0.04))
    assert answer["settlement_date"] == expected


def test_the_last_rate_of_a_list_repeats():
    once = priced("fixed_rate_bond", **{**PLAIN, "coupon": [0.05]}, curve=_flat(0.04))
    assert once == priced("fixed_rate_bond", **PLAIN, curve=_flat(0.04))
    stepped = priced("fixed_rate_bond", **{**PLAIN, "coupon": [0.01] * 7 + [0.05]}, curve=_flat(0.04))
    assert stepped["price"] == pytest.approx(once["price"], rel=1e-14), "past coupons are paid"
    assert stepped["accrued_interest"] == once["accrued_interest"]


def test_a_price_that_no_yield_gives_is_refused():
    error = refused("fixed_rate_bond", **PLAIN, clean_price=-5)
    assert error["field"] == "clean_price" and "above 0" in error["expected"]
    assert priced("fixed_rate_bond", **PLAIN, clean_price=0.01)["yield"] > 1
    assert priced("fixed_rate_bond", **PLAIN, clean_price=100_000)["yield"] < -0.5


def test_a_curve_that_ends_too_early_goes_on_and_says_so():
    short = {"type": "zero", "dates": ["2024-02-15", "2026-02-15"], "rates": [0.04, 0.04]}
    answer = priced("fixed_rate_bond", **PLAIN, curve=short)
    assert answer["curve_extrapolated_from"] == "2026-02-15"
    assert answer["price"] == pytest.approx(
        priced("fixed_rate_bond", **PLAIN, curve=_flat(0.04))["price"], rel=1e-12
    )
    error = refused("fixed_rate_bond", **PLAIN, curve={**short, "extrapolate": False})
    assert error["field"] == "curve" and "2030-07-10" in error["expected"]


def test_a_zero_bond_is_its_face_discounted():
    terms = {
        "evaluation_date": "2024-02-15",
        "settlement_days": 0,
        "maturity_date": "2026-02-15",
        "face": 1000,
    }
    years = 731 / 365
    cases = [
        ({}, 2.718281828459045 ** (-0.05 * years)),
        ({"compounding": "annual"}, 1.05**-years),
        ({"compounding": "semiannual"}, 1.025 ** (-2 * years)),
        ({"compounding": "simple"}, 1 / (1 + 0.05 * years)),
        ({"compounding": "annual", "day_count": "30/360"}, 1.05**-2),
    ]
    for how, factor in cases:
        answer = priced("zero_coupon_bond", **terms, **how, **{"yield": 0.05})
        assert answer["price"] == pytest.approx(1000 * factor, rel=1e-12), how
    assert refused("zero_coupon_bond", **terms)["expected"] == "one of yield, curve"


def test_a_bond_of_the_cached_tests_from_all_three_sides():
    off_curve = priced("fixed_rate_bond", **BOND, curve=_flat(0.03, reference_date="2004-11-22"))
    of_price = priced("fixed_rate_bond", **BOND, clean_price=off_curve["clean_price"])
    of_yield = priced("fixed_rate_bond", **BOND, **{"yield": of_price["yield"]})
    for name in ("price", "yield", "modified_duration", "convexity"):
        assert off_curve[name] == pytest.approx(of_price[name], rel=1e-12)
        assert of_yield[name] == pytest.approx(of_price[name], rel=1e-10)
