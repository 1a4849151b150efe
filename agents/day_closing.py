"""The end of a book's business day, told among its bookings by the first tick of the clock that comes after it.

Of each defined book the partition of capture says it that has the book's key. What was executed before the end and comes
later is late, and belongs to its day all the same (its `business_date` says so).

A day that an operator closes (`topology.day_closing`) comes among the fills, and is told here as well: so capture knows of it,
and the clock goes on after it.

Guarantees: every business date of a book is closed once, in order, from the day on which the book was first seen, or that an
operator closed first; also the days over which nothing ran. Logs from before closes came among the fills may tell a day again,
with the same id: who reads closes passes over a day that is not after the last one.
"""

from typing import Any

from agents.capture_state import CLOSED_DAY, OPEN_DAY, CaptureState
from agents.stage import Step
from schemas import events, topics
from schemas.frames import encode_event, wire
from schemas.times import Nanoseconds

SOURCE = "calendar"

DAYS_MAX = 366
"""Most days that are closed at one tick; more wait for the next."""

_DayClosed = wire(events.DayClosed)


def day_closed(book: str, business_date: str, end: int, source: str) -> Any:
    """The mark (its wire twin) that a business day of a book is over: the same id whoever tells it; `end` in nanoseconds."""
    return _DayClosed(
        event_id=f"{book}@{business_date}",
        source=source,
        book=book,
        business_date=business_date,
        event_time=Nanoseconds(end),
    )


def close_days(state: CaptureState, partition: int, now: int, step: Step) -> None:
    """Close the days that are over at `now`, of the books of this partition."""
    for book in state.reference.books:
        if step.partition_of(book) != partition:
            continue
        days, key = state.booker.days_of(book), OPEN_DAY + book.encode()
        stored = state.table.get(key)
        if stored is None:
            state.table.put(key, days.of(now).encode())
            continue
        ended = days.ended(stored.decode(), now, DAYS_MAX)
        output = step.bucket(topics.BOOKINGS, book) if ended else None
        for business_date, end in ended:
            assert output is not None, "there are days to be closed"
            output.pass_on(encode_event(day_closed(book, business_date, end, SOURCE)), (end, 0))
        if ended:
            _note(state, book, ended[-1][0])


def close_by_hand(state: CaptureState, closed: Any, step: Step) -> None:
    """Tell a day that an operator closes, unless it or a later one is closed already."""
    before = state.table.get(CLOSED_DAY + closed.book.encode())
    if before is not None and closed.business_date <= before.decode():
        return
    step.bucket(topics.BOOKINGS, closed.book).pass_on(encode_event(closed), (closed.event_time, 0))
    _note(state, closed.book, closed.business_date)


def _note(state: CaptureState, book: str, closed: str) -> None:
    """A day of a book is closed: the next one is open, or a later one that is known to be."""
    name = book.encode()
    following = state.booker.days_of(book).after(closed)
    stored = state.table.get(OPEN_DAY + name)
    state.table.put(CLOSED_DAY + name, closed.encode())
    state.table.put(OPEN_DAY + name, max(following, "" if stored is None else stored.decode()).encode())
