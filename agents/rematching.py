"""A position re-matched from a place on, journal and lots with it: one trade goes, one comes, or both.

Owns: the way of a late trade or a correction through the journal of a position, all of it in the running step. What
re-matches more trades than a step may (`PositionsState.rematch_min`) is for `agents.rematch_work`.
Guarantees: as `agents.chunk_rerun`. After a TermsConflict the position is to be taken from the table again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.chunk_rerun import Kind, begin_rerun, start_of
from agents.journal import Chunk
from agents.open_position import OpenPosition
from agents.position_state import PositionsState
from agents.position_updates import Figures
from domain.lots.position import OrderKey, Terms, Trade
from domain.lots.rerun import RealisedChanges


@dataclass(slots=True)
class Change:
    """What happens to one position: the trade at `removed` goes, `added` (of `terms`) comes; one may be None.

    When it is matched, `before` holds the figures of before, and `realised` what other trades realise otherwise; `ends` are
    the ends of its book's days that are closed.
    """

    opened: OpenPosition
    removed: OrderKey | None = None
    added: Trade | None = None
    terms: Terms | None = None
    before: Figures | None = None
    realised: RealisedChanges | None = None
    ends: Sequence[int] = ()

    @property
    def start(self) -> OrderKey:
        """The first place that it touches."""
        return start_of(self.removed, self.added)


def is_long(state: PositionsState, changes: list[Change]) -> bool:
    """Whether these re-match more trades than the running step still may."""
    count = state.rematched
    for change in changes:
        count += state.entries_from(change.opened, change.start, state.rematch_min - count)
    return count >= state.rematch_min


def rematch_position(state: PositionsState, change: Change) -> None:
    """Match a position again with a change in its place. Raises TermsConflict."""
    opened, start = change.opened, change.start
    change.before = Figures(opened.position)
    before, chunks = state.take_journal(opened, start)
    kind = Kind()
    for chunk in chunks:
        kind.see(chunk)
    other_terms = change.added is not None and change.terms != opened.position.terms
    if opened.dirty and (kind.begins_terms or other_terms):
        # Only where terms change can a re-match be refused: what it began is then taken from the table again.
        opened.journal.put([*_present(before), *chunks])
        state.flush(opened)
        before, chunks = state.take_journal(opened, start)
    opened.before_rematch()
    rerun = begin_rerun(opened.position, change.removed, change.added, change.terms, kind)
    change.ends = state.ends_after(opened.book, start[0])
    rerun.realised.ends = change.ends
    for chunk in reversed(chunks):
        rerun.take_back(chunk)
        state.rematched += len(chunk)
    chunks = chunks or [Chunk([], [])]
    end = len(chunks) - 1
    rematched = [rerun.match(chunk, last=number == end) for number, chunk in enumerate(chunks)]
    assert opened.lot_changes is not None, "before_rematch() was called"
    opened.lot_changes.update(rerun.finish())
    opened.journal.put([*_present(before), *rematched])
    opened.last = state.last_order(opened)
    change.realised = rerun.realised


def _present(chunk: Chunk | None) -> list[Chunk]:
    return [] if chunk is None else [chunk]
