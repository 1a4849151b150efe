"""What the P&L stage keeps: each position's running day, its closed days, and the closes and calendars of the books.

Owns: the layout of the `pnl` table, and the positions in memory.
Guarantees: a valuation writes its position's running day and no closed one, unless a late booking restates that.

Families of keys (first byte), `P` is book 0 instrument:

    o P            the running day, with what the position is
    d P 0 date     a closed day
    i P 0 trade    the accrued interest that was paid with a trade (received: negative)
    e book         the last closes of a book, oldest first
    b book         the calendar of a book that is defined
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from agents.counters import Counters
from agents.stage import Refusal
from domain.capture.business_date import BusinessDays
from domain.capture.definitions import definition_fault
from domain.pnl.day import PositionDays
from domain.pnl.restating import ClosedDay
from domain.pnl.running import Close, OpenDay
from schemas.identity import position_key
from schemas.numbers import ZERO, plain
from tables.partition import TablePartition

OPEN, CLOSED, CLOSES, INTEREST, CALENDAR = b"o", b"d", b"e", b"i", b"b"

DAYS_KEPT = 60
"""How many closes of a book are kept: a booking of an earlier day is taken to belong before them."""

CACHED_POSITIONS_MAX = 50_000
"""Most positions that a partition keeps in memory; others are read again when they are valued."""


class Kept(msgspec.Struct, array_like=True):
    """A position's running day as it is stored. `left_out` is income in other currencies than its own, by currency."""

    underlying: str
    currency: str
    book_currency: str
    revision: int
    event_id: str
    day: OpenDay
    left_out: dict[str, Decimal] = msgspec.field(default_factory=dict)

    def reason(self, why: str) -> str:
        """Why something is not known, and what is not in the figures."""
        parts = [
            f"income of {plain(amount)} {currency}" for currency, amount in self.left_out.items() if amount
        ]
        return "; ".join(filter(None, (why, f"not in it: {', '.join(parts)}" if parts else "")))


_encode = msgspec.json.Encoder().encode
_decode_kept = msgspec.json.Decoder(Kept).decode
_decode_closed = msgspec.json.Decoder(ClosedDay).decode
_decode_closes = msgspec.json.Decoder(list[Close]).decode
_decode_calendar = msgspec.json.Decoder(tuple[str, str, str]).decode


class PositionPnL:
    """A position of the P&L stage in memory."""

    __slots__ = ("book", "days", "instrument", "kept", "key")

    def __init__(
        self, table: TablePartition, book: str, instrument: str, kept: Kept, date_of: Callable[[int], str]
    ) -> None:
        self.book, self.instrument, self.kept = book, instrument, kept
        self.key = key = position_key(book, instrument)
        self.days = PositionDays(kept.day, lambda: list(closed_days(table, key)), date_of)

    @property
    def foreign(self) -> bool:
        """Whether it is told in another currency than its own, too."""
        return bool(self.kept.book_currency) and self.kept.book_currency != self.kept.currency


def closed_days(table: TablePartition, key: bytes) -> Iterator[ClosedDay]:
    """The closed days of a position (`position_key`) that are kept, oldest first."""
    for _, stored in table.scan_prefix(CLOSED + key + b"\x00"):
        yield _decode_closed(stored)


def scan_kept(table: TablePartition) -> Iterator[tuple[bytes, Kept]]:
    """The running days of a table partition with the keys of their positions."""
    for key, stored in table.scan_prefix(OPEN):
        yield key[1:], _decode_kept(stored)


def closes_of(table: TablePartition, book: str) -> list[Close]:
    """The closes of a book that are kept, oldest first."""
    stored = table.get(CLOSES + book.encode())
    return [] if stored is None else _decode_closes(stored)


def calendars_of(table: TablePartition) -> dict[str, BusinessDays]:
    """The calendars of the books that are defined, as every partition of the table has them."""
    found = table.scan_prefix(CALENDAR)
    return {key[1:].decode(): BusinessDays(*_decode_calendar(value)) for key, value in found}


class PnLState:
    """The P&L of one partition."""

    def __init__(self, table: TablePartition, cached_positions_max: int = CACHED_POSITIONS_MAX) -> None:
        self.table = table
        self.counters = Counters(table)
        self._cached_positions_max = cached_positions_max
        self.residual = ZERO
        """What was left over of identities, since the start; anything but 0 has stopped the partition."""
        self._positions: dict[tuple[str, str], PositionPnL] = {}
        self._books: dict[str, dict[str, None]] = {}
        self._closes: dict[str, list[Close]] = {}
        self._calendars: dict[str, BusinessDays] = {}
        self._touched: dict[tuple[str, str], PositionPnL] = {}
        for key, _ in table.scan_prefix(OPEN):
            book, _, instrument = key[1:].decode().partition("\x00")
            self._books.setdefault(book, {})[instrument] = None

    def find(self, book: str, instrument: str) -> PositionPnL | None:
        """A position that was valued before."""
        found = self._positions.get((book, instrument))
        if found is None and instrument in self._books.get(book, ()):
            stored = self.table.get(OPEN + position_key(book, instrument))
            assert stored is not None, "its key was read"
            found = PositionPnL(
                self.table, book, instrument, _decode_kept(stored), partial(self._date_of, book)
            )
            self._positions[book, instrument] = found
        return found

    def make(self, book: str, instrument: str, kept: Kept) -> PositionPnL:
        """A position that is valued for the first time."""
        found = self._positions[book, instrument] = PositionPnL(
            self.table, book, instrument, kept, partial(self._date_of, book)
        )
        self._books.setdefault(book, {})[instrument] = None
        return found

    def touch(self, position: PositionPnL) -> None:
        """The step changes this position."""
        self._touched[position.book, position.instrument] = position

    def of_book(self, book: str) -> Iterable[PositionPnL]:
        """Every position of a book, in the order in which they came."""
        for instrument in list(self._books.get(book, ())):
            found = self.find(book, instrument)
            assert found is not None, "it is one of the book's"
            yield found

    def define(self, definition: Any) -> Refusal | None:
        """Take in the calendar of a book. What is not valid capture refuses, and says so."""
        if definition_fault(definition) is not None:
            return None
        book = definition.book
        self._calendars.pop(book, None)
        if definition.active:
            calendar = (definition.time_zone, definition.cut_off, definition.calendar)
            self.table.put(CALENDAR + book.encode(), _encode(calendar))
        else:
            self.table.delete(CALENDAR + book.encode())
        return None

    def _date_of(self, book: str, at: int) -> str:
        """The business date of a time, by the calendar of a book."""
        days = self._calendars.get(book)
        if days is None:
            stored = self.table.get(CALENDAR + book.encode())
            days = BusinessDays() if stored is None else BusinessDays(*_decode_calendar(stored))
            self._calendars[book] = days
        return days.of(at)

    def interest(self, book: str, instrument: str, change: Any) -> Decimal:
        """What a change of a position (`PositionChange`) changed of the interest that its trades brought; notes it."""
        paid, before = change.accrued_interest, ZERO
        corrects = change.kind is not None
        if not (paid or corrects):
            return ZERO
        key = INTEREST + position_key(book, instrument) + b"\x00" + change.trade_id.encode()
        stored = self.table.get(key) if corrects else None
        if stored is not None:
            before = Decimal(stored.decode())
        quantity = change.quantity_delta if change.trade_quantity is None else change.trade_quantity
        paid = paid if quantity > ZERO else -paid if quantity else ZERO
        if paid:
            self.table.put(key, str(paid).encode())
        elif stored is not None:
            self.table.delete(key)
        return before - paid

    def closes(self, book: str) -> list[Close]:
        """The closes of a book that are kept."""
        closes = self._closes.get(book)
        if closes is None:
            closes = self._closes[book] = closes_of(self.table, book)
        return closes

    def add_close(self, book: str, close: Close) -> None:
        """The book has another close; the oldest is forgotten where there are too many, with its days."""
        closes = self._closes[book] = [*self.closes(book), close][-DAYS_KEPT:]
        self.table.put(CLOSES + book.encode(), _encode(closes))

    def forget_days(self, position: PositionPnL) -> None:
        """Remove the closed days before the oldest close that is kept."""
        closes = self.closes(position.book)
        prefix = CLOSED + position.key + b"\x00"
        if len(closes) == DAYS_KEPT:
            for key, _ in list(self.table.scan(prefix, prefix + closes[0].business_date.encode())):
                self.table.delete(key)

    def put_closed(self, position: PositionPnL, day: ClosedDay) -> None:
        """Write a closed day."""
        self.table.put(CLOSED + position.key + b"\x00" + day.business_date.encode(), _encode(day))

    def before_commit(self) -> None:
        """Write what changed."""
        for position in self._touched.values():
            position.kept.day = position.days.day
            self.table.put(OPEN + position.key, _encode(position.kept))
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed; forget the positions that were taken in first where there are too many."""
        for position in self._touched.values():
            position.days.put_away()
        self._touched.clear()
        self.counters.committed()
        if len(self._positions) > self._cached_positions_max:
            for place in list(self._positions)[: len(self._positions) - self._cached_positions_max // 2]:
                del self._positions[place]

    def rollback(self) -> None:
        """Forget the step: what it touched is read again from the table."""
        for book, instrument in self._touched:
            del self._positions[book, instrument]
            if self.table.get(OPEN + position_key(book, instrument)) is None:
                del self._books[book][instrument]
        self._touched.clear()
        self._closes.clear()
        self._calendars.clear()
        self.counters.rollback()
