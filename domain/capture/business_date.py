"""The business date of an execution, from the book's calendar, time zone and cut-off.

Days of a book are found once and remembered as spans of nanoseconds, so that a fill costs a comparison.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.times import NANOSECONDS_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SATURDAY = 5


def time_zone_fault(name: str) -> str | None:
    """What is wrong with a time zone's name; None where it is known."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "a time zone of the IANA database, such as Europe/London"
    return None


def _nanoseconds(moment: datetime) -> int:
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * NANOSECONDS_PER_SECOND


def add_business_days(day: date, days: int, calendar: str) -> date:
    """The date `days` business days after `day` (which moves to a business day first)."""
    while calendar == "weekdays" and day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    for _ in range(days):
        day += timedelta(days=1)
        while calendar == "weekdays" and day.weekday() >= _SATURDAY:
            day += timedelta(days=1)
    return day


class BusinessDays:
    """The business dates of one book."""

    __slots__ = ("_calendar", "_cut_off", "_date", "_end", "_start", "_whole_day", "_zone")

    def __init__(self, time_zone: str = "UTC", cut_off: str = "24:00", calendar: str = "every_day") -> None:
        hours, minutes = (int(part) for part in cut_off.split(":"))
        self._zone = ZoneInfo(time_zone)
        self._whole_day = hours == 24
        self._cut_off = time(0 if self._whole_day else hours, minutes)
        self._calendar = calendar
        self._start = self._end = 0
        self._date = ""

    def of(self, executed_at: int) -> str:
        """The business date (YYYY-MM-DD) of an execution: the next one from the cut-off on."""
        if not self._start <= executed_at < self._end:
            self._find(executed_at)
        return self._date

    def ended(self, first: str, now: int, most: int) -> list[tuple[str, int]]:
        """The business dates from `first` on that are over at `now`, `most` of them, each with the instant of its end."""
        found: list[tuple[str, int]] = []
        day = add_business_days(date.fromisoformat(first), 0, self._calendar)
        while len(found) < most and (end := self._ends(day)) <= now:
            found.append((day.isoformat(), end))
            day = add_business_days(day, 1, self._calendar)
        return found

    def from_day(self, day: str) -> str:
        """The first business date that is not before a day."""
        return settlement_date(day, 0, self._calendar)

    def after(self, business_date: str) -> str:
        """The business date that follows one."""
        return settlement_date(business_date, 1, self._calendar)

    def _find(self, executed_at: int) -> None:
        # Instants are compared, never times of day: where the clock is changed, those repeat or are left out.
        local = (_EPOCH + timedelta(seconds=executed_at // NANOSECONDS_PER_SECOND)).astimezone(self._zone)
        day = local.date()
        while executed_at >= self._ends(day):
            day += timedelta(days=1)
        while executed_at < self._ends(day - timedelta(days=1)):
            day -= timedelta(days=1)
        self._start, self._end = self._ends(day - timedelta(days=1)), self._ends(day)
        self._date = add_business_days(day, 0, self._calendar).isoformat()

    def _ends(self, day: date) -> int:
        """The instant at which a day is over."""
        if self._whole_day:
            day += timedelta(days=1)
        return _nanoseconds(datetime.combine(day, self._cut_off, self._zone))


def settlement_date(business_date: str, days: int, calendar: str) -> str:
    """The date `days` business days after a business date."""
    return add_business_days(date.fromisoformat(business_date), days, calendar).isoformat()
