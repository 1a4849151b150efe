"""Long re-matches and what waits for them: the work that the positions stage does in slices, between its steps.

Owns: which re-match is under way (one a partition), and what is done in a slice.
Assumes: a slice is a step of its own: nothing else was done in it before.
Guarantees: slices are cut by the number of trades and bookings, so that the same bookings give the same bytes whatever
the machine is busy with. A booking that waits is done as if it had come just then: applied, refused or known.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from agents.booking_queue import BookingQueue, Waiting
from agents.journal import rewritten
from agents.position_state import PositionsState
from agents.rematch_slices import SlicedRematch, restore, sweep, to_be_swept
from agents.rematching import Change
from agents.stage import InvariantBroken, Refusal, Step
from agents.trade_index import TradeIndex
from domain.lots.rematch import TermsConflict
from schemas.identity import position_key

TOO_LONG = Refusal("re-matches more trades than a step may", kind="long")
"""What applying a booking comes to that is to wait in the queue, and to be done in slices."""


FAILURES_MAX = 10
"""A booking that fails more often cannot even be put back: the partition stops."""


@dataclass(slots=True)
class Planned:
    """The changes of a booking that is done in slices, and where its trade stood before."""

    changes: list[Change]
    index: TradeIndex | None = None


@dataclass(frozen=True, slots=True)
class Bookings:
    """How a booking is applied: at once, or planned, and finished when its changes are matched."""

    apply: Callable[[PositionsState, Any, Step], Refusal | None]
    plan: Callable[[PositionsState, Any], Planned]
    finish: Callable[[PositionsState, Any, Planned, Step], None]
    conflict: Callable[[Any, TermsConflict], Refusal]


@dataclass(slots=True)
class _Job:
    """A booking on its way through its positions; with a `refusal`, on its way back."""

    waiting: Waiting
    steps: Iterator[int]
    planned: Planned | None = None
    rematches: Sequence[SlicedRematch] = ()
    refusal: Refusal | None = None


class RematchWork:
    """What the positions of one partition have left to do. False where there is nothing."""

    def __init__(self, state: PositionsState, slice_trades: int) -> None:
        self._state = state
        self._slice_trades = slice_trades
        self.queue = BookingQueue(state.table)
        self._job: _Job | None = None
        self._held: list[bytes] = []
        self._touched = False
        self._went_on = False
        self._at_hand = b""
        self._failures: Counter[bytes] = Counter()
        self._to_sweep = to_be_swept(state.table)

    def __bool__(self) -> bool:
        return bool(self.queue) or bool(self._to_sweep)

    def slice(self, bookings: Bookings, step: Step, failed: Refusal | None) -> None:
        """Do a slice. Where the last attempt at one met a defect, the booking at hand has `failed`."""
        if failed is not None:
            self._fail(failed, step)
        elif self._to_sweep:
            if not sweep(self._state.table, self._to_sweep[0], self._slice_trades):
                # Should this step be lost, they are found again.
                self._touched = True
                self._to_sweep.pop(0)
        elif self._job is not None and (self._went_on is False or self.queue.next() is None):
            self._went_on = True
            self._go_on(self._job, bookings, step)
        else:
            # Every other slice is for what waits and does not wait for the re-match.
            self._went_on = False
            self._apply_waiting(bookings, step)

    def _apply_waiting(self, bookings: Bookings, step: Step) -> None:
        state, count = self._state, 0
        while count < self._slice_trades and (waiting := self.queue.next()) is not None:
            self._at_hand = waiting.key
            before = state.rematched
            state.ends_until = waiting.last_end
            try:
                if self._is_begun(waiting):
                    refusal: Refusal | None = TOO_LONG
                else:
                    refusal = bookings.apply(state, waiting.event, step)
            finally:
                state.ends_until = None
            if refusal is not TOO_LONG:
                self._done(waiting, refusal, step)
                count += 1 + state.rematched - before
            elif count:
                # It may be short enough for a slice of its own.
                return
            elif self._job is not None:
                self._hold(waiting)
            else:
                self._begin(waiting, bookings, step)
                return

    def _is_begun(self, waiting: Waiting) -> bool:
        """Whether it is on its way since before a restart: its journals are no longer what they were."""
        table = self._state.table
        return any(rewritten(table.store, position_key(*place)) is not None for place in waiting.positions)

    def _hold(self, waiting: Waiting) -> None:
        self.queue.hold(waiting.key)
        self._held.append(waiting.key)

    def _begin(self, waiting: Waiting, bookings: Bookings, step: Step) -> None:
        state = self._state
        planned = bookings.plan(state, waiting.event)
        state.ends_until = waiting.last_end
        rematches = [SlicedRematch(state.table, change) for change in planned.changes]
        for change in planned.changes:
            change.ends = state.ends_after(change.opened.book, change.start[0])
            state.take_out(change.opened)
        state.ends_until = None
        self._hold(waiting)
        steps = chain.from_iterable(rematch.work() for rematch in rematches)
        self._job = _Job(waiting, steps, planned, rematches)
        self._go_on(self._job, bookings, step)

    def _go_on(self, job: _Job, bookings: Bookings, step: Step) -> None:
        self._at_hand, self._touched = job.waiting.key, True
        try:
            if not _slice(job.steps, self._slice_trades):
                return
        except TermsConflict as conflict:
            job.refusal = bookings.conflict(job.waiting.event, conflict)
            job.steps = self._way_back(job.waiting)
            return
        if job.refusal is None:
            self._finish(job, bookings, step)
        self._job = None
        self._held.remove(job.waiting.key)
        self.queue.release(self._held)
        self._held.clear()
        self._done(job.waiting, job.refusal, step)

    def _finish(self, job: _Job, bookings: Bookings, step: Step) -> None:
        assert job.planned is not None, "what is not on its way back was planned"
        for change, rematch in zip(job.planned.changes, job.rematches, strict=True):
            if rematch.finish():
                self._to_sweep.append(change.opened.key)
            self._state.put_in(change.opened)
        bookings.finish(self._state, job.waiting.event, job.planned, step)

    def _way_back(self, waiting: Waiting) -> Iterator[int]:
        keys = [position_key(*place) for place in waiting.positions]
        return chain.from_iterable(restore(self._state.table, key) for key in keys)

    def _fail(self, failed: Refusal, step: Step) -> None:
        """The booking at hand met a defect. Where that comes again it is refused, and what was begun of it put back."""
        self._failures[self._at_hand] += 1
        if self._failures[self._at_hand] == 1:
            return
        if self._failures[self._at_hand] > FAILURES_MAX:
            raise InvariantBroken(f"expected a re-match that failed to be put back, found {failed.reason}")
        waiting = self.queue.find(self._at_hand)
        if self._job is None:
            self._hold(waiting)
            self._job = _Job(waiting, self._way_back(waiting), refusal=failed)
        else:
            self._done(waiting, failed, step)

    def _done(self, waiting: Waiting, refusal: Refusal | None, step: Step) -> None:
        counts = self._state.counters.of(waiting.event.source)
        counts.waiting -= 1
        if refusal is None:
            counts.applied += 1
        elif refusal.kind == "duplicate":
            counts.duplicates += 1
        else:
            counts.refused += 1
            step.refuse_at(waiting.offset, waiting.index, waiting.event, refusal)
        self.queue.remove(waiting)
        self._failures.pop(waiting.key, None)

    def committed(self) -> None:
        """The step is committed."""
        self._touched = False
        self.queue.committed()

    def rollback(self) -> None:
        """Forget the step. A re-match that it went on with begins again: what is in memory is ahead of the table."""
        if self._touched:
            self._touched = False
            self._job = None
            self.queue.release(self._held)
            self._held.clear()
            self._to_sweep = to_be_swept(self._state.table)
        self.queue.rollback(self._held)


def _slice(steps: Iterator[int], trades_max: int) -> bool:
    """Go on by steps that cost about `trades_max`; whether there are no more."""
    left = trades_max
    for cost in steps:
        left -= cost
        if left <= 0:
            return False
    return True
