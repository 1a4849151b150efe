"""Options: against decimals, in their limits, and refused."""

import json
from math import exp, inf, sqrt

import pytest

from domain.pricing.black import black_76, black_scholes_merton
from tests.pricing_reference import option_price
from tests.pricing_support import FUTURE_OPTION, OPTION, priced, refused

GREEKS = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga")


@pytest.mark.parametrize("option_type", ["call", "put"])
@pytest.mark.parametrize("strike", ["20", "80", "99.5", "100", "130", "400"])
@pytest.mark.parametrize(
    ("volatility", "time"), [("0.01", "0.01"), ("0.2", "1"), ("0.6", "5"), ("1.5", "0.25")]
)
@pytest.mark.parametrize(("rate", "carry"), [("0", "0"), ("0.05", "0.02"), ("-0.01", "0.03")])
def test_against_decimals(option_type: str, strike: str, volatility: str, time: str, rate: str, carry: str):
    expected = option_price(option_type == "call", "100", strike, rate, carry, volatility, time)
    answer = priced(
        "bsm",
        option_type=option_type,
        spot="100",
        strike=strike,
        rate=rate,
        dividend_yield=carry,
        volatility=volatility,
        time_to_expiry=time,
    )
    assert answer["price"] == pytest.approx(float(expected), abs=1e-12)
    forward = priced(
        "black76",
        option_type=option_type,
        forward="100",
        strike=strike,
        rate=rate,
        volatility=volatility,
        time_to_expiry=time,
    )
    expected = option_price(option_type == "call", "100", strike, rate, rate, volatility, time)
    assert forward["price"] == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("strike", [60.0, 100.0, 140.0])
def test_greeks_are_the_slopes_of_the_price(sign: int, strike: float):
    spot, rate, carry, volatility, time, step = 100.0, 0.05, 0.02, 0.25, 0.75, 1e-4

    def at(**moved: float) -> object:
        terms = {"spot": spot, "rate": rate, "dividend_yield": carry, "volatility": volatility}
        terms |= {"time_to_expiry": time, **moved}
        return black_scholes_merton(sign, strike=strike, **terms)

    def slope(name: str, value: float, of: str = "price") -> float:
        up, down = at(**{name: value + step}), at(**{name: value - step})
        return (getattr(up, of) - getattr(down, of)) / (2 * step)

    greeks = at()
    assert greeks.delta == pytest.approx(slope("spot", spot), abs=1e-7)
    assert greeks.gamma == pytest.approx(slope("spot", spot, "delta"), abs=1e-7)
    assert greeks.vega == pytest.approx(slope("volatility", volatility), abs=1e-5)
    assert greeks.theta == pytest.approx(-slope("time_to_expiry", time), abs=1e-5)
    assert greeks.rho == pytest.approx(slope("rate", rate), abs=1e-4)
    assert greeks.vanna == pytest.approx(slope("spot", spot, "vega"), abs=1e-5)
    assert greeks.vanna == pytest.approx(slope("volatility", volatility, "delta"), abs=1e-5)
    assert greeks.volga == pytest.approx(slope("volatility", volatility, "vega"), abs=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_greeks_of_black76_hold_the_forward_fixed(sign: int):
    forward, strike, rate, volatility, time, step = 100.0, 95.0, 0.06, 0.3, 0.5, 1e-4

    def slope(place: int, of: int = 0) -> float:
        terms = [forward, strike, rate, volatility, time]
        up, down = list(terms), list(terms)
        up[place] += step
        down[place] -= step
        return (black_76(sign, *up)[of] - black_76(sign, *down)[of]) / (2 * step)

    greeks = black_76(sign, forward, strike, rate, volatility, time)
    assert greeks.delta == pytest.approx(slope(0), abs=1e-7)
    assert greeks.gamma == pytest.approx(slope(0, of=1), abs=1e-7)
    assert greeks.rho == pytest.approx(slope(2), abs=1e-6)
    assert greeks.vega == pytest.approx(slope(3), abs=1e-5)
    assert greeks.theta == pytest.approx(-slope(4), abs=1e-5)


@pytest.mark.parametrize(
    ("option_type", "spot", "volatility", "time", "price", "delta"),
    [
        ("call", 120, 0.2, 0, 20, 1),
        ("call", 80, 0.2, 0, 0, 0),
        ("put", 80, 0.2, 0, 20, -1),
        ("put", 120, 0.2, 0, 0, 0),
        ("call", 100, 0.2, 0, 0, 0.5),
        ("put", 100, 0.2, 0, 0, -0.5),
        ("call", 120, 0, 1, 120 * exp(-0.02) - 100 * exp(-0.05), exp(-0.02)),
        ("put", 120, 0, 1, 0, 0),
        ("put", 80, 0, 1, 100 * exp(-0.05) - 80 * exp(-0.02), -exp(-0.02)),
        ("call", 120, 0, 0, 20, 1),
    ],
)
def test_limits_of_zero_time_and_zero_volatility(
    option_type: str, spot: float, volatility: float, time: float, price: float, delta: float
):
    answer = priced(
        "bsm",
        **{
            **OPTION,
            "option_type": option_type,
            "spot": spot,
            "volatility": volatility,
            "time_to_expiry": time,
        },
    )
    assert answer["price"] == pytest.approx(price, abs=1e-12)
    assert answer["delta"] == pytest.approx(delta, abs=1e-12)
    assert [repr(answer[name]) for name in ("gamma", "vega", "vanna", "volga")] == ["0.0"] * 4


def test_a_figure_without_a_bound_is_named():
    expiring = priced("bsm", **{**OPTION, "time_to_expiry": 0})
    assert (expiring["gamma"], expiring["theta"]) == (0, -1.5), (
        "half of what is earned on 100 and paid on 100"
    )
    assert expiring["unbounded"] == ["theta", "gamma"]
    certain = black_scholes_merton(1, 100.0, 100.0, 0.03, 0.03, 0.0, 4.0)
    assert certain.unbounded == ("gamma",)
    assert certain.vega == pytest.approx(100 * exp(-0.12) * 2 / sqrt(6.283185307179586))
    near = black_scholes_merton(1, 100.0, 100.0, 0.03, 0.03, 1e-9, 4.0)
    for name in ("price", "delta", "vega", "theta", "rho", "vanna", "volga"):
        assert getattr(certain, name) == pytest.approx(getattr(near, name), abs=1e-6), name


@pytest.mark.parametrize("strike", ["0.000001", "1", "100", "10000", "100000000000"])
@pytest.mark.parametrize("volatility", ["0", "0.000000000000000000000001", "0.2", "100"])
@pytest.mark.parametrize("time", ["0", "0.000000000000000000000001", "1", "1000"])
def test_nothing_is_ever_nan(strike: str, volatility: str, time: str):
    for option_type in ("call", "put"):
        terms = {
            "option_type": option_type,
            "strike": strike,
            "volatility": volatility,
            "time_to_expiry": time,
        }
        bsm = priced("bsm", **{**OPTION, "rate": "0.001", "dividend_yield": 0, **terms})
        black = priced("black76", **{**FUTURE_OPTION, "rate": "0.001", **terms})
        for answer in (bsm, black):
            json.dumps(answer, allow_nan=False)
            assert answer["price"] >= 0


def test_a_result_beyond_64_bits_is_refused():
    error = refused("bsm", **{**OPTION, "rate": -100, "time_to_expiry": 1000})
    assert error["field"] == "model" and "64 bits" in error["expected"]
    assert refused("future", spot=1, rate=100, dividend_yield=0, time_to_expiry=1000)["field"] == "model"


@pytest.mark.parametrize("underlying_model", ["bsm", "black76"])
@pytest.mark.parametrize("option_type", ["call", "put"])
@pytest.mark.parametrize("strike", [40, 90, 100, 110, 250])
@pytest.mark.parametrize("volatility", [0.01, 0.2, 0.9, 3.0])
def test_the_implied_volatility_gives_the_price_back(
    underlying_model: str, option_type: str, strike: float, volatility: float
):
    terms = {**OPTION, "option_type": option_type, "strike": strike}
    if underlying_model == "black76":
        terms["forward"] = terms.pop("spot")
    price = priced(underlying_model, **{**terms, "volatility": volatility})["price"]
    del terms["volatility"]
    answer = priced("implied_volatility", underlying_model=underlying_model, price=price, **terms)
    again = priced(underlying_model, **terms, volatility=answer["volatility"])["price"]
    assert again == pytest.approx(price, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize(
    ("option_type", "strike", "price", "valid"),
    [
        ("call", 90, 12.4, False),
        ("call", 90, 120, False),
        ("call", 90, 98.02, False),
        ("put", 120, 14, False),
        ("put", 120, 114.2, False),
        ("put", 120, 114.1, True),
        ("call", 90, 98.0, True),
    ],
)
def test_a_price_that_arbitrage_forbids_is_refused(
    option_type: str, strike: float, price: float, valid: bool
):
    terms = {name: value for name, value in OPTION.items() if name != "volatility"}
    terms |= {"option_type": option_type, "strike": strike, "price": price, "underlying_model": "bsm"}
    if valid:
        assert 0 < priced("implied_volatility", **terms)["volatility"] < inf
        return
    error = refused("implied_volatility", **terms)
    assert error["field"] == "price" and "no arbitrage" in error["expected"]


def test_a_price_without_time_value_implies_no_volatility():
    terms = {name: value for name, value in OPTION.items() if name != "volatility"} | {"strike": 50}
    intrinsic = 100 * exp(-0.02) - 50 * exp(-0.05)
    answer = priced("implied_volatility", underlying_model="bsm", price=intrinsic, **terms)
    assert answer["volatility"] == pytest.approx(0, abs=0.1)
    assert (
        refused("implied_volatility", underlying_model="bsm", price=9, **{**terms, "time_to_expiry": 0})[
            "field"
        ]
        == "time_to_expiry"
    )
    assert refused("implied_volatility", underlying_model="bsm", price=9, **OPTION)["field"] == "volatility"
