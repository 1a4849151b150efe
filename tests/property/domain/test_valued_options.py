"""Columns of options are the closed forms one by one, vanna and volga included; what cannot be priced spoils no other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.pricing import batch
from domain.pricing.black import black_76, black_scholes_merton
from domain.valuation.options import NANOSECONDS_A_YEAR, Inputs, some_of, unit_greeks, years_to

terms = st.tuples(
    st.sampled_from((1.0, -1.0, 0.0)),
    st.floats(1.0, 500.0),
    st.sampled_from((0.0, 0.001, 0.25, 1.0, 10.0)),
    st.floats(-0.05, 0.15),
    st.floats(-0.05, 0.15),
    st.sampled_from((0.0, 0.05, 0.3, 1.5, math.nan)),
    st.booleans(),
)


@given(st.lists(terms, min_size=1, max_size=8), st.sampled_from((1.0, 80.0, 100.0, 437.5)))
def test_as_one_by_one(options: list[tuple], spot: float):
    columns = list(zip(*options, strict=True))
    inputs = Inputs(
        np.array(columns[0]),
        np.array(columns[1]),
        np.array([int(years * NANOSECONDS_A_YEAR) for years in columns[2]], dtype=np.int64),
        *(np.array(column) for column in columns[3:6]),
        np.array(columns[6], dtype=np.bool_),
    )
    years = years_to(inputs.expiry, 0)
    found = unit_greeks(inputs, spot, years, batch.evaluate_plain)
    for place, (sign, strike, _, rate, dividend, volatility, on_forward) in enumerate(options):
        figures = [float(column[place]) for column in found]
        time = float(years[place])
        if sign == 0.0:
            price = spot * math.exp((rate - dividend) * time)
            assert figures[0] == pytest.approx(price)
            assert figures[2:4] == [0.0, 0.0]
            continue
        if math.isnan(volatility):
            assert all(math.isnan(figure) for figure in figures)
            continue
        if on_forward:
            expected = black_76(int(sign), spot, strike, rate, volatility, time)
            both = black_scholes_merton(int(sign), spot, strike, rate, rate, volatility, time)
        else:
            expected = both = black_scholes_merton(int(sign), spot, strike, rate, dividend, volatility, time)
        scale = max(spot, strike)
        assert figures[:6] == pytest.approx(list(expected[:6]), rel=1e-8, abs=1e-9 * scale)
        if volatility * math.sqrt(time) > 0.0:
            assert figures[6:] == pytest.approx([both.vanna, both.volga], rel=1e-6, abs=1e-7 * scale)
        else:
            assert figures[6:] == [0.0, 0.0]


@pytest.mark.parametrize("spot", [math.nan, -1.0, 0.0])
def test_no_spot_prices_nothing(spot: float):
    inputs = Inputs(
        np.array([1.0, 0.0]),
        np.array([100.0, 1.0]),
        np.array([NANOSECONDS_A_YEAR] * 2, dtype=np.int64),
        *(np.array([0.02, 0.02]) for _ in range(3)),
        np.array([False, False]),
    )
    found = unit_greeks(inputs, spot, years_to(inputs.expiry, 0), batch.evaluate_plain)
    assert all(np.isnan(column).all() for column in found)
    assert len(some_of(inputs, [1]).sign) == len(some_of(inputs, range(1)).sign) == 1
