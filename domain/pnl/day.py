"""The P&L days of a position: the open one, and those that are closed.

Owns: when a day begins and ends, what belongs to it, and how a booking that comes late changes days that are over.
Assumes: `exact_arithmetic()` around it; observations come in the order of their events; `closes` are the closes of the
position's book that are kept, oldest first.
Guarantees, for a day whose start and end are priced: total = realised + unrealised = positional + trading = the sum of
the buckets, exactly; the days add up to the total since the position was first opened.

- A booking belongs to the day of its business date (without one, of its execution). One that came before the close of
  an earlier day is taken out of that day, at the price of the close.
- A booking of a closed day changes that day's close, whole: what it does to P&L that other trades realised later stands
  in its own day. On the days after it, what it changes is the position at their start.
- What no booking explains belongs to the last day that is closed.
- A day without a price at its start or end has no P&L: None, with the reason.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from domain.pnl.attribution import (
    CORPORATE_ACTIONS,
    FEES,
    NEW_TRADES,
    Buckets,
    add,
    attribute,
    explain_market,
    made_by,
    no_buckets,
)
from domain.pnl.book_currency import BookDay, translated_shift
from domain.pnl.observation import NOTHING, Change, Observation
from schemas.numbers import ZERO, divide_value

NO_OPENING_PRICE = "no price at the start of the day"


class Close(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The end of a business day of a book: `at` is the last nanosecond that belongs to it."""

    business_date: str
    at: int


BEFORE_ALL = Close("", 0)
"""Stands for every close before the oldest that is kept."""


class Booking(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change with the day that it belongs to; `corporate` where it is no trade."""

    change: Change
    business_date: str = ""
    executed_at: int = 0
    corporate: bool = False


class ClosedDay(msgspec.Struct, array_like=True):
    """A day that is over. Buckets are None where the day has no P&L that is known."""

    business_date: str
    at: int
    opening: Observation
    closing: Observation
    buckets: Buckets | None = None
    book_buckets: Buckets | None = None
    restatement: int = 0


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


_Late = dict[str, tuple[Change, Change]]
"""Late bookings by the business date of their day: trades, and corporate actions."""


class PositionDays:
    """A position's open day and the closed ones that are kept, oldest first; these are loaded where a late booking
    needs them."""

    __slots__ = ("_closed", "_load", "day")

    def __init__(self, day: OpenDay | None = None, load: Callable[[], Sequence[ClosedDay]] = tuple) -> None:
        self.day = OpenDay() if day is None else day
        self._load = load
        self._closed: list[ClosedDay] | None = None

    @property
    def closed(self) -> list[ClosedDay]:
        """The closed days."""
        if self._closed is None:
            self._closed = list(self._load())
        return self._closed

    def put_away(self) -> None:
        """Keep the closed days in memory no longer."""
        self._closed = None

    # -- what is observed ---------------------------------------------------------------------------------------

    def observe(
        self, now: Observation, bookings: Sequence[Booking], closes: Sequence[Close]
    ) -> list[ClosedDay]:
        """Take in a valuation and the bookings since the last one; returns the closed days that it restates."""
        day = self.day
        now = _with_unit_value(now, day.now)
        unexplained = now.change_since(day.now)
        late: _Late = {}
        for booking in bookings:
            change = booking.change
            unexplained = unexplained.less(change)
            close = _close_of(booking, closes)
            if close is not None:
                _note(late, close, change, booking.corporate)
                continue
            day.booked[booking.business_date] = day.booked.get(booking.business_date, Change()).plus(change)
            if booking.corporate:
                day.corporate = change if day.corporate is None else day.corporate.plus(change)
        if unexplained:
            _note(late, closes[-1] if closes else BEFORE_ALL, unexplained, False)
        restated = self._restate(late, closes) if late else []
        self._step(now)
        return restated

    def _step(self, now: Observation) -> None:
        day = self.day
        day.now = now
        if now.priced:
            self._settle(now)
            day.base, day.corporate = now, None

    def _settle(self, until: Observation) -> None:
        """Attribute what was made since the last priced moment."""
        day = self.day
        if day.base is not None:
            step = attribute(day.base, until, day.corporate)
            add(day.buckets, step)
            day.book.step(step, until)

    # -- what is restated ---------------------------------------------------------------------------------------

    def _restate(self, late: _Late, closes: Sequence[Close]) -> list[ClosedDay]:
        """Bookings of closed days: the closes of those, and everything after them, as it would have been."""
        first = min(late)
        self._fill(first, closes)
        carried, restated = Change(), []
        if first == BEFORE_ALL.business_date:
            carried = late[first][0].plus(late[first][1])
        for day in self.closed:
            trades, actions = late.get(day.business_date, (Change(), Change()))
            if carried or trades or actions:
                _restate_day(day, carried, trades.plus(actions), actions)
                restated.append(day)
                carried = carried.plus(trades).plus(actions)
        if carried:
            self._shift_open(carried)
        return restated

    def _fill(self, date: str, closes: Sequence[Close]) -> None:
        """Days from a date on in which nothing was held or done, and that are now to be told: at the last price."""
        known = {each.business_date for each in self.closed}
        for close in closes:
            if close.business_date >= date and close.business_date not in known:
                place = bisect_left(self.closed, close.business_date, key=lambda each: each.business_date)
                before = self.closed[place].opening if place < len(self.closed) else self.day.opening
                idle = ClosedDay(close.business_date, close.at, before, before)
                if before.priced:
                    idle.buckets, idle.book_buckets = no_buckets(), no_buckets()
                self.closed.insert(place, idle)

    def _shift_open(self, change: Change) -> None:
        """The running day begins with other figures."""
        day = self.day
        opening, base = day.opening.shifted(change), day.base
        if base is not None:
            base = base.shifted(change)
            if not base.priced:
                base = None
        if day.known and opening.priced and base is not None and day.base is not None:
            by = opening.total - day.opening.total
            step = _carried(day.opening, day.base, change, base.total - day.base.total - by)
            add(day.buckets, step)
            day.book.restated(day.opening, by, step)
        else:
            day.known = day.book.known = False
        day.opening, day.base, day.now = opening, base, day.now.shifted(change)

    # -- when a day ends ----------------------------------------------------------------------------------------

    def close(self, close: Close) -> ClosedDay | None:
        """The day is over: what it was, and None where nothing was held and nothing done."""
        day = self.day
        day.book.settle(day.now)
        early = _early(day.booked, close.business_date)
        closing, step = day.now, no_buckets()
        if early:
            closing = closing.shifted(early.negative())
            if day.now.priced and closing.priced:
                step[FEES] = -early.fees
                step[NEW_TRADES] = day.now.total - closing.total + early.fees
            elif closing.priced:
                # Flat without them: no price is needed, and none is known.
                closing = msgspec.structs.replace(closing, unit_value=None)
                self._settle(closing)
        closed = ClosedDay(close.business_date, close.at, day.opening, closing)
        if day.known and closing.priced:
            closed.buckets = [amount - moved for amount, moved in zip(day.buckets, step, strict=True)]
            if day.book.known and closing.fx is not None:
                closed.book_buckets = [
                    amount - moved * closing.fx for amount, moved in zip(day.book.buckets, step, strict=True)
                ]
        self._open_next(
            closing, step, {date: each for date, each in day.booked.items() if date > close.business_date}
        )
        opening = closed.opening
        idle = not (opening.quantity or closing.quantity or closing.change_since(opening))
        # A day with a price or rate of its own is kept though nothing is held: a late booking is valued at it.
        same = closing.unit_value == opening.unit_value and closing.fx == opening.fx
        if idle and same and not any(closed.buckets or ()):
            return None
        if self._closed is not None:
            self._closed.append(closed)
        return closed

    def _open_next(self, closing: Observation, step: Buckets, booked: dict[str, Change]) -> None:
        now = self.day.now
        self.day = day = OpenDay(
            opening=closing,
            # Without a price now, what came before its day is told apart when there is one again.
            base=now if now.priced else closing if closing.priced else None,
            now=now,
            book=BookDay.opened(closing),
            booked=booked,
            known=closing.priced,
        )
        if now.priced and day.known:
            day.buckets = step
            day.book.step(step, now)


def _with_unit_value(now: Observation, former: Observation) -> Observation:
    """A moment that knows no value of a unit keeps the last one, moved as the mark has moved."""
    unit = former.unit_value
    if now.unit_value is not None or unit is None:
        return now
    if now.mark is not None and former.mark and now.mark and now.mark != former.mark:
        unit = (
            divide_value(unit * former.mark, now.mark)
            if now.inverse
            else divide_value(unit * now.mark, former.mark)
        )
    return msgspec.structs.replace(now, unit_value=unit, mark=former.mark if now.mark is None else now.mark)


def _close_of(booking: Booking, closes: Sequence[Close]) -> Close | None:
    """The close of the day that a booking belongs to; None where that day is still open.

    One of a day that is no longer kept belongs before the oldest that is.
    """
    if not closes:
        return None
    date = booking.business_date
    if date:
        if date > closes[-1].business_date:
            return None
        if date < closes[0].business_date:
            return BEFORE_ALL
        return next(close for close in closes if close.business_date >= date)
    if booking.executed_at > closes[-1].at:
        return None
    return next(close for close in closes if close.at >= booking.executed_at)


def _note(late: _Late, close: Close, change: Change, corporate: bool) -> None:
    """Add a late booking to those of its day: trades, and corporate actions."""
    trades, actions = late.get(close.business_date, (Change(), Change()))
    if corporate:
        actions = actions.plus(change)
    else:
        trades = trades.plus(change)
    late[close.business_date] = trades, actions


def _early(booked: dict[str, Change], business_date: str) -> Change:
    total = Change()
    for date, change in booked.items():
        if date > business_date:
            total = total.plus(change)
    return total


def _carried(opening: Observation, closing: Observation, change: Change, made: Decimal) -> Buckets:
    """What a change of the position at the start of a day made of the day, by cause."""
    buckets = no_buckets()
    greeks = opening.greeks or closing.greeks
    explain_market(buckets, made, change.quantity, greeks, opening.factors, closing.factors)
    return buckets


def _restate_day(day: ClosedDay, carried: Change, booked: Change, actions: Change) -> None:
    """A closed day whose start has changed by `carried`, and to which `booked` belongs, a part of it `actions`."""
    opening, middle = day.opening.shifted(carried), day.closing.shifted(carried)
    closing = day.closing.shifted(carried.plus(booked))
    if day.buckets is None or not opening.priced or not closing.priced:
        day.buckets = day.book_buckets = None
    else:
        by = opening.total - day.opening.total
        step = no_buckets()
        if middle.priced:
            made = middle.total - day.closing.total - by
            step = _carried(day.opening, day.closing, carried, made)
        step[FEES] = -booked.fees
        step[CORPORATE_ACTIONS] = made_by(closing, actions) if actions else ZERO
        step[NEW_TRADES] = closing.total - day.closing.total - by - sum(step, ZERO)
        add(day.buckets, step)
        _translate(day, step, by)
    day.opening, day.closing = opening, closing
    day.restatement += 1


def _translate(day: ClosedDay, step: Buckets, by: Decimal) -> None:
    more = translated_shift(step, by, day.opening, day.closing)
    if day.book_buckets is None or more is None:
        day.book_buckets = None
    else:
        add(day.book_buckets, more)
