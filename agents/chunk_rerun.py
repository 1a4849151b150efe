"""A re-match of a journal, chunk by chunk: taken back last first, matched again first first.

Owns: the way of one change (a trade goes, one comes, or both) through the chunks of a position.
Assumes: inside `exact_arithmetic()`; every chunk from the place of the change on is given to `take_back`, then every
one to `match`, the first of both cut at that place; nobody else changes the position meanwhile.
Guarantees: the position stands as if it had been so from the start. It holds no chunk, so that a long re-match may be
done in slices. Where terms begin or end on the way, every trade is matched under those that it had, and a trade that
would meet an open position with other terms raises TermsConflict: the position is of no use then.
"""

from typing import Protocol, TypeVar

from agents.journal_chunks import Chunk, chunk_of
from agents.position_updates import REMATCHED_MAX
from domain.lots.outcomes import Other
from domain.lots.position import Lot, OrderKey, Position, Terms, Trade
from domain.lots.rematch import rematch, standing
from domain.lots.rerun import RealisedChanges, Rerun

Item = TypeVar("Item")


class Kind:
    """What chunks hold, as far as it decides how they are matched again: `see` each of them."""

    __slots__ = ("begins_terms", "plain")

    def __init__(self) -> None:
        self.plain = True
        self.begins_terms = False

    def see(self, chunk: Chunk) -> None:
        """Take a chunk into account."""
        if not chunk.plain:
            self.plain = False
            self.begins_terms = self.begins_terms or any(
                type(found) is Other and found.terms is not None for found in chunk.figures
            )


class ChunkRerun(Protocol):
    """A re-match on its way; `realised` says which trades realise something else, the changed one left aside."""

    realised: RealisedChanges

    def take_back(self, chunk: Chunk) -> None:
        """Take back a chunk, which is the last one that the position has."""

    def match(self, chunk: Chunk, *, last: bool) -> Chunk:
        """Match a chunk that was taken back, with the change where it belongs in it; the `last` takes what is left."""

    def finish(self) -> dict[OrderKey, Lot | None]:
        """All is matched; says what became of every lot that is not as it was (None: gone)."""


def begin_rerun(
    position: Position, removed: OrderKey | None, added: Trade | None, terms: Terms | None, kind: Kind
) -> ChunkRerun:
    """Begin a re-match of a position that takes the trade at `removed` out and puts `added` (of `terms`) in.

    `kind` has seen all chunks that will be taken back.
    """
    if kind.begins_terms or (added is not None and terms != position.terms):
        return _UnderOtherTerms(position, removed, added, terms)
    return _UnderItsTerms(position, removed, added, plain=kind.plain)


def start_of(removed: OrderKey | None, added: Trade | None) -> OrderKey:
    """The first place that a change touches."""
    return min(order for order in (removed, None if added is None else added.order) if order is not None)


class _UnderItsTerms:
    """All trades stand under the terms that the position has now: the fast way."""

    def __init__(
        self, position: Position, removed: OrderKey | None, added: Trade | None, *, plain: bool
    ) -> None:
        self._start = start_of(removed, added)
        self._rerun = Rerun(position, self._start, REMATCHED_MAX)
        self.realised = self._rerun.realised
        self._removed = removed
        self._added = added
        self._plain = plain
        if plain:
            self._rerun.take_back_all()

    def take_back(self, chunk: Chunk) -> None:
        if self._plain:
            # What was consumed of lots that go anyway need not be decoded.
            self._rerun.restore(chunk.figures, chunk.closed if chunk.oldest <= self._start[0] else ())
        else:
            self._rerun.take_back(chunk.outcomes)

    def match(self, chunk: Chunk, *, last: bool) -> Chunk:
        rerun, removed, added = self._rerun, self._removed, self._added
        if removed is not None and len(chunk) and removed <= chunk.last:
            place = chunk.place(removed)
            rerun.leave(chunk.trades[place])
            chunk = Chunk(_without(chunk.trades, place), _without(chunk.outcomes, place))
            self._removed = None
        if added is not None and (last or (len(chunk) and added.order <= chunk.last)):
            place = chunk.place(added.order)
            trades, done = chunk.trades, chunk.figures
            outcomes = rerun.match(trades[:place], done[:place])
            outcomes.append(rerun.enter(added))
            outcomes += rerun.match(trades[place:], done[place:])
            self._added = None
            return Chunk([*trades[:place], added, *trades[place:]], outcomes)
        chunk.outcomes = rerun.match(chunk.trades, chunk.figures)
        return chunk

    def finish(self) -> dict[OrderKey, Lot | None]:
        return self._rerun.finish()


def _without(items: list[Item], place: int) -> list[Item]:
    return items[:place] + items[place + 1 :]


class _UnderOtherTerms:
    """Terms begin or end on the way: each trade names its own."""

    def __init__(
        self, position: Position, removed: OrderKey | None, added: Trade | None, terms: Terms | None
    ) -> None:
        self.realised = RealisedChanges(REMATCHED_MAX)
        self._position = position
        self._removed = removed
        self._added = added
        self._terms = terms
        self._lots: dict[OrderKey, Lot | None] = {}
        self._then: Terms | None = None

    def take_back(self, chunk: Chunk) -> None:
        self._lots.update(rematch(self._position, chunk.entries(), ()).lots)

    def match(self, chunk: Chunk, *, last: bool) -> Chunk:
        position, added = self._position, self._added
        entries = chunk.entries()
        before = {entry.trade.order: entry.applied.realised_pnl for entry in entries}
        # Before the first of them the position has the terms that it had there.
        trades: list[tuple[Trade, Terms | None]] = list(standing(self._then or position.terms, entries))
        if trades:
            self._then = trades[-1][1]
        trades = [item for item in trades if item[0].order != self._removed]
        if added is not None and (last or (len(chunk) and added.order <= chunk.last)):
            trades.append((added, self._terms))
            trades.sort(key=lambda item: item[0].order)
            self._added = None
        under = position.terms
        done = rematch(position, (), trades)
        self._lots.update(done.lots)
        for entry in done.entries:
            change = entry.applied.realised_pnl - before.get(entry.trade.order, entry.applied.realised_pnl)
            if change and entry.trade is not added:
                self.realised.note(entry.trade, change)
        return chunk_of(done.entries, under)

    def finish(self) -> dict[OrderKey, Lot | None]:
        return self._lots
