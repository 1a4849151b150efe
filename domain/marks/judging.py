"""From a quote to a mark, or to why it is none: the rules that every source's quotes pass.

Owns: which quotes are refused, which price a mark takes, and its quality.

| a quote | becomes |
|---|---|
| from the future, by more than `FUTURE_SECONDS` after it was observed | refused: `future` |
| with a price, bid or ask below 0, of a class that knows none | refused: `negative` |
| with a price of 0, of a class that knows none | refused: `zero`; a bid or ask of 0 is none there |
| with one side only, and no price | refused: `one side` |
| with nothing, where the source says that there is no price | a mark that is `missing` |
| crossed (bid above ask) | a mark that is `indicative`: nobody could trade at its middle |
| with a price that stands in for one that is not there | a mark that is `indicative` |
| older, when it was observed, than its class stays live | a mark that is `stale`; history, which nobody observed, is not |
| any other | a mark that is `live` |

A number that is none (NaN, infinite, of more than 60 digits) never gets here: readers refuse it. A quote that is older
than the newest of its instrument is a mark like any other: who keeps the newest leaves it out, bars take it in.
Guarantees: exact; the same quote gives the same mark, event id included.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from domain.marks.classes import ClassRules
from schemas import market_data
from schemas.events import number_fault
from schemas.frames import wire
from schemas.identity import content_id
from schemas.numbers import plain
from schemas.quotes import Quote
from schemas.times import NANOSECONDS_PER_SECOND, Nanoseconds, format_time
from schemas.units import MarkQuality, identifier_fault

FUTURE_SECONDS = 5
"""How far a source's clock may be ahead of the observer's."""

_HALF = Decimal("0.5")
_Mark: Any = wire(market_data.Mark)


class MarkRefusal(NamedTuple):
    """Why a quote is no mark; `kind` is what it is counted under."""

    kind: str
    field: str
    expected: str
    found: str


def judge(quote: Quote, rules: ClassRules, now: int) -> Any:
    """The mark (wire twin) that a quote gives, or a MarkRefusal. `now` bounds its time where nobody observed it.

    Assumes `exact_arithmetic`.
    """
    refusal = _content_refusal(quote)
    if refusal is not None:
        return refusal
    observed_at = quote.observed_at or now
    if quote.event_time > observed_at + FUTURE_SECONDS * NANOSECONDS_PER_SECOND:
        expected = f"a time up to {FUTURE_SECONDS} s after {format_time(observed_at)}, when it was observed"
        return MarkRefusal("future", "event_time", expected, format_time(quote.event_time))
    rule = rules.of(quote.instrument_class)
    price, bid, ask = quote.price, quote.bid, quote.ask
    if not rule.negative:
        for name, number in (("price", price), ("bid", bid), ("ask", ask)):
            if number is not None and number < 0:
                return MarkRefusal("negative", name, f"a number not below 0{_of_class(quote)}", plain(number))
    if not rule.zero:
        if price is not None and price == 0:
            return MarkRefusal("zero", "price", f"a price other than 0{_of_class(quote)}", "0")
        bid, ask = bid or None, ask or None
    crossed = bid is not None and ask is not None and bid > ask
    if price is None and not quote.no_price:
        if bid is None or ask is None:
            side = (
                "neither" if bid is None and ask is None else "a bid alone" if ask is None else "an ask alone"
            )
            return MarkRefusal("one side", "price", "a price, or bid and ask", side)
        price = (bid + ask) * _HALF
    if price is None:
        quality = MarkQuality.MISSING
    elif quote.observed_at and observed_at - quote.event_time > rule.stale_seconds * NANOSECONDS_PER_SECOND:
        quality = MarkQuality.STALE
    elif crossed or quote.fallback:
        quality = MarkQuality.INDICATIVE
    else:
        quality = MarkQuality.LIVE
    return _mark(quote, quality, price, bid, ask)


def restated(mark: Any, quality: MarkQuality) -> Any:
    """The same mark in another quality, with an event id of its own."""
    again = {name: getattr(mark, name) for name in mark.__struct_fields__}
    return _Mark(**{**again, "quality": quality, "event_id": f"{mark.event_id}.{quality}"})


def _content_refusal(quote: Quote) -> MarkRefusal | None:
    fault = identifier_fault(quote.instrument)
    if fault is not None:
        return MarkRefusal("instrument", "instrument", fault, quote.instrument)
    for name in ("price", "bid", "ask", "accrued_interest"):
        number = getattr(quote, name)
        fault = None if number is None else number_fault(number)
        if fault is not None:
            return MarkRefusal("number", name, fault, str(number))
    return None


def _of_class(quote: Quote) -> str:
    return f" of class {quote.instrument_class}" if quote.instrument_class else ""


def _mark(
    quote: Quote, quality: MarkQuality, price: Decimal | None, bid: Decimal | None, ask: Decimal | None
) -> Any:
    numbers = (
        "" if number is None else plain(number) for number in (price, bid, ask, quote.accrued_interest)
    )
    identity = content_id(
        "mark",
        quote.source,
        quote.instrument,
        str(quote.event_time),
        str(quote.source_sequence),
        quality,
        *numbers,
    )
    return _Mark(
        event_id=identity,
        source=quote.source,
        instrument=quote.instrument,
        event_time=Nanoseconds(quote.event_time),
        quality=quality,
        price=price,
        bid=bid,
        ask=ask,
        source_sequence=quote.source_sequence,
        instrument_class=quote.instrument_class,
        underlying=quote.underlying,
        currency=quote.currency,
        accrued_interest=quote.accrued_interest,
    )


def order_of(mark: Any) -> tuple[int, int]:
    """Of one instrument's marks the greatest is the newest; of equal ones, the one that came later."""
    return mark.event_time, mark.source_sequence
