"""Black-Scholes-Merton and Black-76 for European options, in closed form, with their exact limits.

Sources: J. C. Hull, Options, Futures, and Other Derivatives, chapters 15, 17 to 19 (price, delta, gamma, vega, theta,
rho); E. G. Haug, The Complete Guide to Option Pricing Formulas, chapter 2 (vanna, volga).

Units: rates and volatility per 1.00 and year, continuous; time in years; vega, rho, vanna and volga per 1.00; theta per
year, as time passes. `sign` is 1 for a call and -1 for a put.
Guarantees: where volatility or time is 0, the limit from above; nothing is ever NaN. At the money and there, gamma (and
at expiry theta) grow beyond all bounds: such a figure is 0 and named in `unbounded`.
"""

from math import erfc, exp, inf, log, pi, sqrt
from typing import NamedTuple

_ROOT_OF_TWO = sqrt(2.0)
_DENSITY_AT_ZERO = 1.0 / sqrt(2.0 * pi)


class Greeks(NamedTuple):
    """A price and its sensitivities. Black-76 has no vanna and volga; its delta and gamma are to the forward."""

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    vanna: float | None = None
    volga: float | None = None
    unbounded: tuple[str, ...] = ()


class _Terms(NamedTuple):
    """N(sign d1), N(sign d2), n(d1), and what vanna and volga need of d1 and d2, with limits."""

    upper: float
    lower: float
    density: float
    d2_over_volatility: float
    d1_d2_over_volatility: float


def normal_distribution(x: float) -> float:
    """The standard normal distribution function, accurate in both tails."""
    return 0.5 * erfc(-x / _ROOT_OF_TWO)


def normal_density(x: float) -> float:
    """The standard normal density."""
    return _DENSITY_AT_ZERO * exp(-0.5 * x * x)


def _terms(sign: int, moneyness: float, volatility: float, root_of_time: float) -> _Terms:
    """`moneyness` is ln(forward / strike)."""
    deviation = volatility * root_of_time
    if moneyness == 0.0:
        half = 0.5 * deviation
        return _Terms(
            normal_distribution(sign * half),
            normal_distribution(-sign * half),
            normal_density(half),
            -0.5 * root_of_time,
            -0.25 * deviation * root_of_time,
        )
    scaled = moneyness / deviation if deviation > 0.0 else inf if moneyness > 0.0 else -inf
    d1, d2 = scaled + 0.5 * deviation, scaled - 0.5 * deviation
    density = normal_density(d1)
    upper, lower = normal_distribution(sign * d1), normal_distribution(sign * d2)
    if density == 0.0:
        return _Terms(upper, lower, 0.0, 0.0, 0.0)
    return _Terms(upper, lower, density, d2 / volatility, d1 * d2 / volatility)


def _over(numerator: float, denominator: float, name: str, unbounded: list[str]) -> float:
    """A quotient; 0 where it is 0 / 0, and 0 with a note where it has no bound."""
    if numerator == 0.0:
        return 0.0
    quotient = numerator / denominator if denominator > 0.0 else inf
    if quotient == inf:
        unbounded.append(name)
        return 0.0
    return quotient


def black_scholes_merton(
    sign: int,
    spot: float,
    strike: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
    time_to_expiry: float,
) -> Greeks:
    """A European option on a spot with a continuous dividend yield (spot and strike above 0)."""
    root_of_time = sqrt(time_to_expiry)
    moneyness = log(spot / strike) + (rate - dividend_yield) * time_to_expiry
    terms = _terms(sign, moneyness, volatility, root_of_time)
    carry, discount = exp(-dividend_yield * time_to_expiry), exp(-rate * time_to_expiry)
    held, paid = spot * carry, strike * discount
    unbounded: list[str] = []
    density = carry * terms.density
    vega = spot * density * root_of_time
    decay = _over(0.5 * spot * density * volatility, root_of_time, "theta", unbounded)
    return Greeks(
        price=max(sign * (held * terms.upper - paid * terms.lower), 0.0),
        delta=sign * carry * terms.upper,
        gamma=_over(density, spot * volatility * root_of_time, "gamma", unbounded),
        vega=vega,
        theta=sign * (dividend_yield * held * terms.upper - rate * paid * terms.lower) - decay,
        rho=sign * paid * time_to_expiry * terms.lower,
        vanna=-density * terms.d2_over_volatility,
        volga=vega * terms.d1_d2_over_volatility,
        unbounded=tuple(unbounded),
    )


def black_76(
    sign: int, forward: float, strike: float, rate: float, volatility: float, time_to_expiry: float
) -> Greeks:
    """A European option on a forward (forward and strike above 0); theta and rho hold the forward fixed."""
    root_of_time = sqrt(time_to_expiry)
    discount = exp(-rate * time_to_expiry)
    terms = _terms(sign, log(forward / strike), volatility, root_of_time)
    unbounded: list[str] = []
    density = discount * terms.density
    price = max(sign * discount * (forward * terms.upper - strike * terms.lower), 0.0)
    return Greeks(
        price=price,
        delta=sign * discount * terms.upper,
        gamma=_over(density, forward * volatility * root_of_time, "gamma", unbounded),
        vega=forward * density * root_of_time,
        theta=rate * price - _over(0.5 * forward * density * volatility, root_of_time, "theta", unbounded),
        rho=-time_to_expiry * price,
        unbounded=tuple(unbounded),
    )
