"""What the tables say, as plain documents: positions, lots, matches, books, one trade.

Owns: the fields of these documents, for the command line and for the web views.
Assumes: a log that nobody writes while it is read (the owner's own loop, or a reader that does not catch up).
Guarantees: exact numbers are strings in plain decimal notation, times ISO 8601; nothing is changed; a lookup of
one position or one trade costs what it returns, a listing costs the books that it names.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from agents.booking_queue import Place, waiting_by_position
from agents.capture_state import TRADE as CAPTURED
from agents.journal import entry_at, scan_journal
from agents.open_position import (
    SUMMARY,
    OpenPosition,
    ShownPosition,
    load_position,
    load_shown,
    scan_positions,
    scan_shown,
)
from agents.position_state import load_index
from agents.trade_index import FIRST, index_key
from domain.capture.lifecycle import State, TradeRecord
from domain.lots.documents import (
    Document,
    Figures,
    figures_document,
    lot_document,
    match_document,
    terms_document,
)
from domain.lots.matching import matches
from domain.lots.position import Position
from domain.lots.rematch import JournalEntry
from schemas import topics
from schemas.identity import position_key, split_position_key
from schemas.murmur2 import partition_of_key
from schemas.numbers import ZERO, exact_arithmetic, plain
from schemas.times import format_time
from tables.partition import TablePartition
from topology.log import Tables
from topology.log_reading import (
    CAPTURE_TABLE,
    POSITIONS_TABLE,
    ReadLog,
    partitions_to_read,
    read_events,
    table_partition,
)

_decode_record = msgspec.msgpack.Decoder(TradeRecord).decode


def find_positions(
    log: Tables, partitions: int, book: str | None = None, instrument: str | None = None
) -> Iterator[tuple[TablePartition, OpenPosition]]:
    """The positions of a book and an instrument (None: of all), flat ones included, by partition, with their
    table. Call it inside `exact_arithmetic()`."""
    for partition in partitions_to_read(partitions, book):
        table = table_partition(log, POSITIONS_TABLE, partition)
        if book is not None and instrument is not None:
            opened = load_position(table, book, instrument)
            if opened is not None:
                yield table, opened
            continue
        for opened in scan_positions(table, book):
            if instrument in (None, opened.instrument):
                yield table, opened


def find_shown(
    log: Tables, partitions: int, book: str | None = None, instrument: str | None = None
) -> Iterator[ShownPosition]:
    """The same to be shown: no lot is read. Call it inside `exact_arithmetic()`."""
    for partition in partitions_to_read(partitions, book):
        table = table_partition(log, POSITIONS_TABLE, partition)
        if book is not None and instrument is not None:
            shown = load_shown(table, book, instrument)
            if shown is not None:
                yield shown
            continue
        for shown in scan_shown(table, book):
            if instrument in (None, shown.instrument):
                yield shown


def position_names(log: Tables, partitions: Iterable[int]) -> Iterator[tuple[str, str]]:
    """Book and instrument of every position of these partitions."""
    for partition in partitions:
        for key, _ in table_partition(log, POSITIONS_TABLE, partition).scan_prefix(SUMMARY):
            yield split_position_key(key[1:])


def positions_document(
    log: Tables, partitions: int, book: str | None = None, instrument: str | None = None, lots: bool = False
) -> list[Document]:
    """The positions of a book and an instrument (None: of all), flat ones included, by book and instrument."""
    waiting = waiting_bookings(log, partitions, book)
    with exact_arithmetic():
        found = (
            [
                position_fields(opened, waiting)
                for _, opened in find_positions(log, partitions, book, instrument)
            ]
            if lots
            else [shown_fields(shown, waiting) for shown in find_shown(log, partitions, book, instrument)]
        )
    return sorted(found, key=lambda fields: (fields["book"], fields["instrument"]))


def position_document(
    log: Tables, partitions: int, book: str, instrument: str, *, lots: bool = True, matched: bool = False
) -> Document | None:
    """One position with its lots and, on request, every match of its journal; None where there is none."""
    waiting = waiting_bookings(log, partitions, book)
    with exact_arithmetic():
        for table, opened in find_positions(log, partitions, book, instrument):
            fields = position_fields(opened, waiting, lots=lots)
            if matched:
                fields["matches"] = matches_fields(scan_journal(table, opened.key), opened.position)
            return fields
    return None


def waiting_bookings(log: Tables, partitions: int, book: str | None = None) -> dict[Place, int]:
    """How many bookings wait for a re-match of a position, by book and instrument; the position stands as before them."""
    found: dict[Place, int] = {}
    for partition in partitions_to_read(partitions, book):
        found.update(waiting_by_position(table_partition(log, POSITIONS_TABLE, partition)))
    return found if book is None else {place: count for place, count in found.items() if place[0] == book}


def position_fields(opened: OpenPosition, waiting: Mapping[Place, int], *, lots: bool = True) -> Document:
    """The fields of a position, those of `pks lots` first; `waiting` says how many bookings wait for which."""
    position = opened.position
    fields = _fields(opened.book, opened.instrument, position, len(position.lots), opened.revision, waiting)
    if lots:
        fields["lots"] = [lot_document(lot) for lot in position.lots]
    return fields


def shown_fields(shown: ShownPosition, waiting: Mapping[Place, int]) -> Document:
    """The same fields, without its lots."""
    return _fields(shown.book, shown.instrument, shown, shown.lots_open, shown.revision, waiting)


def _fields(
    book: str,
    instrument: str,
    figures: Figures,
    lots_open: int,
    revision: int,
    waiting: Mapping[Place, int],
) -> Document:
    return {
        "book": book,
        "instrument": instrument,
        **figures_document(figures),
        **terms_document(figures),
        "lot_method": str(figures.terms.lot_method),
        "fee_policy": str(figures.terms.fee_policy),
        "lots_open": lots_open,
        "revision": revision,
        "waiting_bookings": waiting.get((book, instrument), 0),
    }


def matches_fields(journal: Iterable[JournalEntry], position: Position) -> list[Document]:
    """Every match of a position's journal, in the order of matching."""
    entries = list(journal)
    # Terms change only at entries that say so; what stands before the first of those had its `terms_before`.
    changed = next((entry.terms_before for entry in entries if entry.terms_before is not None), None)
    terms = position.terms if changed is None else changed
    found: list[Document] = []
    for entry in entries:
        terms = entry.terms or terms
        found.extend(match_document(match) for match in matches(entry.trade, entry.applied, terms))
    return found


def books_document(log: ReadLog, partitions: int) -> list[Document]:
    """Every book that is defined or holds positions, with how many."""
    counts = Counter(book for book, _ in position_names(log, range(partitions)))
    defined = {event.book: event for _, event in read_events(log, topics.BOOKS, 0)}
    found: list[Document] = []
    for book in sorted({*counts, *defined}):
        definition = defined.get(book)
        fields: Document = {"book": book, "positions": counts[book], "defined": definition is not None}
        if definition is not None:
            fields |= {
                "entity": definition.entity,
                "base_currency": definition.base_currency,
                "lot_methods": {name: str(method) for name, method in definition.lot_methods.items()},
                "fee_policy": str(definition.fee_policy),
                "active": definition.active,
            }
        found.append(fields)
    return found


def trade_document(log: Tables, partitions: int, trade_id: str) -> Document | None:
    """Where a trade stands and what it did, from the tables alone; None where the id is not known.

    `state` is `live`, `amended` or `cancelled` of a trade; `applied` or `waiting` of a correction's own id.
    """
    record = captured_record(log, partitions, trade_id)
    if record is None or record.state in (State.APPLIED, State.WAITING):
        found = None if record is None else {"trade_id": trade_id, "state": str(record.state)}
        return found or _booked_elsewhere(log, partitions, trade_id)
    return booked_trade(log, partitions, record.book, trade_id)


def trade_place(log: Tables, partitions: int, trade_id: str) -> Document | None:
    """What these tables know of where a trade stands: its `book`, and the `state` of a correction's own id."""
    record = captured_record(log, partitions, trade_id)
    if record is None:
        found = _booked_elsewhere(log, partitions, trade_id)
        return None if found is None else {"book": found["book"], "state": None}
    corrects = record.state in (State.APPLIED, State.WAITING)
    return {"book": record.book, "state": str(record.state) if corrects else None}


def captured_record(log: Tables, partitions: int, trade_id: str) -> TradeRecord | None:
    """What capture keeps of an id. A correction is kept where its trade is: so every partition may have it."""
    home = partition_of_key(trade_id.encode(), partitions)
    for partition in (home, *(other for other in range(partitions) if other != home)):
        stored = log.get(CAPTURE_TABLE, partition, CAPTURED + trade_id.encode())
        if stored is not None:
            return _decode_record(stored)
    return None


def _booked_elsewhere(log: Tables, partitions: int, trade_id: str) -> Document | None:
    """A trade that came as a booking, past capture: its book is not known, so every position's book is tried."""
    for book in sorted({book for book, _ in position_names(log, range(partitions))}):
        found = booked_trade(log, partitions, book, trade_id)
        if found is not None:
            return found
    return None


def booked_trade(log: Tables, partitions: int, book: str, trade_id: str) -> Document | None:
    """A trade of a book, from the positions table; None where the book never had it."""
    table = table_partition(log, POSITIONS_TABLE, partition_of_key(book.encode(), partitions))
    index = load_index(table, book, trade_id)
    if index is None:
        return None
    fields: Document = {"trade_id": trade_id, "book": book, "instrument": index.instrument}
    if not index.live:
        return fields | {
            "state": "cancelled",
            "quantity": plain(index.first_quantity),
            "price": plain(index.first_price),
            "fee": plain(index.first_fee),
            "executed_at": format_time(index.executed_at),
            "source_sequence": index.source_sequence,
        }
    order = (index.executed_at, index.source_sequence, trade_id)
    entry = entry_at(table, position_key(book, index.instrument), order)
    trade = entry.trade
    return fields | {
        "state": "amended" if is_corrected(table, book, trade_id) else "live",
        "quantity": plain(trade.quantity),
        "price": plain(trade.price),
        "fee": plain(trade.fee),
        "executed_at": format_time(trade.executed_at),
        "source_sequence": trade.source_sequence,
        **outcome_fields(entry),
    }


def outcome_fields(entry: JournalEntry) -> Document:
    """What a trade did to its position: P&L, the lots that it closed, the quantity that it opened."""
    trade, applied = entry.trade, entry.applied
    return {
        "realised_pnl": plain(applied.realised_pnl),
        "net_realised_pnl": plain(applied.net_realised_pnl),
        "lots_closed": [lot.trade_id for lot in applied.consumed if _opposite(lot.quantity, trade.quantity)],
        "quantity_opened": plain(_quantity_opened(entry)),
    }


def _quantity_opened(entry: JournalEntry) -> Decimal:
    applied = entry.applied
    if applied.opened is None:
        return ZERO
    if applied.consumed and not _opposite(applied.consumed[0].quantity, entry.trade.quantity):
        return entry.trade.quantity  # An average pool: the trade joined it whole.
    return applied.opened.quantity


def _opposite(first: Decimal, second: Decimal) -> bool:
    return (first > 0) != (second > 0)


def is_corrected(table: TablePartition, book: str, trade_id: str) -> bool:
    """Whether a trade of the index was ever amended or cancelled."""
    stored = table.get(index_key(book, trade_id))
    return stored is not None and stored[0] != FIRST
