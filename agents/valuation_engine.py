"""What only the pricing engine can price: what it is asked, and what it last said.

Owns: one outstanding request an instrument, so that a market that moves faster than the engine answers piles up nothing;
what moved meanwhile is asked for with the answer.
Guarantees: the last price stands until another comes, flagged stale with the reason while the engine does not answer or
refuses; the first answer after a failure asks again for everything that had failed.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from agents.valuation_values import GREEKS, MISSING, Price
from domain.valuation.money import model_price
from domain.valuation.options import NANOSECONDS_A_YEAR
from domain.valuation.terms import Terms
from schemas.pricing_terms import DECLARED_ELSEWHERE
from schemas.times import parse_time
from schemas.units import MarkQuality, ValuedBy

AWAY = "the pricing engine does not answer"
NOT_ASKED = "not asked for a price"
_REASON_CHARACTERS_MAX = 200

_decode = msgspec.json.Decoder().decode


class Asked(msgspec.Struct, array_like=True, gc=False):
    """The talk about one instrument. `waiting` is the id of the request that has no answer; `moved` says that another is
    due after it; `since` is the tick of the clock when it was asked; `answer` is the last price (JSON), for `answered_at`;
    `fault` says why there is none newer."""

    instrument: str
    waiting: str = ""
    since: int = 0
    moved: bool = False
    answer: str = ""
    answered_at: int = 0
    quality: MarkQuality = MarkQuality.LIVE
    fault: str = ""


def request_of(
    terms: Terms, now: int, day: date, spot: Price | None, own: Price | None, curves: Mapping[str, str]
) -> str | None:
    """One request of `pks price`; None where a curve that it names, or the spot that it needs, is not known.

    Declared fields go as they are; `evaluation_date`, `time_to_expiry`, `spot` and the definition of a curve that is
    named are filled in.
    """
    request: dict[str, Any] = {"id": terms.instrument, "evaluation_date": day.isoformat()}
    for name, value in terms.fields.items():
        if name in DECLARED_ELSEWHERE:
            continue
        if name in ("curve", "forecast_curve") and isinstance(value, str):
            if value not in curves:
                return None
            value = json.loads(curves[value], parse_float=str, parse_int=str)
        request[name] = value
    if "expiry" in terms.fields:
        years = max(parse_time(terms.fields["expiry"]) - now, 0) / NANOSECONDS_A_YEAR
        request["time_to_expiry"] = repr(years) if years >= 1e-4 else f"{years:.12f}"
        if spot is None or spot.price is None:
            return None
        request.setdefault("spot", format(spot.price, "f"))
    if own is not None and own.price is not None and terms.fields["model"] == "fixed_rate_bond":
        request.setdefault("clean_price", format(own.price, "f"))
    return json.dumps(request, sort_keys=True, separators=(",", ":"))


def price_of(asked: Asked) -> Price:
    """The last price of the engine, and how far it is to be trusted."""
    if not asked.answer:
        return Price(
            None, MISSING, reason=asked.fault or f"no price of {asked.instrument} from the engine yet"
        )
    answer = _decode(asked.answer)
    price = answer.get("clean_price", answer["price"])
    stale = bool(asked.fault)
    return Price(
        model_price(price),
        MarkQuality.STALE if stale else asked.quality,
        asked.answered_at,
        ValuedBy.ENGINE,
        model_price(answer["accrued_interest"])
        if "clean_price" in answer and "accrued_interest" in answer
        else None,
        asked.fault,
        {name: float(answer[name]) for name in GREEKS if isinstance(answer.get(name), (int, float))},
    )


def fault_of(answer: str) -> str:
    """Why an answer has no price; empty where it has one."""
    try:
        found = _decode(answer)
        error = found.get("error")
        if error is None:
            return "" if isinstance(found["price"], (int, float)) else "the engine's answer has no price"
        if not error.get("field"):
            return f"{AWAY}: {error.get('found') or 'it is away'}"[:_REASON_CHARACTERS_MAX]
        return f"the pricing engine refuses {error['field']}: expected {error['expected']}, found {error['found']}"[
            :200
        ]
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError):
        return "the engine's answer cannot be read"
