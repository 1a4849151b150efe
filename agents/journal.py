"""The journal of positions: every trade with what it did, in the order of matching, in chunks.

Owns: the layout of the journal family. A key is `j P 0 O`, where `O` is the place of the first entry of the
chunk; a chunk holds the entries up to the next chunk's first. What a step adds to a position is one chunk for
each `CHUNK_ENTRIES_MAX` entries; nothing stored is touched by a trade that is not late.
Guarantees: a late trade reads and rewrites the entries from its place on (and the rest of one chunk).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from struct import Struct

import msgspec

from agents.stage import InvariantBroken
from domain.lots.matching import Applied
from domain.lots.position import Lot, OrderKey, Terms, Trade
from domain.lots.rematch import JournalEntry
from schemas.numbers import ZERO
from tables.partition import TablePartition
from tables.store import Store

JOURNAL = b"j"
CHUNK_ENTRIES_MAX = 64

_BIAS = 1 << 63
_PLACE = Struct(">QQ").pack
NOTHING_BEFORE: OrderKey = (-_BIAS, 0, "")


class _Opened(msgspec.Struct, array_like=True, gc=False, tag=0):
    """A trade that did nothing but open a lot of its own: the lot follows from it."""

    trade: Trade
    net_realised_pnl: Decimal
    value: Decimal
    held_fees: Decimal


class _Matched(msgspec.Struct, array_like=True, gc=False, tag=1):
    """Any other trade."""

    trade: Trade
    applied: Applied
    terms: Terms | None
    terms_before: Terms | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Opened | _Matched]).decode


def order_bytes(order: OrderKey) -> bytes:
    """A place in the order of matching as bytes that sort alike."""
    return _PLACE(order[0] + _BIAS, order[1] + _BIAS) + order[2].encode()


def encode_entry(
    trade: Trade, applied: Applied, terms: Terms | None = None, terms_before: Terms | None = None
) -> bytes:
    """The stored form of one entry."""
    if applied.opened is None or applied.consumed or terms is not None:
        return _encode(_Matched(trade, applied, terms, terms_before))
    return _encode(_Opened(trade, applied.net_realised_pnl, applied.value, applied.held_fees))


def _chunk(encoded: Sequence[bytes]) -> bytes:
    # A msgpack array of up to 65,535 items.
    return b"\xdc" + len(encoded).to_bytes(2, "big") + b"".join(encoded)


def decode_chunk(stored: bytes) -> list[JournalEntry]:
    """The entries of a chunk."""
    return [_entry(item) for item in _decode(stored)]


def _entry(item: _Opened | _Matched) -> JournalEntry:
    trade = item.trade
    if type(item) is _Matched:
        return JournalEntry(trade, item.applied, item.terms, item.terms_before)
    assert type(item) is _Opened
    lot = Lot(
        trade.trade_id,
        trade.executed_at,
        trade.source_sequence,
        trade.quantity,
        trade.price,
        item.value,
        item.held_fees,
    )
    return JournalEntry(
        trade, Applied(ZERO, item.net_realised_pnl, item.value, item.held_fees, (), None, lot)
    )


def scan_journal(
    table: TablePartition | Store, key: bytes, start: OrderKey = NOTHING_BEFORE, *, reverse: bool = False
) -> Iterator[JournalEntry]:
    """The journal of a position (by its key) from a place on, in the order of matching; `reverse`: last first."""
    prefix, end = JOURNAL + key + b"\x00", JOURNAL + key + b"\x01"
    first = prefix + order_bytes(start)
    if reverse:
        for _, stored in table.scan(prefix, end, reverse=True):
            for entry in reversed(decode_chunk(stored)):
                if entry.trade.order < start:
                    return
                yield entry
        return
    for _, stored in table.scan(prefix, first, reverse=True):
        for entry in decode_chunk(stored):
            if entry.trade.order >= start:
                yield entry
        break
    for _, stored in table.scan(first, end):
        yield from decode_chunk(stored)


def last_before(table: TablePartition | Store, key: bytes, order: OrderKey | None = None) -> OrderKey | None:
    """The place of the last entry before `order` (None: of all); None where there is none."""
    prefix = JOURNAL + key + b"\x00"
    end = JOURNAL + key + b"\x01" if order is None else prefix + order_bytes(order)
    for _, stored in table.scan(prefix, end, reverse=True):
        found = None
        for entry in decode_chunk(stored):
            place = entry.trade.order
            if order is not None and place >= order:
                break
            found = place
        return found
    return None


def entry_at(
    table: TablePartition | Store,
    key: bytes,
    order: OrderKey,
    decode: Callable[[bytes], Sequence[JournalEntry]] = decode_chunk,
) -> JournalEntry:
    """The entry at a place of a position (by its key), which must have one there.

    Who looks up many hands in a `decode` that remembers chunks.
    """
    prefix = JOURNAL + key + b"\x00"
    for _, stored in table.scan(prefix, prefix + order_bytes(order) + b"\x00", reverse=True):
        for entry in decode(stored):
            if entry.trade.order == order:
                return entry
        break
    raise InvariantBroken(f"{key!r}: expected a journal entry at {order}, found none")


class Journal:
    """The journal of one position while it is cached.

    What a step adds is *pending*, encoded at once, and all after what is stored; `flush` writes it, and removes
    the chunks that it replaces. So a step that touches one position many times stores what it came to once.
    """

    __slots__ = ("_dropped", "_encoded", "_end", "_key", "_orders")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._orders: list[OrderKey] = []
        self._encoded: list[bytes] = []
        self._dropped: list[bytes] = []
        self._end: bytes | None = None

    def add(self, order: OrderKey, trade: Trade, applied: Applied) -> None:
        """Append a trade that is the position's latest."""
        self._orders.append(order)
        self._encoded.append(encode_entry(trade, applied))

    def entries_from(self, table: TablePartition | Store, start: OrderKey) -> list[JournalEntry]:
        """The entries from a place on."""
        place = bisect_left(self._orders, start)
        return self._stored_from(table, start)[1] + self._pending(place, len(self._orders))

    def _pending(self, start: int, end: int) -> list[JournalEntry]:
        return decode_chunk(_chunk(self._encoded[start:end])) if start < end else []

    def _stored_end(self) -> bytes:
        return JOURNAL + self._key + b"\x01" if self._end is None else self._end

    def _stored_from(
        self, table: TablePartition | Store, start: OrderKey
    ) -> tuple[list[JournalEntry], list[JournalEntry], list[bytes]]:
        """Stored entries of the chunk that holds `start` before it, those from it on, and the chunks' keys."""
        before: list[JournalEntry] = []
        after: list[JournalEntry] = []
        keys: list[bytes] = []
        if self._orders and self._orders[0] <= start:
            return before, after, keys
        chunks: list[list[JournalEntry]] = []
        for key, stored in table.scan(JOURNAL + self._key + b"\x00", self._stored_end(), reverse=True):
            chunk = decode_chunk(stored)
            if chunk[-1].trade.order < start:
                break
            keys.append(key)
            chunks.append(chunk)
            if chunk[0].trade.order < start:
                break
        for chunk in reversed(chunks):
            for entry in chunk:
                (before if entry.trade.order < start else after).append(entry)
        return before, after, keys

    def entry_at(self, table: TablePartition | Store, order: OrderKey) -> JournalEntry:
        """The entry at a place, which must have one."""
        if self._orders and self._orders[0] <= order:
            place = bisect_left(self._orders, order)
            return self._pending(place, place + 1)[0]
        return entry_at(table, self._key, order)

    def replace_from(
        self, table: TablePartition | Store, start: OrderKey, entries: Sequence[JournalEntry]
    ) -> None:
        """Let `entries` stand in the place of all entries from `start` on."""
        before, _, keys = self._stored_from(table, start)
        place = bisect_left(self._orders, start)
        del self._orders[place:], self._encoded[place:]
        if keys:
            self._dropped += keys
            self._end = keys[-1]
        for entry in (*before, *entries):
            trade = entry.trade
            self._orders.append(trade.order)
            self._encoded.append(encode_entry(trade, entry.applied, entry.terms, entry.terms_before))

    def last_order(self, table: TablePartition | Store) -> OrderKey:
        """The place of the last entry; `NOTHING_BEFORE` where there is none."""
        if self._orders:
            return self._orders[-1]
        for _, stored in table.scan(JOURNAL + self._key + b"\x00", self._stored_end(), reverse=True):
            return decode_chunk(stored)[-1].trade.order
        return NOTHING_BEFORE

    def flush(self, changes: dict[bytes, bytes | None]) -> None:
        """Put what is pending into a step's changes."""
        if self._dropped:
            for key in self._dropped:
                changes[key] = None
            self._dropped = []
            self._end = None
        orders = self._orders
        if orders:
            encoded = self._encoded
            prefix = JOURNAL + self._key + b"\x00"
            for start in range(0, len(orders), CHUNK_ENTRIES_MAX):
                chunk = encoded[start : start + CHUNK_ENTRIES_MAX]
                changes[prefix + order_bytes(orders[start])] = _chunk(chunk)
            orders.clear()
            encoded.clear()
