"""Columns of options and futures off one spot or forward: price and seven Greeks, of one unit.

Owns: vanna and volga beside what `domain.pricing.batch` gives, and futures at their fair value among the options.
Assumes: columns of one length; `sign` is 1.0 for a call, -1.0 for a put and 0.0 for a future. Where `on_forward` holds,
`spot` is a forward (Black-76: theta and rho hold it fixed).
Guarantees: what cannot be priced (no volatility, a spot that is not above 0) is NaN in every column, alone. Where time or
volatility is 0, vanna and volga are 0.
Source of vanna and volga: E. G. Haug, The Complete Guide to Option Pricing Formulas, chapter 2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from domain.pricing.batch import Column, Evaluate, black_scholes_merton

NANOSECONDS_A_YEAR = 365 * 86_400 * 1_000_000_000


class Inputs(NamedTuple):
    """What options hang on, a column each; `volatility` is NaN where none is known."""

    sign: Column
    strike: Column
    expiry: npt.NDArray[np.int64]
    rate: Column
    dividend_yield: Column
    volatility: Column
    on_forward: npt.NDArray[np.bool_]


def some_of(inputs: Inputs, rows: Sequence[int]) -> Inputs:
    """The entries of some rows, in their order."""
    places = slice(rows.start, rows.stop) if isinstance(rows, range) else np.array(rows)
    return Inputs(
        inputs.sign[places],
        inputs.strike[places],
        inputs.expiry[places],
        inputs.rate[places],
        inputs.dividend_yield[places],
        inputs.volatility[places],
        inputs.on_forward[places],
    )


class UnitGreeks(NamedTuple):
    """Of one unit, a column each; vega, rho, vanna and volga per 1.00, theta per year."""

    price: Column
    delta: Column
    gamma: Column
    vega: Column
    theta: Column
    rho: Column
    vanna: Column
    volga: Column


def years_to(expiry: npt.NDArray[np.int64], now: int) -> Column:
    """Years of 365 days from `now` (nanoseconds) to each expiry; 0 after it."""
    found: Column = np.maximum(expiry - now, 0) / NANOSECONDS_A_YEAR
    return found


def unit_greeks(inputs: Inputs, spot: float, years: Column, evaluate: Evaluate) -> UnitGreeks:
    """Every option of the columns at one spot."""
    dividend = np.where(inputs.on_forward, inputs.rate, inputs.dividend_yield)
    future = inputs.sign == 0.0
    some_futures = bool(future.any())
    sign = np.where(future, 1.0, inputs.sign) if some_futures else inputs.sign
    # A future takes the place of an option that any column prices; its figures are filled in after.
    volatility = np.where(future, 1.0, inputs.volatility) if some_futures else inputs.volatility
    spots = np.full(len(sign), spot)
    found = black_scholes_merton(
        sign, spots, inputs.strike, inputs.rate, dividend, volatility, years, evaluate=evaluate
    )
    rho = np.where(inputs.on_forward, -found.price * years, found.rho)
    vanna, volga = _second_order(inputs, spot, years, dividend, found.vega)
    unpriced = np.isnan(found.price)
    if unpriced.any():
        vanna[unpriced] = volga[unpriced] = np.nan
    greeks = UnitGreeks(*found[:5], rho, vanna, volga)
    if some_futures:
        _fill_futures(greeks, future, inputs, spot, years)
    return greeks


def _second_order(
    inputs: Inputs, spot: float, years: Column, dividend: Column, vega: Column
) -> tuple[Column, Column]:
    with np.errstate(all="ignore"):
        volatility, root = inputs.volatility, np.sqrt(years)
        deviation = volatility * root
        d1 = (np.log(spot / inputs.strike) + (inputs.rate - dividend) * years) / deviation + 0.5 * deviation
        d2 = d1 - deviation
        # vega = S e^(-qT) n(d1) sqrt(T), so vanna = -e^(-qT) n(d1) d2 / volatility = -vega d2 / (S deviation).
        vanna = -vega * d2 / (spot * deviation)
        volga = vega * d1 * d2 / volatility
    bad = ~(np.isfinite(vanna) & np.isfinite(volga))
    if bad.any():
        vanna[bad] = volga[bad] = 0.0
    return vanna, volga


def _fill_futures(
    greeks: UnitGreeks, future: npt.NDArray[np.bool_], inputs: Inputs, spot: float, years: Column
) -> None:
    """Fair value of a future: spot x exp((rate - dividend yield) x time)."""
    carry = (inputs.rate - inputs.dividend_yield)[future]
    growth = np.exp(carry * years[future]) if spot > 0.0 else np.full(len(carry), np.nan)
    price = spot * growth
    greeks.price[future] = price
    greeks.delta[future] = growth
    greeks.theta[future] = -carry * price
    greeks.rho[future] = years[future] * price
    for column in (greeks.gamma, greeks.vega, greeks.vanna, greeks.volga):
        column[future] = np.where(np.isnan(price), np.nan, 0.0)
