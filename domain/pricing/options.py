"""The models in closed form: Black-Scholes-Merton, Black-76, implied volatility, fair value of a future."""

from math import exp, log
from typing import Any, NamedTuple

from domain.pricing.black import Greeks, black_76, black_scholes_merton
from domain.pricing.fields import RATE_MAX, Fields
from domain.pricing.implied import OutsideBounds, implied_volatility

TIME_YEARS_MAX = 1_000.0

_SIGNS = {"call": 1, "put": -1}
_UNDERLYING_MODELS = {"bsm": "bsm", "black76": "black76"}


class OptionTerms(NamedTuple):
    """An option on a spot: `sign` is 1 for a call and -1 for a put, rates and volatility per 1.00 and year."""

    sign: int
    spot: float
    strike: float
    rate: float
    dividend_yield: float
    volatility: float
    time_to_expiry: float


def option_terms(fields: Fields, *, with_volatility: bool = True) -> OptionTerms:
    """The terms of an option on a spot; where the volatility is what is asked for, it is 0 and the time above 0."""
    if not with_volatility:
        _refuse_volatility(fields)
    return OptionTerms(
        fields.choice("option_type", _SIGNS),
        fields.number("spot", above=0.0),
        fields.number("strike", above=0.0),
        _rate(fields, "rate"),
        _rate(fields, "dividend_yield", 0.0),
        _volatility(fields) if with_volatility else 0.0,
        _time(fields) if with_volatility else _time_above_zero(fields),
    )


def _refuse_volatility(fields: Fields) -> None:
    if "volatility" in fields:
        raise fields.fault("volatility", "none: it is what is asked for")


def _time_above_zero(fields: Fields) -> float:
    return fields.number("time_to_expiry", above=0.0, most=TIME_YEARS_MAX)


def _time(fields: Fields) -> float:
    return fields.number("time_to_expiry", least=0.0, most=TIME_YEARS_MAX)


def _rate(fields: Fields, name: str, default: float | None = None) -> float:
    """A continuous rate; another compounding, which a caller may well name, is refused and not passed over."""
    if "compounding" in fields:
        fields.choice("compounding", {"continuous": True})
    return fields.rate(name, default)


def _volatility(fields: Fields) -> float:
    return fields.number("volatility", least=0.0, most=RATE_MAX)


def bsm(fields: Fields) -> dict[str, Any]:
    """Black-Scholes-Merton."""
    greeks = black_scholes_merton(*option_terms(fields))
    return _answer(greeks) | {"vanna": greeks.vanna, "volga": greeks.volga}


def black76(fields: Fields) -> dict[str, Any]:
    """Black-76."""
    return _answer(
        black_76(
            fields.choice("option_type", _SIGNS),
            fields.number("forward", above=0.0),
            fields.number("strike", above=0.0),
            _rate(fields, "rate"),
            _volatility(fields),
            _time(fields),
        )
    )


def _answer(greeks: Greeks) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "price": greeks.price,
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "vega": greeks.vega,
        "theta": greeks.theta,
        "rho": greeks.rho,
    }
    if greeks.unbounded:
        answer["unbounded"] = list(greeks.unbounded)
    return answer


def volatility_of_price(fields: Fields) -> dict[str, Any]:
    """The volatility at which the underlying model gives the price."""
    model = fields.choice("underlying_model", _UNDERLYING_MODELS)
    _refuse_volatility(fields)
    sign = fields.choice("option_type", _SIGNS)
    strike = fields.number("strike", above=0.0)
    rate = _rate(fields, "rate")
    time = _time_above_zero(fields)
    if model == "bsm":
        spot = fields.number("spot", above=0.0)
        forward = _fair_value(spot, rate, _rate(fields, "dividend_yield", 0.0), time)
    else:
        forward = fields.number("forward", above=0.0)
    discount = exp(-rate * time)
    price = fields.number("price", least=0.0)
    try:
        # Beyond 64 bits a forward or a discount factor has no logarithm.
        log(forward / strike), log(discount)
        volatility = implied_volatility(sign, price, forward, strike, discount, time)
    except OutsideBounds as outside:
        raise fields.fault("price", f"{outside}, which no arbitrage allows") from None
    except ValueError:
        raise fields.fault("rate", "a rate whose discount factor 64 bits can hold") from None
    return {"price": price, "volatility": volatility}


def future(fields: Fields) -> dict[str, Any]:
    """The fair value of a future: what the spot costs to carry to expiry."""
    return {
        "price": _fair_value(
            fields.number("spot", above=0.0),
            _rate(fields, "rate"),
            _rate(fields, "dividend_yield", 0.0),
            _time(fields),
        )
    }


def _fair_value(spot: float, rate: float, dividend_yield: float, time: float) -> float:
    return spot * exp((rate - dividend_yield) * time)
