"""`alor-quotes`: quotes of the broker ALOR, as `/md/v2/Securities/{EXCHANGE:SYMBOL,...}/quotes` answers, Simple or Heavy.

- Instrument: `SYMBOL.EXCHANGE`, as the exchange's own source calls it.
- Price: `last_price` at `last_price_timestamp`; without one `prev_close_price`, as a fallback.
- Order: the time of the order book in milliseconds, where it has one.

Guarantees: digit by digit; an item that is no quote is rejected alone.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from connectors.files.rows import JsonNumber
from connectors.files.source import open_source
from connectors.marks.reading import QuoteOptions, QuoteStream, Reading, decimal_of
from connectors.venues.decoding import EXECUTED_AT_MAX, source_of
from schemas.quotes import Quote

NAME = "alor-quotes"

_SECOND = 1_000_000_000
_DOCUMENT = "an array of quotes"
_CLASSES = {"CS": "equity", "PS": "equity", "MF": "fund", "RDR": "equity"}
_HEAVY = {
    "last_price": "lastPrice",
    "last_price_timestamp": "lastPriceTimestamp",
    "prev_close_price": "prevClosePrice",
    "accrued_interest": "accruedInterest",
    "ob_ms_timestamp": "obMsTimestamp",
    "open_interest": "openInterest",
}
"""The names of the Simple form, and those of the Heavy one where they differ."""


def open_streams(path: str, options: QuoteOptions) -> list[QuoteStream]:
    """The quotes of one answer."""
    return [QuoteStream(path, lambda reading: _read(path, reading))]


def _read(path: str, reading: Reading) -> Iterator[Quote]:
    with open_source(path).open() as stream:
        content = stream.read()
    items = items_of(content)
    if items is None:
        reading.faults.add("", "", _DOCUMENT, content[:80].decode("utf-8", "replace"))
        return
    yield from quotes_of(items, source_of(NAME, path), reading)


def items_of(content: bytes) -> list[Any] | None:
    """The items of an answer (an array, or one alone); None where it is none."""
    try:
        document = json.loads(
            content, parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=JsonNumber
        )
    except (ValueError, RecursionError):
        return None
    if isinstance(document, dict):
        return [document]
    return document if isinstance(document, list) else None


def quotes_of(items: list[Any], source: str, reading: Reading, observed_at: int = 0) -> Iterator[Quote]:
    """The quotes of an answer's items. Counts every item."""
    for index, item in enumerate(items):
        reading.counts.read += 1
        place = f"index {index}"
        if not isinstance(item, dict):
            reading.reject("item", place, "", "an object of fields", str(item))
            continue
        try:
            yield _quote(item, source, observed_at, place)
        except _BadField as error:
            reading.reject("number", place, error.field, error.expected, error.found)


class _BadField(ValueError):
    def __init__(self, field: str, expected: str, found: Any) -> None:
        super().__init__(field)
        self.field, self.expected, self.found = field, expected, str(found)


def _value(item: Mapping[str, Any], name: str) -> Any:
    return item.get(name, item.get(_HEAVY.get(name, name)))


def _number(item: Mapping[str, Any], name: str) -> Decimal | None:
    value = _value(item, name)
    try:
        return decimal_of(value)
    except ValueError as error:
        raise _BadField(name, str(error), value) from None


def _text(item: Mapping[str, Any], name: str) -> str:
    value = _value(item, name)
    if not isinstance(value, str) or isinstance(value, JsonNumber) or not value:
        raise _BadField(name, "a text", value)
    return value


def _quote(item: Mapping[str, Any], source: str, observed_at: int, place: str) -> Quote:
    last, previous = _number(item, "last_price"), _number(item, "prev_close_price")
    price = previous if last is None else last
    seconds = _number(item, "last_price_timestamp")
    if (
        seconds is None
        or seconds != seconds.to_integral_value()
        or not 0 < seconds * _SECOND < EXECUTED_AT_MAX
    ):
        raise _BadField("last_price_timestamp", "a time in seconds since 1970", seconds)
    accrued = _number(item, "accrued_interest")
    instrument_class = _CLASSES.get(str(_value(item, "type")), "bond" if accrued else "")
    if not instrument_class and _value(item, "open_interest") is not None:
        instrument_class = "future"
    currency = _value(item, "currency")
    return Quote(
        instrument=f"{_text(item, 'symbol')}.{_text(item, 'exchange')}",
        event_time=int(seconds) * _SECOND,
        observed_at=observed_at,
        source=source,
        price=price,
        bid=_number(item, "bid"),
        ask=_number(item, "ask"),
        fallback=last is None,
        no_price=price is None,
        source_sequence=int(_number(item, "ob_ms_timestamp") or 0),
        instrument_class=instrument_class,
        currency=currency if isinstance(currency, str) else "",
        accrued_interest=accrued if instrument_class == "bond" else None,
        place=place,
    )
