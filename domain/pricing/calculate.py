"""Requests in, answers out, in the same order; one that cannot be priced spoils no other.

A request is an object `{"id", "model", ...}`; its answer is `{"id", "price", ...}` or
`{"id", "error": {"field", "expected", "found"}}`. American options, bonds, swaps and CVA are loaded when the first
request asks for them: QuantLib is large, and a European option needs none of it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from domain.pricing import options
from domain.pricing.fields import Fields, Unpriceable, shown

ID_CHARACTERS_MAX = 256

Model = Callable[[Fields], dict[str, Any]]

_UNDERLYING_MODELS = {name: name for name in ("bsm", "black76", "american")}
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def _with_quantlib(load: Callable[[], Model]) -> Model:
    """A model of `domain.pricing.rates`, loaded when it is first used."""

    def answer(fields: Fields) -> dict[str, Any]:
        from domain.pricing.rates.session import run

        return run(load(), fields)

    return answer


def _american(fields: Fields) -> dict[str, Any]:
    from domain.pricing.rates.american import EVALUATION_DATE, american
    from domain.pricing.rates.session import run

    return run(american, fields, EVALUATION_DATE)


def _implied_volatility(fields: Fields) -> dict[str, Any]:
    if fields.choice("underlying_model", _UNDERLYING_MODELS) != "american":
        return options.volatility_of_price(fields)
    from domain.pricing.rates.american import EVALUATION_DATE, volatility_of_american
    from domain.pricing.rates.session import run

    return run(volatility_of_american, fields, EVALUATION_DATE)


def _fixed_rate_bond() -> Model:
    from domain.pricing.rates.bonds import fixed_rate_bond

    return fixed_rate_bond


def _zero_coupon_bond() -> Model:
    from domain.pricing.rates.bonds import zero_coupon_bond

    return zero_coupon_bond


def _interest_rate_swap() -> Model:
    from domain.pricing.rates.swaps import interest_rate_swap

    return interest_rate_swap


def _overnight_swap() -> Model:
    from domain.pricing.rates.swaps import overnight_swap

    return overnight_swap


def _credit_valuation_adjustment() -> Model:
    from domain.pricing.rates.credit import credit_valuation_adjustment

    return credit_valuation_adjustment


MODELS: Mapping[str, Model] = {
    "bsm": options.bsm,
    "black76": options.black76,
    "american": _american,
    "implied_volatility": _implied_volatility,
    "future": options.future,
    "fixed_rate_bond": _with_quantlib(_fixed_rate_bond),
    "zero_coupon_bond": _with_quantlib(_zero_coupon_bond),
    "interest_rate_swap": _with_quantlib(_interest_rate_swap),
    "overnight_swap": _with_quantlib(_overnight_swap),
    "cva": _with_quantlib(_credit_valuation_adjustment),
}
"""Every model by its name."""


def price(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request; never an exception."""
    identity: str | int | None = None
    try:
        identity = _identity(request.get("id"))
        answer = _finite(_model(request)(Fields(request)))
    except Unpriceable as fault:
        error = {"field": fault.field, "expected": fault.expected, "found": fault.found}
        return {"id": identity, "error": error}
    except ArithmeticError as fault:
        error = {"field": "model", "expected": "figures whose results 64 bits can hold", "found": str(fault)}
        return {"id": identity, "error": error}
    return {"id": identity, **answer}


def price_all(requests: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The answers to some requests, in their order."""
    return map(price, requests)


def _identity(value: Any) -> str | int:
    """Text as it is; a whole number, or the digits of one in a JSON document (text of a class of its own), as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and type(value) is not str and _WHOLE.fullmatch(value) is not None:
        return int(value)
    if type(value) is not str or not 1 <= len(value) <= ID_CHARACTERS_MAX or not value.isprintable():
        expected = f"1 to {ID_CHARACTERS_MAX} printable characters, or a whole number of at most 18 digits"
        raise Unpriceable("id", expected, shown(value))
    return value


def _model(request: Mapping[str, Any]) -> Model:
    name = request.get("model")
    model = MODELS.get(name) if isinstance(name, str) else None
    if model is None:
        raise Unpriceable("model", " or ".join(MODELS), shown(name))
    return model


def _finite(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with every figure a number, and no zero with a sign."""
    return {name: _number(name, value) for name, value in answer.items()}


def _number(name: str, value: Any) -> Any:
    if isinstance(value, float):
        if not isfinite(value):
            raise Unpriceable("model", "figures whose results 64 bits can hold", f"{name} that is not finite")
        return value + 0.0
    if isinstance(value, dict):
        return _finite(value)
    return [_number(name, each) for each in value] if isinstance(value, list) else value
