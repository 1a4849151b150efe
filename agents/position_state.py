"""What the positions stage keeps: summaries, lots, journal and trade index, under separate keys.

Owns: the layout of the `positions` table, and the cache of positions in memory.
Guarantees: a fill writes its summary, the lots that it touched, its journal entry and its index entry,
whatever the position holds; a lot opened and closed within one step is never written.

Families of keys (first byte), `P` is book 0 instrument, `O` the place in the order of matching:

    s P      summary            l P 0 O      lot              j P 0 O      journal entry
    t book 0 trade id     where a trade stands, and its first content
    e book 0 event's id   a life-cycle event that was applied
    d book                the last closed business date
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from agents.counters import Counters
from agents.stage import InvariantBroken
from domain.lots.position import Lot, OrderKey, Position, Terms
from domain.lots.rematch import JournalEntry
from schemas.identity import position_key, split_position_key
from schemas.numbers import ZERO
from tables.partition import TablePartition

SUMMARY, LOT, JOURNAL, TRADE, EVENT, DAY = b"s", b"l", b"j", b"t", b"e", b"d"
PACKED_FAMILIES = JOURNAL + TRADE + EVENT

_BIAS = 1 << 63
_CHECKED_LOTS_MAX = 2


class Summary(msgspec.Struct, array_like=True, gc=False):
    """A position without its lots, as it is stored."""

    revision: int
    terms: Terms
    quantity: Decimal
    value: Decimal
    realised_pnl: Decimal
    net_realised_pnl: Decimal
    fees: Decimal
    held_fees: Decimal
    last: tuple[int, int, str]


class TradeIndex(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a trade stands, and what it first said (a known id with other content is refused)."""

    live: bool
    instrument: str
    executed_at: int
    source_sequence: int
    first_instrument: str
    first_executed_at: int
    first_quantity: Decimal
    first_price: Decimal
    first_fee: Decimal


encode = msgspec.json.Encoder().encode
_decode_summary = msgspec.json.Decoder(Summary).decode
_decode_lot = msgspec.json.Decoder(Lot).decode
decode_entry = msgspec.json.Decoder(JournalEntry).decode
_decode_index = msgspec.json.Decoder(TradeIndex).decode

NOTHING_BEFORE: OrderKey = (-_BIAS, 0, "")


def order_bytes(order: OrderKey) -> bytes:
    """A place in the order of matching as bytes that sort alike."""
    executed_at, sequence, trade_id = order
    return (
        (executed_at + _BIAS).to_bytes(8, "big") + (sequence + _BIAS).to_bytes(8, "big") + trade_id.encode()
    )


class OpenPosition:
    """A position in memory, with what the running step has changed of it."""

    __slots__ = (
        "book",
        "created_lots",
        "dirty",
        "instrument",
        "key",
        "last",
        "lot_changes",
        "position",
        "revision",
    )

    def __init__(self, book: str, instrument: str, terms: Terms) -> None:
        self.book = book
        self.instrument = instrument
        self.key = position_key(book, instrument)
        self.position = Position(terms)
        self.revision = 0
        self.last: OrderKey = NOTHING_BEFORE
        self.lot_changes: dict[OrderKey, Lot | None] = {}
        self.created_lots: set[OrderKey] = set()
        self.dirty = False


def load_position(table: TablePartition, book: str, instrument: str) -> OpenPosition | None:
    """The position that stands in the table; None where there is none."""
    stored = table.get(SUMMARY + position_key(book, instrument))
    return None if stored is None else _restore(table, book, instrument, stored)


def _restore(table: TablePartition, book: str, instrument: str, stored: bytes) -> OpenPosition:
    summary = _decode_summary(stored)
    opened = OpenPosition(book, instrument, summary.terms)
    position = opened.position
    position.quantity, position.value = summary.quantity, summary.value
    position.realised_pnl, position.net_realised_pnl = summary.realised_pnl, summary.net_realised_pnl
    position.fees, position.held_fees = summary.fees, summary.held_fees
    opened.revision, opened.last = summary.revision, summary.last
    for _, value in table.scan_prefix(LOT + opened.key + b"\x00"):
        position.lots.append(_decode_lot(value))
    return opened


def scan_positions(table: TablePartition) -> Iterator[OpenPosition]:
    """Every position of a table partition, in the order of book and instrument."""
    for key, stored in table.scan_prefix(SUMMARY):
        book, instrument = split_position_key(key[1:])
        yield _restore(table, book, instrument, stored)


def scan_journal(
    table: TablePartition, key: bytes, start: OrderKey = NOTHING_BEFORE
) -> Iterator[JournalEntry]:
    """The journal of a position (by its key) from a place on, in the order of matching."""
    prefix = JOURNAL + key + b"\x00"
    for _, value in table.scan(prefix + order_bytes(start), JOURNAL + key + b"\x01"):
        yield decode_entry(value)


class PositionsState:
    """The positions of one partition."""

    def __init__(self, table: TablePartition, cached_lots_max: int = 2_000_000) -> None:
        self.table = table
        self.counters = Counters(table)
        self._cached_lots_max = cached_lots_max
        self._cache: dict[tuple[str, str], OpenPosition] = {}
        self._dirty: list[OpenPosition] = []
        self._cached_lots = 0

    def find(self, book: str, instrument: str) -> OpenPosition | None:
        """A position that exists."""
        opened = self._cache.get((book, instrument))
        if opened is None:
            opened = load_position(self.table, book, instrument)
            if opened is not None:
                self._cache[book, instrument] = opened
                self._cached_lots += len(opened.position.lots) + 1
        return opened

    def find_or_make(self, book: str, instrument: str, terms: Terms) -> OpenPosition:
        """A position, new and flat where there is none."""
        opened = self.find(book, instrument)
        if opened is None:
            opened = self._cache[book, instrument] = OpenPosition(book, instrument, terms)
            self._cached_lots += 1
        return opened

    def touch(self, opened: OpenPosition) -> None:
        """The step changes this position."""
        if not opened.dirty:
            opened.dirty = True
            self._dirty.append(opened)

    def index(self, book: str, trade_id: str) -> TradeIndex | None:
        """Where a trade of a book stands; None where the book never had it."""
        stored = self.table.get(TRADE + position_key(book, trade_id))
        return None if stored is None else _decode_index(stored)

    def put_index(self, book: str, trade_id: str, index: TradeIndex) -> None:
        """Set where a trade stands."""
        self.table.put(TRADE + position_key(book, trade_id), encode(index))

    def put_entry(self, opened: OpenPosition, entry: JournalEntry) -> None:
        """Write a journal entry."""
        trade = entry.trade
        order = order_bytes((trade.executed_at, trade.source_sequence, trade.trade_id))
        self.table.put(JOURNAL + opened.key + b"\x00" + order, encode(entry))

    def delete_entry(self, opened: OpenPosition, order: OrderKey) -> None:
        """Take a trade out of the journal."""
        self.table.delete(JOURNAL + opened.key + b"\x00" + order_bytes(order))

    def last_order(self, opened: OpenPosition) -> OrderKey:
        """The place of the last trade in a position's journal."""
        prefix = JOURNAL + opened.key
        for _, value in self.table.scan(prefix + b"\x00", prefix + b"\x01", reverse=True):
            return decode_entry(value).trade.order
        return NOTHING_BEFORE

    def flush(self, opened: OpenPosition) -> None:
        """Write a position's summary and changed lots into the table partition, and check its invariants."""
        check_position(opened, _CHECKED_LOTS_MAX)
        table = self.table
        created = opened.created_lots
        prefix = LOT + opened.key + b"\x00"
        for order, lot in opened.lot_changes.items():
            if lot is not None:
                table.put(prefix + order_bytes(order), encode(lot))
                self._cached_lots += order in created
            elif order not in created:
                table.delete(prefix + order_bytes(order))
                self._cached_lots -= 1
        opened.lot_changes = {}
        created.clear()
        position = opened.position
        summary = Summary(
            opened.revision,
            position.terms,
            position.quantity,
            position.value,
            position.realised_pnl,
            position.net_realised_pnl,
            position.fees,
            position.held_fees,
            opened.last,
        )
        table.put(SUMMARY + opened.key, encode(summary))

    def reload(self, opened: OpenPosition) -> None:
        """Set a position back to what stands in the table partition (`flush` wrote it there)."""
        stored = load_position(self.table, opened.book, opened.instrument)
        if stored is None:
            stored = OpenPosition(opened.book, opened.instrument, opened.position.terms)
        for name in OpenPosition.__slots__:
            if name != "dirty":
                setattr(opened, name, getattr(stored, name))

    def before_commit(self) -> None:
        """Write what changed, and hold it against the invariants."""
        for opened in self._dirty:
            self.flush(opened)
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed; forget the oldest positions where too much is cached."""
        for opened in self._dirty:
            opened.dirty = False
        self._dirty.clear()
        self.counters.committed()
        if self._cached_lots > self._cached_lots_max:
            self._shrink()

    def _shrink(self) -> None:
        self._cached_lots = sum(len(opened.position.lots) + 1 for opened in self._cache.values())
        for key in list(self._cache):
            if self._cached_lots <= self._cached_lots_max // 2 or len(self._cache) == 1:
                return
            self._cached_lots -= len(self._cache.pop(key).position.lots) + 1

    def rollback(self) -> None:
        """Forget the step: what it touched is read again from the table."""
        for opened in self._dirty:
            self._cache.pop((opened.book, opened.instrument), None)
        self._dirty.clear()
        self.counters.rollback()


def check_position(opened: OpenPosition, lots_max: int | None = None) -> None:
    """The identities of a position: lots sum to it, and nothing is left when flat. Raises InvariantBroken."""
    position = opened.position
    lots = position.lots
    if (not position.quantity) != (not lots) or (not lots and (position.value or position.held_fees)):
        raise InvariantBroken(
            f"{opened.book}/{opened.instrument}: expected no lots and no cost when flat, found quantity "
            f"{position.quantity}, value {position.value}, held fees {position.held_fees}, {len(lots)} lots"
        )
    if lots_max is not None and len(lots) > lots_max:
        return
    quantity = value = fees = ZERO
    for lot in lots:
        quantity += lot.quantity
        value += lot.value
        fees += lot.fee
    if quantity != position.quantity or value != position.value or fees != position.held_fees:
        raise InvariantBroken(
            f"{opened.book}/{opened.instrument}: expected the sum of lots to be the position "
            f"({position.quantity}, {position.value}, {position.held_fees}), found ({quantity}, {value}, {fees})"
        )


def settlement_fee(booked: Any) -> Decimal:
    """The fees of a booked trade in its settlement currency; others are expensed, not matched."""
    total = ZERO
    for fee in booked.fees:
        if not fee.currency or fee.currency == booked.settlement_currency:
            total += fee.amount
    return total
