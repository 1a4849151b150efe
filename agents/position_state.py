"""What the positions stage keeps: summaries, lots, journal and trade index, under separate keys.

Owns: the layout of the `positions` table, and the cache of positions in memory.
Guarantees: a fill writes its summary, the lots that it touched, its journal entry and its index entry,
whatever the position holds; a lot is written once and removed once, and one opened and closed within one step
is never written.

Families of keys (first byte), `P` is book 0 instrument, `O` the place in the order of matching:

    s P      summary            l P 0 O      lot              j P 0 O      journal chunk (`agents.journal`)
    t book 0 trade id     where a trade stands (`agents.trade_index`)
    e book 0 event's id   a life-cycle event that was applied
    d book                the last closed business date

What a close leaves of the first lot stands in the summary, not in the lot's own entry.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from agents.counters import Counters
from agents.journal import JOURNAL, NOTHING_BEFORE, Journal, entry_at, order_bytes, scan_journal
from agents.stage import InvariantBroken
from agents.trade_index import TRADE, TradeIndex, decode_index, encode_index, index_key
from domain.lots.matching import Applied, lot_changes
from domain.lots.position import Lot, OrderKey, Position, Terms
from domain.lots.rematch import JournalEntry
from schemas.identity import position_key, split_position_key
from schemas.numbers import ZERO
from schemas.units import LotMethod
from tables.known_keys import KnownKeys
from tables.partition import TablePartition
from tables.store import Store

__all__ = ["JOURNAL", "NOTHING_BEFORE", "TRADE", "TradeIndex", "order_bytes", "scan_journal"]

SUMMARY, LOT, EVENT, DAY = b"s", b"l", b"e", b"d"

_CHECKED_LOTS_MAX = 2
_FIFO = LotMethod.FIFO
_KNOWN_AT_START = 20_000
_KNOWN_A_STEP = 4_000


class Summary(msgspec.Struct, array_like=True, gc=False):
    """A position without its lots, as it is stored; `part` is what is left of a first lot that was touched."""

    revision: int
    terms: Terms
    quantity: Decimal
    value: Decimal
    realised_pnl: Decimal
    net_realised_pnl: Decimal
    fees: Decimal
    held_fees: Decimal
    last: tuple[int, int, str]
    part: Lot | None


class _EncodedSummary(Summary, array_like=True, gc=False):
    """The same to encode, its terms encoded before."""

    terms: msgspec.Raw  # type: ignore[assignment]


_encode = msgspec.msgpack.Encoder().encode
_decode_summary = msgspec.msgpack.Decoder(Summary).decode
_decode_lot = msgspec.msgpack.Decoder(Lot).decode


class OpenPosition:
    """A position in memory, with what the running step has changed of it.

    Of its lots the first `stored_lots` stand in the table, `gone` are those that stand there still and are
    consumed; where `part` is set, the first lot's entry does not say what is left of it. After a re-match
    `lot_changes` says of each lot that was touched what is left (None: nothing).
    """

    __slots__ = (
        "_journal",
        "book",
        "dirty",
        "encoded_terms",
        "gone",
        "instrument",
        "kept_lots",
        "key",
        "last",
        "lot_changes",
        "part",
        "position",
        "revision",
        "stored_lots",
    )

    def __init__(self, book: str, instrument: str, terms: Terms) -> None:
        self.book = book
        self.instrument = instrument
        self.key = position_key(book, instrument)
        self.position = Position(encoded_terms(terms)[0])
        self.revision = 0
        self.last: OrderKey = NOTHING_BEFORE
        self._journal: Journal | None = None
        self.stored_lots = 0
        self.gone: Sequence[Lot] = ()
        self.part = False
        self.lot_changes: dict[OrderKey, Lot | None] | None = None
        self.dirty = False
        self.kept_lots = 0
        self.encoded_terms = encoded_terms(terms)

    @property
    def journal(self) -> Journal:
        """The journal, with what the running step has added; made when a step first needs it."""
        if self._journal is None:
            self._journal = Journal(self.key)
        return self._journal

    def write_journal(self, changes: dict[bytes, bytes | None]) -> None:
        """Put what the step has added into its changes."""
        if self._journal is not None:
            self._journal.flush(changes)
            self._journal = None

    def note_lots(self, applied: Applied) -> None:
        """The latest trade changed lots."""
        changes = self.lot_changes
        consumed = applied.consumed
        if changes is not None:
            lot_changes(applied, changes)
        elif consumed and self.stored_lots:
            rest, stored = applied.rest, self.stored_lots
            lots = self.position.lots
            if self.position.terms.lot_method is _FIFO:
                whole = len(consumed) if rest is None else len(consumed) - 1
                if whole >= stored:
                    self.gone = (*self.gone, *consumed[:stored])
                    self.stored_lots = 0
                    self.part = False
                    return
                if whole:
                    self.gone = (*self.gone, *consumed[:whole])
                    self.stored_lots = stored - whole
                self.part = rest is not None
                return
            # Consumed from the end: what is left of a lot is a lot to be written again.
            left = min(stored, len(lots) - (rest is not None) - (applied.opened is not None))
            self.gone = (*self.gone, *consumed[len(consumed) - stored + left :])
            self.stored_lots = left

    def before_rematch(self) -> None:
        """Lots may change anywhere: from now on, and up to `flush`, each is noted by itself."""
        if self.lot_changes is None:
            lots = list(self.position.lots)
            changes: dict[OrderKey, Lot | None] = {lot.order: None for lot in self.gone}
            changes.update((lot.order, lot) for lot in lots[self.stored_lots :])
            if self.part:
                changes[lots[0].order] = lots[0]
            self.lot_changes = changes

    def write_lots(self, changes: dict[bytes, bytes | None]) -> Lot | None:
        """Put the lots that changed into a step's changes; returns the first lot where `part` is set."""
        lots = self.position.lots
        prefix = LOT + self.key + b"\x00"
        noted = self.lot_changes
        if noted is not None:
            for order, lot in noted.items():
                changes[prefix + order_bytes(order)] = None if lot is None else _encode(lot)
            self.lot_changes = None
            self.part = False
        else:
            for lot in self.gone:
                changes[prefix + order_bytes(lot.order)] = None
            stored = self.stored_lots
            if stored < len(lots):
                for lot in islice(lots, stored, None) if stored else lots:
                    changes[prefix + order_bytes(lot.order)] = _encode(lot)
        self.gone = ()
        self.stored_lots = len(lots)
        return lots[0] if self.part else None


@lru_cache(maxsize=10_000)
def encoded_terms(terms: Terms) -> tuple[Terms, msgspec.Raw]:
    """Terms that many positions share, as one object, and their stored form."""
    return terms, msgspec.Raw(_encode(terms))


def load_position(table: TablePartition | Store, book: str, instrument: str) -> OpenPosition | None:
    """The position that stands in the table; None where there is none."""
    stored = table.get(SUMMARY + position_key(book, instrument))
    return None if stored is None else _restore(table, book, instrument, stored)


def _restore(table: TablePartition | Store, book: str, instrument: str, stored: bytes) -> OpenPosition:
    summary = _decode_summary(stored)
    opened = OpenPosition(book, instrument, summary.terms)
    position = opened.position
    position.quantity, position.value = summary.quantity, summary.value
    position.realised_pnl, position.net_realised_pnl = summary.realised_pnl, summary.net_realised_pnl
    if str(position.realised_pnl) == str(position.net_realised_pnl):
        position.net_realised_pnl = position.realised_pnl
    # Zeros of other decimals stay as they are: they show in the digits of later sums.
    position.fees = ZERO if str(summary.fees) == "0" else summary.fees
    position.held_fees = ZERO if str(summary.held_fees) == "0" else summary.held_fees
    opened.revision, opened.last = summary.revision, summary.last
    if position.quantity:
        lots = position.lots
        for _, value in table.scan(LOT + opened.key + b"\x00", LOT + opened.key + b"\x01"):
            lots.append(_decode_lot(value))
        opened.stored_lots = len(lots)
        if summary.part is not None:
            opened.part = True
            lots[0] = summary.part
    return opened


def load_index(table: TablePartition, book: str, trade_id: str) -> TradeIndex | None:
    """Where a trade of a book stands, as the table says; None where the book never had it."""
    stored = table.get(index_key(book, trade_id))
    if stored is None:
        return None
    return decode_index(
        stored,
        trade_id,
        lambda instrument, order: entry_at(table, position_key(book, instrument), order),
    )


def scan_positions(table: TablePartition) -> Iterator[OpenPosition]:
    """Every position of a table partition, in the order of book and instrument."""
    for key, stored in table.scan_prefix(SUMMARY):
        book, instrument = split_position_key(key[1:])
        yield _restore(table, book, instrument, stored)


class PositionsState:
    """The positions of one partition."""

    def __init__(self, table: TablePartition, cached_lots_max: int = 2_000_000) -> None:
        self.table = table
        self.counters = Counters(table)
        self.known_trades = KnownKeys(table.store, TRADE)
        self.known_trades.load(_KNOWN_AT_START)
        self._cached_lots_max = cached_lots_max
        self.cache: dict[tuple[str, str], OpenPosition] = {}
        self._dirty: list[OpenPosition] = []
        self._written: set[bytes] = set()
        self._cached_lots = 0

    def _contents_of(self, key: bytes) -> TablePartition | Store:
        """Where to look for what a position wrote: past the step's changes, unless some of them are its own."""
        return self.table if key in self._written else self.table.store

    def find(self, book: str, instrument: str) -> OpenPosition | None:
        """A position that exists."""
        opened = self.cache.get((book, instrument))
        if opened is None:
            opened = load_position(self._contents_of(position_key(book, instrument)), book, instrument)
            if opened is not None:
                self._keep(opened)
        return opened

    def _keep(self, opened: OpenPosition) -> None:
        self.cache[opened.book, opened.instrument] = opened
        opened.kept_lots = len(opened.position.lots)
        self._cached_lots += opened.kept_lots + 1

    def find_or_make(self, book: str, instrument: str, terms: Terms) -> OpenPosition:
        """A position, new and flat where there is none."""
        opened = self.find(book, instrument)
        if opened is None:
            opened = OpenPosition(book, instrument, terms)
            self._keep(opened)
        return opened

    def touch(self, opened: OpenPosition) -> None:
        """The step changes this position."""
        if not opened.dirty:
            opened.dirty = True
            self._dirty.append(opened)

    def index(self, book: str, trade_id: str) -> TradeIndex | None:
        """Where a trade of a book stands; None where the book never had it."""
        stored = self.table.get(index_key(book, trade_id))
        if stored is None:
            return None
        return decode_index(stored, trade_id, lambda instrument, order: self._first(book, instrument, order))

    def _first(self, book: str, instrument: str, order: OrderKey) -> JournalEntry:
        opened = self.find(book, instrument)
        assert opened is not None, "a trade in the index has a position"
        return opened.journal.entry_at(self._contents_of(opened.key), order)

    def put_index(self, book: str, trade_id: str, index: TradeIndex) -> None:
        """Set where a trade stands."""
        key = index_key(book, trade_id)
        self.known_trades.seen(key)
        self.table.put(key, encode_index(index))

    def journal_from(self, opened: OpenPosition, start: OrderKey) -> list[JournalEntry]:
        """The journal of a position from a place on, in the order of matching."""
        return opened.journal.entries_from(self._contents_of(opened.key), start)

    def replace_journal(self, opened: OpenPosition, start: OrderKey, entries: list[JournalEntry]) -> None:
        """Let `entries` stand in the place of all entries from `start` on."""
        opened.journal.replace_from(self._contents_of(opened.key), start, entries)

    def last_order(self, opened: OpenPosition) -> OrderKey:
        """The place of the last trade in a position's journal."""
        return opened.journal.last_order(self._contents_of(opened.key))

    def flush(self, opened: OpenPosition) -> None:
        """Write a position's summary, changed lots and journal into the table partition, and check its invariants."""
        check_position(opened, _CHECKED_LOTS_MAX)
        self._written.add(opened.key)
        if not opened.revision:  # nothing was applied to it yet, and maybe nothing will be
            return
        position = opened.position
        changes = self.table.changes
        if position.terms is not opened.encoded_terms[0]:
            opened.encoded_terms = encoded_terms(position.terms)
            position.terms = opened.encoded_terms[0]
        part = opened.write_lots(changes)
        changes[SUMMARY + opened.key] = _encode(
            _EncodedSummary(
                opened.revision,
                opened.encoded_terms[1],
                position.quantity,
                position.value,
                position.realised_pnl,
                position.net_realised_pnl,
                position.fees,
                position.held_fees,
                opened.last,
                part,
            )
        )
        opened.write_journal(changes)
        if opened.stored_lots != opened.kept_lots:
            self._cached_lots += opened.stored_lots - opened.kept_lots
            opened.kept_lots = opened.stored_lots

    def reload(self, opened: OpenPosition) -> None:
        """Set a position back to what stands in the table partition (`flush` wrote it there)."""
        stored = load_position(self.table, opened.book, opened.instrument)
        if stored is None:  # the step would have made it
            self._drop(opened.book, opened.instrument)
            if opened.dirty:
                self._dirty.remove(opened)
            return
        for name in OpenPosition.__slots__:
            if name not in ("kept_lots", "dirty"):
                setattr(opened, name, getattr(stored, name))

    def _drop(self, book: str, instrument: str) -> None:
        """Keep a position in memory no longer; the next reader takes it from the table."""
        opened = self.cache.pop((book, instrument), None)
        if opened is not None:
            self._cached_lots -= opened.kept_lots + 1

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
        self._written.clear()
        self.counters.committed()
        self.known_trades.load(_KNOWN_A_STEP)
        if self._cached_lots > self._cached_lots_max:
            self._shrink()

    def _shrink(self) -> None:
        self._cached_lots = sum(len(opened.position.lots) + 1 for opened in self.cache.values())
        for key in list(self.cache):
            if self._cached_lots <= self._cached_lots_max // 2 or len(self.cache) == 1:
                return
            self._cached_lots -= len(self.cache.pop(key).position.lots) + 1

    def rollback(self) -> None:
        """Forget the step: what it touched is read again from the table."""
        for opened in self._dirty:
            self._drop(opened.book, opened.instrument)
        # Also what was written before it was changed, and what a rollback of a part of the step left in the table.
        for key in self._written:
            self._drop(*split_position_key(key))
        self._dirty.clear()
        if not self.table.changes:
            self._written.clear()
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
