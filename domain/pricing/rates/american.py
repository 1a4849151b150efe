"""American options on a spot with a continuous dividend yield: price, five Greeks, and the volatility of a price.

Source: L. Andersen, M. Lake, D. Offengenden, High-Performance American Option Pricing, Journal of Computational Finance
20 (2016), by QuantLib: the boundary of exercise as a fixed point, the premium of early exercise as an integral along it.
Where a put has two boundaries (dividend yield < rate < 0; a call the other way round) that method has no answer: a
Leisen-Reimer tree of `TREE_STEPS` steps has (`method` in the answer says which it was).

Assumes: nothing of dates. QuantLib counts days; a price depends on rate x time, dividend yield x time and variance x
time alone, so every option is priced as one of a year.
Guarantees: price to 1e-6 of the strike (the tree: 1e-5). Delta, gamma, vega and rho are slopes of the price over small
moves; theta follows from them by the equation of Black and Scholes, and is 0 where exercise at once is best. Without
time or volatility: the limit, the best of all deterministic days of exercise.
"""

from collections.abc import Callable, Iterator
from datetime import date
from math import exp, inf, log, sqrt
from typing import Any, NamedTuple

import QuantLib as ql

from domain.pricing.fields import Fields
from domain.pricing.options import OptionTerms, option_terms
from domain.pricing.rates.conventions import to_date

EVALUATION_DATE = date(2001, 1, 1)
"""Any day: a year of 365 days follows it."""

TREE_STEPS = 1_001
DEVIATION_LEAST, DEVIATION_MOST = 1e-3, 20.0
"""Bounds of volatility x sqrt(time). Below them the volatility counts as none, beyond them it is refused."""

_DAYS = 365
_SPOT_MOVE = 2e-3
_VOLATILITY_MOVE = 1e-3
_RATE_MOVE = 1e-4
_EXERCISED = 1e-9
"""How near to what exercise gives, over the strike, a price is that of exercise at once."""

_VOLATILITY_ACCURACY = 1e-12

_Engine = Callable[[Any], Any]


class _Price(NamedTuple):
    """A price as a function of the terms, and the name of its method."""

    of: Callable[[OptionTerms], float]
    method: str


def american(fields: Fields) -> dict[str, Any]:
    """An American option; `exercise_now` says whether it is worth no more than what exercise at once gives."""
    terms = option_terms(fields)
    intrinsic = max(terms.sign * (terms.spot - terms.strike), 0.0)
    deviation = terms.volatility * sqrt(terms.time_to_expiry)
    if deviation > DEVIATION_MOST:
        raise fields.fault("volatility", f"volatility x sqrt(time) of at most {DEVIATION_MOST:g}")
    found = _certain(terms) if deviation < DEVIATION_LEAST else _uncertain(terms, intrinsic)
    exercised = intrinsic > 0.0 and found["price"] - intrinsic <= _EXERCISED * terms.strike
    return {**found, "exercise_now": exercised}


# -- with volatility ------------------------------------------------------------------------------------------


def _uncertain(terms: OptionTerms, intrinsic: float) -> dict[str, Any]:
    exact, quick = _methods(terms)
    spot, step = terms.spot, _SPOT_MOVE * terms.spot
    at = quick.of(terms)
    up, down = (quick.of(terms._replace(spot=moved)) for moved in (spot + step, spot - step))
    delta, gamma = (up - down) / (2.0 * step), (up - 2.0 * at + down) / (step * step)
    price = max(exact.of(terms), intrinsic)
    theta = 0.0
    if price - intrinsic > _EXERCISED * terms.strike:
        carry = terms.rate - terms.dividend_yield
        theta = terms.rate * price - carry * spot * delta - 0.5 * (terms.volatility * spot) ** 2 * gamma
    return {
        "price": price,
        "delta": delta,
        "gamma": gamma,
        "vega": _slope(quick, terms, "volatility", _VOLATILITY_MOVE * terms.volatility),
        "theta": theta,
        "rho": _slope(quick, terms, "rate", _RATE_MOVE),
        "method": exact.method,
    }


def _slope(price: _Price, terms: OptionTerms, name: str, step: float) -> float:
    value = getattr(terms, name)
    up, down = (price.of(terms._replace(**{name: moved})) for moved in (value + step, value - step))
    return (up - down) / (2.0 * step)


def _methods(terms: OptionTerms) -> tuple[_Price, _Price]:
    """The price, and a quicker one whose error (1e-7 of the strike) is too smooth to be seen in slopes."""
    # The symmetry of puts and calls: a call is a put with the rates exchanged.
    rates = (terms.rate, terms.dividend_yield)
    rate, carry = rates if terms.sign < 0 else rates[::-1]
    if carry < rate + 2.0 * _RATE_MOVE and rate < 2.0 * _RATE_MOVE and carry < 0.0:
        tree = _Price(
            _valued(lambda process: ql.BinomialVanillaEngine(process, "lr", TREE_STEPS)), "binomial"
        )
        return tree, tree
    exact, quick = ql.QdFpAmericanEngine.highPrecisionScheme(), ql.QdFpLegendreScheme(24, 8, 16, 64)
    name = "andersen_lake_offengenden"
    return (
        _Price(_valued(lambda process: ql.QdFpAmericanEngine(process, exact)), name),
        _Price(_valued(lambda process: ql.QdFpAmericanEngine(process, quick)), name),
    )


def _valued(engine: _Engine) -> Callable[[OptionTerms], float]:
    def price(terms: OptionTerms) -> float:
        today, day_count = to_date(EVALUATION_DATE), ql.Actual365Fixed()
        kind = ql.Option.Call if terms.sign > 0 else ql.Option.Put
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(kind, terms.strike), ql.AmericanExercise(today, today + _DAYS)
        )
        years = terms.time_to_expiry
        rate, carry = (
            ql.YieldTermStructureHandle(ql.FlatForward(today, each * years, day_count))
            for each in (terms.rate, terms.dividend_yield)
        )
        volatility = ql.BlackConstantVol(today, ql.NullCalendar(), terms.volatility * sqrt(years), day_count)
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(terms.spot)),
            carry,
            rate,
            ql.BlackVolTermStructureHandle(volatility),
        )
        option.setPricingEngine(engine(process))
        return float(option.NPV())

    return price


# -- without --------------------------------------------------------------------------------------------------


def _days_of_exercise(terms: OptionTerms) -> Iterator[float]:
    """When the discounted gain of a spot that is certain may be largest: at either end, or where its slope is 0."""
    yield 0.0
    yield terms.time_to_expiry
    rate, carry = terms.rate, terms.dividend_yield
    if rate != carry and rate * carry > 0.0:
        at = log(carry * terms.spot / (rate * terms.strike)) / (carry - rate)
        if 0.0 < at < terms.time_to_expiry:
            yield at


def _certain(terms: OptionTerms) -> dict[str, Any]:
    best, when = -inf, 0.0
    for at in _days_of_exercise(terms):
        held, paid = _discounted(terms, at)
        if terms.sign * (held - paid) > best:
            best, when = terms.sign * (held - paid), at
    if best <= 0.0:
        return {
            **dict.fromkeys(("price", "delta", "gamma", "vega", "theta", "rho"), 0.0),
            "method": "certain",
        }
    held, paid = _discounted(terms, when)
    # With a day less to go, only what is exercised on the last day changes.
    last = when == terms.time_to_expiry and when > 0.0
    return {
        "price": best,
        "delta": terms.sign * held / terms.spot,
        "gamma": 0.0,
        "vega": 0.0,
        "theta": terms.sign * (terms.dividend_yield * held - terms.rate * paid) if last else 0.0,
        "rho": terms.sign * paid * when,
        "method": "certain",
    }


def _discounted(terms: OptionTerms, at: float) -> tuple[float, float]:
    return terms.spot * exp(-terms.dividend_yield * at), terms.strike * exp(-terms.rate * at)


# -- the volatility of a price --------------------------------------------------------------------------------


def volatility_of_american(fields: Fields) -> dict[str, Any]:
    """The volatility at which the option is worth `price`; 0 where the price has no time value."""
    terms = option_terms(fields, with_volatility=False)
    price = fields.number("price", least=0.0)
    lower = max(_certain(terms)["price"], 0.0)
    kept = terms.dividend_yield if terms.sign > 0 else terms.rate
    bound = (terms.spot if terms.sign > 0 else terms.strike) * max(1.0, exp(-kept * terms.time_to_expiry))
    scale = max(terms.spot, terms.strike)
    if not lower - 1e-12 * scale <= price < bound:
        expected = f"a price from {lower:.15g} to below {bound:.15g}, which no arbitrage allows"
        raise fields.fault("price", expected)
    if price - lower <= _EXERCISED * terms.strike:
        return {"price": price, "volatility": 0.0}
    root = sqrt(terms.time_to_expiry)
    exact, _ = _methods(terms)

    def missing(volatility: float) -> float:
        return exact.of(terms._replace(volatility=volatility)) - price

    least, most = DEVIATION_LEAST / root, DEVIATION_MOST / root
    if missing(most) < 0.0:
        raise fields.fault("price", f"a price of a volatility of at most {most:.6g}")
    if missing(least) > 0.0:
        return {"price": price, "volatility": least}
    found = ql.Brent().solve(missing, _VOLATILITY_ACCURACY, min(max(0.2, 2 * least), 0.5 * most), least, most)
    return {"price": price, "volatility": float(found)}
