"""The journal of positions: every trade with what it did, in the order of matching, in chunks.

Owns: the layout of the journal family. A key is `j P 0 O`, where `O` is the place of the first entry of the
chunk (`agents.journal_chunks` has its form); a chunk holds the entries up to the next chunk's first. What a step
adds to a position is one chunk for each `CHUNK_ENTRIES_MAX` entries; nothing stored is touched by a trade that is
not late. While a long re-match rewrites a journal in slices, `o P 0 O` holds the chunks as they were, and `r P` says
for which places.
Guarantees: a late trade reads and rewrites the entries from its place on (and the rest of one chunk). Who reads a
journal that is being rewritten sees it as it was before.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from agents.journal_chunks import (
    CHUNK_ENTRIES_MAX,
    NOTHING_BEFORE,
    Chunk,
    chunk_of,
    decode_chunk,
    encoded_chunk,
    entry_count,
    level,
    order_bytes,
    place_bytes,
)
from agents.stage import InvariantBroken
from domain.lots.matching import Applied
from domain.lots.outcomes import Outcome, outcome
from domain.lots.position import OrderKey, Terms, Trade
from domain.lots.rematch import JournalEntry
from tables.partition import TablePartition
from tables.store import Store

__all__ = [
    "CHUNK_ENTRIES_MAX",
    "JOURNAL",
    "NOTHING_BEFORE",
    "Chunk",
    "chunk_of",
    "decode_chunk",
    "order_bytes",
]

JOURNAL, ASIDE, REWRITTEN = b"j", b"o", b"r"

_encode = msgspec.msgpack.Encoder().encode


class Rewritten(NamedTuple):
    """Which places of a journal are being rewritten: its chunks from `first` to before `end` are set aside.

    `entries_max` is what decides where the chunks end that come in their place.
    """

    first: bytes
    end: bytes
    entries_max: int

    def encoded(self) -> bytes:
        """Its stored form."""
        return _encode(self)


_decode_rewritten = msgspec.msgpack.Decoder(Rewritten).decode


def rewritten(table: TablePartition | Store, key: bytes) -> Rewritten | None:
    """What of a position's journal (by its key) is being rewritten; None where nothing is."""
    stored = table.get(REWRITTEN + key)
    return None if stored is None else _decode_rewritten(stored)


def stored_chunks(
    table: TablePartition | Store,
    key: bytes,
    first: bytes = b"",
    end: bytes | None = None,
    *,
    reverse: bool = False,
) -> Iterator[tuple[bytes, bytes]]:
    """The place and the stored form of each chunk of a journal that begins from `first` to before `end`.

    Of a journal that is being rewritten, the chunks as they were before.
    """
    found = rewritten(table, key)
    if found is None:
        parts = [(JOURNAL, first, end)]
    else:
        before, after, _ = found
        parts = [
            (JOURNAL, first, before if end is None else min(end, before)),
            (ASIDE, max(first, before), after if end is None else min(end, after)),
            (JOURNAL, max(first, after), end),
        ]
    for family, low, high in reversed(parts) if reverse else parts:
        if high is not None and low >= high:
            continue
        prefix = family + key + b"\x00"
        stop = family + key + b"\x01" if high is None else prefix + high
        for place, stored in table.scan(prefix + low, stop, reverse=reverse):
            yield place[len(prefix) :], stored


def scan_journal(
    table: TablePartition | Store,
    key: bytes,
    start: OrderKey = NOTHING_BEFORE,
    *,
    reverse: bool = False,
    last: OrderKey | None = None,
) -> Iterator[JournalEntry]:
    """The journal of a position (by its key) from a place on, in the order of matching; `reverse`: last first.

    `last` is the place of the last entry, where that is known: what a table once held behind it is not looked for.
    """
    end = None if last is None else order_bytes(last) + b"\x00"
    first = order_bytes(start)
    if reverse:
        for _, stored in stored_chunks(table, key, end=end, reverse=True):
            for entry in reversed(decode_chunk(stored)):
                if entry.trade.order < start:
                    return
                yield entry
        return
    for _, stored in stored_chunks(table, key, end=first, reverse=True):
        for entry in decode_chunk(stored):
            if entry.trade.order >= start:
                yield entry
        break
    for _, stored in stored_chunks(table, key, first, end):
        yield from decode_chunk(stored)


def last_before(table: TablePartition | Store, key: bytes, order: OrderKey | None = None) -> OrderKey | None:
    """The place of the last entry before `order` (None: of all); None where there is none."""
    for _, stored in stored_chunks(
        table, key, end=None if order is None else order_bytes(order), reverse=True
    ):
        chunk = Chunk.read(stored)
        place = len(chunk) if order is None else chunk.place(order)
        return chunk.trades[place - 1].order if place else None
    return None


def entry_at(
    table: TablePartition | Store,
    key: bytes,
    order: OrderKey,
    read: Callable[[bytes], Chunk] = Chunk.read,
) -> JournalEntry:
    """The entry at a place of a position (by its key), which must have one there.

    Who looks up many hands in a `read` that remembers chunks.
    """
    for _, stored in stored_chunks(table, key, end=order_bytes(order) + b"\x00", reverse=True):
        found = _entry_in(read(stored), order)
        if found is not None:
            return found
        break
    raise _no_entry(key, order)


def _no_entry(key: bytes, order: OrderKey) -> InvariantBroken:
    return InvariantBroken(f"{key!r}: expected a journal entry at {order}, found none")


def _entry_in(chunk: Chunk, order: OrderKey) -> JournalEntry | None:
    place = chunk.place(order)
    if place == len(chunk) or chunk.trades[place].order != order:
        return None
    return chunk.part(place, place + 1).entries()[0]


class Journal:
    """The journal of one position while it is cached.

    What a step changes is *pending*: chunks that come after all that is stored and stays. `flush` writes them, and
    removes the stored ones that they replace. So a step that touches one position many times stores what it came
    to once.
    """

    __slots__ = ("_chunks", "_dropped", "_end", "_key", "_outcomes", "_trades")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._chunks: list[Chunk] = []
        self._trades: list[Trade] = []
        self._outcomes: list[Outcome] = []
        self._dropped: list[bytes] = []
        self._end: bytes | None = None

    def add(self, trade: Trade, applied: Applied, under: Terms) -> None:
        """Append a trade that is the position's latest, applied `under` its terms."""
        self._trades.append(trade)
        self._outcomes.append(outcome(applied, under))

    def _pending(self) -> list[Chunk]:
        """The pending chunks, with what was added."""
        trades, outcomes = self._trades, self._outcomes
        if trades:
            for start in range(0, len(trades), CHUNK_ENTRIES_MAX):
                end = start + CHUNK_ENTRIES_MAX
                self._chunks.append(Chunk(trades[start:end], outcomes[start:end]))
            self._trades, self._outcomes = [], []
        return self._chunks

    def _stored(self, table: TablePartition | Store) -> Iterator[tuple[bytes, bytes]]:
        """Stored chunks that stay, the last one first."""
        end = JOURNAL + self._key + b"\x01" if self._end is None else self._end
        return table.scan(JOURNAL + self._key + b"\x00", end, reverse=True)

    def entries_from(self, table: TablePartition | Store, start: OrderKey, most: int) -> int:
        """How many entries there are from a place on, to a chunk; what is beyond `most` is not counted."""
        count = 0
        for chunk in reversed(self._pending()):
            if count >= most or (len(chunk) and chunk.last < start):
                return count
            count += len(chunk)
        first = JOURNAL + self._key + b"\x00" + order_bytes(start)
        for key, stored in self._stored(table):
            if count >= most:
                break
            count += entry_count(stored)
            if key <= first:
                break
        return count

    def take_from(self, table: TablePartition | Store, start: OrderKey) -> tuple[Chunk | None, list[Chunk]]:
        """Take out the entries from a place on, and what is before them in their first chunk; `put` what shall be.

        Returns the two apart: what is before, and the chunks from `start` on.
        """
        pending = self._pending()
        keep = len(pending)
        while keep and (not pending[keep - 1] or pending[keep - 1].last >= start):
            keep -= 1
        taken = pending[keep:]
        del pending[keep:]
        if not keep:
            earlier = []
            for key, stored in self._stored(table):
                chunk = Chunk.read(stored)
                # The first trade of a chunk is in its key: what lies between need not be decoded now.
                inside = key > JOURNAL + self._key + b"\x00" + order_bytes(start)
                if not inside and chunk.last < start:
                    break
                self._dropped.append(key)
                self._end = key
                earlier.append(chunk)
                if not inside:
                    break
            taken = earlier[::-1] + taken
        if not taken:
            return None, []
        place = taken[0].place(start)
        if not place:
            return None, taken
        return taken[0].part(0, place), [taken[0].part(place), *taken[1:]]

    def put(self, chunks: Sequence[Chunk]) -> None:
        """Let chunks follow all that there is."""
        self._chunks += level(chunks)

    def entry_at(self, table: TablePartition | Store, order: OrderKey) -> JournalEntry:
        """The entry at a place, which must have one."""
        trades = self._trades
        if trades and trades[0].order <= order:
            # Repeats of trades are looked up here: what is added need not be made into chunks for one of them.
            place = bisect_left(trades, order, key=lambda trade: trade.order)
            added = Chunk(trades[place : place + 1], self._outcomes[place : place + 1])
            found = _entry_in(added, order) if len(added) else None
            if found is None:
                raise _no_entry(self._key, order)
            return found
        for chunk in reversed(self._pending()):
            if len(chunk) and chunk.first <= order:
                found = _entry_in(chunk, order)
                if found is None:
                    break
                return found
        return entry_at(table, self._key, order)

    def last_order(self, table: TablePartition | Store) -> OrderKey:
        """The place of the last entry; `NOTHING_BEFORE` where there is none."""
        for chunk in reversed(self._pending()):
            return chunk.last
        for _, stored in self._stored(table):
            return Chunk.read(stored).last
        return NOTHING_BEFORE

    def flush(self, changes: dict[bytes, bytes | None]) -> None:
        """Put what is pending into a step's changes."""
        prefix = JOURNAL + self._key + b"\x00"
        trades = self._trades
        if not self._chunks and not self._dropped and len(trades) <= CHUNK_ENTRIES_MAX:
            if trades:
                changes[prefix + place_bytes(trades[0])] = encoded_chunk(trades, self._outcomes)
                self._trades, self._outcomes = [], []
            return
        for key in self._dropped:
            changes[key] = None
        self._dropped, self._end = [], None
        for chunk in self._pending():
            changes[prefix + order_bytes(chunk.first)] = chunk.encoded()
        self._chunks = []
