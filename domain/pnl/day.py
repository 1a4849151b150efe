"""The P&L days of a position: the open one, and those that are closed.

Owns: when a day begins and ends, what belongs to it, and how a booking that comes late changes days that are over.
Assumes: `exact_arithmetic()` around it; the last valuation before a close is at the last mark up to the end of the day, as
far as that is known (`agents.valuation_closing`); `closes` are the closes of the position's book that are kept, oldest first.
Guarantees, for a day whose start and end are priced: total = realised + unrealised = positional + trading = the sum of
the buckets, exactly; the days add up to the total since the position was first opened. What a day comes to hangs on what
belongs to it, and not on the order in which bookings, marks and its close came.

- A booking belongs to the day of its business date (without one, of its execution). One that came before the close of
  an earlier day is taken out of that day, at the price of the close. A movement of cash is such a booking.
- A booking of a closed day changes that day's close. What it does to P&L that other trades realise on later days stands
  in those days; it is no P&L, since their lots cost as much more or less.
- A day ends at the last mark that it was valued at. A mark of the day that comes after its close prices the close anew.
- What no booking explains belongs to the last day that is closed.
- A day without a price at its start or end has no P&L: None, with the reason.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from domain.pnl.attribution import no_buckets
from domain.pnl.observation import Change, Observation
from domain.pnl.restating import ClosedDay, remark_day, restate_day
from domain.pnl.running import (
    Booking,
    Close,
    OpenDay,
    begin_at,
    begun,
    ended,
    go_on,
    gone_on,
    note_booked,
    shift,
)

BEFORE_ALL = Close("", 0)
"""Stands for every close before the oldest that is kept."""

_Late = dict[str, tuple[Change, Change]]
"""Late bookings by the business date of their day: trades, and corporate actions."""


class PositionDays:
    """A position's open day and the closed ones that are kept, oldest first; these are loaded where something late needs
    them. `date_of` gives the business date of a time of execution, where that is known."""

    __slots__ = ("_closed", "_date_of", "_load", "day")

    def __init__(
        self,
        day: OpenDay | None = None,
        load: Callable[[], Sequence[ClosedDay]] = tuple,
        date_of: Callable[[int], str] | None = None,
    ) -> None:
        self.day = OpenDay() if day is None else day
        self._load = load
        self._date_of = date_of
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
        now = gone_on(now, day.now, bookings)
        restated: set[str] = set()
        if closes and day.opening.at and day.opening.marked_at < now.marked_at <= closes[-1].at:
            restated |= self._remark(now, closes)
            # The price comes before what is booked with it.
            go_on(day, day.now.remarked(now))
        if bookings or now.change_since(day.now):
            restated |= self._booked(now, bookings, closes)
        go_on(day, now)
        return [each for each in self.closed if each.business_date in restated] if restated else []

    def _booked(self, now: Observation, bookings: Sequence[Booking], closes: Sequence[Close]) -> set[str]:
        """Note what was booked; returns the dates of the closed days that this restates."""
        unexplained = now.change_since(self.day.now)
        late: _Late = {}
        for booking in bookings:
            unexplained = unexplained.less(booking.change)
            for part in self._parts(booking, inverse=now.inverse):
                close = _close_of(part, closes)
                if close is not None:
                    _note(late, close, part.change, part.corporate)
                    continue
                note_booked(self.day, part)
        if unexplained:
            _note(late, closes[-1] if closes else BEFORE_ALL, unexplained, False)
        return self._restate(late, closes) if late else set()

    def _parts(self, booking: Booking, *, inverse: bool) -> Sequence[Booking]:
        """A booking, and apart from it what other trades realise by it: their lots cost as much more (inverse: less)."""
        if not booking.moved and (booking.business_date or self._date_of is None):
            return (booking,)
        own, parts = booking.change, []
        for executed_at, realised in booking.moved:
            part = Change(cost=-realised if inverse else realised, realised=realised)
            own = own.less(part)
            parts.append(Booking(part, self._dated("", executed_at), executed_at))
        date = self._dated(booking.business_date, booking.executed_at)
        return (Booking(own, date, booking.executed_at, booking.corporate), *parts)

    def _dated(self, business_date: str, executed_at: int) -> str:
        return business_date if business_date or self._date_of is None else self._date_of(executed_at)

    # -- marks and the ends of days -----------------------------------------------------------------------------

    def _remark(self, now: Observation, closes: Sequence[Close]) -> set[str]:
        """A mark of days that are closed: they end with it, and the next ones begin with it."""
        first = next(close for close in closes if close.at >= now.marked_at)
        self._fill(first.business_date, closes)
        opening: Observation | None = None
        restated = set()
        for closed in self.closed:
            ends = closed.at >= now.marked_at and closed.closing.marked_at < now.marked_at
            if ends or opening is not None:
                remark_day(closed, opening, closed.closing.remarked(now) if ends else closed.closing)
                restated.add(closed.business_date)
            opening = closed.closing if ends else None
        if opening is not None:
            begin_at(self.day, opening)
        return restated

    # -- what is restated ---------------------------------------------------------------------------------------

    def _restate(self, late: _Late, closes: Sequence[Close]) -> set[str]:
        """Bookings of closed days: the closes of those, and everything after them, as it would have been."""
        first = min(late)
        self._fill(first, closes)
        carried, restated = Change(), set()
        if first == BEFORE_ALL.business_date:
            carried = late[first][0].plus(late[first][1])
        for day in self.closed:
            trades, actions = late.get(day.business_date, (Change(), Change()))
            if carried or trades or actions:
                restate_day(day, carried, trades.plus(actions), actions)
                restated.add(day.business_date)
                carried = carried.plus(trades).plus(actions)
        if carried:
            shift(self.day, carried)
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

    # -- when a day ends ----------------------------------------------------------------------------------------

    def close(self, close: Close) -> ClosedDay | None:
        """The day is over: what it was, and None where nothing was held and nothing done."""
        closed, later = ended(self.day, close)
        self.day = begun(self.day, closed.closing, later, close.business_date)
        opening, closing = closed.opening, closed.closing
        idle = not (opening.quantity or closing.quantity or closing.change_since(opening))
        # A day with a price or rate of its own is kept though nothing is held: a late booking is valued at it.
        same = closing.unit_value == opening.unit_value and closing.fx == opening.fx
        if idle and same and not any(closed.buckets or ()):
            return None
        if self._closed is not None:
            self._closed.append(closed)
        return closed


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
