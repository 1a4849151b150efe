"""The closed forms against QuantLib's Black calculator, over a wide grid, to 1e-10."""

from itertools import product
from math import exp, sqrt

import pytest
import QuantLib as ql

from domain.pricing.black import black_76, black_scholes_merton

TOLERANCE = 1e-10


def _close(found: float, expected: float, scale: float = 1.0) -> bool:
    return abs(found - expected) <= TOLERANCE * max(scale, abs(expected))


@pytest.mark.parametrize("kind", [ql.Option.Call, ql.Option.Put])
def test_black_scholes_merton(kind: int):
    sign = 1 if kind == ql.Option.Call else -1
    grid = product(
        (1.0, 60.0, 99.0, 100.0, 140.0, 5_000.0),
        (-0.02, 0.0, 0.08),
        (0.0, 0.05),
        (0.001, 0.2, 0.9, 4.0),
        (1 / 365, 0.5, 3.0, 40.0),
    )
    for spot, rate, carry, volatility, time in grid:
        strike = 100.0
        forward = spot * exp((rate - carry) * time)
        expected = ql.BlackCalculator(
            ql.PlainVanillaPayoff(kind, strike), forward, volatility * sqrt(time), exp(-rate * time)
        )
        found = black_scholes_merton(sign, spot, strike, rate, carry, volatility, time)
        where = (spot, rate, carry, volatility, time)
        assert _close(found.price, max(expected.value(), 0), max(spot, strike)), where
        assert _close(found.delta, expected.delta(spot)), where
        assert _close(found.gamma, expected.gamma(spot)), where
        assert _close(found.vega, expected.vega(time), spot), where
        assert _close(found.rho, expected.rho(time), strike * time), where
        assert _close(found.theta, expected.theta(spot, time), spot), where


@pytest.mark.parametrize("kind", [ql.Option.Call, ql.Option.Put])
def test_black_76(kind: int):
    sign = 1 if kind == ql.Option.Call else -1
    grid = product((1.0, 80.0, 100.0, 5_000.0), (-0.02, 0.08), (0.001, 0.2, 4.0), (1 / 365, 0.5, 40.0))
    for forward, rate, volatility, time in grid:
        strike = 100.0
        expected = ql.BlackCalculator(
            ql.PlainVanillaPayoff(kind, strike), forward, volatility * sqrt(time), exp(-rate * time)
        )
        found = black_76(sign, forward, strike, rate, volatility, time)
        where = (forward, rate, volatility, time)
        assert _close(found.price, max(expected.value(), 0), max(forward, strike)), where
        assert _close(found.delta, expected.deltaForward()), where
        assert _close(found.gamma, expected.gammaForward()), where
        assert _close(found.vega, expected.vega(time), forward), where
