"""Defects that the simulation must find, each switched on for the time of a `with`.

Each takes the place of one function of the product (of the simulated sender, worker or log where what it stands for
lives in a driver: `SIMULATED`). `python -m tests.simulation.planted` looks for the first seed that catches each, and
writes the table of docs/concepts/simulation.md, which the tests hold.
"""

import re
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import structlog

from agents import (
    capture_state,
    corrections,
    counters,
    journal,
    position_state,
    positions,
    rematching,
    trade_capture,
)
from connectors.embedded.errors import EmbeddedLogError
from connectors.shm import segment as shm_segment
from domain.capture.lifecycle import Verdict
from domain.lots import rerun
from schemas.topics import INSTRUMENTS
from schemas.units import Action
from tables import known_keys
from tables import partition as table_partition
from topology import entry, owner, runtime
from topology.shared_memory import PositionsPublisher
from topology.simulation import log as simulated_log
from topology.simulation import senders
from topology.simulation import worker as simulated_worker
from topology.simulation.run import simulate

Runner = runtime.PartitionRunner


@contextmanager
def _instead(owner: Any, name: str, make: Callable[[Any], Any]):
    with patch.object(owner, name, make(getattr(owner, name))):
        yield


def _acknowledge_before_commit():
    """A sender is told that its fills are safe before they are durable."""

    def make(real):
        def acknowledge(self, log):
            for batch in self.batches:
                batch.acknowledged = batch.acknowledged or batch.sequence is not None
            return real(self, log)

        return acknowledge

    return _instead(senders.Senders, "acknowledge", make)


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
        def in_the_end(running, chunks, removed, added):
            yield from real(running, chunks, removed, None)
            if added is not None:
                yield journal.Chunk([added], [running.enter(added)])

        return in_the_end

    return _instead(rematching, "_rerun", make)


def _late_lost():
    """A late trade is noted, and not matched."""
    return _instead(rerun.Rerun, "enter", lambda real: lambda self, trade: None)


def _double_emit():
    """Outputs are written twice."""

    def make(real):
        def write(transaction, prepared):
            real(transaction, prepared)
            return real(transaction, prepared)

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
        def leave(self, trade, figure):
            fees = self._fees
            real(self, trade, figure)
            self._fees = max(self._fees, fees)

        return leave

    return _instead(rerun.Rerun, "leave", make)


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

    return _instead(trade_capture, "_emit_lifecycle", make)


def _failure_takes_a_neighbour():
    """The event behind one that the handler fails on is left out with it."""

    def make(real):
        def without(self, frame):
            kept = real(self, frame)
            if len(kept.events) == len(frame.events):
                return kept
            return replace(kept, events=kept.events[:-1], indexes=kept.indexes[:-1])

        return without

    return _instead(runtime._Frames, "_without_failed", make)


def _failure_blames_a_neighbour():
    """Counts of an event that the handler fails on stay dirty, so that the next event fails as well."""

    def make(real):
        def rollback(self):
            if self._dirty:
                self._counts = counters.read_counts(self._table)
                if not self._table.changes:
                    self._dirty.clear()

        return rollback

    return _instead(counters.Counters, "rollback", make)


def _failure_is_no_dead_letter():
    """An event that the handler fails on is left out, and nothing says so."""

    def make(real):
        def write(self, transaction, prepared):
            prepared.dead = [dead for dead in prepared.dead if dead[3].kind != "failed"]
            real(self, transaction, prepared)

        return write

    return _instead(Runner, "write", make)


def _slots_stale_after_reopening():
    """A commit that failed and was found again when the log was opened is not shown in slots."""

    def make(real):
        def beat(self, runners, log):
            self._reopened = log.reopened
            real(self, runners, log)

        return beat

    return _instead(PositionsPublisher, "beat", make)


def _stopped_looks_live():
    """Slots of a partition that has stopped look live."""
    return _instead(PositionsPublisher, "release", lambda real: lambda self, partitions: None)


def _slots_of_the_last_run():
    """A start does not show the positions that stand in the table."""

    def make(real):
        return lambda self, tables, sequence=0: real(self, [(n, t) for n, t in tables if n], sequence)

    return _instead(PositionsPublisher, "rebuild", make)


def _growth_loses_a_slot():
    """When shared memory grows, the last position is not taken over."""

    def make(real):
        def grown(self, directory, generation):
            larger = real(self, directory, generation)
            size = shm_segment.SLOT_SIZE
            end = shm_segment.SEGMENT_HEADER_SIZE + self.slots_used * size
            larger.mapping.view[end - size : end] = bytes(size)
            return larger

        return grown

    return _instead(shm_segment.Segment, "grown", make)


def _offsets_without_changes():
    """A step with refusals commits its offsets, and not what it changed."""

    def make(real):
        def write(self, transaction, prepared):
            if prepared.dead:
                self.state.table.changes = {}
            real(self, transaction, prepared)

        return write

    return _instead(Runner, "write", make)


def _changes_without_offsets():
    """A step with refusals commits what it changed, and not how far it read."""

    def make(real):
        def write(self, transaction, prepared):
            if prepared.dead:
                prepared.next_offset = None
            real(self, transaction, prepared)

        return write

    return _instead(Runner, "write", make)


def _redelivery_applied():
    """A record that is delivered a second time is applied a second time."""

    def make(real):
        def prepare(self, records):
            if records:
                self.next_offset = records[0].offset
            return real(self, records)

        return prepare

    return _instead(Runner, "prepare", make)


def _retry_applies_twice():
    """A write that failed and is found again is tried once more with the runner of before."""

    def make(real):
        def step(self, name, most, again=0):
            self._opened[name] = self.log.reopened
            return real(self, name, most, again)

        return step

    return _instead(simulated_worker.Worker, "step", make)


def _known_in_part():
    """Every other key that stands in the store is not taken into the filter at a start."""

    def make(real):
        def load(self, keys_max):
            if self._unread is not None:
                for key, _ in list(self._store.scan(self._unread, self._end))[::2]:
                    self.seen(key)
                self._unread = None

        return load

    return _instead(known_keys.KnownKeys, "load", make)


def _known_forgotten_in_a_rollback():
    """After a failed commit the filter of known trades is empty."""

    def make(real):
        def rollback(self):
            real(self)
            self.known_trades = known_keys.KnownKeys(self.table.store, capture_state.TRADE)
            self.known_trades._unread = None

        return rollback

    return _instead(capture_state.CaptureState, "rollback", make)


def _broadcast_noted_too_early():
    """Definitions count as applied before the step that applied them is committed."""

    def make(real):
        def prepare(self, records):
            prepared = real(self, records)
            if prepared is not None:
                self._broadcast_offsets = prepared.broadcast_offsets
            return prepared

        return prepare

    return _instead(Runner, "prepare", make)


def _broadcast_one_too_late():
    """A definition that comes while the stage runs is applied one step late."""

    def make(real):
        def apply(self):
            end = self._log.end_offset(INSTRUMENTS.name, 0)
            before, self.instruments_end = getattr(self, "instruments_end", 0), end
            return dict(self._broadcast_offsets) if self.next_offset and before != end else real(self)

        return apply

    return _instead(Runner, "_apply_broadcasts", make)


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
        def start(self, table, *arguments):
            chunks = [key for key, _ in table.store.scan(journal.JOURNAL, journal.JOURNAL + b"\xff")]
            if len(chunks) > 3:
                table.store = _Hiding(table.store, chunks[-1])
            real(self, table, *arguments)

        return start

    return _instead(position_state.PositionsState, "__init__", make)


def _late_trade_at_a_chunk_border():
    """A late trade whose place is between two chunks of the journal drops the entry behind it."""

    def make(real):
        def take_from(self, table, start):
            before, chunks = real(self, table, start)
            if before is None and chunks and chunks[0].first > start:
                chunks = [chunks[0].part(1), *chunks[1:]]
            return before, chunks

        return take_from

    return _instead(journal.Journal, "take_from", make)


def _coalescing_loses_a_request():
    """Of requests that arrive together the last is answered, and not written."""
    return _instead(
        owner, "coalesced", lambda real: lambda found: real(found[:-1] if len(found) > 1 else found)
    )


def _receipt_counts_the_past():
    """A receipt counts what its sources had sent before."""

    def make(real):
        def note(self, gate, chunk):
            real(self, gate, chunk)
            self.before = dict.fromkeys(self.before, (0, 0, 0, 0))

        return note

    return _instead(entry._Sources, "note", make)


def _dead_letter_cut():
    """A dead letter has not all of the original bytes."""
    return _instead(runtime, "_original_bytes", lambda real: lambda *arguments: real(*arguments)[:-1])


def _hash_forgotten():
    """A fill of a new id is taken though its client's hash is known."""
    return _instead(capture_state.CaptureState, "hash_known", lambda real: lambda self, name, when: False)


def _hash_of_a_refused_one_kept():
    """The hash of a correction that is refused after all counts as known."""
    return _instead(capture_state.CaptureState, "forget_hash", lambda real: lambda self, name, when: None)


def _hash_known_for_ever():
    """A hash is known for longer than a day."""

    def make(real):
        return lambda self, name, when: self.table.get(capture_state.HASH + name.encode()) is not None

    return _instead(capture_state.CaptureState, "hash_known", make)


def _other_instrument_keeps_the_trade():
    """An amend that moves a trade to another instrument leaves it in the first one as well."""

    def make(real):
        def plan(state, event, live):
            changes = real(state, event, live)
            return changes[1:] if len(changes) > 1 else changes

        return plan

    return _instead(corrections, "_plan", make)


def _memory_kept_after_a_failed_read():
    """A step that could not read the log is tried again with what the attempt left in memory."""
    return _instead(simulated_worker, "_TO_BE_OPENED", lambda real: 0)


def _failed_read_blames_an_event():
    """An event in whose handling the log could not be read becomes a dead letter."""
    return _instead(
        runtime,
        "_NO_FAULT_OF_AN_EVENT",
        lambda real: tuple(kind for kind in real if kind is not EmbeddedLogError),
    )


def _second_stage_not_written():
    """Where two stages step in one commit, what the second one did is not in it."""

    def make(real):
        def write(transaction, prepared):
            if getattr(transaction, "written", False):
                return {}
            transaction.written = True
            return real(transaction, prepared)

        return write

    return _instead(runtime, "_write", make)


def _second_stage_keeps_its_place():
    """Where two stages step in one commit, the second one does not note how far it has come."""

    def make(real):
        def prepare(self, records):
            prepared = real(self, records)
            if prepared is not None and isinstance(records[0], runtime.Appended):
                prepared.next_offset = None
            return prepared

        return prepare

    return _instead(Runner, "prepare", make)


SEEDS_MAX = 1_000
SIMULATED = (
    "acknowledge before commit",
    "offset apart",
    "retry applies twice",
    "memory kept after a failed read",
)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts" / "simulation.md"
_BLOCK = re.compile(r"(<!-- generated: planted defects -->\n)(.*?)(<!-- end -->)", re.DOTALL)

_ALL = (
    _acknowledge_before_commit,
    _skip_on_retry,
    _rollback_keeps_state,
    _positions_keep_state,
    _counters_not_rolled_back,
    _late_at_the_end,
    _late_lost,
    _double_emit,
    _lost_output,
    _stale_slot,
    _uncommitted_slot,
    _offset_apart,
    _known_forgotten,
    _waiting_cancel_ignored,
    _waiting_lost_at_restart,
    _amend_takes_new_place,
    _fee_dropped_in_a_flip,
    _residue_when_flat,
    _broadcast_after,
    _changelog_without_deletes,
    _poison_drops_neighbours,
    _last_event_cut,
    _conflict_taken_for_repeat,
    _moved_stays,
    _removed_fee_stays,
    _moved_to_the_wrong_partition,
    _failure_takes_a_neighbour,
    _failure_blames_a_neighbour,
    _failure_is_no_dead_letter,
    _slots_stale_after_reopening,
    _stopped_looks_live,
    _slots_of_the_last_run,
    _growth_loses_a_slot,
    _offsets_without_changes,
    _changes_without_offsets,
    _redelivery_applied,
    _retry_applies_twice,
    _known_in_part,
    _known_forgotten_in_a_rollback,
    _broadcast_noted_too_early,
    _broadcast_one_too_late,
    _journal_chunk_lost_at_restart,
    _late_trade_at_a_chunk_border,
    _coalescing_loses_a_request,
    _receipt_counts_the_past,
    _dead_letter_cut,
    _hash_forgotten,
    _hash_of_a_refused_one_kept,
    _hash_known_for_ever,
    _other_instrument_keeps_the_trade,
    _memory_kept_after_a_failed_read,
    _failed_read_blames_an_event,
    _second_stage_not_written,
    _second_stage_keeps_its_place,
)
PLANTED: dict[str, Callable[[], Any]] = {
    defect.__name__.strip("_").replace("_", " "): defect for defect in _ALL
}
"""Each defect by its name."""


def caught() -> dict[str, int]:
    """The first seed that catches each defect, as the page has it."""
    block = _BLOCK.search(PAGE.read_text())
    assert block is not None, f"{PAGE} has no table of planted defects"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block[2].splitlines()[2:]]
    return {name: int(seed) for name, _, seed, _ in rows}


def first_seed(defect: Callable[[], Any]) -> tuple[int, str] | None:
    """The first seed that catches a defect, and what it says."""
    with defect():
        for seed in range(SEEDS_MAX):
            outcome = simulate(seed)
            if outcome.violation:
                return seed, _cell(outcome.violation)
    return None


def _cell(text: str) -> str:
    """What the table keeps of a violation: the first 110 characters, without what would end a cell."""
    return " ".join(text.replace("|", "/").split())[:110].strip()


def main() -> int:
    """Write the table anew; the names of defects that no seed catches are printed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    rows, missed = [], []
    for name, defect in PLANTED.items():
        found = first_seed(defect)
        if found is None:
            missed.append(name)
            continue
        where = " (simulated)" if name in SIMULATED else ""
        rows.append(f"| {name} | {' '.join(str(defect.__doc__).split())}{where} | {found[0]} | {found[1]} |")
    table = "\n".join(
        ["| defect | what it does | first seed | what the simulation said |", "|---|---|---|---|", *rows]
    )
    text = PAGE.read_text()
    PAGE.write_text(_BLOCK.sub(lambda block: f"{block[1]}{table}\n{block[3]}", text))
    for name in missed:
        print(f"not caught within {SEEDS_MAX} seeds: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
