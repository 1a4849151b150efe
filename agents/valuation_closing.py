"""Marks up to the end of a day, for books whose day is closed when marks of the next one have come already.

Owns: the family `h` of the valuation's table (instrument, 0, time): the last mark of each business date of any book.
Assumes: the marks of an instrument come in the order of their times; one that comes later is passed over as everywhere.
Guarantees: what a day is closed at does not hang on how far the marks had come when its end was told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain.capture.business_date import BusinessDays
from schemas import market_data
from schemas.frames import encode_event, wire
from schemas.times import NANOSECONDS_PER_SECOND
from tables.partition import TablePartition

ENDED = b"h"

MARKS_KEPT = 60
"""How many marks of former dates are kept of an instrument."""

_TIME_ORIGIN = 1 << 63
_MINUTE = 60 * NANOSECONDS_PER_SECOND

_decode_mark = msgspec.json.Decoder(wire(market_data.Mark)).decode


def calendars_of(books: Mapping[str, Any]) -> Sequence[BusinessDays]:
    """The calendars of books, each once, and that of a book which is not defined."""
    found = {("UTC", "24:00", "every_day"): None}
    for book in books.values():
        found[book.time_zone, book.cut_off, book.calendar] = None
    return [BusinessDays(*each) for each in found]


def ends_a_day(calendars: Sequence[BusinessDays], former: int, later: int) -> bool:
    """Whether one time is of an earlier business date than another, by one of some calendars."""
    # A day ends on a minute.
    if former // _MINUTE == later // _MINUTE:
        return False
    return any(days.of(former) != days.of(later) for days in calendars)


def keep_ended(table: TablePartition, last: Any) -> None:
    """Keep the last mark of a date of its instrument."""
    prefix = ENDED + last.instrument.encode() + b"\x00"
    table.put(prefix + _time(last.event_time), encode_event(last))
    kept = [key for key, _ in table.scan_prefix(prefix)]
    for key in kept[:-MARKS_KEPT]:
        table.delete(key)


def mark_at(table: TablePartition, instrument: str, at: int) -> Any:
    """The last mark of an instrument up to a time, where a mark of a later date has followed it; None without one."""
    prefix = ENDED + instrument.encode() + b"\x00"
    for _, value in table.scan(prefix, prefix + _time(at + 1), reverse=True):
        return _decode_mark(value)
    return None


def _time(at: int) -> bytes:
    return (at + _TIME_ORIGIN).to_bytes(8, "big")
