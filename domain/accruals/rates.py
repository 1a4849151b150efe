"""Rates as they were fixed, by time: which is in force, which are missing between others.

Guarantees: a fixing that is corrected counts once, with what was said last.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import median

NEIGHBOURS = 5
"""Distances before and after a place that tell how far apart a venue fixed its rates then."""


@dataclass(frozen=True, slots=True)
class Fixing:
    """A rate that was fixed at a time (nanoseconds), with the price that it is reckoned on, where that is known."""

    at: int
    value: Decimal
    price: Decimal | None = None


class Fixings:
    """The fixings of one rate, in order of time."""

    def __init__(self, fixings: Iterable[Fixing] = ()) -> None:
        self._by_time = {fixing.at: fixing for fixing in fixings}
        self._times = sorted(self._by_time)

    def __len__(self) -> int:
        return len(self._times)

    def in_force(self, at: int) -> Fixing | None:
        """The last fixing up to and including a time."""
        place = bisect_right(self._times, at)
        return self._by_time[self._times[place - 1]] if place else None

    def between(self, start: int, end: int) -> list[Fixing]:
        """Those after `start` up to and including `end`, oldest first."""
        times = self._times[bisect_right(self._times, start) : bisect_right(self._times, end)]
        return [self._by_time[time] for time in times]

    def gaps(self, interval: int) -> list[tuple[int, int]]:
        """Where fixings are missing: pairs of times that are much further apart than `interval` and than those around
        them (a venue that fixed its rates every eight hours before it did every hour has no gap for that)."""
        return gaps(self._times, interval)


def gaps(times: Sequence[int], interval: int) -> list[tuple[int, int]]:
    """The pairs of neighbours in ordered `times` between which others are missing."""
    distances = [after - before for before, after in pairwise(times)]
    found = []
    for place, distance in enumerate(distances):
        if 2 * distance <= 3 * interval:
            continue
        around = (
            distances[max(0, place - NEIGHBOURS) : place],
            distances[place + 1 : place + 1 + NEIGHBOURS],
        )
        usual = max((median(side) for side in around if side), default=interval)
        if 2 * distance > 3 * usual:
            found.append((times[place], times[place + 1]))
    return found
