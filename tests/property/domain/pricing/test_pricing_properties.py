"""Of any option: parity, bounds, monotony. Of any request at all: an answer."""

import json
from math import exp
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.pricing.black import black_76, black_scholes_merton
from domain.pricing.calculate import MODELS, price
from domain.pricing.implied import OutsideBounds, implied_volatility
from tests.pricing_support import BY_MODEL

SPOTS = st.floats(0.01, 1e6)
RATES = st.floats(-0.2, 0.5)
VOLATILITIES = st.floats(0, 3)
TIMES = st.floats(0, 30)


@given(SPOTS, SPOTS, RATES, RATES, VOLATILITIES, TIMES)
def test_puts_and_calls_are_at_parity(
    spot: float, strike: float, rate: float, carry: float, volatility: float, time: float
):
    terms = (spot, strike, rate, carry, volatility, time)
    call, put = black_scholes_merton(1, *terms), black_scholes_merton(-1, *terms)
    held, paid = spot * exp(-carry * time), strike * exp(-rate * time)
    scale = max(held, paid)
    assert abs(call.price - put.price - (held - paid)) <= 1e-12 * scale
    assert abs(call.delta - put.delta - exp(-carry * time)) <= 1e-12 * exp(-carry * time)
    assert call.gamma == put.gamma and call.vega == put.vega
    assert max(held - paid, 0) - 1e-12 * scale <= call.price <= held * (1 + 1e-12)
    assert max(paid - held, 0) - 1e-12 * scale <= put.price <= paid * (1 + 1e-12)


@given(SPOTS, SPOTS, RATES, VOLATILITIES, st.floats(0, 1), TIMES)
def test_a_price_grows_with_volatility(
    forward: float, strike: float, rate: float, volatility: float, more: float, time: float
):
    for sign in (1, -1):
        low = black_76(sign, forward, strike, rate, volatility, time).price
        high = black_76(sign, forward, strike, rate, volatility + more, time).price
        assert high >= low - 1e-12 * max(forward, strike) * exp(-rate * time)


@given(SPOTS, st.floats(0.5, 2), st.floats(0.01, 3), st.floats(0.01, 10), st.sampled_from([1, -1]))
def test_the_implied_volatility_gives_the_price_back(
    forward: float, ratio: float, volatility: float, time: float, sign: int
):
    price_there = black_76(sign, forward, forward * ratio, 0.0, volatility, time).price
    try:
        found = implied_volatility(sign, price_there, forward, forward * ratio, 1.0, time)
    except OutsideBounds:
        assume(False)
    again = black_76(sign, forward, forward * ratio, 0.0, found, time).price
    assert abs(again - price_there) <= 1e-13 * max(forward, forward * ratio)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=20)
    | st.decimals(allow_nan=True, places=4).map(str)
    | st.dates().map(str)
    | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
PLAUSIBLE = st.one_of(
    st.sampled_from(["0", "1", "-1", "100", "0.05", 2, -0.5, "2199-12-31", "1901-01-01", "2024-02-29", "1M"]),
    st.sampled_from(
        ["annual", "monthly", "continuous", "simple", "US", "Russia", "30/360", "Act/360", "following"]
    ),
    st.sampled_from(
        [True, False, [], {}, ["0.01"], {"type": "flat", "rate": 0.1}, {"type": "flat", "rate": -99}]
    ),
)


CURVES: list[dict[str, Any]] = [
    {"type": "flat", "rate": "0.05", "compounding": "annual", "day_count": "Act/360"},
    {
        "type": "zero",
        "dates": ["2002-06-17", "2012-06-17"],
        "rates": ["0.05", "0.06"],
        "interpolation": "cubic",
    },
    {"type": "discount", "dates": ["2002-06-17", "2012-06-17"], "factors": ["1", "0.5"]},
    {
        "type": "bootstrap",
        "instruments": [
            {"type": "deposit", "tenor": "3M", "rate": "0.03"},
            {"type": "fra", "start_months": 6, "end_months": 12, "rate": "0.03"},
            {"type": "future", "start_date": "2003-09-17", "price": 97},
            {"type": "swap", "tenor": "5Y", "rate": "0.04", "float_index": "Euribor6M"},
            {"type": "ois", "tenor": "10Y", "rate": "0.05"},
        ],
    },
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to everything inside a request."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for name, item in inner:
        found += _places(item, (*path, name))
    return found


@st.composite
def _spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """A sound request, some values of which, however deep, are something else, or are gone."""
    model = draw(st.sampled_from(sorted(MODELS)))
    request: dict[str, Any] = {"id": "1", "model": model, **BY_MODEL[model]}
    if "curve" in request:
        request["curve"] = draw(st.sampled_from(CURVES))
    request = json.loads(json.dumps(request))
    for path in draw(st.lists(st.sampled_from(_places(request)), min_size=1, max_size=4)):
        holder: Any = request
        for name in path[:-1]:
            holder = holder[name] if _holds(holder, name) else None
        if _holds(holder, path[-1]):
            holder[path[-1]] = draw(PLAUSIBLE | JSON_VALUES)
    return request


def _holds(holder: Any, name: Any) -> bool:
    if isinstance(holder, dict):
        return name in holder
    return isinstance(holder, list) and isinstance(name, int) and name < len(holder)


def _is_an_answer(answer: dict[str, Any]) -> None:
    json.dumps(answer, allow_nan=False)
    if "error" in answer:
        assert answer["error"].keys() == {"field", "expected", "found"}
        assert all(isinstance(part, str) and len(part) < 2_000 for part in answer["error"].values())
        assert len(answer["error"]["found"]) <= 200
    else:
        assert isinstance(answer["price"], float)


@settings(max_examples=400, deadline=None)
@given(_spoiled())
def test_a_spoiled_request_has_an_answer(request: dict[str, Any]):
    _is_an_answer(price(request))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(max_size=12), JSON_VALUES, max_size=8), st.sampled_from([*sorted(MODELS), "x"])
)
def test_any_object_has_an_answer(fields: dict[str, Any], model: str):
    _is_an_answer(price({**fields, "model": model}))
