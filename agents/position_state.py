"""What the positions stage keeps: summaries, lots, journal and trade index, under separate keys.

Owns: the layout of the `positions` table, and the cache of positions in memory.
Guarantees: a fill writes its summary, the lots that it touched, its journal entry and its index entry,
whatever the position holds.

Families of keys (first byte), `P` is book 0 instrument, `O` the place in the order of matching:

    s P      summary            l P 0 O      lot              (both: `agents.open_position`)
    j P 0 O  journal chunk (`agents.journal`)
    t book 0 trade id     where a trade stands (`agents.trade_index`)
    e book 0 event's id   a life-cycle event that was applied
    q offset place        a booking that waits (`agents.booking_queue`)
    o P 0 O  r P          chunks that a long re-match set aside, and which (`agents.journal`)
    d book                the ends of the last days that are closed, oldest first
"""

from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

import native
from agents.counters import Counters
from agents.journal import Chunk, entry_at
from agents.open_position import OpenPosition, check_position, load_position
from agents.trade_index import TRADE, TradeIndex, decode_index, encode_index, index_key
from domain.lots.position import OrderKey, Terms
from domain.lots.rematch import JournalEntry
from schemas.identity import position_key, split_position_key
from schemas.numbers import ZERO
from tables.known_keys import KnownKeys
from tables.partition import TablePartition
from tables.store import Store

if TYPE_CHECKING:
    from agents.rematch_work import RematchWork

EVENT, DAY = b"e", b"d"
_KEY = attrgetter("key")

CHECKED_LOTS_MAX = 2
KNOWN_AT_START = 20_000
"""Known trade ids that are taken in before the first step; who steps little takes none."""

REMATCH_SLICE_MIN = 20_000
"""A step that would match again so many trades or more leaves that to slices of their own."""

SLICE_TRADES = 1_500
"""Trades that are matched again in one slice."""

ENDS_KEPT = 60
"""How many ends of a book's days are kept: what is moved between earlier days stands in one of them."""

_KNOWN_A_STEP = 4_000
_encode_ends = msgspec.json.Encoder().encode
_decode_ends = msgspec.json.Decoder(list[int]).decode


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


class PositionsState:
    """The positions of one partition; `work` is what is left of them to slices."""

    def __init__(
        self,
        table: TablePartition,
        cached_lots_max: int = 2_000_000,
        known_at_start: int = KNOWN_AT_START,
        rematch_min: int = REMATCH_SLICE_MIN,
        *,
        make_work: "Callable[[PositionsState], RematchWork]",
    ) -> None:
        self.table = table
        self.counters = Counters(table)
        self.known_trades = KnownKeys(table.store, TRADE)
        self.known_trades.load(known_at_start)
        self._cached_lots_max = cached_lots_max
        self.cache: dict[tuple[str, str], OpenPosition] = {}
        self._dirty: list[OpenPosition] = []
        self._written: set[bytes] = set()
        self._cached_lots = 0
        self.rematch_min = rematch_min
        self.rematched = 0
        """Trades that the running step has matched again."""
        self.ends_until: int | None = None
        self.work = make_work(self)

    def _contents_of(self, key: bytes) -> TablePartition | Store:
        """Where to look for what a position wrote: past the step's changes, unless some of them are its own."""
        return self.table if key in self._written else self.table.store

    def end_day(self, book: str, end: int) -> None:
        """A business day of a book is over at `end` (nanoseconds)."""
        ends = [*self._ends(book), end][-ENDS_KEPT:]
        self.table.put(DAY + book.encode(), _encode_ends(ends))

    def ends_after(self, book: str, executed_at: int) -> list[int]:
        """The ends of a book's days that are kept and come after an execution; those that had come before the booking at
        hand, where that has waited (`ends_until`): what it does must not hang on how long."""
        until = self.ends_until
        return [end for end in self._ends(book) if end > executed_at and (until is None or end <= until)]

    def last_end(self, book: str) -> int:
        """The end of the last day of a book that is closed; 0 where none is."""
        ends = self._ends(book)
        return ends[-1] if ends else 0

    def _ends(self, book: str) -> list[int]:
        stored = self.table.get(DAY + book.encode())
        # Tables of before have a date there.
        return [] if stored is None or not stored.startswith(b"[") else _decode_ends(stored)

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
        opened = self.cache.get((book, instrument))
        if opened is None:
            key = position_key(book, instrument)
            return entry_at(self._contents_of(key), key, order)
        return opened.journal.entry_at(self._contents_of(opened.key), order)

    def put_index(self, book: str, trade_id: str, index: TradeIndex) -> None:
        """Set where a trade stands."""
        key = index_key(book, trade_id)
        self.known_trades.seen(key)
        self.table.put(key, encode_index(index))

    def take_out(self, opened: OpenPosition) -> None:
        """Leave a position to whoever re-matches it over several steps: what looks for it meanwhile reads the table."""
        self._drop(opened.book, opened.instrument)

    def put_in(self, opened: OpenPosition) -> None:
        """Take a position in again that was taken out, with what the running step has written of its journal."""
        self._written.add(opened.key)
        self._drop(opened.book, opened.instrument)
        self._keep(opened)

    def entries_from(self, opened: OpenPosition, start: OrderKey, most: int) -> int:
        """How many trades of a position stand from a place on (`Journal.entries_from`)."""
        return opened.journal.entries_from(self._contents_of(opened.key), start, most)

    def take_journal(self, opened: OpenPosition, start: OrderKey) -> tuple[Chunk | None, list[Chunk]]:
        """Take the journal of a position out from a place on (`Journal.take_from`)."""
        return opened.journal.take_from(self._contents_of(opened.key), start)

    def last_order(self, opened: OpenPosition) -> OrderKey:
        """The place of the last trade in a position's journal."""
        return opened.journal.last_order(self._contents_of(opened.key))

    def flush(self, opened: OpenPosition) -> None:
        """Write a position's summary, changed lots and journal into the table partition, and check its invariants."""
        check_position(opened, CHECKED_LOTS_MAX)
        self._written.add(opened.key)
        if not opened.revision:  # nothing was applied to it yet, and maybe nothing will be
            return
        opened.write(self.table.changes)
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
        # What stands side by side in the store is written side by side.
        self._dirty.sort(key=_KEY)
        compiled = native.positions()
        if compiled is not None:
            compiled.flush(self, self._dirty)
        else:
            for opened in self._dirty:
                self.flush(opened)
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed; forget the oldest positions where too much is cached."""
        for opened in self._dirty:
            opened.dirty = False
        self._dirty.clear()
        self._written.clear()
        self.rematched = 0
        self.work.committed()
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
        self.rematched = 0
        self.work.rollback()
        self.counters.rollback()


def settlement_fee(booked: Any) -> Decimal:
    """The fees of a booked trade in its settlement currency; others are expensed, not matched."""
    total = ZERO
    for fee in booked.fees:
        if not fee.currency or fee.currency == booked.settlement_currency:
            total += fee.amount
    return total
