"""`lean-tick`: QuantConnect Lean's trade ticks; every print becomes a fill, its side by the tick test.

Reads zips of CSV, bare CSV, or folders of them. A line is `milliseconds since midnight in New York, price, quantity,
exchange, sale condition, suspicious`; an equity's price is in ten-thousandths. Day and symbol come from the names
(`lean_files`).
- Side: above the last price of the instrument it is a BUY, below it a SELL, an equal price keeps the side, and the
  first print is a BUY. The test runs on over the files in the order of their days, whatever order they are given in.
- Trade id: instrument, day and line, since prints have no number; equal prints are not duplicates, and the same
  file given twice is one.
- A print without quantity is skipped. Prints that the vendor flags as suspicious are kept: they were on the tape.

Guarantees: one batch in memory, however long the files; a bad line refuses the input, with its file and line.
"""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import BinaryIO

from connectors.files.faults import FaultCollector
from connectors.files.source import open_members
from connectors.venues.decoding import (
    BATCH_FILLS,
    Decoded,
    DecodeOptions,
    Numbers,
    shifted,
    source_of,
)
from connectors.venues.lean_files import (
    CURRENCY,
    ScaledPrices,
    TickFile,
    clock_of,
    find_trade_files,
    tick_file,
)
from schemas.events import FillEvent
from schemas.frames import wire
from schemas.identity import content_id
from schemas.numbers import ZERO, parse_decimal
from schemas.times import Nanoseconds
from schemas.units import Side

NAME = "lean-tick"
BOOK = "LEAN"
"""The book of fills where no option says one."""

EXCHANGE_CHARACTERS_MAX = 32
_EXCHANGES_KEPT = 1_000
_NO_LEAST = Decimal("-Infinity")
HOUR_NANOSECONDS = 3_600_000_000_000
COLUMNS = ("milliseconds", "price", "quantity", "exchange", "condition", "suspicious")

_Fill = wire(FillEvent)


class _Exchanges(dict[str, str]):
    """The exchange codes of a file, each looked at once."""

    def __missing__(self, text: str) -> str:
        if len(text) > EXCHANGE_CHARACTERS_MAX or not text.isprintable():
            raise ValueError(f"at most {EXCHANGE_CHARACTERS_MAX} printable characters")
        if len(self) < _EXCHANGES_KEPT:
            self[text] = text
        return text


@dataclass(slots=True)
class _TickTest:
    """The last price of an instrument, and the side of its last print."""

    price: Decimal | None = None
    side: Side = Side.BUY


def decode(paths: Sequence[str], options: DecodeOptions) -> Decoded:
    """The fills of the files (and of the tick files in the folders), day by day."""

    def batches(decoded: Decoded) -> Iterator[list[FillEvent]]:
        reader = _Reader(decoded, options)
        for path in _by_day(_files(paths, decoded), decoded):
            for member, stream in open_members(path):
                yield from reader.read(path, member, stream)

    return Decoded(batches)


def _files(paths: Sequence[str], decoded: Decoded) -> list[str]:
    """The files, and those in the folders; each once."""
    found: dict[str, str] = {}
    for path in paths:
        with decoded.reading(path):
            for file in find_trade_files(path):
                found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _by_day(paths: list[str], decoded: Decoded) -> list[str]:
    """The paths in the order of their days; says of all of them what their names lack."""
    days: dict[str, date] = {}
    seen: dict[tuple[str, date], str] = {}
    for path in paths:
        with decoded.reading(path) as faults:
            files = [tick_file(path, member) for member, _ in open_members(path)]
            for file in files:
                first = seen.setdefault((file.instrument, file.day), path)
                if first != path:
                    expected = f"one file of {file.instrument} on {file.day} ({first})"
                    faults.add("", "file name", expected, "another")
                if file.day != files[0].day:
                    faults.add("", "file name", f"one day in a zip, {files[0].day}", str(file.day))
            days[path] = files[0].day
    return sorted(days, key=lambda path: (days[path], path))


class _Reader:
    """Decodes files one after the other; the tick test runs on from one to the next."""

    def __init__(self, decoded: Decoded, options: DecodeOptions) -> None:
        self._decoded = decoded
        self._options = options
        self._tests: dict[str, _TickTest] = {}
        self._quantities = Numbers()
        self._exchanges = _Exchanges()

    def read(self, path: str, member: str, stream: BinaryIO) -> Iterator[list[FillEvent]]:
        """The fills of one CSV, in batches."""
        file = tick_file(path, member)
        shown = path if member == PurePath(path).name.removesuffix(".gz") else f"{path}/{member}"
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace")
        batch: list[FillEvent] = []
        with self._decoded.reading(shown) as faults:
            for fill in self._fills(file, source_of(NAME, path), lines, faults):
                batch.append(fill)
                if len(batch) == BATCH_FILLS:
                    yield batch
                    batch = []
        if batch:
            yield batch
        # The stream is the caller's to close.
        lines.detach()

    def _fills(
        self, file: TickFile, source: str, lines: Iterable[str], faults: FaultCollector
    ) -> Iterator[FillEvent]:
        counts, clock = self._decoded.counts, clock_of(file.day)
        quantities, prices = self._quantities, ScaledPrices(file.price_scale)
        exchanges = self._exchanges
        test = self._tests.setdefault(file.instrument, _TickTest())
        last, side = test.price, test.side
        book = self._options.book_of(file.instrument, "", BOOK)
        least = _NO_LEAST if file.price_may_be_negative else ZERO
        for number, line in enumerate(lines, start=1):
            line = line.rstrip("\r\n")
            if not line:
                continue
            counts.read += 1
            try:
                milliseconds, price_text, quantity_text, exchange, _, _ = line.split(",")
                price = prices[price_text]
                quantity = quantities[quantity_text]
                exchange = exchanges[exchange]
                elapsed = (
                    int(milliseconds) * 1_000_000
                    if milliseconds.isdecimal() and line.isascii()
                    else _elapsed(milliseconds)
                )
                executed_at = clock[elapsed // HOUR_NANOSECONDS] + elapsed
            except (ValueError, IndexError):
                _note(faults, number, line, (prices, least), (quantities, ZERO))
                continue
            if quantity <= 0 or price <= least:
                if quantity < 0 or price < least:
                    _note(faults, number, line, (prices, least), (quantities, ZERO))
                else:
                    counts.skip("print without quantity" if not quantity else "print without price")
                continue
            if last is not None and price != last:
                side = Side.BUY if price > last else Side.SELL
            last = price
            trade_id = f"{file.trade_prefix}{number}"
            yield _Fill(
                event_id=content_id("fill", NAME, trade_id, side, line),
                source=source,
                trade_id=trade_id,
                instrument=file.instrument,
                side=side,
                quantity=quantity,
                price=price,
                executed_at=Nanoseconds(executed_at),
                book=book,
                source_sequence=number,
                venue=file.venue or exchange,
                underlying=file.underlying,
                instrument_class=file.instrument_class,
                multiplier=file.multiplier,
                inverse=False,
                currency=CURRENCY,
            )
        test.price, test.side = last, side


def _elapsed(text: str) -> int:
    """Nanoseconds since midnight, of milliseconds with a fraction. Raises ValueError."""
    nanoseconds = shifted(parse_decimal(text), 6)
    if nanoseconds < 0 or nanoseconds != nanoseconds.to_integral_value():
        raise ValueError("milliseconds with at most six decimals")
    return int(nanoseconds)


def _note(faults: FaultCollector, number: int, line: str, *expected: tuple[Numbers, Decimal]) -> None:
    """Say what is wrong with a line: every field of it that is; `expected` are the readers and least values of
    price and quantity."""
    place = f"line {number}"
    fields = line.split(",")
    if len(fields) != len(COLUMNS):
        faults.add(place, "", f"{len(COLUMNS)} columns ({', '.join(COLUMNS)})", f"{len(fields)}: {line}")
        return
    try:
        on_day = _elapsed(fields[0]) < 24 * HOUR_NANOSECONDS
    except ValueError:
        on_day = False
    if not on_day:
        faults.add(place, COLUMNS[0], "milliseconds from 0 to 86399999", fields[0])
    for name, text, (numbers, least) in zip(COLUMNS[1:3], fields[1:3], expected, strict=True):
        try:
            if numbers[text] < least:
                faults.add(place, name, "a number not below 0", text)
        except ValueError as error:
            faults.add(place, name, str(error), text)
    if len(fields[3]) > EXCHANGE_CHARACTERS_MAX or not fields[3].isprintable():
        faults.add(place, COLUMNS[3], f"at most {EXCHANGE_CHARACTERS_MAX} printable characters", fields[3])
