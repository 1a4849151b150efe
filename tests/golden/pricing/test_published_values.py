"""Prices that others have published: textbooks, QuantLib's and OpenGamma Strata's test suites, market screens.

QuantLib: test-suite/{europeanoption,bonds,swap,overnightindexedswap}.cpp. Strata:
modules/pricer/src/test/java/com/opengamma/strata/pricer/bond/DiscountingFixedCouponBondProductPricerTest.java.
"""

from typing import Any

import pytest

from tests.pricing_support import BOND, OVERNIGHT_SWAP, SWAP, priced

HAUG = [
    # E. G. Haug, Option Pricing Formulas (1998), pages 2 to 8, 24 and 27, as QuantLib's testValues has them:
    # type, strike, spot, dividend yield, rate, time, volatility, price
    ("call", 65, 60, 0.00, 0.08, 0.25, 0.30, 2.1334),
    ("put", 95, 100, 0.05, 0.10, 0.50, 0.20, 2.4648),
    ("put", 19, 19, 0.10, 0.10, 0.75, 0.28, 1.7011),
    ("call", 19, 19, 0.10, 0.10, 0.75, 0.28, 1.7011),
    ("call", 1.60, 1.56, 0.08, 0.06, 0.50, 0.12, 0.0291),
    ("put", 70, 75, 0.05, 0.10, 0.50, 0.35, 4.0870),
    ("call", 100, 90, 0.10, 0.10, 0.50, 0.15, 0.8069),
    ("call", 100, 100, 0.10, 0.10, 0.50, 0.35, 9.3679),
    ("call", 100, 110, 0.10, 0.10, 0.10, 0.35, 11.1381),
    ("put", 100, 90, 0.10, 0.10, 0.10, 0.15, 9.9210),
    ("put", 100, 100, 0.10, 0.10, 0.50, 0.25, 6.6997),
    ("put", 100, 110, 0.10, 0.10, 0.10, 0.15, 0.0408),
    ("call", 40, 42, 0.08, 0.04, 0.75, 0.35, 5.0975),
]


def _bsm(
    option_type: str, strike: float, spot: float, carry: float, rate: float, time: float, volatility: float
):
    return priced(
        "bsm",
        option_type=option_type,
        strike=strike,
        spot=spot,
        dividend_yield=carry,
        rate=rate,
        time_to_expiry=time,
        volatility=volatility,
    )


@pytest.mark.parametrize("case", HAUG)
def test_haug(case: tuple[Any, ...]):
    assert _bsm(*case[:-1])["price"] == pytest.approx(case[-1], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "case", "expected"),
    [
        # Haug, pages 11 to 16, as QuantLib's testGreekValues has them.
        ("delta", ("call", 100, 105, 0.10, 0.10, 0.5, 0.36), 0.5946),
        ("delta", ("put", 100, 105, 0.10, 0.10, 0.5, 0.36), -0.3566),
        ("gamma", ("call", 60, 55, 0.00, 0.10, 0.75, 0.30), 0.0278),
        ("vega", ("put", 60, 55, 0.00, 0.10, 0.75, 0.30), 18.9358),
        ("theta", ("put", 405, 430, 0.05, 0.07, 1 / 12, 0.20), -31.1924),
        ("rho", ("call", 75, 72, 0.00, 0.09, 1.0, 0.19), 38.7325),
    ],
)
def test_haug_greeks(name: str, case: tuple[Any, ...], expected: float):
    assert _bsm(*case)[name] == pytest.approx(expected, abs=1e-4)


def test_hull_options():
    """J. C. Hull, Options, Futures, and Other Derivatives, 9th edition."""
    # Example 15.6
    assert _bsm("call", 40, 42, 0, 0.10, 0.5, 0.20)["price"] == pytest.approx(4.76, abs=5e-3)
    assert _bsm("put", 40, 42, 0, 0.10, 0.5, 0.20)["price"] == pytest.approx(0.81, abs=5e-3)
    # Chapter 19: the option sold throughout the chapter
    greeks = _bsm("call", 50, 49, 0, 0.05, 0.3846, 0.20)
    assert greeks["price"] == pytest.approx(2.40, abs=5e-3)
    assert greeks["delta"] == pytest.approx(0.522, abs=5e-4)
    assert greeks["gamma"] == pytest.approx(0.066, abs=5e-4)
    assert greeks["theta"] == pytest.approx(-4.31, abs=5e-3)
    assert greeks["vega"] == pytest.approx(12.1, abs=5e-2)
    assert greeks["rho"] == pytest.approx(8.91, abs=5e-3)


def test_hull_futures():
    # Example 18.6: a put on crude oil futures
    black = priced(
        "black76", option_type="put", forward=20, strike=20, rate=0.09, volatility=0.25, time_to_expiry=4 / 12
    )
    assert black["price"] == pytest.approx(1.12, abs=5e-3)
    # Section 15.11: an implied volatility of 23.5 %
    implied = priced(
        "implied_volatility",
        underlying_model="bsm",
        option_type="call",
        price=1.875,
        spot=21,
        strike=20,
        rate=0.10,
        dividend_yield=0,
        time_to_expiry=0.25,
    )
    assert implied["volatility"] == pytest.approx(0.235, abs=5e-4)
    # Example 5.5: an index future
    index = priced("future", spot=1300, rate=0.05, dividend_yield=0.01, time_to_expiry=0.25)
    assert index["price"] == pytest.approx(1313.07, abs=5e-3)


def test_hull_bonds():
    """Sections 4.4 and 4.8: a price off zero rates, its yield; the duration of another bond. All continuous."""
    halves = ["2024-01-15", "2024-07-15", "2025-01-15", "2025-07-15", "2026-01-15"]
    zero = {
        "type": "zero",
        "dates": halves,
        "rates": [0.05, 0.05, 0.058, 0.064, 0.068],
        "day_count": "30/360",
    }
    terms = {
        "evaluation_date": "2024-01-15",
        "settlement_date": "2024-01-15",
        "start_date": "2024-01-15",
        "frequency": "semiannual",
        "day_count": "30/360",
    }
    bond = priced("fixed_rate_bond", **terms, maturity_date="2026-01-15", coupon=0.06, curve=zero)
    assert bond["price"] == pytest.approx(98.39, abs=5e-3)
    assert bond["yield"] == pytest.approx(0.0676, abs=5e-5)
    other = priced("fixed_rate_bond", **terms, maturity_date="2027-01-15", coupon=0.10, **{"yield": 0.12})
    assert other["price"] == pytest.approx(94.213, abs=5e-4)
    assert other["macaulay_duration"] == pytest.approx(2.653, abs=5e-4)


CURVE = {"type": "flat", "rate": 0.03, "day_count": "Act/360", "reference_date": "2004-11-22"}
STEPS = [0.02875, 0.03, 0.03125, 0.0325]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 99.298100),
        ({"coupon": STEPS}, 100.334149),
        (
            {"coupon": STEPS, "maturity_date": "2009-03-30", "penultimate_coupon_date": "2008-11-30"},
            100.382794,
        ),
    ],
)
def test_quantlib_cached_fixed_bonds(changes: dict[str, Any], expected: float):
    answer = priced("fixed_rate_bond", **{**BOND, **changes}, curve=CURVE)
    assert answer["clean_price"] == pytest.approx(expected, abs=1e-6)
    assert answer["settlement_date"] == "2004-11-30", "settlement is never before issue"


@pytest.mark.parametrize("face", [100, 1_000_000])
def test_quantlib_bond_of_a_yield(face: int):
    answer = priced(
        "fixed_rate_bond",
        **{**BOND, "maturity_date": "2006-11-30", "face": face},
        **{"yield": 0.02997, "compounding": "semiannual"},
    )
    assert answer["clean_price"] * 100 / face == pytest.approx(99.764759, abs=1e-6)


@pytest.mark.parametrize(
    ("maturity", "expected"),
    [("2008-11-30", 88.551726), ("2007-11-30", 91.278949), ("2006-11-30", 94.098006)],
)
def test_quantlib_cached_zero_bonds(maturity: str, expected: float):
    answer = priced(
        "zero_coupon_bond",
        evaluation_date="2004-11-22",
        settlement_days=1,
        issue_date="2004-11-30",
        maturity_date=maturity,
        face=100,
        calendar="US",
        convention="modified_following",
        curve=CURVE,
    )
    assert answer["price"] == pytest.approx(expected, abs=1e-6)


GILT = {
    "issue_date": "1996-02-29",
    "start_date": "1996-02-29",
    "first_coupon_date": "1996-06-07",
    "maturity_date": "2021-06-07",
    "frequency": "semiannual",
    "coupon": 0.08,
    "day_count": "ActAct(ISMA)",
    "calendar": "UK",
    "convention": "unadjusted",
    "end_of_month": True,
    "ex_coupon_days": 6,
    "face": 100,
    "clean_price": 103,
    "compounding": "semiannual",
}


@pytest.mark.parametrize(
    ("settlement", "accrued", "rate", "duration", "convexity"),
    [
        # 8 % Treasury Stock 2021, as Bloomberg showed it; from 30 May it trades without its June coupon.
        ("2013-05-29", 3.8021978, 0.0749518, 5.6760445, 42.1531486),
        ("2013-05-30", -0.1758242, 0.0749618, 5.8928163, 43.7562186),
        ("2013-05-31", -0.1538462, 0.0749599, 5.8901860, 43.7239438),
    ],
)
def test_gilt_around_its_ex_coupon_date(
    settlement: str, accrued: float, rate: float, duration: float, convexity: float
):
    answer = priced("fixed_rate_bond", evaluation_date=settlement, settlement_date=settlement, **GILT)
    assert answer["accrued_interest"] == pytest.approx(accrued, abs=1e-6)
    assert answer["price"] == answer["dirty_price"] == pytest.approx(103 + accrued, abs=1e-6)
    assert answer["yield"] == pytest.approx(rate, abs=1e-6)
    assert answer["modified_duration"] == pytest.approx(duration, abs=1e-6)
    assert answer["convexity"] == pytest.approx(convexity, abs=1e-6)


AUSTRALIAN = {
    "issue_date": "2004-06-10",
    "start_date": "2004-02-15",
    "first_coupon_date": "2004-08-15",
    "maturity_date": "2017-02-15",
    "frequency": "semiannual",
    "coupon": 0.06,
    "day_count": "ActAct(ISMA)",
    "calendar": "null",
    "ex_coupon_days": 7,
    "face": 100,
    "clean_price": 103,
    "compounding": "semiannual",
}


@pytest.mark.parametrize(
    ("settlement", "accrued", "rate", "duration", "convexity"),
    [
        ("2014-08-07", 2.8670, 0.04723, 2.26276, 6.54870),
        ("2014-08-08", -0.1160, 0.047235, 2.32536, 6.72531),
        ("2014-08-11", -0.0660, 0.04719, 2.31732, 6.68407),
    ],
)
def test_australian_bond_around_its_ex_coupon_date(
    settlement: str, accrued: float, rate: float, duration: float, convexity: float
):
    answer = priced("fixed_rate_bond", evaluation_date=settlement, settlement_date=settlement, **AUSTRALIAN)
    # The market rounds accrued interest to three decimals.
    assert answer["accrued_interest"] == pytest.approx(accrued, abs=1e-3)
    assert answer["yield"] == pytest.approx(rate, abs=1e-5)
    assert answer["modified_duration"] == pytest.approx(duration, abs=1e-5)
    assert answer["convexity"] == pytest.approx(convexity, abs=1e-4)


US = {"start_date": "2006-11-15", "maturity_date": "2016-11-15", "frequency": "semiannual", "coupon": 0.04625}
UK = {"start_date": "2002-09-07", "maturity_date": "2014-09-07", "frequency": "semiannual", "coupon": 0.05}
GERMANY = {**UK, "frequency": "annual"}


@pytest.mark.parametrize(
    ("terms", "settlement", "simple", "price", "macaulay"),
    [
        (US, "2011-08-23", True, 104.17352500524246, 4.6575232098896215),
        (US, "2016-06-08", True, 100.5635683760684, 0.43478260869565216),
        ({**UK, "ex_coupon_days": 7}, "2011-09-05", False, 102.77859038905428, 2.8312260658609163),
        ({**UK, "ex_coupon_days": 7}, "2014-06-04", False, 101.45736043763598, 0.25815217391304346),
        (GERMANY, "2011-09-07", True, 102.7750910332271, 2.861462874541554),
        # The one payment is 93 / 365 of a year away. (Strata says 0.2623 there: the modified duration times 1.04, which
        # is the Macaulay duration where interest is compounded, and here it is simple.)
        (GERMANY, "2014-06-06", True, 103.9406595790844, 93 / 365),
    ],
)
def test_strata_street_conventions(
    terms: dict[str, Any], settlement: str, simple: bool, price: float, macaulay: float
):
    answer = priced(
        "fixed_rate_bond",
        evaluation_date=settlement,
        settlement_date=settlement,
        day_count="ActAct(ICMA)",
        simple_in_last_period=simple,
        compounding=terms["frequency"],
        **{**terms, "yield": 0.04},
    )
    assert answer["dirty_price"] == pytest.approx(price, abs=1e-10)
    assert answer["macaulay_duration"] == pytest.approx(macaulay, abs=1e-10)


def test_quantlib_cached_swap():
    assert priced("interest_rate_swap", **SWAP)["price"] == pytest.approx(-5.872863313209, abs=1e-10)


def test_quantlib_cached_overnight_swap():
    answer = priced("overnight_swap", **OVERNIGHT_SWAP)
    assert answer["price"] == pytest.approx(0.001730450147, abs=1e-10)
