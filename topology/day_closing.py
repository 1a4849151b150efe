"""Days of books that an operator closes: which ones are over and not closed yet, and their marks, which go to capture.

Owns: where the days of a book begin (the day after its last close, or the first on which something was booked).
Assumes: what is appended is captured, so that a close stands after the bookings of its day.
Guarantees: the marks are those that capture tells by the clock (`agents.day_closing`), with the same ids, and capture tells
them among the bookings: so a day is closed once, whoever closes it, and however often.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from agents.day_closing import day_closed
from domain.capture.booking import Booker
from domain.capture.business_date import BusinessDays
from domain.capture.definitions import definition_fault
from domain.capture.reference import ReferenceData
from schemas import events, money, topics
from schemas.frames import wire
from topology.log_reading import WholeLog, partition_count, read_events

SOURCE = "pks day-close"

_TradeBooked = wire(events.TradeBooked)
_LifecycleEventApplied = wire(events.LifecycleEventApplied)
_DayClosed = wire(events.DayClosed)
_CashMovement = wire(money.CashMovement)


@dataclass(slots=True)
class BookDays:
    """The calendar of a book, the first date on which something was booked, and the last one that is closed ("": none)."""

    days: BusinessDays
    first: str = ""
    closed: str = ""

    def to_close(self, through: str, now: int) -> tuple[list[tuple[str, int]], str]:
        """The business dates up to `through` that are over at `now` (nanoseconds) and not closed, each with the instant of
        its end; and the first one up to `through` that is not over, or nothing.
        """
        if not (self.closed or self.first):
            return [], ""
        first = self.days.after(self.closed) if self.closed else self.days.from_day(self.first)
        if first > through:
            return [], ""
        most = (date.fromisoformat(through) - date.fromisoformat(first)).days + 1
        ended = self.days.ended(first, now, most)
        following = self.days.after(ended[-1][0]) if ended else first
        return [each for each in ended if each[0] <= through], following if following <= through else ""


def read_book_days(log: WholeLog) -> dict[str, BookDays]:
    """The days of every book for which something was booked: trades, or movements of cash."""
    known = log.topics()
    reference = ReferenceData()
    if topics.BOOKS.name in known:
        definitions = (book for _, book in read_events(log, topics.BOOKS, 0))
        reference.define(book for book in definitions if definition_fault(book) is None)
    booker = Booker(reference)
    found: dict[str, BookDays] = {}
    for book, business_date, closes in _dates(log, booker, known):
        days = found.get(book)
        if days is None:
            days = found[book] = BookDays(booker.days_of(book))
        if closes:
            days.closed = max(days.closed, business_date)
        else:
            days.first = min(days.first or business_date, business_date)
    return found


def _dates(log: WholeLog, booker: Booker, known: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Book and date of all that was booked or closed, and whether it was closed."""
    for partition in range(partition_count(log)):
        for _, event in read_events(log, topics.BOOKINGS, partition):
            kind = type(event)
            if kind is _DayClosed:
                yield event.book, event.business_date, True
                continue
            trade = event if kind is _TradeBooked else None
            if kind is _LifecycleEventApplied:
                trade = event.trade
            if trade is not None:
                dated = trade.business_date or booker.business_date(trade.book, trade.executed_at)
                yield trade.book, dated, False
        if topics.LEDGER_INPUT.name in known:
            for _, event in read_events(log, topics.LEDGER_INPUT, partition):
                if type(event) is _CashMovement and event.book:
                    yield event.book, event.trade_date, False


def marks(closing: Mapping[str, Iterable[tuple[str, int]]]) -> list[Any]:
    """The marks of days to be closed, by book in their order."""
    return [
        day_closed(book, business_date, end, SOURCE)
        for book, ended in closing.items()
        for business_date, end in ended
    ]
