"""The running day of a position: how it goes on, what belongs to it, how it ends and the next one begins.

Assumes: `exact_arithmetic()` around it.
Guarantees: the buckets of a day whose start was priced add up to what was made until `base`, exactly.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from domain.pnl.attribution import (
    CARRY,
    FEES,
    FUNDING,
    NEW_TRADES,
    Buckets,
    add,
    attribute,
    no_buckets,
)
from domain.pnl.book_currency import BookDay
from domain.pnl.observation import NOTHING, Change, Observation
from domain.pnl.restating import ClosedDay, shift_buckets
from schemas.numbers import ZERO, divide_value

NO_OPENING_PRICE = "no price at the start of the day"


class Close(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The end of a business day of a book: `at` is the last nanosecond that belongs to it."""

    business_date: str
    at: int


class Booking(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change with the day that it belongs to; `corporate` where it is no trade.

    `moved` is how much more other trades realise by it, each with the time of their execution: a part of `change`.
    """

    change: Change
    business_date: str = ""
    executed_at: int = 0
    corporate: bool = False
    moved: tuple[tuple[int, Decimal], ...] = ()


class OpenDay(msgspec.Struct, array_like=True):
    """The running day. `base` is the last priced moment, up to which the buckets go; `now` is the last one.

    `booked` has the changes of the day by business date, `corporate` those since `base` that are no trades. `known` is
    whether the start of the day was priced.
    """

    opening: Observation = NOTHING
    base: Observation | None = NOTHING
    now: Observation = NOTHING
    buckets: Buckets = msgspec.field(default_factory=no_buckets)
    book: BookDay = msgspec.field(default_factory=BookDay)
    booked: dict[str, Change] = msgspec.field(default_factory=dict)
    corporate: Change | None = None
    known: bool = True


def go_on(day: OpenDay, now: Observation) -> None:
    """The day goes on to a moment."""
    day.now = now
    if now.priced:
        _settle(day, now)
        day.base, day.corporate = now, None


def _settle(day: OpenDay, until: Observation) -> None:
    """Attribute what was made since the last priced moment."""
    if day.base is not None:
        step = attribute(day.base, until, day.corporate)
        add(day.buckets, step)
        day.book.step(step, until)


def note_booked(day: OpenDay, booking: Booking) -> None:
    """A booking belongs to the day, or to a later one that has not begun."""
    date, change = booking.business_date, booking.change
    day.booked[date] = day.booked.get(date, Change()).plus(change)
    if booking.corporate:
        day.corporate = change if day.corporate is None else day.corporate.plus(change)


def shift(day: OpenDay, change: Change) -> None:
    """The running day begins with other figures."""
    opening, base = day.opening.shifted(change), day.base
    if base is not None:
        base = base.shifted(change)
        if not base.priced:
            base = None
    if day.known and opening.priced and base is not None and day.base is not None:
        by = opening.total - day.opening.total
        step = shift_buckets(day.opening, opening, day.base, base, change)
        add(day.buckets, step)
        day.book.restated(day.opening, by, step)
    else:
        day.known = day.book.known = False
    day.opening, day.base, day.now = opening, base, day.now.shifted(change)


def begin_at(day: OpenDay, opening: Observation) -> None:
    """The running day begins at another price, with the same figures."""
    before = day.opening
    if before.priced and opening.priced and day.known:
        step = attribute(before, opening)
        for place, amount in enumerate(step):
            day.buckets[place] -= amount
        day.book.begun_at(before, opening, step)
    elif opening.priced and not before.priced and day.base is None:
        # Nothing was attributed yet: the day begins anew.
        day.known, day.base, day.buckets, day.book = True, opening, no_buckets(), BookDay.opened(opening)
    day.opening = opening


def ended(day: OpenDay, close: Close) -> tuple[ClosedDay, Buckets]:
    """A day that ends, and what of its buckets belongs to bookings of later days."""
    day.book.settle(day.now)
    early = _early(day.booked, close.business_date)
    closing, step = day.now, no_buckets()
    if early:
        closing = closing.shifted(early.negative())
        if day.now.priced and closing.priced:
            step[FEES], step[FUNDING] = -early.fees, early.funding
            step[CARRY] = early.carry + day.now.accrued - closing.accrued
            step[NEW_TRADES] = day.now.total - closing.total - sum(step, ZERO)
        elif closing.priced:
            # Flat without them: no price is needed, and none is known.
            closing = msgspec.structs.replace(closing, unit_value=None)
            _settle(day, closing)
    closed = ClosedDay(close.business_date, close.at, day.opening, closing)
    if day.known and closing.priced:
        closed.buckets = [amount - moved for amount, moved in zip(day.buckets, step, strict=True)]
        if day.book.known and closing.fx is not None:
            closed.book_buckets = [
                amount - moved * closing.fx for amount, moved in zip(day.book.buckets, step, strict=True)
            ]
    return closed, step


def begun(over: OpenDay, closing: Observation, later: Buckets, business_date: str) -> OpenDay:
    """The day that follows one which is over: `later` is what bookings of it have made already."""
    now = over.now
    day = OpenDay(
        opening=closing,
        # Without a price now, what came before its day is told apart when there is one again.
        base=now if now.priced else closing if closing.priced else None,
        now=now,
        book=BookDay.opened(closing),
        booked={date: each for date, each in over.booked.items() if date > business_date},
        known=closing.priced,
    )
    if now.priced and day.known:
        day.buckets = later
        day.book.step(later, now)
    return day


def gone_on(now: Observation, former: Observation, bookings: Sequence[Booking]) -> Observation:
    """A moment with what was received until then. One that knows no value of a unit keeps the last one, moved as the mark
    has moved; one that has no mark keeps the time of the last."""
    carry, funding = former.carry, former.funding
    for booking in bookings:
        carry += booking.change.carry
        funding += booking.change.funding
    unit, mark, accrued = now.unit_value, now.mark, now.unit_accrued
    if unit is None and former.unit_value is not None:
        unit, accrued = former.unit_value, former.unit_accrued
        if mark is not None and former.mark and mark and mark != former.mark:
            unit = (
                divide_value(unit * former.mark, mark)
                if now.inverse
                else divide_value(unit * mark, former.mark)
            )
        mark = former.mark if mark is None else mark
    elif not (carry or funding) and (now.marked_at or not former.marked_at):
        return now
    return msgspec.structs.replace(
        now,
        unit_value=unit,
        unit_accrued=accrued,
        mark=mark,
        carry=carry,
        funding=funding,
        marked_at=now.marked_at or former.marked_at,
    )


def _early(booked: dict[str, Change], business_date: str) -> Change:
    total = Change()
    for date, change in booked.items():
        if date > business_date:
            total = total.plus(change)
    return total
