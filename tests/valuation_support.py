"""Positions, marks and definitions for tests of valuation, and what a stage told of them."""

import json
from decimal import Decimal
from typing import Any

from agents.stage import Step
from schemas import events, market_data, reference, topics, valuation
from schemas.frames import wire
from schemas.pricing_terms import canonical_pricing
from schemas.times import parse_time
from schemas.units import MarkQuality
from schemas.valuation import single_events

NOON = parse_time("2026-01-05T12:00:00Z")
SECOND = 1_000_000_000
DAY = 86_400 * SECOND

_number = iter(range(1, 1 << 60)).__next__


def position(instrument: str = "X", book: str = "B", quantity: str = "10", **fields: Any) -> Any:
    """An update of a position; `cost` is its cost basis."""
    given: dict[str, Any] = {
        "trade_id": f"t{_number()}",
        "revision": 1,
        "executed_at": NOON,
        "currency": "USD",
        "cost_basis": fields.pop("cost", "0"),
        **fields,
    }
    decimals = ("cost_basis", "held_fees", "realised_pnl", "net_realised_pnl", "fees", "multiplier")
    for name in (*decimals, *(f"{each}_delta" for each in (*decimals[:5], "quantity"))):
        if name in given:
            given[name] = Decimal(given[name])
    given.pop("held_fees_delta", None)
    return wire(events.PositionUpdated)(
        event_id=f"p{_number()}",
        source="canonical:f",
        book=book,
        instrument=instrument,
        quantity=Decimal(quantity),
        **given,
    )


def mark(instrument: str = "X", price: str | None = "100", at: int = NOON, **fields: Any) -> Any:
    """A live mark, or one that is missing."""
    given: dict[str, Any] = {"quality": MarkQuality.MISSING if price is None else MarkQuality.LIVE, **fields}
    if given.get("accrued_interest") is not None:
        given["accrued_interest"] = Decimal(given["accrued_interest"])
    return wire(market_data.Mark)(
        event_id=f"m{_number()}",
        source="quotes",
        instrument=instrument,
        event_time=at,
        price=None if price is None else Decimal(price),
        **given,
    )


def instrument(name: str, underlying: str = "", **fields: Any) -> Any:
    """A definition; what is none of an instrument's fields is its pricing."""
    own = {"instrument_class", "currency", "multiplier", "inverse", "active"}
    given = {field: fields.pop(field) for field in list(fields) if field in own}
    pricing = canonical_pricing(json.dumps(fields)) if fields else ""
    return wire(reference.Instrument)(
        event_id=f"i{_number()}", instrument=name, underlying=underlying, pricing=pricing, **given
    )


def option(name: str, underlying: str, strike: str, kind: str = "call", **fields: Any) -> Any:
    """A European option of a year at 20 %, unless told otherwise."""
    given = {
        "model": "bsm",
        "option_type": kind,
        "strike": strike,
        "expiry": "2027-01-05T12:00:00Z",
        "volatility": "0.2",
        "rate": "0.05",
        **fields,
    }
    return instrument(name, underlying, **{key: value for key, value in given.items() if value is not None})


def book(name: str = "B", currency: str = "EUR", desk: str = "desk") -> Any:
    """A book's definition."""
    return wire(reference.Book)(event_id=f"b{_number()}", book=name, base_currency=currency, desk=desk)


def rate(pair: str, text: str, at: int = NOON, quality: MarkQuality = MarkQuality.LIVE) -> Any:
    """A rate of `EUR/USD`."""
    base, quote = pair.split("/")
    return wire(market_data.FxRate)(
        event_id=f"r{_number()}",
        base_currency=base,
        quote_currency=quote,
        rate=Decimal(text),
        event_time=at,
        quality=quality,
    )


def curve(name: str, version: int = 1, **definition: Any) -> Any:
    """A curve."""
    return wire(market_data.Curve)(
        event_id=f"c{_number()}",
        curve=name,
        version=version,
        event_time=NOON,
        definition=json.dumps(definition),
    )


def tick(at: int) -> Any:
    """A tick of the clock."""
    return wire(events.ClockTick)(event_id=f"k{_number()}", event_time=at, source="clock")


def closed(name: str = "B", day: str = "2026-01-05") -> Any:
    """The end of a book's day."""
    at = parse_time(f"{day}T00:00:00Z") + DAY
    return wire(events.DayClosed)(event_id=f"d{_number()}", book=name, business_date=day, event_time=at)


def told(step: Step) -> list[Any]:
    """What a step appended to the topic of valuations: frames, and ends of days."""
    output = step.outputs.get((topics.VALUATIONS.name, 0))
    encoded = [] if output is None else output.encoded
    return topics.VALUATIONS.codec.decode(b"[" + b",".join(encoded) + b"]")


def valued(step: Step) -> dict[tuple[str, str], Any]:
    """The rows that a step told, by book and instrument; no row is told twice."""
    found: dict[tuple[str, str], Any] = {}
    for frame in told(step):
        if type(frame).__name__ != valuation.PositionsValuated.__name__:
            continue
        for row in single_events(frame):
            assert (row.book, row.instrument) not in found, "told twice"
            found[row.book, row.instrument] = row
    return found


def only(step: Step) -> Any:
    """The one row that a step told."""
    (row,) = valued(step).values()
    return row


def requests(step: Step) -> list[Any]:
    """What a step asked the engine."""
    output = step.outputs.get((topics.PRICE_REQUESTS.name, 0))
    encoded = [] if output is None else output.encoded
    return topics.PRICE_REQUESTS.codec.decode(b"[" + b",".join(encoded) + b"]")


def answer(request: Any, **fields: Any) -> Any:
    """The engine's answer to a request."""
    return wire(valuation.PriceAnswered)(
        event_id=f"{request.event_id}/answer",
        causation_id=request.event_id,
        source="pricing",
        instrument=request.instrument,
        underlying=request.underlying,
        event_time=request.event_time,
        answer=json.dumps({"id": request.instrument, **fields}),
    )
