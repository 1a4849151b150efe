"""How an instrument is valued, as its definition says it, made ready for the stage.

Assumes: `pricing` as `schemas.pricing_terms` checks it; an instrument without a definition is valued by its mark.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.pricing_terms import ENGINE_MODELS, pricing_terms
from schemas.times import parse_time


class Model(StrEnum):
    """What values an instrument."""

    LINEAR = "linear"
    BOND = "bond"
    BSM = "bsm"
    BLACK76 = "black76"
    FUTURE = "future"
    ENGINE = "engine"


MODELLED = frozenset({Model.BSM, Model.BLACK76, Model.FUTURE})
"""Models that the stage prices off another instrument's mark."""


class Terms(NamedTuple):
    """What does not change while an instrument is defined like this.

    `driver` is the instrument whose mark moves it: itself, or the spot or forward of a model. `sign` is 1.0 for a call,
    -1.0 for a put; `expiry` in nanoseconds; `rate`, `dividend_yield` and `volatility` per 1.00 and year, continuous.
    Where neither `rate` nor `curve` is said, the rate is 0. `by_model`: valued by the model even where it has a mark.
    `fields` are the terms as they are declared.
    """

    instrument: str
    driver: str
    model: Model = Model.LINEAR
    sign: float = 0.0
    strike: float = 0.0
    expiry: int = 0
    rate: float | None = None
    curve: str = ""
    dividend_yield: float = 0.0
    volatility: float | None = None
    by_model: bool = False
    fields: Mapping[str, Any] = {}


def terms_of(instrument: str, definition: Any | None) -> Terms:
    """The terms of an instrument; `definition` is its `Instrument`, None where there is none."""
    fields = pricing_terms(definition.pricing) if definition is not None and definition.pricing else {}
    name = fields.get("model", "linear")
    if name in ENGINE_MODELS:
        return Terms(instrument, _driver(definition, fields, instrument), Model.ENGINE, fields=fields)
    model = Model(name)
    if model not in MODELLED:
        return Terms(instrument, instrument, model, fields=fields)
    return Terms(
        instrument,
        _driver(definition, fields, instrument),
        model,
        {"call": 1.0, "put": -1.0}.get(fields.get("option_type", ""), 0.0),
        float(fields.get("strike", 0)),
        parse_time(fields["expiry"]),
        float(fields["rate"]) if "rate" in fields else None if "curve" in fields else 0.0,
        fields.get("curve", ""),
        float(fields.get("dividend_yield", 0)),
        float(fields["volatility"]) if "volatility" in fields else None,
        fields.get("value_by") == "model",
        fields,
    )


def _driver(definition: Any, fields: Mapping[str, Any], instrument: str) -> str:
    return str(fields.get("underlying_instrument") or definition.underlying or instrument)
