"""American options: published values, a slow tree, identities, limits, and the methods that were not taken."""

from math import exp
from typing import Any

import numpy as np
import pytest
import QuantLib as ql

from domain.pricing.rates import american
from tests.pricing_reference import american_price
from tests.pricing_support import priced, refused

PUT: dict[str, Any] = {
    "option_type": "put",
    "spot": 100,
    "strike": 100,
    "rate": 0.05,
    "dividend_yield": 0.02,
    "volatility": 0.25,
    "time_to_expiry": 1,
}
SIGNS = {"call": 1, "put": -1}


def test_the_premium_of_andersen_lake_offengenden():
    """Their paper, table 2: a put at the money, rate and dividend yield 5 %, volatility 25 %, a year."""
    terms = {**PUT, "dividend_yield": 0.05}
    european = priced("bsm", **terms)["price"]
    assert priced("american", **terms)["price"] - european == pytest.approx(0.106952702747, abs=1e-8)


@pytest.mark.parametrize(
    ("strike", "volatility", "prices"),
    [
        (35, 0.2, (0.0062, 0.1999, 0.4321)),
        (40, 0.2, (0.8521, 1.5799, 1.9904)),
        (45, 0.2, (5.0000, 5.0884, 5.2670)),
        (35, 0.3, (0.0774, 0.6975, 1.2199)),
        (40, 0.3, (1.3101, 2.4827, 3.1698)),
        (45, 0.3, (5.0597, 5.7058, 6.2438)),
        (35, 0.4, (0.2466, 1.3462, 2.1550)),
        (40, 0.4, (1.7685, 3.3877, 4.3529)),
        (45, 0.4, (5.2870, 6.5101, 7.3832)),
    ],
)
def test_the_puts_of_geske_and_johnson(strike: float, volatility: float, prices: tuple[float, ...]):
    """R. Geske, H. E. Johnson, The American Put Option Valued Analytically (1984), table 1: spot 40, rate ln 1.05."""
    for months, expected in zip((1, 4, 7), prices, strict=True):
        found = priced(
            "american",
            option_type="put",
            spot=40,
            strike=strike,
            rate=0.0488,
            volatility=volatility,
            time_to_expiry=months / 12,
        )
        assert found["price"] == pytest.approx(expected, abs=1.1e-3)


@pytest.mark.parametrize("option_type", ["call", "put"])
@pytest.mark.parametrize("spot", [70, 100, 130])
@pytest.mark.parametrize(
    ("rate", "carry"), [(0.05, 0.0), (0.02, 0.06), (0.0, 0.03), (-0.01, -0.02), (-0.02, -0.01)]
)
def test_against_a_slow_tree(option_type: str, spot: float, rate: float, carry: float):
    terms = {**PUT, "option_type": option_type, "spot": spot, "rate": rate, "dividend_yield": carry}
    found = priced("american", **terms)
    sign = SIGNS[option_type]
    expected = american_price(sign, spot, 100, rate, carry, 0.25, 1.0)
    assert found["price"] == pytest.approx(expected, abs=2e-3)
    assert found["price"] >= max(priced("bsm", **terms)["price"] - 1e-9, sign * (spot - 100))


@pytest.mark.parametrize("spot", [85, 100, 120])
@pytest.mark.parametrize(("rate", "carry"), [(0.05, 0.02), (0.03, 0.08), (-0.01, -0.02)])
def test_greeks_are_those_of_finite_differences(spot: float, rate: float, carry: float):
    found = priced("american", **{**PUT, "spot": spot, "rate": rate, "dividend_yield": carry})
    today = ql.Date(1, 1, 2001)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Put, 100), ql.AmericanExercise(today, today + 365)
    )
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, carry, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), 0.25, count)),
    )
    option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, 800, 800))
    assert found["price"] == pytest.approx(option.NPV(), abs=2e-3)
    assert found["delta"] == pytest.approx(option.delta(), abs=2e-4)
    assert found["gamma"] == pytest.approx(option.gamma(), abs=2e-4)
    assert found["theta"] == pytest.approx(option.theta(), abs=2e-2)


def test_vega_and_rho_are_the_slopes_of_the_price():
    found = priced("american", **PUT)
    for name, figure, step in (("volatility", "vega", 1e-3), ("rate", "rho", 1e-3)):
        up, down = (priced("american", **{**PUT, name: PUT[name] + move})["price"] for move in (step, -step))
        assert found[figure] == pytest.approx((up - down) / (2 * step), rel=1e-4), name


def test_puts_and_calls_mirror_each_other():
    """P(S, K, r, q) = C(K, S, q, r)."""
    put = priced("american", **{**PUT, "spot": 90})
    call = {**PUT, "option_type": "call", "spot": 100, "strike": 90, "rate": 0.02, "dividend_yield": 0.05}
    assert put["price"] == pytest.approx(priced("american", **call)["price"], abs=1e-6)


def test_a_call_without_a_dividend_is_european():
    terms = {**PUT, "option_type": "call", "dividend_yield": 0}
    european, found = priced("bsm", **terms), priced("american", **terms)
    for name in ("price", "delta", "gamma", "vega", "theta", "rho"):
        assert found[name] == pytest.approx(european[name], rel=1e-5), name
    assert found["exercise_now"] is False


def test_exercise_at_once():
    found = priced("american", **{**PUT, "spot": 40, "dividend_yield": 0})
    assert found["exercise_now"] is True and found["theta"] == 0
    assert found["price"] == pytest.approx(60, abs=1e-6)
    assert found["delta"] == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize(
    ("terms", "price", "delta"),
    [
        ({"time_to_expiry": 0, "spot": 90}, 10, -1),
        ({"time_to_expiry": 0, "spot": 110}, 0, 0),
        ({"volatility": 0, "spot": 90}, 10, -1),
        ({"volatility": 0, "spot": 90, "rate": -0.03}, 100 * exp(0.03) - 90 * exp(-0.02), -exp(-0.02)),
        (
            {"volatility": 0, "spot": 100, "option_type": "call"},
            100 * exp(-0.02) - 100 * exp(-0.05),
            exp(-0.02),
        ),
    ],
)
def test_without_time_or_volatility(terms: dict[str, Any], price: float, delta: float):
    found = priced("american", **{**PUT, **terms})
    assert (found["price"], found["delta"]) == (pytest.approx(price), pytest.approx(delta))
    assert (found["gamma"], found["vega"], found["method"]) == (0, 0, "certain")


def test_the_best_day_may_be_between_today_and_expiry():
    """A put that gains while the spot falls by its dividends, and loses when the strike is discounted for long."""
    found = priced(
        "american", **{**PUT, "volatility": 0, "rate": 0.05, "dividend_yield": 0.2, "time_to_expiry": 20}
    )
    days = np.linspace(0, 20, 200_001)
    assert found["price"] == pytest.approx(
        float(np.max(100 * np.exp(-0.05 * days) - 100 * np.exp(-0.2 * days)))
    )
    assert found["theta"] == 0


def test_small_volatility_goes_over_into_none():
    for rate, carry in ((0.05, 0.02), (-0.03, 0.02), (0.02, 0.1)):
        terms = {**PUT, "rate": rate, "dividend_yield": carry, "spot": 98}
        least = american.DEVIATION_LEAST
        without = priced("american", **{**terms, "volatility": 0.99 * least})
        with_some = priced("american", **{**terms, "volatility": 1.01 * least})
        assert without["method"] == "certain" != with_some["method"]
        assert with_some["price"] == pytest.approx(without["price"], abs=2e-2)


@pytest.mark.parametrize("option_type", ["call", "put"])
@pytest.mark.parametrize("spot", [80, 100, 125])
@pytest.mark.parametrize("volatility", [0.1, 0.4, 1.5])
def test_the_implied_volatility_gives_the_price_back(option_type: str, spot: float, volatility: float):
    terms = {**PUT, "option_type": option_type, "spot": spot}
    price = priced("american", **{**terms, "volatility": volatility})["price"]
    del terms["volatility"]
    answer = priced("implied_volatility", underlying_model="american", price=price, **terms)
    again = priced("american", **terms, volatility=answer["volatility"] or 0)["price"]
    assert again == pytest.approx(price, abs=1e-6)


@pytest.mark.parametrize(
    ("option_type", "spot", "price"),
    [("put", 80, 19.9), ("put", 100, 100), ("call", 120, 19), ("call", 100, 100)],
)
def test_a_price_that_arbitrage_forbids_is_refused(option_type: str, spot: float, price: float):
    terms = {name: value for name, value in PUT.items() if name != "volatility"}
    terms |= {"option_type": option_type, "spot": spot, "price": price, "underlying_model": "american"}
    error = refused("implied_volatility", **terms)
    assert error["field"] == "price" and "no arbitrage" in error["expected"]


def test_what_is_too_volatile_is_refused():
    assert refused("american", **{**PUT, "volatility": 21})["field"] == "volatility"


@pytest.mark.parametrize(("rate", "carry"), [(0.05, 0.0), (0.03, 0.07), (0.08, 0.04)])
def test_the_methods_that_were_not_taken_are_less_exact(rate: float, carry: float):
    """Against the finest scheme: what is taken, a tree of 801 steps, finite differences, Barone-Adesi and Whaley."""
    terms = american.OptionTerms(-1, 100.0, 100.0, rate, carry, 0.25, 1.0)
    ql.Settings.instance().evaluationDate = ql.Date(1, 1, 2001)
    engines = {
        "finest": lambda process: ql.QdFpAmericanEngine(
            process, ql.QdFpLegendreTanhSinhScheme(48, 20, 40, 1e-13)
        ),
        "tree": lambda process: ql.BinomialVanillaEngine(process, "lr", 801),
        "differences": lambda process: ql.FdBlackScholesVanillaEngine(process, 400, 400),
        "approximation": ql.BaroneAdesiWhaleyApproximationEngine,
    }
    prices = {name: american._valued(engine)(terms) for name, engine in engines.items()}
    finest = prices.pop("finest")
    taken = priced("american", **{**PUT, "rate": rate, "dividend_yield": carry})
    error = abs(taken["price"] - finest)
    assert error < 1e-5
    assert all(abs(price - finest) > 3 * error for price in prices.values()), (finest, taken, prices)
