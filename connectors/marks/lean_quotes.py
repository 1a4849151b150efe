"""`lean-quotes`: QuantConnect Lean's quotes of equities, futures, forex and crypto: ticks, and bars of bid and ask.

Reads zips of CSV, bare CSV, or folders of them; names say whose and when (`lean_names`).
- Ticks of equities: `milliseconds, bid, bid size, ask, ask size, exchange, condition, suspicious`. A line changes one
  side of the national best bid and offer; the two of one millisecond are one quote. Prices are in ten-thousandths.
- Ticks of forex: `milliseconds, bid, ask`.
- Bars: `time, bid open, high, low, close, bid size, ask open, high, low, close, ask size`; the quote is that of the close,
  at the end of the bar. The time is milliseconds since midnight, or of hours and days `yyyymmdd HH:MM`.
- Clock: New York for equities and futures, UTC for forex and crypto.

A line that says 0 or nothing of a side leaves that side as it was. Skipped, by name: lines before both sides are known
(`one side`), lines whose quote the next line completes (`same time`), and those that the vendor flags (`suspicious`).
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePath

from connectors.files.source import open_members
from connectors.marks.lean_names import PERIODS, QuoteFile, find_quote_files, quote_file
from connectors.marks.reading import QuoteOptions, QuoteStream, Reading
from connectors.venues.decoding import source_of
from connectors.venues.lean_files import ScaledPrices, clock_of
from schemas.quotes import Quote

NAME = "lean-quotes"

_MILLISECOND, _HOUR = 1_000_000, 3_600_000_000_000
_SECOND = 1_000_000_000
_SIDES = ("bid", "ask")
_FORMS = {
    8: ("milliseconds", "bid", "bid size", "ask", "ask size", "exchange", "condition", "suspicious"),
    3: ("milliseconds", "bid", "ask"),
    11: ("time", *(f"{side} {name}" for side in _SIDES for name in ("open", "high", "low", "close", "size"))),
}
"""The columns of a line, by their number."""

_BID_CLOSE, _ASK_CLOSE = 4, 9


def open_streams(path: str, options: QuoteOptions) -> list[QuoteStream]:
    """The quotes of a file, or of the quote files in a folder: a stream for each CSV."""
    streams = []
    for file in find_quote_files(path):
        for number, (member, _) in enumerate(open_members(file)):
            shown = file if member == PurePath(file).name.removesuffix(".gz") else f"{file}/{member}"
            streams.append(QuoteStream(shown, _Open(file, member, number)))
    return streams


class _Open:
    """Opens one CSV of a file when its stream is read."""

    def __init__(self, path: str, member: str, number: int) -> None:
        self._path, self._member, self._number = path, member, number

    def __call__(self, reading: Reading) -> Iterator[Quote]:
        file = quote_file(self._path, self._member)
        for number, (_, stream) in enumerate(open_members(self._path)):
            if number == self._number:
                lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace")
                yield from _Reader(file, source_of(NAME, self._path), reading).quotes(lines)
                lines.detach()
                return


class _Reader:
    """Reads the lines of one CSV."""

    def __init__(self, file: QuoteFile, source: str, reading: Reading) -> None:
        self._file, self._source, self._reading = file, source, reading
        self._prices = ScaledPrices(file.price_scale)
        self._period = PERIODS[file.resolution] * _SECOND
        self._bid: Decimal | None = None
        self._ask: Decimal | None = None
        self._clock: list[int] = []
        if file.day is not None:
            midnight = datetime(file.day.year, file.day.month, file.day.day, tzinfo=UTC)
            start = int(midnight.timestamp()) * _SECOND
            self._clock = clock_of(file.day) if file.new_york else [start] * 24

    def quotes(self, lines: io.TextIOWrapper) -> Iterator[Quote]:
        """The quotes, each when all lines of its time are read."""
        counts = self._reading.counts
        waiting: Quote | None = None
        for number, line in enumerate(lines, start=1):
            line = line.rstrip("\r\n")
            if not line:
                continue
            counts.read += 1
            event_time = self._time_of(line, number)
            if event_time is None or not self._take(line, number):
                continue
            if self._bid is None or self._ask is None:
                counts.skip("one side")
                continue
            if waiting is not None and waiting.event_time == event_time:
                counts.skip("same time")
            elif waiting is not None:
                yield waiting
            waiting = self._quote(event_time, number)
        if waiting is not None:
            yield waiting

    def _quote(self, event_time: int, number: int) -> Quote:
        file = self._file
        return Quote(
            instrument=file.instrument,
            event_time=event_time,
            source=self._source,
            bid=self._bid,
            ask=self._ask,
            source_sequence=number,
            instrument_class=file.instrument_class,
            underlying=file.underlying,
            currency=file.currency,
            place=f"line {number}",
        )

    def _take(self, line: str, number: int) -> bool:
        """Take in the sides that a line tells of; False where it is skipped or at fault."""
        fields = line.split(",")
        if len(fields) == 8 and fields[7] == "1":
            self._reading.counts.skip("suspicious")
            return False
        places = {8: (1, 3), 3: (1, 2)}.get(len(fields), (_BID_CLOSE, _ASK_CLOSE))
        found = []
        for place in places:
            text = fields[place]
            try:
                found.append(self._prices[text] if text else Decimal(0))
            except ValueError as error:
                name = _FORMS[len(fields)][place]
                self._reading.faults.add(f"line {number}", name, str(error), text)
                return False
        self._bid = found[0] or self._bid
        self._ask = found[1] or self._ask
        return True

    def _time_of(self, line: str, number: int) -> int | None:
        """When a line's quote holds; None where the line is at fault."""
        faults, place = self._reading.faults, f"line {number}"
        columns = line.count(",") + 1
        expected_columns = (8, 3) if self._file.resolution == "tick" else (11,)
        if columns not in expected_columns:
            shown = " or ".join(f"{count} columns ({', '.join(_FORMS[count])})" for count in expected_columns)
            faults.add(place, "", shown, f"{columns}: {line}")
            return None
        text = line.partition(",")[0]
        try:
            start = self._dated(text) if self._file.day is None else self._of_day(text)
        except (ValueError, IndexError):
            form = "milliseconds from 0 to 86399999" if self._file.day else "a time as yyyymmdd HH:MM"
            faults.add(place, "time", form, text)
            return None
        return start + self._period

    def _of_day(self, text: str) -> int:
        if not (text.isdecimal() and text.isascii()):
            raise ValueError
        elapsed = int(text) * _MILLISECOND
        return self._clock[elapsed // _HOUR] + elapsed

    def _dated(self, text: str) -> int:
        moment = datetime.strptime(text, "%Y%m%d %H:%M").replace(tzinfo=UTC)
        elapsed = (moment.hour * 60 + moment.minute) * 60 * _SECOND
        if not self._file.new_york:
            return int(moment.timestamp()) * _SECOND
        return clock_of(moment.date())[moment.hour] + elapsed
