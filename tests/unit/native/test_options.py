"""Many options at once: by numpy and by every width of the compiled loop, the figures of the closed forms."""

from functools import partial
from itertools import product
from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
import QuantLib as ql

import native
from domain.pricing import batch, black
from native import options

COMPILED = options.twin()
WIDTHS = [] if COMPILED is None else [width for width in (2, 4, 8) if width <= COMPILED.width()]
EVALUATORS = [pytest.param(batch.evaluate_plain, id="numpy")] + [
    pytest.param(partial(COMPILED.evaluate, width=width), id=f"compiled, {width} at once") for width in WIDTHS
]
RATES = (-0.02, 0.0, 0.08)


def _grid() -> np.ndarray:
    """Sign, spot, strike, rate, dividend yield, volatility, time of many options, in columns."""
    usual = product(
        (1.0, -1.0),
        (1.0, 60.0, 99.0, 100.0, 140.0, 5_000.0),
        (100.0,),
        RATES,
        (0.0, 0.05),
        (0.001, 0.05, 0.2, 0.9, 4.0),
        (1 / 365, 0.5, 3.0, 40.0),
    )
    careful = product((1.0, -1.0), (50.0, 100.0, 200.0), (100.0,), RATES, (0.0, 0.05), (0.0, 0.2), (0.0, 1.0))
    return np.array([*usual, *careful]).T


def _largest_difference(found: batch.BatchGreeks, columns: np.ndarray, one: Any) -> dict[str, float]:
    """By figure, the largest difference from the closed form, over what that figure is measured in."""
    expected = np.array([one(int(row[0]), *row[1:])[:6] for row in columns.T]).T
    spot, strike, time = columns[1], columns[2], columns[6]
    larger = np.maximum(spot, strike)
    scales = (
        larger,
        1.0,
        np.maximum(1.0, expected[2]),
        larger * np.sqrt(time + 1),
        None,
        larger * (time + 1),
    )
    differences = {}
    for name, figure, right, scale in zip(found._fields, found, expected, scales, strict=True):
        by = np.maximum(larger, np.abs(right)) if scale is None else scale
        differences[name] = float(np.max(np.abs(figure - right) / by))
    return differences


@pytest.mark.parametrize("evaluate", EVALUATORS)
def test_black_scholes_merton(evaluate: batch.Evaluate):
    columns = _grid()
    found = batch.black_scholes_merton(*columns, evaluate=evaluate)
    differences = _largest_difference(found, columns, black.black_scholes_merton)
    assert max(differences.values()) < 1e-12, differences


@pytest.mark.parametrize("evaluate", EVALUATORS)
def test_black_76(evaluate: batch.Evaluate):
    columns = _grid()
    sign, forward, strike, rate, _, volatility, time = columns
    found = batch.black_76(sign, forward, strike, rate, volatility, time, evaluate=evaluate)

    def one(
        sign: int, forward: float, strike: float, rate: float, _: float, volatility: float, time: float
    ) -> Any:
        return black.black_76(sign, forward, strike, rate, volatility, time)

    differences = _largest_difference(found, columns, one)
    assert max(differences.values()) < 1e-12, differences


def _from_quantlib(columns: np.ndarray) -> np.ndarray:
    """Price, delta, gamma, vega, theta, rho of QuantLib's Black calculator."""
    figures = []
    for sign, spot, strike, rate, carry, volatility, time in columns.T.tolist():
        kind = ql.Option.Call if sign > 0 else ql.Option.Put
        forward, discount = spot * exp((rate - carry) * time), exp(-rate * time)
        found = ql.BlackCalculator(
            ql.PlainVanillaPayoff(kind, strike), forward, volatility * sqrt(time), discount
        )
        first = (found.value(), found.delta(spot), found.gamma(spot), found.vega(time))
        figures.append((*first, found.theta(spot, time), found.rho(time)))
    return np.array(figures).T


@pytest.mark.parametrize("evaluate", EVALUATORS)
def test_batches_are_quantlibs_figures(evaluate: batch.Evaluate):
    """To 1e-10 of what each figure is measured in: from a hundredth to a hundred times the strike, hours to 40 years."""
    grid = product(
        (1.0, -1.0),
        (1.0, 10.0, 50.0, 80.0, 99.0, 100.0, 101.0, 125.0, 200.0, 1_000.0, 10_000.0),
        (100.0,),
        RATES,
        (0.0, 0.05),
        (1e-3, 0.05, 0.2, 0.9, 4.0),
        (1e-4, 1 / 365, 0.5, 3.0, 40.0),
    )
    columns = np.array([*grid]).T
    found = batch.black_scholes_merton(*columns, evaluate=evaluate)
    expected = _from_quantlib(columns)
    _, spot, strike, _, _, _, time = columns
    larger = np.maximum(spot, strike)
    scales = (larger, 1.0, 1.0, larger, larger, larger * np.maximum(time, 1.0))
    for name, figure, right, scale in zip(found._fields, found, expected, scales, strict=True):
        # What QuantLib takes below nothing, in its last digit, is nothing here.
        right = np.maximum(right, 0.0) if name == "price" else right
        worst = float(np.max(np.abs(figure - right) / np.maximum(scale, np.abs(right))))
        assert worst < 1e-10, (name, worst)
    assert columns.shape[1] > 3_000


@pytest.mark.parametrize("evaluate", EVALUATORS)
@pytest.mark.parametrize(("volatility", "time"), [(0.0, 1.0), (0.2, 0.0), (0.0, 0.0), (0.0, 40.0)])
def test_batches_without_time_or_volatility_have_quantlibs_prices(
    evaluate: batch.Evaluate, volatility: float, time: float
):
    """QuantLib's prices are the limits; its Greeks there are not (a put out of the money has a delta of 1)."""
    columns = np.array(
        [*product((1.0, -1.0), (1.0, 50.0, 99.0, 101.0, 200.0, 1e4), (100.0,), RATES, (0.0, 0.05))]
    ).T
    columns = np.vstack(
        [columns, np.full((1, columns.shape[1]), volatility), np.full((1, columns.shape[1]), time)]
    )
    found = batch.black_scholes_merton(*columns, evaluate=evaluate)
    for place, (sign, spot, strike, rate, carry, _, _) in enumerate(columns.T.tolist()):
        kind = ql.Option.Call if sign > 0 else ql.Option.Put
        forward, discount = spot * exp((rate - carry) * time), exp(-rate * time)
        right = ql.BlackCalculator(ql.PlainVanillaPayoff(kind, strike), forward, 0.0, discount)
        assert abs(found.price[place] - right.value()) <= 1e-10 * max(spot, strike), place
        exercised = sign * (forward - strike) > 0.0
        assert abs(found.delta[place] - sign * exp(-carry * time) * exercised) <= 1e-10, place
        assert (found.gamma[place], found.vega[place]) == (0.0, 0.0)


@pytest.mark.parametrize("evaluate", EVALUATORS)
def test_what_is_no_option_is_nan_and_spoils_no_other(evaluate: batch.Evaluate):
    columns = _grid()[:, :64].copy()
    good = batch.black_scholes_merton(*columns, evaluate=evaluate)
    wrong = [(0, 0.5), (1, 0.0), (1, -1.0), (1, np.nan), (1, np.inf), (2, 0.0), (3, np.nan), (4, -np.inf)]
    wrong += [(5, -0.1), (5, np.nan), (6, -0.1), (6, np.inf), (3, -1e6)]
    for place, (column, value) in enumerate(wrong):
        columns[column, 3 * place + 1] = value
    found = batch.black_scholes_merton(*columns, evaluate=evaluate)
    spoiled = 3 * np.arange(len(wrong)) + 1
    for name, figure, before in zip(found._fields, found, good, strict=True):
        assert np.isnan(figure[spoiled]).all(), name
        np.testing.assert_array_equal(np.delete(figure, spoiled), np.delete(before, spoiled))


@pytest.mark.parametrize("evaluate", EVALUATORS)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 4_097])
def test_columns_of_any_length(evaluate: batch.Evaluate, count: int):
    spots = np.linspace(50, 150, count)
    found = batch.black_scholes_merton(1.0, spots, 100.0, 0.05, 0.02, 0.2, 1.0, evaluate=evaluate)
    assert all(figure.shape == (count,) for figure in found)
    if count:
        last = black.black_scholes_merton(1, float(spots[-1]), 100.0, 0.05, 0.02, 0.2, 1.0)
        assert found.price[-1] == pytest.approx(last.price, abs=1e-11)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="shape"):
        options.black_scholes_merton(1.0, [1.0, 2.0], [1.0, 2.0, 3.0], 0, 0, 0.2, 1)
    with pytest.raises(ValueError, match="one length"):
        options.black_scholes_merton(1.0, 100.0, 100.0, 0, 0, 0.2, 1)
    with pytest.raises(ValueError, match="one length"):
        options.black_76(1.0, [[100.0]], 100.0, 0, 0.2, 1)


@pytest.mark.skipif(not WIDTHS, reason="no compiled loop was built")
def test_the_compiled_loop_looks_at_its_columns():
    columns = batch.Options(*(np.ones(4) for _ in range(7)))
    results = batch.BatchGreeks(*(np.empty(4) for _ in range(6)))
    with pytest.raises(ValueError, match="at most"):
        COMPILED.evaluate(columns, results, 16)
    with pytest.raises(ValueError, match="columns of 4"):
        COMPILED.evaluate(columns._replace(strike=np.ones(3)), results, 2)


def test_plain_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    def forget() -> None:
        options.twin.cache_clear()
        options.evaluator.cache_clear()

    try:
        with monkeypatch.context() as plain:
            plain.setenv(native.PLAIN, "1")
            forget()
            assert options.evaluator() is batch.evaluate_plain
            assert options.description() == "numpy"
    finally:
        forget()
    assert options.twin() is COMPILED
    assert options.description() == (f"compiled, {WIDTHS[-1]} at once" if WIDTHS else "numpy")
