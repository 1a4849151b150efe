"""Many options at once: Black-Scholes-Merton and Black-76, price and five Greeks, over columns of 64-bit floats.

Owns: the plain code over numpy, which is the rule for the compiled twin (`native.options`), and what happens to options
that need more care than a column gives: no time or no volatility, or numbers beyond bounds. Those are priced one by one
by `domain.pricing.black`.
Assumes: columns as in that module, per 1.00 and year; `sign` is 1.0 for a call and -1.0 for a put.
Guarantees: as `domain.pricing.black` to 1e-12 of the larger of spot and strike. An option whose numbers are no option
(NaN, infinite, a spot or strike of 0 or less, a negative time or volatility) has NaN in every result, and spoils no other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from domain.pricing import black

Column = npt.NDArray[np.float64]

DEVIATION_LEAST, DEVIATION_MOST = 1e-100, 1e100
NUMBER_LEAST, NUMBER_MOST = 1e-250, 1e250
EXPONENT_MOST = 500.0
"""Bounds of volatility x sqrt(time), of spot, strike and their ratio, and of rate x time, within which a column does."""

_DENSITY_AT_ZERO = 0.3989422804014327
_NUMERATOR = (
    3.52624965998911e-02,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
_DENOMINATOR = (
    8.83883476483184e-02,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)


class Options(NamedTuple):
    """Columns of one length, contiguous."""

    sign: Column
    spot: Column
    strike: Column
    rate: Column
    dividend_yield: Column
    volatility: Column
    time_to_expiry: Column


class BatchGreeks(NamedTuple):
    """A column for each figure, as long as the options."""

    price: Column
    delta: Column
    gamma: Column
    vega: Column
    theta: Column
    rho: Column


Evaluate = Callable[[Options, BatchGreeks], int]
"""Fills the results of every option; how many options need more care, whose results may be anything."""


def black_scholes_merton(
    sign: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend_yield: npt.ArrayLike,
    volatility: npt.ArrayLike,
    time_to_expiry: npt.ArrayLike,
    *,
    evaluate: Evaluate,
) -> BatchGreeks:
    """Options on a spot; each argument is a column, or one number for all. Raises ValueError where lengths differ."""
    options = _columns(sign, spot, strike, rate, dividend_yield, volatility, time_to_expiry)
    results = BatchGreeks(*(np.empty_like(options.spot) for _ in BatchGreeks._fields))
    if evaluate(options, results):
        _do_over(options, results)
    return results


def black_76(
    sign: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    rate: npt.ArrayLike,
    volatility: npt.ArrayLike,
    time_to_expiry: npt.ArrayLike,
    *,
    evaluate: Evaluate,
) -> BatchGreeks:
    """Options on a forward: those on a spot that yields the rate, but for rho, which holds the forward fixed."""
    found = black_scholes_merton(
        sign, forward, strike, rate, rate, volatility, time_to_expiry, evaluate=evaluate
    )
    np.multiply(-found.price, np.asarray(time_to_expiry, dtype=np.float64), out=found.rho)
    return found


def _columns(*arguments: npt.ArrayLike) -> Options:
    if all(_is_column(argument) and argument.shape == arguments[0].shape for argument in arguments):  # type: ignore[union-attr]
        return Options(*arguments)  # type: ignore[arg-type]
    columns = np.broadcast_arrays(*(np.asarray(argument, dtype=np.float64) for argument in arguments))
    if columns[0].ndim != 1:
        raise ValueError(f"expected columns of one length, found {columns[0].ndim} dimensions")
    return Options(*(np.ascontiguousarray(column) for column in columns))


def _is_column(argument: npt.ArrayLike) -> bool:
    """Whether it can be read as it is: to make a column of a column takes a third of the time of a batch."""
    return (
        type(argument) is np.ndarray
        and argument.dtype == np.float64
        and argument.ndim == 1
        and argument.flags.c_contiguous
    )


def evaluate_plain(options: Options, results: BatchGreeks) -> int:
    """The columns in numpy."""
    sign, spot, strike, rate, dividend_yield, volatility, time = options
    with np.errstate(all="ignore"):
        root = np.sqrt(time)
        deviation = volatility * root
        held = spot * np.exp(-dividend_yield * time)
        paid = strike * np.exp(-rate * time)
        d1 = (np.log(spot / strike) + (rate - dividend_yield) * time) / deviation + 0.5 * deviation
        d2 = d1 - deviation
        upper_density, lower_density = np.exp(-0.5 * d1 * d1), np.exp(-0.5 * d2 * d2)
        upper = held * _normal(sign * d1, upper_density)
        lower = paid * _normal(sign * d2, lower_density)
        density = held * upper_density * _DENSITY_AT_ZERO
        np.maximum(sign * (upper - lower), 0.0, out=results.price)
        np.multiply(sign, upper / spot, out=results.delta)
        np.divide(density, deviation * spot * spot, out=results.gamma)
        np.multiply(density, root, out=results.vega)
        decay = 0.5 * density * volatility * volatility / deviation
        np.subtract(sign * (dividend_yield * upper - rate * lower), decay, out=results.theta)
        np.multiply(sign * lower, time, out=results.rho)
    return int(np.count_nonzero(~_usual(options)))


def _normal(x: Column, exponential: Column) -> Column:
    """N(x), where `exponential` is exp(-x^2 / 2): J. F. Hart's rational approximation, as G. West (2005) gives it."""
    size = np.minimum(np.abs(x), 40.0)
    tail = exponential * np.polyval(_NUMERATOR, size) / np.polyval(_DENOMINATOR, size)
    found: Column = np.where(x > 0.0, 1.0 - tail, tail)
    return found


def _usual(options: Options) -> npt.NDArray[np.bool_]:
    """Which options a column prices; those whose numbers are no numbers are not among them."""
    sign, spot, strike, rate, dividend_yield, volatility, time = options
    with np.errstate(all="ignore"):
        deviation, ratio = volatility * np.sqrt(time), spot / strike
        found: npt.NDArray[np.bool_] = (
            (deviation > DEVIATION_LEAST)
            & (deviation < DEVIATION_MOST)
            & (ratio > NUMBER_LEAST)
            & (ratio < NUMBER_MOST)
            & (spot > NUMBER_LEAST)
            & (spot < NUMBER_MOST)
            & (np.abs(rate * time) < EXPONENT_MOST)
            & (np.abs(dividend_yield * time) < EXPONENT_MOST)
            & (time < DEVIATION_MOST)
            & (np.abs(sign) == 1.0)
        )
    return found


def _do_over(options: Options, results: BatchGreeks) -> None:
    """Price what needs more care one by one, in place."""
    for place in np.flatnonzero(~_usual(options)):
        figures = _one(*(float(column[place]) for column in options))
        for column, figure in zip(results, figures, strict=True):
            column[place] = figure


def _one(sign: float, *terms: float) -> tuple[Any, ...]:
    spot, strike, _, _, volatility, time = terms
    sound = spot > 0.0 and strike > 0.0 and volatility >= 0.0 and time >= 0.0 and abs(sign) == 1.0
    try:
        if sound and np.isfinite(terms).all():
            greeks = black.black_scholes_merton(int(sign), *terms)
            return greeks[: len(BatchGreeks._fields)]
    except (ArithmeticError, ValueError):
        pass  # a result that 64 bits cannot hold
    return (np.nan,) * len(BatchGreeks._fields)
