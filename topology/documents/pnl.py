"""P&L as documents: the running day of each position, its closed days, and what was told of them over time.

Guarantees: amounts are text in plain notation; what is not known is null, and `reason` says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents import ledger, pnl
from agents.ledger_income import waiting_income
from agents.pnl_state import Kept, calendars_of, closed_days, closes_of, scan_kept
from domain.capture.business_date import BusinessDays
from domain.pnl.attribution import Buckets
from domain.pnl.figures import Figures, closed_figures, open_figures
from domain.pnl.observation import Observation
from schemas import topics
from schemas.identity import split_position_key
from schemas.numbers import exact_arithmetic, plain
from schemas.pnl import BUCKETS
from schemas.times import format_time
from topology.log_reading import WholeLog, partition_count, read_told, table_partition

FIGURES = (
    "realised",
    "unrealised",
    "fees",
    "total",
    "positional",
    "trading",
    "total_to_date",
    "book_total",
    "book_total_to_date",
)

Document = dict[str, Any]


def pnl_documents(
    log: WholeLog, book: str | None = None, instrument: str | None = None, *, days: bool = False
) -> list[Document]:
    """The running day of every position, by book and instrument; with `days` the closed ones as well, oldest first."""
    found: list[Document] = []
    with exact_arithmetic():
        for partition in range(partition_count(log)):
            table = table_partition(log, pnl.NAME, partition)
            for key, kept in scan_kept(table):
                place = split_position_key(key)
                if book not in (None, place[0]) or instrument not in (None, place[1]):
                    continue
                closes = closes_of(table, place[0])
                document = _of_open_day(place, kept, closes[-1].business_date if closes else None)
                if days:
                    document["days"] = [
                        _document(place, kept, closed_figures(day), day.closing)
                        | {"day": _day(day.business_date, None, True, day.restatement)}
                        for day in closed_days(table, key)
                    ]
                found.append(document)
    return sorted(found, key=lambda each: (each["book"], each["instrument"]))


def lumped_dates(log: WholeLog, book: str | None = None) -> dict[str, list[str]]:
    """The business dates of bookings in the running day of each book, where they are several: days were not closed."""
    found: dict[str, set[str]] = {}
    for partition in range(partition_count(log)):
        table = table_partition(log, pnl.NAME, partition)
        for key, kept in scan_kept(table):
            name, _ = split_position_key(key)
            if book in (None, name):
                found.setdefault(name, set()).update(filter(None, kept.day.booked))
    return {name: sorted(dates) for name, dates in sorted(found.items()) if len(dates) > 1}


def _of_open_day(place: tuple[str, str], kept: Kept, since: str | None) -> Document:
    day = kept.day
    date = min(filter(None, day.booked), default=None)
    return _document(place, kept, open_figures(day), day.now) | {"day": _day(date, since, False, 0)}


def _day(date: str | None, since: str | None, closed: bool, restatement: int) -> Document:
    return {"business_date": date, "since_close_of": since, "closed": closed, "restatement": restatement}


def _document(place: tuple[str, str], kept: Kept, figures: Figures, now: Observation) -> Document:
    foreign = kept.book_currency and kept.book_currency != kept.currency
    return {
        "book": place[0],
        "instrument": place[1],
        "underlying": kept.underlying,
        "currency": kept.currency,
        "book_currency": kept.book_currency,
        "quantity": plain(now.quantity),
        "opening_quantity": plain(figures.opening_quantity),
        "mark": _plain(now.mark),
        "quality": now.quality,
        "fx": _plain(now.fx),
        **{name: _plain(getattr(figures, name)) for name in FIGURES},
        "gross_realised": plain(figures.realised + figures.fees - figures.income),
        "income": plain(figures.income),
        "accrued_interest": plain(figures.accrued),
        "buckets": _named(figures.buckets),
        "book_buckets": _named(figures.book_buckets if foreign else figures.buckets),
        "reason": kept.reason(figures.reason),
        "event_time": format_time(now.at),
    }


def _named(buckets: Buckets | None) -> Document | None:
    if buckets is None:
        return None
    return {name: plain(amount) for name, amount in zip(BUCKETS, buckets, strict=True)}


def _plain(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


# -- what was told ----------------------------------------------------------------------------------------------------


def positions_waited_for(log: WholeLog) -> list[str]:
    """The positions (BOOK/INSTRUMENT) that have no trade in the ledger yet, and whose income waits for one."""
    found = {
        f"{income.book}/{income.instrument}"
        for partition in range(partition_count(log))
        for income in waiting_income(table_partition(log, ledger.NAME, partition))
    }
    return sorted(found)


def told_documents(
    log: WholeLog,
    ends: Mapping[int, int] | None,
    until: int | None,
    book: str | None = None,
    instrument: str | None = None,
) -> list[Document]:
    """The last that was told of each position's running day before the offsets `ends` (by partition; None is all), of
    valuations up to `until` (nanoseconds)."""
    last: dict[tuple[str, str], Any] = {}
    for event in told_events(log, ends, book, instrument):
        if not event.closed and (until is None or event.event_time <= until):
            last[event.book, event.instrument] = event
    return [event_document(last[place]) for place in sorted(last)]


def day_documents(
    log: WholeLog,
    date: str,
    ends: Mapping[int, int] | None = None,
    book: str | None = None,
    instrument: str | None = None,
) -> list[Document]:
    """The P&L of one business date, as it is known before the offsets `ends` (None: now): of each position the closed day,
    restated by what came late; while it runs, the last that was told of it. A position that did nothing has none."""
    calendars = {} if not partition_count(log) else calendars_of(table_partition(log, pnl.NAME, 0))
    undefined = BusinessDays()
    found: dict[tuple[str, str], Document] = {}
    over: dict[str, str] = {}
    running: dict[tuple[str, str], Any] = {}
    for event in told_events(log, ends, book, instrument):
        place = (event.book, event.instrument)
        if event.closed:
            over[event.book] = max(over.get(event.book, ""), event.business_date)
            if event.business_date == date:
                found[place] = event_document(event)
        elif calendars.get(event.book, undefined).of(event.event_time) <= date:
            running[place] = event
    if ends is None:
        # The days that are kept reach further back than what was told.
        for each in pnl_documents(log, book, instrument, days=True):
            over[each["book"]] = max(over.get(each["book"], ""), each["day"]["since_close_of"] or "")
            for day in each["days"]:
                if day["day"]["business_date"] == date:
                    found[each["book"], each["instrument"]] = day
    for place, event in running.items():
        if over.get(place[0], "") < date:
            found[place] = event_document(event)
    return [found[place] for place in sorted(found)]


def told_events(
    log: WholeLog,
    ends: Mapping[int, int] | None = None,
    book: str | None = None,
    instrument: str | None = None,
) -> Iterator[Any]:
    """Every P&L that was told and is still in the log, in the order of each partition."""
    for event in read_told(log, topics.PNL, ends):
        if book in (None, event.book) and instrument in (None, event.instrument):
            yield event


def event_document(event: Any) -> Document:
    """A `PnLAttributed` as the running day is shown."""
    same = not event.book_currency or event.book_currency == event.currency
    book_buckets = event.buckets if same else event.book_buckets
    names = ("book", "instrument", "underlying", "currency", "book_currency")
    return {
        **{name: getattr(event, name) for name in names},
        "quantity": plain(event.quantity),
        "opening_quantity": plain(event.opening_quantity),
        "mark": _plain(event.mark),
        "quality": event.quality,
        "fx": _plain(event.fx),
        **{name: _plain(getattr(event, name)) for name in FIGURES},
        # What of it is income is told by cause alone, together with what accrued.
        **dict.fromkeys(("gross_realised", "income", "accrued_interest")),
        "buckets": _of_event(event.buckets),
        "book_buckets": _of_event(book_buckets),
        "reason": event.reason,
        "event_time": format_time(event.event_time),
        "day": _day(event.business_date or None, None, event.closed, event.restatement),
    }


def _of_event(buckets: Any) -> Document | None:
    return None if buckets is None else {name: plain(getattr(buckets, name)) for name in BUCKETS}


class Series:
    """The P&L of running days together over time, in one currency: times (ns), buckets and total; for a picture."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.buckets: dict[str, list[float]] = {name: [] for name in BUCKETS}
        self.totals: list[float] = []
        self._held: dict[tuple[str, str], tuple[Any, Decimal]] = {}

    def add(self, event: Any, buckets: Any, total: Decimal) -> None:
        """The next event in the order of time; of each moment the last that was told stands."""
        held = self._held
        held[event.book, event.instrument] = (buckets, total)
        if not self.times or self.times[-1] != event.event_time:
            self.times.append(event.event_time)
            self.totals.append(0.0)
            for values in self.buckets.values():
                values.append(0.0)
        self.totals[-1] = float(sum(one for _, one in held.values()))
        for name, values in self.buckets.items():
            values[-1] = float(sum(getattr(one, name) for one, _ in held.values()))


def attribution_series(events: Sequence[Any]) -> dict[str, Series]:
    """The P&L of the running days of all positions together over time, by currency.

    In the books' currency where it is known, else in the instruments': amounts of two currencies are never added up.
    """
    found: dict[str, Series] = {}
    for event in sorted((each for each in events if not each.closed), key=lambda each: each.event_time):
        buckets, total, currency = event.buckets, event.total, event.currency
        if event.book_buckets is not None:
            buckets, total, currency = event.book_buckets, event.book_total, event.book_currency
        if buckets is not None and total is not None:
            found.setdefault(currency, Series()).add(event, buckets, total)
    return found
