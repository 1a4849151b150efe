"""Defects of what stages do with events and keep of them."""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from agents import (
    booking_queue,
    capture_state,
    chunk_rerun,
    corrections,
    counters,
    journal,
    position_state,
    positions,
    rematch_slices,
    rematch_work,
    trade_capture,
)
from agents.stage import Step
from domain.capture.lifecycle import Verdict
from domain.lots import rerun
from schemas.units import Action
from tables import known_keys
from tests.simulation.switches import instead


def _positions_keep_state():
    """After a failed commit the positions stay as the step left them."""
    return instead(position_state.PositionsState, "rollback", lambda real: lambda self: self._dirty.clear())


def _counters_not_rolled_back():
    """After a failed commit the counts stay as the step left them."""
    return instead(counters.Counters, "rollback", lambda real: lambda self: None)


def _late_at_the_end():
    """A late trade is matched as if it were the latest."""

    def make(real):
        def match(self, chunk, *, last):
            added, self._added = self._added, None
            found = real(self, chunk, last=last)
            if last and added is not None:
                return journal.Chunk([*found.trades, added], [*found.outcomes, self._rerun.enter(added)])
            self._added = added
            return found

        return match

    return instead(chunk_rerun._UnderItsTerms, "match", make)


def _late_lost():
    """A late trade is noted, and not matched."""
    return instead(rerun.Rerun, "enter", lambda real: lambda self, trade: None)


def _stale_slot():
    """A reader of slots is not told of trades that re-matched a position."""

    def make(real):
        def emit(*arguments):
            step = next(each for each in arguments if isinstance(each, Step))
            kept = dict(step.touched)
            real(*arguments)
            step.touched = kept

        return emit

    return instead(positions, "emit_rematched", make)


def _known_forgotten():
    """What was known before a restart is taken for new."""
    return instead(
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

    return instead(trade_capture, "_release", make)


def _waiting_lost_at_restart():
    """Corrections that wait are in memory only."""

    def make(real):
        def add(self, offset, index, fill):
            real(self, offset, index, fill)
            for key in [key for key in self.table.changes if key.startswith(capture_state.WAITING)]:
                del self.table.changes[key]

        return add

    return instead(capture_state.CaptureState, "add_waiting", make)


def _amend_takes_new_place():
    """An amended trade takes the number of its correction, so another place at equal times."""

    def make(real):
        def book(self, fill, event_id, trade_id, source_sequence, book_before=None):
            return real(self, fill, event_id, trade_id, fill.source_sequence, book_before)

        return book

    return instead(capture_state.Booker, "book", make)


def _fee_dropped_in_a_flip():
    """A trade that closes lots and opens one of the other side loses its fee."""

    def make(real):
        def apply(position, trade):
            held = position.quantity
            if held and (held > 0) != (trade.quantity > 0) and abs(trade.quantity) > abs(held):
                trade = type(trade)(*[getattr(trade, n) for n in trade.__struct_fields__[:-1]], Decimal(0))
            return real(position, trade)

        return apply

    return instead(positions, "apply", make)


def _residue_when_flat():
    """A value of 1e-9 stays where a position goes flat."""

    def make(real):
        def apply(position, trade):
            applied = real(position, trade)
            if not position.quantity:
                position.value += Decimal("1e-9")
            return applied

        return apply

    return instead(positions, "apply", make)


def _conflict_taken_for_repeat():
    """A known id with other content is taken for a repeat."""

    def make(real):
        def decide(*arguments):
            verdict = real(*arguments)
            return Verdict.DUPLICATE if verdict is Verdict.OTHER_CONTENT else verdict

        return decide

    return instead(trade_capture, "decide", make)


def _moved_stays():
    """An amend that moves a trade to another book does not take it from the first."""

    def make(real):
        def emit(fill, event_id, kind, book, trade, leg, group_id, step):
            if group_id is None or leg:
                real(fill, event_id, kind, book, trade, leg, group_id, step)

        return emit

    return instead(trade_capture, "_emit_lifecycle", make)


def _removed_fee_stays():
    """The fee of a trade that is cancelled or amended stays in its position."""

    def make(real):
        def leave(self, trade):
            fees = self._fees
            real(self, trade)
            self._fees = max(self._fees, fees)

        return leave

    return instead(rerun.Rerun, "leave", make)


def _moved_to_the_wrong_partition():
    """An amend that moves a trade to another book is booked in the partition of the first."""

    def make(real):
        first = {}

        def emit(fill, event_id, kind, book, trade, leg, group_id, step):
            if leg:
                whole, other = step, first["book"]
                step = SimpleNamespace(bucket=lambda topic, _: whole.bucket(topic, other))
            first["book"] = book
            real(fill, event_id, kind, book, trade, leg, group_id, step)

        return emit

    return instead(trade_capture, "_emit_lifecycle", make)


def _failure_blames_a_neighbour():
    """Counts of an event that the handler fails on stay dirty, so that the next event fails as well."""

    def make(real):
        def rollback(self):
            if self._dirty:
                self._counts = counters.read_counts(self._table)
                if not self._table.changes:
                    self._dirty.clear()

        return rollback

    return instead(counters.Counters, "rollback", make)


def _known_in_part():
    """Every other key that stands in the store is not taken into the filter at a start."""

    def make(real):
        def load(self, keys_max):
            if self._unread is not None:
                for key, _ in list(self._store.scan(self._unread, self._end))[::2]:
                    self.seen(key)
                self._unread = None

        return load

    return instead(known_keys.KnownKeys, "load", make)


def _known_forgotten_in_a_rollback():
    """After a failed commit the filter of known trades is empty."""

    def make(real):
        def rollback(self):
            real(self)
            self.known_trades = known_keys.KnownKeys(self.table.store, capture_state.TRADE)
            self.known_trades._unread = None

        return rollback

    return instead(capture_state.CaptureState, "rollback", make)


class _Hiding:
    """A store in which a key is missing."""

    def __init__(self, store: Any, key: bytes) -> None:
        self._store, self._key = store, key

    def get(self, key: bytes) -> bytes | None:
        return None if key == self._key else self._store.get(key)

    def scan(self, start: bytes, end: bytes | None = None, *, reverse: bool = False):
        return (item for item in self._store.scan(start, end, reverse=reverse) if item[0] != self._key)


def _journal_chunk_lost_at_restart():
    """After a restart the last chunk of a journal is not there."""

    def make(real):
        def start(self, table, *arguments, **options):
            chunks = [key for key, _ in table.store.scan(journal.JOURNAL, journal.JOURNAL + b"\xff")]
            if len(chunks) > 3:
                table.store = _Hiding(table.store, chunks[-1])
            real(self, table, *arguments, **options)

        return start

    return instead(position_state.PositionsState, "__init__", make)


def _late_trade_at_a_chunk_border():
    """A late trade whose place is between two chunks of the journal drops the entry behind it."""

    def make(real):
        def take_from(self, table, start):
            before, chunks = real(self, table, start)
            if before is None and chunks and chunks[0].first > start:
                chunks = [chunks[0].part(1), *chunks[1:]]
            return before, chunks

        return take_from

    return instead(journal.Journal, "take_from", make)


def _hash_forgotten():
    """A fill of a new id is taken though its client's hash is known."""
    return instead(capture_state.CaptureState, "hash_known", lambda real: lambda self, name, when: False)


def _hash_of_a_refused_one_kept():
    """The hash of a correction that is refused after all counts as known."""
    return instead(capture_state.CaptureState, "forget_hash", lambda real: lambda self, name, when: None)


def _hash_known_for_ever():
    """A hash is known for longer than a day."""

    def make(real):
        return lambda self, name, when: self.table.get(capture_state.HASH + name.encode()) is not None

    return instead(capture_state.CaptureState, "hash_known", make)


def _other_instrument_keeps_the_trade():
    """An amend that moves a trade to another instrument leaves it in the first one as well."""

    def make(real):
        def plan(state, event, live):
            changes = real(state, event, live)
            return changes[1:] if len(changes) > 1 else changes

        return plan

    return instead(corrections, "_plan", make)


def _late_overtaken():
    """What comes into a position that is re-matched does not wait."""
    return instead(booking_queue.BookingQueue, "concerns", lambda real: lambda self, event, positions: False)


def _waiting_bookings_lost_at_restart():
    """Bookings that wait for a re-match are not found after a restart."""

    def make(real):
        def load(self):
            real(self)
            self._lines, self._waiting, self._ready = {}, {}, []

        return load

    return instead(booking_queue.BookingQueue, "_load", make)


def _nothing_set_aside():
    """A re-match in slices rewrites the journal and keeps nothing of what was there."""

    def make(real):
        def set_aside(self, first, end):
            real(self, first, end)
            for key in [key for key in self._table.changes if key.startswith(journal.ASIDE)]:
                del self._table.changes[key]

        return set_aside

    return instead(rematch_slices.SlicedRematch, "_set_aside", make)


def _begun_forgotten():
    """After a restart a re-match that is on its way is taken for one that has not begun."""
    return instead(rematch_work.RematchWork, "_is_begun", lambda real: lambda self, waiting: False)


def _left_aside():
    """After a restart nobody removes what a re-match that was done had set aside."""
    return instead(rematch_work, "to_be_swept", lambda real: lambda table: [])


def _slice_kept_after_a_failed_commit():
    """After a failed commit a re-match goes on from where memory has come to."""

    def make(real):
        def rollback(self):
            self._touched = False
            real(self)

        return rollback

    return instead(rematch_work.RematchWork, "rollback", make)


DEFECTS: tuple[Callable[[], Any], ...] = (
    _positions_keep_state,
    _counters_not_rolled_back,
    _late_at_the_end,
    _late_lost,
    _stale_slot,
    _known_forgotten,
    _waiting_cancel_ignored,
    _waiting_lost_at_restart,
    _amend_takes_new_place,
    _fee_dropped_in_a_flip,
    _residue_when_flat,
    _conflict_taken_for_repeat,
    _moved_stays,
    _removed_fee_stays,
    _moved_to_the_wrong_partition,
    _failure_blames_a_neighbour,
    _known_in_part,
    _known_forgotten_in_a_rollback,
    _journal_chunk_lost_at_restart,
    _late_trade_at_a_chunk_border,
    _hash_forgotten,
    _hash_of_a_refused_one_kept,
    _hash_known_for_ever,
    _other_instrument_keeps_the_trade,
    _late_overtaken,
    _waiting_bookings_lost_at_restart,
    _nothing_set_aside,
    _begun_forgotten,
    _left_aside,
    _slice_kept_after_a_failed_commit,
)
