"""Defects that the simulation must find, each switched on for the time of a `with`.

Each takes the place of one function or class of the product. `PLANTED` has the seed that catches each.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from agents import capture_state, corrections, counters, position_state, positions, trade_capture
from domain.capture.lifecycle import Verdict
from schemas.units import Action
from tables import partition as table_partition
from topology import runtime
from topology.simulation import log as simulated_log
from topology.simulation import world

Runner = runtime.PartitionRunner


@contextmanager
def _instead(owner: Any, name: str, make: Callable[[Any], Any]):
    with patch.object(owner, name, make(getattr(owner, name))):
        yield


def _acknowledge_before_commit():
    """A sender is told that its fills are safe before they are durable."""

    def make(real):
        def acknowledge(self):
            for batch in self.batches:
                batch.acknowledged = batch.acknowledged or batch.sent_at is not None
            real(self)

        return acknowledge

    return _instead(world.World, "_acknowledge", make)


def _skip_on_retry():
    """A step whose commit fails is not tried again: its input is passed over."""

    def make(real):
        def rollback(self):
            real(self)
            self.next_offset = max(
                self.next_offset, self._log.end_offset(self.stage.input.name, self.partition)
            )

        return rollback

    return _instead(Runner, "rollback", make)


def _rollback_keeps_state():
    """After a failed commit the table's changes of the step stay in memory."""
    return _instead(table_partition.TablePartition, "rollback", lambda real: lambda self: None)


def _positions_keep_state():
    """After a failed commit the positions stay as the step left them."""
    return _instead(position_state.PositionsState, "rollback", lambda real: lambda self: self._dirty.clear())


def _counters_not_rolled_back():
    """After a failed commit the counts stay as the step left them."""
    return _instead(counters.Counters, "rollback", lambda real: lambda self: None)


def _late_at_the_end():
    """A late trade is matched as if it were the latest."""

    def make(real):
        return lambda opened_position, undone, kept: real(opened_position, undone, [*kept[1:], kept[0]])

    return _instead(positions, "rematch", make)


def _late_lost():
    """A late trade is noted, and not matched."""

    def make(real):
        return lambda position, undone, kept: real(position, undone, kept[1:] if len(kept) > 1 else kept)

    return _instead(positions, "rematch", make)


def _double_emit():
    """Outputs are written twice."""

    def make(real):
        def write(transaction, prepared):
            real(transaction, prepared)
            real(transaction, prepared)

        return write

    return _instead(runtime, "_write_outputs", make)


def _lost_output():
    """The last event of a step's output is not written."""
    return _instead(runtime, "merged", lambda real: lambda found: real(found)[:-1] or real(found)[:0])


def _stale_slot():
    """A reader of slots is not told of trades that re-matched a position."""

    def make(real):
        def emit(opened, event, trade_id, before, outcome, step, index):
            kept = dict(step.touched)
            real(opened, event, trade_id, before, outcome, step, index)
            step.touched = kept

        return emit

    return _instead(positions, "emit_rematched", make)


def _uncommitted_slot():
    """A reader of slots sees a step before it is committed."""

    def make(real):
        def prepare(self, records):
            prepared = real(self, records)
            if prepared is not None:
                for observer in self._observers:
                    observer(self, prepared.report)
            return prepared

        return prepare

    return _instead(Runner, "prepare", make)


def _offset_apart():
    """Offsets are committed in a commit of their own, after that of the state."""

    def make(real):
        def commit(self):
            offsets, self._offsets = self._offsets, {}
            sequence = real(self)
            return self._log.write([], {}, offsets) if offsets else sequence

        return commit

    return _instead(simulated_log.SimulatedTransaction, "commit", make)


def _known_forgotten():
    """What was known before a restart is taken for new."""
    return _instead(
        capture_state.KnownKeys, "load", lambda real: lambda self, most: setattr(self, "_unread", None)
    )


def _waiting_cancel_ignored():
    """A cancel that waited for its trade is dropped when the trade comes."""

    def make(real):
        def release(state, offset, index, fill, step):
            if fill.action is Action.CANCEL:
                counts = state.counters.of(fill.source)
                counts.waiting -= 1
                counts.applied += 1
                return
            real(state, offset, index, fill, step)

        return release

    return _instead(trade_capture, "_release", make)


def _waiting_lost_at_restart():
    """Corrections that wait are in memory only."""

    def make(real):
        def add(self, offset, index, fill):
            real(self, offset, index, fill)
            for key in [key for key in self.table.changes if key.startswith(capture_state.WAITING)]:
                del self.table.changes[key]

        return add

    return _instead(capture_state.CaptureState, "add_waiting", make)


def _amend_takes_new_place():
    """An amended trade takes the number of its correction, so another place at equal times."""

    def make(real):
        def book(self, fill, event_id, trade_id, source_sequence, book_before=None):
            return real(self, fill, event_id, trade_id, fill.source_sequence, book_before)

        return book

    return _instead(capture_state.Booker, "book", make)


def _fee_dropped_in_a_flip():
    """A trade that closes lots and opens one of the other side loses its fee."""

    def make(real):
        def apply(position, trade):
            held = position.quantity
            if held and (held > 0) != (trade.quantity > 0) and abs(trade.quantity) > abs(held):
                trade = type(trade)(*[getattr(trade, n) for n in trade.__struct_fields__[:-1]], Decimal(0))
            return real(position, trade)

        return apply

    return _instead(positions, "apply", make)


def _residue_when_flat():
    """A value of 1e-9 stays where a position goes flat."""

    def make(real):
        def apply(position, trade):
            applied = real(position, trade)
            if not position.quantity:
                position.value += Decimal("1e-9")
            return applied

        return apply

    return _instead(positions, "apply", make)


def _broadcast_after():
    """Definitions are applied after the fills of the first step."""

    def make(real):
        def apply(self):
            return real(self) if self.next_offset else dict(self._broadcast_offsets)

        return apply

    return _instead(Runner, "_apply_broadcasts", make)


def _changelog_without_deletes():
    """Removed keys are not in the changelog."""

    def make(real):
        def packed(changes):
            pairs = zip(changes[::2], changes[1::2], strict=True)
            return real([item for pair in pairs if pair[1] is not None for item in pair])

        return packed

    return _instead(runtime, "_packed", make)


def _poison_drops_neighbours():
    """One event that cannot be read drops the readable ones of its frame."""

    def make(real):
        def decode(self, record):
            unreadable = len(self.unreadable)
            frame = real(self, record)
            return replace(frame, events=[], indexes=[]) if len(self.unreadable) > unreadable else frame

        return decode

    return _instead(runtime._Frames, "_decode", make)


def _last_event_cut():
    """The last event of a frame of three or more is lost."""

    def make(real):
        def decode(self, record):
            frame = real(self, record)
            if len(frame.events) > 2:
                frame.events.pop()
            return frame

        return decode

    return _instead(runtime._Frames, "_decode", make)


def _conflict_taken_for_repeat():
    """A known id with other content is taken for a repeat."""

    def make(real):
        def decide(*arguments):
            verdict = real(*arguments)
            return Verdict.DUPLICATE if verdict is Verdict.OTHER_CONTENT else verdict

        return decide

    return _instead(trade_capture, "decide", make)


def _moved_stays():
    """An amend that moves a trade to another book does not take it from the first."""

    def make(real):
        def emit(fill, event_id, kind, book, trade, leg, group_id, step):
            if group_id is None or leg:
                real(fill, event_id, kind, book, trade, leg, group_id, step)

        return emit

    return _instead(trade_capture, "_emit_lifecycle", make)


def _removed_fee_stays():
    """The fee of a trade that is cancelled or amended stays in its position."""

    def make(real):
        def rematch(position, undone, kept):
            fees = position.fees
            outcome = real(position, undone, kept)
            position.fees = max(position.fees, fees)
            return outcome

        return rematch

    return _instead(corrections, "rematch", make)


# The first seed that catches each.
_CAUGHT_BY: dict[Callable[[], Any], int] = {
    _acknowledge_before_commit: 3,
    _skip_on_retry: 0,
    _rollback_keeps_state: 0,
    _positions_keep_state: 0,
    _counters_not_rolled_back: 0,
    _late_at_the_end: 0,
    _late_lost: 0,
    _double_emit: 0,
    _lost_output: 0,
    _stale_slot: 0,
    _uncommitted_slot: 2,
    _offset_apart: 1,
    _known_forgotten: 0,
    _waiting_cancel_ignored: 2,
    _waiting_lost_at_restart: 6,
    _amend_takes_new_place: 0,
    _fee_dropped_in_a_flip: 0,
    _residue_when_flat: 0,
    _broadcast_after: 0,
    _changelog_without_deletes: 0,
    _poison_drops_neighbours: 1,
    _last_event_cut: 0,
    _conflict_taken_for_repeat: 0,
    _moved_stays: 1,
    _removed_fee_stays: 0,
}
PLANTED: dict[str, tuple[Callable[[], Any], int]] = {
    defect.__name__.strip("_").replace("_", " "): (defect, seed) for defect, seed in _CAUGHT_BY.items()
}
