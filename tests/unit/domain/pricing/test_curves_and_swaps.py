"""Curves by every way of giving one; swaps on them; credit value adjustment."""

from datetime import date
from itertools import pairwise
from math import exp
from typing import Any

import pytest

from tests.pricing_support import EXPOSURE, OVERNIGHT_SWAP, SWAP, priced, refused

TODAY = "2024-02-15"


def _factor(maturity: str, curve: dict[str, Any]) -> float:
    """The discount factor of a curve, as a zero bond shows it."""
    terms = {"evaluation_date": TODAY, "settlement_date": TODAY, "maturity_date": maturity, "face": 1}
    return priced("zero_coupon_bond", **terms, curve=curve)["price"]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, exp(-0.05 * 731 / 365)),
        ({"compounding": "continuous", "frequency": "annual"}, exp(-0.05 * 731 / 365)),
        ({"compounding": "annual"}, 1.05 ** (-731 / 365)),
        ({"compounding": "compounded", "frequency": "quarterly"}, 1.0125 ** (-4 * 731 / 365)),
        ({"frequency": "semiannual"}, 1.025 ** (-2 * 731 / 365)),
        ({"compounding": "simple"}, 1 / (1 + 0.05 * 731 / 365)),
        ({"day_count": "Act/360"}, exp(-0.05 * 731 / 360)),
        # From 15 February to the end of a leap year, a year, and up to 15 February.
        ({"day_count": "Actual/Actual (ISDA)"}, exp(-0.05 * (321 / 366 + 1 + 45 / 365))),
    ],
)
def test_flat(terms: dict[str, Any], expected: float):
    curve = {"type": "flat", "rate": 0.05, **terms}
    assert _factor("2026-02-15", curve) == pytest.approx(expected, rel=1e-14)


def test_zero_rates_are_interpolated_in_time():
    curve = {"type": "zero", "dates": [TODAY, "2025-02-14", "2026-02-14"], "rates": [0.03, 0.04, 0.05]}
    assert _factor("2025-02-14", curve) == pytest.approx(exp(-0.04), rel=1e-14)
    assert _factor("2025-08-15", curve) == pytest.approx(
        exp(-(0.04 + 0.01 * 182 / 365) * 547 / 365), rel=1e-12
    )
    later = {**curve, "dates": ["2025-02-14", "2026-02-14"], "rates": [0.04, 0.05], "reference_date": TODAY}
    assert _factor("2024-08-15", later) == pytest.approx(exp(-0.04 * 182 / 365), rel=1e-12)
    annual = {**curve, "compounding": "annual"}
    assert _factor("2025-02-14", annual) == pytest.approx(1 / 1.04, rel=1e-14)


def test_discount_factors_are_interpolated_in_their_logarithm():
    curve = {"type": "discount", "dates": [TODAY, "2025-02-14", "2026-02-14"], "factors": [1, 0.96, 0.9]}
    assert _factor("2025-02-14", curve) == pytest.approx(0.96, rel=1e-14)
    assert _factor("2025-08-15", curve) == pytest.approx(0.96 * (0.9 / 0.96) ** (182 / 365), rel=1e-12)
    without_first = {**curve, "dates": ["2025-02-14", "2026-02-14"], "factors": [0.96, 0.9]}
    assert _factor("2025-08-15", without_first) == pytest.approx(_factor("2025-08-15", curve), rel=1e-14)


@pytest.mark.parametrize(
    ("curve", "field"),
    [
        ({"type": "zero", "dates": [TODAY], "rates": [0.01]}, "curve.dates"),
        ({"type": "zero", "dates": [TODAY, "2025-01-01"], "rates": [0.01]}, "curve.rates"),
        ({"type": "zero", "dates": ["2025-01-01", TODAY], "rates": [0.01, 0.02]}, "curve.dates[1]"),
        ({"type": "zero", "dates": TODAY, "rates": [0.01]}, "curve.dates"),
        (
            {"type": "zero", "dates": [TODAY, "2025-01-01"], "rates": [1, 2], "reference_date": "2024-03-01"},
            "curve.dates[0]",
        ),
        (
            {"type": "zero", "dates": [TODAY, "2025-01-01"], "rates": [1, 2], "interpolation": "art"},
            "curve.interpolation",
        ),
        ({"type": "discount", "dates": [TODAY, "2025-01-01"], "factors": [1, 0]}, "curve.factors[1]"),
        ({"type": "discount", "dates": [TODAY, "2025-01-01"], "factors": [0.9, 0.8]}, "curve.factors"),
        ({"type": "flat", "rate": 0.01, "compounding": "annual", "frequency": "monthly"}, "curve.frequency"),
        ({"type": "bootstrap", "instruments": []}, "curve.instruments"),
        ({"type": "bootstrap", "instruments": [{"type": "share"}]}, "curve.instruments[0].type"),
        (
            {"type": "bootstrap", "instruments": [{"type": "deposit", "tenor": "3M"}]},
            "curve.instruments[0].rate",
        ),
        (
            {
                "type": "bootstrap",
                "instruments": [{"type": "future", "price": 97, "start_date": "2024-03-19"}],
            },
            "curve.instruments[0].start_date",
        ),
        (
            {"type": "bootstrap", "instruments": [{"type": "deposit", "tenor": "3M", "rate": 0.01}] * 2},
            "curve.instruments[1]",
        ),
        (
            {"type": "bootstrap", "instruments": [{"type": "swap", "tenor": "3Y", "rate": -90}]},
            "curve.instruments",
        ),
    ],
)
def test_what_is_wrong_with_a_curve_is_named(curve: dict[str, Any], field: str):
    terms = {"evaluation_date": TODAY, "settlement_date": TODAY, "maturity_date": "2026-02-15"}
    assert refused("zero_coupon_bond", **terms, curve=curve)["field"] == field


EURO_QUOTES = [
    {"type": "deposit", "tenor": "1M", "rate": 0.0385},
    {"type": "deposit", "tenor": "3M", "rate": 0.0392},
    {"type": "deposit", "tenor": "6M", "rate": 0.0389},
    {"type": "fra", "start_months": 6, "end_months": 12, "rate": 0.0331},
    {"type": "swap", "tenor": "2Y", "rate": 0.0312},
    {"type": "swap", "tenor": "5Y", "rate": 0.0278},
    {"type": "swap", "tenor": "10Y", "rate": 0.0275},
    {"type": "swap", "tenor": "30Y", "rate": 0.0251},
]


def _swap_of(quote: dict[str, Any], curve: dict[str, Any]) -> dict[str, Any]:
    return priced(
        "interest_rate_swap",
        evaluation_date=TODAY,
        settlement_days=2,
        tenor=quote["tenor"],
        notional=1_000_000,
        side="payer",
        fixed_rate=quote["rate"],
        float_index="Euribor6M",
        curve=curve,
    )


@pytest.mark.parametrize("interpolation", ["log_discount", "linear_zero", "flat_forward"])
def test_a_bootstrapped_curve_reprices_its_quotes(interpolation: str):
    curve = {"type": "bootstrap", "instruments": EURO_QUOTES, "interpolation": interpolation}
    for quote in EURO_QUOTES[4:]:
        answer = _swap_of(quote, curve)
        assert answer["fair_rate"] == pytest.approx(quote["rate"], abs=1e-10), quote
        assert answer["price"] == pytest.approx(0, abs=1e-3), quote
    # 19 February plus three months, Act/360, from spot.
    growth = _factor("2024-02-19", curve) / _factor("2024-05-20", curve)
    assert growth == pytest.approx(1 + 0.0392 * 91 / 360, rel=1e-10)


def test_a_bootstrapped_overnight_curve_reprices_its_quotes():
    quotes = [
        {"type": "ois", "tenor": "1M", "rate": 0.039, "float_index": "ESTR"},
        {"type": "ois", "tenor": "1Y", "rate": 0.035, "float_index": "ESTR"},
        {"type": "ois", "tenor": "5Y", "rate": 0.026, "float_index": "ESTR"},
    ]
    curve = {"type": "bootstrap", "instruments": quotes}
    for quote in quotes:
        answer = priced(
            "overnight_swap",
            evaluation_date=TODAY,
            settlement_days=2,
            tenor=quote["tenor"],
            notional=1_000_000,
            side="receiver",
            fixed_rate=quote["rate"],
            float_index="ESTR",
            curve=curve,
        )
        assert answer["fair_rate"] == pytest.approx(quote["rate"], abs=1e-9), quote
    # Swaps on Euribor discounted with it: par there as well.
    forecast = {"type": "bootstrap", "instruments": EURO_QUOTES, "discount_curve": curve}
    for quote in EURO_QUOTES[4:6]:
        answer = priced(
            "interest_rate_swap",
            evaluation_date=TODAY,
            settlement_days=2,
            tenor=quote["tenor"],
            notional=1_000_000,
            side="payer",
            fixed_rate=0.01,
            float_index="Euribor6M",
            curve=curve,
            forecast_curve=forecast,
        )
        assert answer["fair_rate"] == pytest.approx(quote["rate"], abs=1e-9), quote


def test_a_future_is_bootstrapped():
    quotes = [
        {"type": "deposit", "tenor": "2M", "rate": 0.039},
        {"type": "future", "start_date": "2024-03-20", "price": 96.2},
    ]
    curve = {"type": "bootstrap", "instruments": quotes}
    growth = _factor("2024-03-20", curve) / _factor("2024-06-20", curve)
    assert growth == pytest.approx(1 + 0.038 * 92 / 360, rel=1e-10)


def test_the_sides_of_a_swap_mirror_each_other():
    payer, receiver = (
        priced("interest_rate_swap", **SWAP),
        priced("interest_rate_swap", **{**SWAP, "side": "receiver"}),
    )
    assert payer["fair_rate"] == pytest.approx(receiver["fair_rate"], abs=1e-14)
    for name in ("price", "dv01", "fixed_leg_bps"):
        assert payer[name] == pytest.approx(-receiver[name], abs=1e-12), name
    fair = priced("interest_rate_swap", **{**SWAP, "fixed_rate": payer["fair_rate"]})
    assert fair["price"] == pytest.approx(0, abs=1e-11)
    up = priced("interest_rate_swap", **{**SWAP, "fixed_rate": 0.0601})
    assert up["price"] - payer["price"] == pytest.approx(payer["fixed_leg_bps"], abs=1e-11)
    assert payer["dv01"] > 0 > payer["fixed_leg_bps"], "who pays a fixed rate gains when rates rise"


def test_the_fair_rate_is_what_discount_factors_say():
    """One curve, no spread: the floating leg is worth its start less its end, whatever the forward rates in between."""
    curve = {"type": "zero", "dates": [TODAY, "2026-02-15", "2034-02-20"], "rates": [0.02, 0.035, 0.05]}
    days = [f"{year}-02-19" for year in (2024, 2025, 2026, 2027)]  # a Monday, Wednesday, Thursday, Friday
    factors = [_factor(day, curve) for day in days]
    terms = {
        "evaluation_date": TODAY,
        "start_date": days[0],
        "maturity_date": days[-1],
        "notional": 100,
        "curve": curve,
    }
    swap = {**terms, "side": "receiver", "fixed_rate": 0.04, "calendar": "TARGET"}
    answer = priced("interest_rate_swap", **swap, float_index="Euribor6M", fixed_day_count="30/360")
    annuity = sum(factors[1:])
    assert answer["fair_rate"] == pytest.approx((factors[0] - factors[-1]) / annuity, rel=1e-12)
    assert answer["price"] == pytest.approx(100 * (0.04 * annuity - factors[0] + factors[-1]), rel=1e-10)
    assert answer["fixed_leg_bps"] == pytest.approx(0.01 * annuity, rel=1e-12)
    overnight = priced("overnight_swap", **swap, float_index="ESTR", fixed_day_count="30/360")
    assert overnight["price"] == pytest.approx(answer["price"], rel=1e-9)
    spread = priced("interest_rate_swap", **swap, float_index="Euribor6M", float_spread=0.01)
    paid = ["2024-02-19", "2024-08-19", "2025-02-19", "2025-08-19", "2026-02-19", "2026-08-19", "2027-02-19"]
    lengths = [(date.fromisoformat(end) - date.fromisoformat(begin)).days for begin, end in pairwise(paid)]
    expected = sum(days * _factor(end, curve) for days, end in zip(lengths, paid[1:], strict=True)) / 360
    assert answer["price"] - spread["price"] == pytest.approx(100 * 0.01 * expected, rel=1e-10)


def test_dv01_is_the_change_for_a_basis_point():
    def at(rate: float) -> float:
        return priced("interest_rate_swap", **{**SWAP, "curve": {**SWAP["curve"], "rate": rate}})["price"]

    answer = priced("interest_rate_swap", **SWAP)
    assert answer["dv01"] == pytest.approx((at(0.0501) - at(0.0499)) / 2, rel=1e-9)
    overnight = priced("overnight_swap", **OVERNIGHT_SWAP)
    assert overnight["dv01"] == pytest.approx(0.01 * 365 / 360, rel=1e-3), "at par, a year of one basis point"


def test_a_swap_by_dates_and_by_days_is_one():
    by_dates = {**SWAP, "start_date": "2002-06-19", "maturity_date": "2012-06-19"}
    del by_dates["settlement_days"], by_dates["tenor"]
    assert priced("interest_rate_swap", **by_dates) == priced("interest_rate_swap", **SWAP)


def test_a_running_swap_needs_its_fixings():
    running = {**SWAP, "start_date": "2002-06-19", "evaluation_date": "2003-01-15"}
    running["curve"] = {"type": "flat", "rate": 0.04, "reference_date": "2003-01-15"}
    del running["settlement_days"]
    error = refused("interest_rate_swap", **running)
    assert error["field"] == "fixings" and "2002-12-17" in error["expected"]
    high = priced("interest_rate_swap", **running, fixings=[{"date": "2002-12-17", "rate": 0.05}])
    low = priced("interest_rate_swap", **running, fixings=[{"date": "2002-12-17", "rate": 0.04}])
    assert high["price"] - low["price"] == pytest.approx(
        0.01 * 100 * 182 / 360 * exp(-0.04 * 155 / 365), rel=1e-9
    )
    error = refused("interest_rate_swap", **running, fixings=[{"date": "2002-12-15", "rate": 0.05}])
    assert error["field"] == "fixings[0].date", "a Sunday"
    overnight = {**OVERNIGHT_SWAP, "start_date": "2009-02-02"}
    del overnight["settlement_days"]
    assert "2009-02-02" in refused("overnight_swap", **overnight)["expected"]


def test_cva_is_the_sum_of_its_formula():
    answer = priced("cva", **EXPOSURE)
    survival = [1.0, exp(-0.02), exp(-0.04), exp(-0.02 * 1095 / 365)]
    losses = [survival[i] - survival[i + 1] for i in range(3)]
    cva = 0.6 * sum(epe * loss for epe, loss in zip([100, 150, 120], losses, strict=True))
    dva = 0.6 * sum(ene * loss for ene, loss in zip([40, 30, 20], losses, strict=True))
    assert answer["price"] == answer["cva"] == pytest.approx(cva, rel=1e-14)
    assert answer["dva"] == pytest.approx(dva, rel=1e-14)
    curve = {"type": "flat", "rate": 0.05}
    later = {name: value for name, value in EXPOSURE.items() if name != "discounted"}
    discounted = priced("cva", **later, curve=curve)
    factors = [exp(-0.05), exp(-0.1), exp(-0.15)]
    expected = 0.6 * sum(
        epe * loss * factor for epe, loss, factor in zip([100, 150, 120], losses, factors, strict=True)
    )
    assert discounted["cva"] == pytest.approx(expected, rel=1e-12)
    assert priced("cva", **later) == answer, "the formula as it stands takes the profile as discounted"
    own = priced("cva", **EXPOSURE, own_hazard_rate=0, own_recovery=0)
    assert (own["cva"], own["dva"]) == (answer["cva"], 0)
    assert refused("cva", **EXPOSURE, curve=curve)["field"] == "curve"
