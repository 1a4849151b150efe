"""Booked trades as documents: every field of the booking, what corrections made of it, and what it did.

Owns: the fields of a trade's document.
Assumes: bookings are kept for ever (their topic has no retention).
Guarantees: bounded memory: the corrections of one partition are held, trades pass one by one; each applied trade
stands once in the book that has it, and once, as moved, in a book that it left.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from agents.counters import read_counts
from agents.journal import Chunk, entry_at
from agents.open_position import SUMMARY
from agents.position_state import EVENT
from agents.trade_index import TradeIndex, decode_index, index_key
from domain.lots.documents import Document
from domain.lots.position import OrderKey
from domain.lots.rematch import JournalEntry
from schemas import events, topics
from schemas.frames import wire
from schemas.identity import position_key, split_position_key
from schemas.numbers import plain
from schemas.times import format_time
from tables.partition import TablePartition
from topology.documents.queries import outcome_fields
from topology.history.checkpoints import Checkpoints
from topology.log_reading import (
    POSITIONS_TABLE,
    ReadLog,
    StoredRecord,
    events_of,
    partitions_to_read,
    read_records,
    table_partition,
)

CHUNKS_MAX = 1_000
"""Most decoded chunks of the journal that are kept while trades pass."""

Range = tuple[int, int | None]
"""First and next offset; None is the end."""

_TradeBooked: Any = wire(events.TradeBooked)
_LifecycleEventApplied: Any = wire(events.LifecycleEventApplied)
_FIELDS = tuple(_TradeBooked.__struct_fields__)
_TIMES = ("executed_at", "recorded_at")
_CORRECTION = b'"LifecycleEventApplied"'


def trades_documents(
    log: ReadLog,
    partitions: int,
    *,
    book: str | None = None,
    instrument: str | None = None,
    trade_id: str | None = None,
    executed_until: int | None = None,
    checkpoints: Checkpoints | None = None,
    instruments: Collection[str] | None = None,
) -> Iterator[Document]:
    """The trades of a book, an instrument (or some), an id, executed until an instant (None: all), by partition and as
    they came; `state` is live, amended, cancelled or moved (to another book).

    One trade is looked for where the index has it: among the bookings between two checkpoints, where there are any.
    """

    def wanted(content: Any) -> bool:
        return (
            book in (None, content.book)
            and instrument in (None, content.instrument)
            and (instruments is None or content.instrument in instruments)
            and (executed_until is None or content.executed_at <= executed_until)
        )

    for partition in partitions_to_read(partitions, book):
        table = table_partition(log, POSITIONS_TABLE, partition)
        ranges: Sequence[Range] = ((0, None),)
        if trade_id is not None:
            ranges = _ranges_of(table, partition, trade_id, book, checkpoints)
        if ranges:
            yield from _Trades(log, table, partition, trade_id, wanted, ranges).documents()


def _ranges_of(
    table: TablePartition, partition: int, trade_id: str, book: str | None, checkpoints: Checkpoints | None
) -> Sequence[Range]:
    """Where among a partition's bookings those of a trade may stand; nowhere, where no book has it."""
    books = {book}
    if book is None:
        books = {split_position_key(key[1:])[0] for key, _ in table.scan_prefix(SUMMARY)}
    keys = [index_key(name, trade_id) for name in books if name is not None]
    held = [key for key in keys if table.get(key) is not None]
    if not held or checkpoints is None:
        return ((0, None),) if held else ()
    return sorted({found for key in held for found in checkpoints.changed(partition, key)})


class _Trades:
    """The trades of one partition."""

    def __init__(
        self,
        log: ReadLog,
        table: TablePartition,
        partition: int,
        trade_id: str | None,
        wanted: Callable[[Any], bool],
        ranges: Sequence[Range],
    ) -> None:
        self._wanted = wanted
        self._log = log
        self._table = table
        self._partition = partition
        self._trade_id = trade_id
        self._ranges = ranges
        # In a frame an id stands as JSON writes it: frames without it need no decoding.
        self._needle = None if trade_id is None else msgspec.json.encode(trade_id)
        self._corrections = self._applied_corrections()
        self._booked: set[tuple[str, str]] = set()
        counts = read_counts(table).values()
        # What was refused may have been sent again: it then stands twice among the bookings, and once in the book.
        again = any(c.duplicates or c.refused for c in counts)
        self._repeated: set[tuple[str, str]] | None = set() if again else None
        # Trades that came one after the other are in the same chunks of the journal.
        self._last: tuple[tuple[str, str, OrderKey], JournalEntry] | None = None
        self._chunks = lru_cache(maxsize=CHUNKS_MAX)(Chunk.read)

    def _records(self) -> Iterator[StoredRecord]:
        for start, end in self._ranges:
            for record in read_records(self._log, topics.BOOKINGS.name, self._partition, start):
                if end is not None and record.offset >= end:
                    break
                yield record

    def _applied_corrections(self) -> dict[tuple[str, str], Any]:
        """The last applied correction of each trade, by book and trade id."""
        found: dict[tuple[str, str], Any] = {}
        for record in self._records():
            value = record.value or b""
            if _CORRECTION not in value or (self._needle is not None and self._needle not in value):
                continue
            for event in events_of(topics.BOOKINGS, value):
                if type(event) is not _LifecycleEventApplied:
                    continue
                if self._trade_id not in (None, event.original_trade_id):
                    continue
                applied = self._table.get(EVENT + position_key(event.book, event.trade_id))
                if applied == event.event_id.encode():
                    found[event.book, event.original_trade_id] = event
        return found

    def documents(self) -> Iterator[Document]:
        """Each trade's document."""
        for record in self._records():
            value = record.value or b""
            if self._needle is not None and self._needle not in value:
                continue
            for event in events_of(topics.BOOKINGS, value):
                if type(event) is _TradeBooked and self._trade_id in (None, event.trade_id):
                    yield from self._of_booking(event)
        for place, correction in self._corrections.items():
            # What came here by an amend only was booked in another book.
            if place not in self._booked and correction.trade is not None:
                yield from self._described(correction.trade, "amended", correction)

    def _of_booking(self, event: Any) -> Iterator[Document]:
        place = (event.book, event.trade_id)
        correction = self._corrections.get(place)
        if correction is not None:
            if place in self._booked:
                return
            self._booked.add(place)
            if correction.trade is None:
                moved = correction.group_id is not None
                yield from self._described(event, "moved" if moved else "cancelled", correction)
            else:
                yield from self._described(correction.trade, "amended", correction)
            return
        if self._repeated is not None:
            if place in self._repeated:
                return
            self._repeated.add(place)
        yield from self._described(event, "live", None)

    def _described(self, content: Any, state: str, correction: Any) -> Iterator[Document]:
        if not self._wanted(content):
            return
        book, trade_id = content.book, content.trade_id
        stored = self._table.get(index_key(book, trade_id))
        if stored is None:
            return  # Refused, or not applied yet.
        index = decode_index(
            stored, trade_id, lambda instrument, order: self._entry_at(book, instrument, order)
        )
        if correction is None and not _same(index, content):
            return  # Another trade has its id.
        document = booking_fields(content) | {"state": state}
        if correction is not None:
            document["corrected_by"] = correction.trade_id
        if index.live:
            order = (index.executed_at, index.source_sequence, trade_id)
            document |= outcome_fields(self._entry_at(book, index.instrument, order))
        yield document

    def _entry_at(self, book: str, instrument: str, order: OrderKey) -> JournalEntry:
        # The index is read by way of the entry, which is then asked for again.
        place = (book, instrument, order)
        if self._last is None or self._last[0] != place:
            self._last = (place, entry_at(self._table, position_key(book, instrument), order, self._chunks))
        return self._last[1]


def _same(index: TradeIndex, event: Any) -> bool:
    return (index.first_instrument, index.first_executed_at, index.first_quantity, index.first_price) == (
        event.instrument,
        event.executed_at,
        event.quantity,
        event.price,
    )


def booking_fields(booked: Any) -> Document:
    """Every field of a `TradeBooked`."""
    return {name: _plain_value(name, getattr(booked, name)) for name in _FIELDS}


def _plain_value(name: str, value: Any) -> Any:
    if name in _TIMES:
        return format_time(value)
    if name == "fees":
        return [{"kind": fee.kind, "amount": plain(fee.amount), "currency": fee.currency} for fee in value]
    if isinstance(value, Decimal):
        return plain(value)
    return value if value is None or isinstance(value, bool | int) else str(value)
