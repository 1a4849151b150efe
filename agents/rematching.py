"""A position re-matched from a place on, journal and lots with it: one trade goes, one comes, or both.

Owns: the way of a late trade or a correction through the journal of a position.
Guarantees: the position stands as if it had been so from the start; only entries from the place on are matched
again. Where terms begin or end on the way, every trade is matched under those that it had, and a trade that would
meet an open position with other terms raises TermsConflict (the position is then to be taken from the table again).
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from agents.journal import Chunk, chunk_of
from agents.open_position import OpenPosition
from agents.position_state import PositionsState
from domain.lots.outcomes import Other
from domain.lots.position import OrderKey, Terms, Trade
from domain.lots.rematch import JournalEntry, Rematched, rematch, standing
from domain.lots.rerun import Rerun

Item = TypeVar("Item")


def rematch_position(
    state: PositionsState,
    opened: OpenPosition,
    removed: OrderKey | None,
    added: Trade | None,
    terms: Terms | None,
) -> Mapping[str, Decimal]:
    """Take the trade at `removed` out and put `added` (of `terms`) in; one of the two may be None.

    Returns the change of each trade whose realised P&L changed, by trade id.
    """
    start = min(order for order in (removed, None if added is None else added.order) if order is not None)
    before, chunks = state.take_journal(opened, start)
    plain = added is None or terms == opened.position.terms
    if plain and not any(_begins_terms(chunk) for chunk in chunks):
        opened.before_rematch()
        rerun = Rerun(opened.position, start)
        _take_back(rerun, chunks, start)
        rematched = list(_rerun(rerun, chunks, removed, added))
        done = Rematched([], rerun.finish(), rerun.realised_pnl)
    else:
        if opened.dirty:
            # Only where terms change can a re-match be refused: what it began is then taken from the table again.
            opened.journal.put([*_present(before), *chunks])
            state.flush(opened)
            before, chunks = state.take_journal(opened, start)
        opened.before_rematch()
        rematched, done = _under_other_terms(opened, chunks, removed, added, terms)
    assert opened.lot_changes is not None, "before_rematch() was called"
    opened.lot_changes.update(done.lots)
    opened.journal.put([*_present(before), *rematched])
    opened.last = state.last_order(opened)
    return done.realised_pnl


def _present(chunk: Chunk | None) -> list[Chunk]:
    return [] if chunk is None else [chunk]


def _begins_terms(chunk: Chunk) -> bool:
    return not chunk.plain and any(
        type(found) is Other and found.terms is not None for found in chunk.figures
    )


def _take_back(rerun: Rerun, chunks: Sequence[Chunk], start: OrderKey) -> None:
    if all(chunk.plain for chunk in chunks):
        rerun.take_back_all()
        for chunk in reversed(chunks):
            # What was consumed of lots that go anyway need not be decoded.
            rerun.restore(chunk.figures, chunk.closed if chunk.oldest <= start[0] else ())
    else:
        for chunk in reversed(chunks):
            rerun.take_back(chunk.outcomes)


def _rerun(
    rerun: Rerun, chunks: Sequence[Chunk], removed: OrderKey | None, added: Trade | None
) -> Iterator[Chunk]:
    """The chunks matched again, with the change in its place."""
    for number, chunk in enumerate(chunks):
        if removed is not None and removed <= chunk.last:
            place = chunk.place(removed)
            rerun.leave(chunk.trades[place], chunk.figures[place])
            chunk = Chunk(_without(chunk.trades, place), _without(chunk.outcomes, place))
            removed = None
        if added is not None and (number == len(chunks) - 1 or (len(chunk) and added.order <= chunk.last)):
            place = chunk.place(added.order)
            trades, done = chunk.trades, chunk.figures
            outcomes = rerun.match(trades[:place], done[:place])
            outcomes.append(rerun.enter(added))
            outcomes += rerun.match(trades[place:], done[place:])
            yield Chunk([*trades[:place], added, *trades[place:]], outcomes)
            added = None
        else:
            chunk.outcomes = rerun.match(chunk.trades, chunk.figures)
            yield chunk
    if added is not None:
        yield Chunk([added], [rerun.enter(added)])


def _without(items: list[Item], place: int) -> list[Item]:
    return items[:place] + items[place + 1 :]


def _under_other_terms(
    opened: OpenPosition,
    chunks: Sequence[Chunk],
    removed: OrderKey | None,
    added: Trade | None,
    terms: Terms | None,
) -> tuple[list[Chunk], Rematched]:
    position = opened.position
    undone: list[JournalEntry] = [entry for chunk in chunks for entry in chunk.entries()]
    under = next((entry.terms_before for entry in undone if entry.terms_before is not None), position.terms)
    kept = [(trade, own) for trade, own in standing(position, undone) if trade.order != removed]
    if added is not None:
        kept.append((added, terms))
        kept.sort(key=lambda item: item[0].order)
        if terms != position.terms:
            # The trades after it stand under the terms that they have, not under those of the corrected trade.
            kept = [(trade, own or position.terms) for trade, own in kept]
    done = rematch(position, undone, kept)
    return [chunk_of(done.entries, under)], done
