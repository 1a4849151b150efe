"""`ecb-rates`: reference rates of the European Central Bank, as its history in CSV has them (`eurofxref-hist.csv`).

Owns: what a cell means: units of the column's currency for one euro on the day of the row, `N/A` where there is none. A rate
is of 16:00 in Frankfurt, when the bank publishes it.
- Rates are published for information, so their quality is `indicative`; a currency whose last rate is of an earlier day than
  the newest of the file has ended (or is suspended), and that rate is `stale`.
- The log keeps the newest rate of a pair, so the newest of each currency goes into it; earlier ones are counted.

Guarantees: digits as they stand; every cell is accounted for; a malformed file is refused whole, with every fault.
Source: https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.files.definitions import source_name
from connectors.files.faults import FaultCollector
from connectors.files.source import Source
from schemas import market_data
from schemas.frames import wire
from schemas.identity import content_id
from schemas.numbers import parse_decimal
from schemas.times import NANOSECONDS_PER_SECOND
from schemas.units import MarkQuality, currency_code_fault

NAME = "ecb-rates"
DESCRIPTION = "rates of currencies: reference rates of the European Central Bank, CSV"
EURO = "EUR"

_MISSING = ("N/A", "")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FRANKFURT = ZoneInfo("Europe/Berlin")
_PUBLISHED_HOUR = 16
_LINES_MAX = 1_000_000
_FxRate: Any = wire(market_data.FxRate)


@dataclass(frozen=True, slots=True)
class Day:
    """The rates of a day, by currency, of one euro."""

    day: str
    rates: dict[str, Decimal]


@dataclass(slots=True)
class RatesFile:
    """A history: its days, oldest first; cells without a rate; currencies that have a rate anywhere."""

    name: str
    days: list[Day] = field(default_factory=list)
    missing: int = 0
    currencies: list[str] = field(default_factory=list)

    def newest(self) -> list[Any]:
        """The newest rate of each currency, as `FxRate` (wire twins)."""
        found: dict[str, tuple[str, Decimal]] = {}
        for day in self.days:
            for currency, rate in day.rates.items():
                found[currency] = (day.day, rate)
        last = self.days[-1].day if self.days else ""
        return [
            fx_rate(currency, day, rate, self.name, stale=day != last)
            for currency, (day, rate) in sorted(found.items())
        ]

    def ended(self) -> dict[str, str]:
        """The last day of each currency that has no rate on the newest day."""
        last: dict[str, str] = {}
        for day in self.days:
            for currency in day.rates:
                last[currency] = day.day
        newest = self.days[-1].day if self.days else ""
        return {currency: day for currency, day in sorted(last.items()) if day != newest}


def read_ecb_rates(source: Source) -> RatesFile:
    """The rates of a file. Raises InputFaults."""
    faults = FaultCollector(source.name)
    found = RatesFile(source_name(source.name))
    with source.open() as stream:
        lines = _lines(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), faults)
        columns: list[str] = []
        days: dict[str, Day] = {}
        for number, cells in lines:
            if not columns:
                columns = _header(cells, faults)
                if not columns:
                    break
                continue
            day = _day(number, cells, columns, found, faults)
            if day is not None and days.setdefault(day.day, day) is not day:
                faults.add(f"line {number}", "Date", "each day once", day.day)
    if not columns:
        faults.add("", "", "a header with Date and currencies", "none")
    faults.raise_if_any()
    found.days = [days[day] for day in sorted(days)]
    found.currencies = sorted({currency for day in found.days for currency in day.rates})
    return found


def _lines(text: io.TextIOWrapper, faults: FaultCollector) -> Iterator[tuple[int, list[str]]]:
    try:
        for number, cells in enumerate(csv.reader(text), 1):
            if number > _LINES_MAX:
                faults.add("", "", f"at most {_LINES_MAX} lines", "more")
                return
            if cells:
                yield number, cells
    except (csv.Error, UnicodeDecodeError) as error:
        faults.add("", "", "CSV in UTF-8", str(error))


def _header(cells: list[str], faults: FaultCollector) -> list[str]:
    columns = [cell.strip() for cell in cells]
    if columns[0] != "Date":
        faults.add("line 1", "Date", "Date, then currencies", columns[0])
        return []
    while columns and not columns[-1]:
        columns.pop()
    for column in columns[1:]:
        fault = currency_code_fault(column)
        if fault is not None:
            faults.add("line 1", column, fault, column)
    return columns


def _day(
    number: int, cells: list[str], columns: list[str], found: RatesFile, faults: FaultCollector
) -> Day | None:
    place = f"line {number}"
    day = cells[0].strip()
    try:
        sound = _DAY.fullmatch(day) is not None and datetime.fromisoformat(day) is not None
    except ValueError:
        sound = False
    if not sound:
        faults.add(place, "Date", "a day as YYYY-MM-DD", day)
        return None
    if len(cells) < len(columns):
        faults.add(place, "", f"{len(columns)} columns", str(len(cells)))
        return None
    rates = {}
    for column, cell in zip(columns[1:], cells[1:], strict=False):
        text = cell.strip()
        if text in _MISSING:
            found.missing += 1
            continue
        try:
            rate = parse_decimal(text)
            if rate <= 0:
                raise ValueError("a rate above 0, or N/A")
        except ValueError as error:
            faults.add(place, column, str(error), text)
            continue
        rates[column] = rate
    return Day(day, rates)


def fx_rate(currency: str, day: str, rate: Decimal, file: str, *, stale: bool = False) -> Any:
    """A reference rate of a day as an `FxRate` (wire twin)."""
    published = datetime.fromisoformat(day).replace(hour=_PUBLISHED_HOUR, tzinfo=_FRANKFURT)
    return _FxRate(
        event_id=content_id("ecb", currency, day, str(rate)),
        source=f"{NAME}:{file}",
        base_currency=EURO,
        quote_currency=currency,
        event_time=int(published.astimezone(UTC).timestamp()) * NANOSECONDS_PER_SECOND,
        rate=rate,
        quality=MarkQuality.STALE if stale else MarkQuality.INDICATIVE,
    )
