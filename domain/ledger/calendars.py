"""Business days of markets, and settlement dates counted in them.

Holidays are data of a version of the posting rules, so that a replay counts as the first run did, whatever a library says by
then. A calendar knows the years that it covers; outside them weekdays are counted, and `covers` says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

SATURDAY = 5
WEEKENDS = frozenset({SATURDAY, SATURDAY + 1})
_DAY = timedelta(1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The business days of a market: weekdays but `holidays`, in the years `first` to `last` (none: every year)."""

    name: str = ""
    first: int = 0
    last: int = 9999
    holidays: frozenset[date] = frozenset()

    def is_business_day(self, day: date) -> bool:
        """Whether the market is open."""
        return day.weekday() not in WEEKENDS and day not in self.holidays

    def covers(self, day: date) -> bool:
        """Whether the holidays of that year are known."""
        return self.first <= day.year <= self.last


WEEKDAYS = Calendar()


def joint(calendars: Iterable[Calendar]) -> Calendar:
    """Business days of all of several markets."""
    named = [calendar for calendar in calendars if calendar is not WEEKDAYS]
    if not named:
        return WEEKDAYS
    if len(named) == 1:
        return named[0]
    return Calendar(
        "+".join(sorted({calendar.name for calendar in named})),
        max(calendar.first for calendar in named),
        min(calendar.last for calendar in named),
        frozenset().union(*(calendar.holidays for calendar in named)),
    )


def add_business_days(calendar: Calendar, day: date, days: int) -> date:
    """The day `days` business days after `day`; with 0 the day itself, or the next one on which the market is open."""
    while not calendar.is_business_day(day):
        day += _DAY
    for _ in range(days):
        day += _DAY
        while not calendar.is_business_day(day):
            day += _DAY
    return day


@dataclass(frozen=True, slots=True)
class Cycle:
    """How long a market takes to settle: `days[i]` business days for trades from `starts[i]` on (days, ascending)."""

    calendar: Calendar = WEEKDAYS
    starts: Sequence[str] = ("",)
    days: Sequence[int] = (0,)
    _known: dict[str, tuple[str, bool]] = field(default_factory=dict, compare=False, repr=False)

    def settles(self, trade_date: str) -> tuple[str, bool]:
        """The settlement date of a trade, and whether the calendar covers both dates."""
        found = self._known.get(trade_date)
        if found is None:
            day = date.fromisoformat(trade_date)
            days = [days for start, days in zip(self.starts, self.days, strict=True) if start <= trade_date][
                -1
            ]
            settled = add_business_days(self.calendar, day, days)
            covered = self.calendar.covers(day) and self.calendar.covers(settled)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            found = self._known[trade_date] = settled.isoformat(), covered
        return found


_KNOWN_MAX = 4_096
