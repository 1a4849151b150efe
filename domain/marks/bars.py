"""Bars of prices: open, high, low and close of an interval, from ticks in any order of arrival.

Owns: which interval a tick belongs to, what it does to a bar, and for how long a bar can still be corrected.
Guarantees: exact, and in constant memory a bar: a bar is a function of the set of its ticks, whatever order they came
in and however often. Ticks are in the order (time, sequence of the source, id); the least gives the open, the greatest
the close. `revision` counts the ticks that changed the bar.

Intervals begin at whole multiples of their length since 1970 UTC, so a day is a day of UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from schemas.times import NANOSECONDS_PER_SECOND
from schemas.units import BarInterval

LENGTHS: Mapping[BarInterval, int] = {
    BarInterval.SECOND: NANOSECONDS_PER_SECOND,
    BarInterval.MINUTE: 60 * NANOSECONDS_PER_SECOND,
    BarInterval.DAY: 86_400 * NANOSECONDS_PER_SECOND,
}
"""Nanoseconds of an interval."""

WINDOW_BARS: Mapping[BarInterval, int] = {
    BarInterval.SECOND: 3_600,
    BarInterval.MINUTE: 2_880,
    BarInterval.DAY: 400,
}
"""How many intervals before the newest tick of its instrument a bar is kept, so that a late tick corrects it: an hour
of seconds, two days of minutes, 400 days."""

Order = tuple[int, int, str]
"""Time, sequence of the source, and id of a tick."""


@dataclass(slots=True)
class OpenBar:
    """A bar as far as its ticks have come."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    first: Order
    last: Order
    revision: int = 1

    @classmethod
    def begin(cls, price: Decimal, order: Order) -> "OpenBar":
        """The bar of one tick."""
        return cls(price, price, price, price, order, order)

    def take(self, price: Decimal, order: Order) -> bool:
        """Take in a tick; says whether it changed the bar's prices."""
        before = (self.open, self.high, self.low, self.close)
        if order < self.first:
            self.first, self.open = order, price
        if order > self.last:
            self.last, self.close = order, price
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        if before == (self.open, self.high, self.low, self.close):
            return False
        self.revision += 1
        return True


def opened_at(event_time: int, interval: BarInterval) -> int:
    """When the interval begins that a time belongs to."""
    length = LENGTHS[interval]
    return event_time // length * length


def is_kept(opened: int, newest: int, interval: BarInterval) -> bool:
    """Whether a bar that begins at `opened` can still be corrected, where `newest` is the newest tick's time."""
    return opened_at(newest, interval) - opened <= WINDOW_BARS[interval] * LENGTHS[interval]
