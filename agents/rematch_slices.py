"""A re-match of one position in slices: each of so many trades, and each a commit of its own.

Owns: the rewriting of a journal over many commits, and the way back from it.
Assumes: inside `exact_arithmetic()`; nothing is booked into the position meanwhile, and nobody else holds it.
Guarantees: until `finish`, summary and lots in the table are as before, and so is the journal for who reads it through
`agents.journal`: what is rewritten is set aside (`o P 0 O`), and `r P` says how far. What comes out is what a re-match
at once gives, chunk by chunk. A process that ends on the way begins again: what it had rewritten stands, and is not
written twice.
"""

from collections.abc import Iterator

from agents import journal_chunks
from agents.chunk_rerun import ChunkRerun, Kind, begin_rerun, start_of
from agents.journal import ASIDE, JOURNAL, REWRITTEN, Chunk, Rewritten, order_bytes, rewritten, stored_chunks
from agents.journal_chunks import Leveller, is_plain
from agents.position_updates import Figures
from agents.rematching import Change
from tables.partition import TablePartition

CHUNKS_A_PAGE = 32
"""Chunks that are read together."""

END_OF_SLICE = 1 << 62
"""What a step of the work costs that must be committed before the next one."""

_AFTER_ASIDE = b"p"

Stored = tuple[bytes, bytes]


class SlicedRematch:
    """One change of one position, on its way.

    `work` does it, in steps, and yields what each of them cost, in trades.
    """

    def __init__(self, table: TablePartition, change: Change) -> None:
        self._table = table
        self._change = change
        self._key = change.opened.key
        self._start = start_of(change.removed, change.added)
        self._rewritten = rewritten(table.store, self._key)
        self._olds: list[Stored] = []
        self._news: list[Chunk] = []
        self._rerun: ChunkRerun | None = None

    def work(self) -> Iterator[int]:
        """Look at what there is, take it back, match it again; `finish` follows.

        Raises TermsConflict where terms do not fit; `restore` gives the way back.
        """
        change, opened = self._change, self._change.opened
        change.before = Figures(opened.position)
        if self._rewritten is not None and self._rewritten.entries_max != journal_chunks.CHUNK_ENTRIES_MAX:
            # Another version began it, whose chunks end elsewhere.
            yield from restore(self._table, self._key)
            self._rewritten = None
        first = self._first_place()
        kind = Kind()
        for _, stored in self._pages(first):
            if not is_plain(stored):
                kind.see(Chunk.read(stored))
            yield 1
        opened.before_rematch()
        rerun = self._rerun = begin_rerun(opened.position, change.removed, change.added, change.terms, kind)
        rerun.realised.ends = change.ends
        for place, stored in self._pages(first, reverse=True):
            chunk = Chunk.read(stored)
            if place == first:
                chunk = chunk.part(chunk.place(self._start))
            rerun.take_back(chunk)
            yield max(1, len(chunk) // 4)
        yield from self._match(rerun, first)

    def _first_place(self) -> bytes:
        """The place of the chunk in which the change is, or of the change where no chunk reaches over it."""
        start = order_bytes(self._start)
        for place, stored in stored_chunks(self._table.store, self._key, end=start + b"\x00", reverse=True):
            if Chunk.read(stored).last >= self._start:
                return place
            break
        # What comes in their place may begin with the change itself.
        return start

    def _pages(self, first: bytes, *, reverse: bool = False) -> Iterator[Stored]:
        """The chunks from a place on, as they were before; nothing of the store is held open in between."""
        low, high = first, None
        while True:
            page = []
            for found in stored_chunks(self._table.store, self._key, low, high, reverse=reverse):
                page.append(found)
                if len(page) == CHUNKS_A_PAGE:
                    break
            yield from page
            if len(page) < CHUNKS_A_PAGE:
                return
            if reverse:
                high = page[-1][0]
            else:
                low = page[-1][0] + b"\x00"

    def _match(self, rerun: ChunkRerun, first: bytes) -> Iterator[int]:
        self._leveller = leveller = Leveller()
        coming = self._pages(first)
        current = next(coming, None)
        if current is None:
            self._news += leveller.add(rerun.match(Chunk([], []), last=True))
        while current is not None:
            place, stored = current
            current = next(coming, None)
            chunk = Chunk.read(stored)
            cost = len(chunk)
            if place == first:
                cut = chunk.place(self._start)
                self._news += leveller.add(chunk.part(0, cut))
                chunk = chunk.part(cut)
            settled = leveller.add(rerun.match(chunk, last=current is None))
            if settled:
                self._news += settled
                if self._olds:
                    self._set_aside(first, place)
            self._olds.append((place, stored))
            yield cost

    def _set_aside(self, first: bytes, end: bytes) -> None:
        """Put what became of old chunks in their place; `end` is the place of the first one after them."""
        known = self._rewritten
        if known is None or end > known.end:
            table, aside = self._table, ASIDE + self._key + b"\x00"
            for place, stored in self._olds:
                table.put(aside + place, stored)
            self._replace()
            self._rewritten = Rewritten(first, end, journal_chunks.CHUNK_ENTRIES_MAX)
            table.put(REWRITTEN + self._key, self._rewritten.encoded())
        self._olds, self._news = [], []

    def _replace(self) -> None:
        table, prefix = self._table, JOURNAL + self._key + b"\x00"
        for place, _ in self._olds:
            table.delete(prefix + place)
        for chunk in self._news:
            table.put(prefix + order_bytes(chunk.first), chunk.encoded())

    def finish(self) -> bool:
        """The last step: the position is the new one. Says whether chunks that were set aside are left (`sweep`)."""
        opened, rerun, table = self._change.opened, self._rerun, self._table
        assert rerun is not None and opened.lot_changes is not None, "all is matched"
        self._change.realised = rerun.realised
        opened.lot_changes.update(rerun.finish())
        self._news += self._leveller.finish()
        self._replace()
        opened.last = opened.journal.last_order(table)
        if self._rewritten is None:
            return False
        table.delete(REWRITTEN + self._key)
        return True


def restore(table: TablePartition, key: bytes) -> Iterator[int]:
    """Put back what was set aside of a position (by its key), the last first; at the end nothing has happened.

    Yields what each step costs: it must be committed before the next one.
    """
    store = table.store
    journal, aside = JOURNAL + key + b"\x00", ASIDE + key + b"\x00"
    while (found := rewritten(store, key)) is not None:
        page: list[Stored] = []
        for place, stored in store.scan(aside + found.first, aside + found.end, reverse=True):
            page.append((place[len(aside) :], stored))
            if len(page) == CHUNKS_A_PAGE:
                break
        done = len(page) < CHUNKS_A_PAGE
        low = found.first if done else page[-1][0]
        for place, _ in store.scan(journal + low, journal + found.end):
            table.delete(place)
        for place, stored in page:
            table.put(journal + place, stored)
            table.delete(aside + place)
        if done:
            table.delete(REWRITTEN + key)
        else:
            table.put(REWRITTEN + key, found._replace(end=low).encoded())
        yield END_OF_SLICE


def sweep(table: TablePartition, key: bytes, chunks_max: int) -> bool:
    """Remove chunks of a position (by its key) that were set aside; False where none are left."""
    prefix = ASIDE + key
    for count, (place, _) in enumerate(table.store.scan(prefix + b"\x00", prefix + b"\x01")):
        if count == chunks_max:
            return True
        table.delete(place)
    return False


def to_be_swept(table: TablePartition) -> list[bytes]:
    """The keys of the positions that have chunks set aside from a re-match that is done."""
    found: list[bytes] = []
    low = ASIDE
    while (key := next((key for key, _ in table.store.scan(low, _AFTER_ASIDE)), None)) is not None:
        book, instrument, _ = key[1:].split(b"\x00", 2)
        position = book + b"\x00" + instrument
        if table.store.get(REWRITTEN + position) is None:
            found.append(position)
        low = ASIDE + position + b"\x01"
    return found
