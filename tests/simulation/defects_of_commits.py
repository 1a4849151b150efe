"""Defects of steps, commits and the log."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agents import positions
from connectors.embedded.errors import EmbeddedLogError
from schemas.topics import INSTRUMENTS
from tables import partition as table_partition
from tests.simulation.switches import instead
from topology import runtime, step_input, step_output
from topology.simulation import log as simulated_log
from topology.simulation import worker as simulated_worker

Runner = runtime.PartitionRunner


def _skip_on_retry():
    """A step whose commit fails is not tried again: its input is passed over."""

    def make(real):
        def rollback(self):
            real(self)
            self.next_offset = max(
                self.next_offset, self._log.end_offset(self.stage.input.name, self.partition)
            )

        return rollback

    return instead(Runner, "rollback", make)


def _rollback_keeps_state():
    """After a failed commit the table's changes of the step stay in memory."""
    return instead(table_partition.TablePartition, "rollback", lambda real: lambda self: None)


def _double_emit():
    """Outputs are written twice."""

    def make(real):
        def write(transaction, steps):
            real(transaction, steps)
            return real(transaction, steps)

        return write

    return instead(runtime, "write_outputs", make)


def _lost_output():
    """The last event of a step's output is not written."""
    return instead(step_output, "merged", lambda real: lambda found: real(found)[:-1] or real(found)[:0])


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

    return instead(Runner, "prepare", make)


def _offset_apart():
    """Offsets are committed in a commit of their own, after that of the state."""

    def make(real):
        def commit(self):
            offsets, self._offsets = self._offsets, {}
            sequence = real(self)
            return self._log.write([], {}, offsets) if offsets else sequence

        return commit

    return instead(simulated_log.SimulatedTransaction, "commit", make)


def _broadcast_after():
    """Definitions are applied after the fills of the first step."""

    def make(real):
        def apply(self):
            return real(self) if self.next_offset else dict(self._broadcast_offsets)

        return apply

    return instead(Runner, "_apply_broadcasts", make)


def _changelog_without_deletes():
    """Removed keys are not in the changelog."""

    def make(real):
        def packed(changes):
            pairs = zip(changes[::2], changes[1::2], strict=True)
            return real([item for pair in pairs if pair[1] is not None for item in pair])

        return packed

    return instead(runtime, "packed", make)


def _poison_drops_neighbours():
    """One event that cannot be read drops the readable ones of its frame."""

    def make(real):
        def decode(self, record):
            unreadable = len(self.unreadable)
            frame = real(self, record)
            return replace(frame, events=[], indexes=[]) if len(self.unreadable) > unreadable else frame

        return decode

    return instead(step_input.StepFrames, "_decode", make)


def _last_event_cut():
    """The last event of a frame of three or more is lost."""

    def make(real):
        def decode(self, record):
            frame = real(self, record)
            if len(frame.events) > 2:
                frame.events.pop()
            return frame

        return decode

    return instead(step_input.StepFrames, "_decode", make)


def _failure_takes_a_neighbour():
    """The event behind one that the handler fails on is left out with it."""

    def make(real):
        def without(self, frame):
            kept = real(self, frame)
            if len(kept.events) == len(frame.events):
                return kept
            return replace(kept, events=kept.events[:-1], indexes=kept.indexes[:-1])

        return without

    return instead(step_input.StepFrames, "_without_failed", make)


def _failure_is_no_dead_letter():
    """An event that the handler fails on is left out, and nothing says so."""

    def make(real):
        def write(self, transaction, prepared):
            prepared.dead = [dead for dead in prepared.dead if dead[3].kind != "failed"]
            real(self, transaction, prepared)

        return write

    return instead(Runner, "write", make)


def _offsets_without_changes():
    """A step with refusals commits its offsets, and not what it changed."""

    def make(real):
        def write(self, transaction, prepared):
            if prepared.dead:
                self.state.table.changes = {}
            real(self, transaction, prepared)

        return write

    return instead(Runner, "write", make)


def _changes_without_offsets():
    """A step with refusals commits what it changed, and not how far it read."""

    def make(real):
        def write(self, transaction, prepared):
            if prepared.dead:
                prepared.next_offset = None
            real(self, transaction, prepared)

        return write

    return instead(Runner, "write", make)


def _redelivery_applied():
    """A record that is delivered a second time is applied a second time."""

    def make(real):
        def prepare(self, records):
            if records:
                self.next_offset = records[0].offset
            return real(self, records)

        return prepare

    return instead(Runner, "prepare", make)


def _retry_applies_twice():
    """A write that failed and is found again is tried once more with the runner of before."""

    def make(real):
        def step(self, name, most, again=0):
            self._opened[name] = self.log.reopened
            return real(self, name, most, again)

        return step

    return instead(simulated_worker.Worker, "step", make)


def _broadcast_noted_too_early():
    """Definitions count as applied before the step that applied them is committed."""

    def make(real):
        def prepare(self, records):
            prepared = real(self, records)
            if prepared is not None:
                self._broadcast_offsets = prepared.broadcast_offsets
            return prepared

        return prepare

    return instead(Runner, "prepare", make)


def _broadcast_one_too_late():
    """A definition that comes while the stage runs is applied one step late."""

    def make(real):
        def apply(self):
            end = self._log.end_offset(INSTRUMENTS.name, 0)
            before, self.instruments_end = getattr(self, "instruments_end", 0), end
            return dict(self._broadcast_offsets) if self.next_offset and before != end else real(self)

        return apply

    return instead(Runner, "_apply_broadcasts", make)


def _dead_letter_cut():
    """A dead letter has not all of the original bytes."""
    return instead(runtime, "original_bytes", lambda real: lambda *arguments: real(*arguments)[:-1])


def _memory_kept_after_a_failed_read():
    """A step that could not read the log is tried again with what the attempt left in memory."""
    return instead(simulated_worker, "_TO_BE_OPENED", lambda real: 0)


def _failed_read_blames_an_event():
    """An event in whose handling the log could not be read becomes a dead letter."""
    return instead(
        step_input,
        "_NO_FAULT_OF_AN_EVENT",
        lambda real: tuple(kind for kind in real if kind is not EmbeddedLogError),
    )


def _second_stage_not_written():
    """Where two stages step in one commit, what the second one did is not in it."""

    def make(real):
        def prepare(transaction, runner, records):
            if runner.stage.name != positions.NAME or not isinstance(
                next(iter(records), None), step_output.Appended
            ):
                return real(transaction, runner, records)
            part = runner.prepare(records)
            if part is not None:
                part.step.outputs.clear()
            return part

        return prepare

    return instead(runtime, "_prepare", make)


def _second_stage_keeps_its_place():
    """Where two stages step in one commit, the second one does not note how far it has come."""

    def make(real):
        def prepare(self, records):
            prepared = real(self, records)
            if prepared is not None and isinstance(records[0], step_output.Appended):
                prepared.next_offset = None
            return prepared

        return prepare

    return instead(Runner, "prepare", make)


DEFECTS: tuple[Callable[[], Any], ...] = (
    _skip_on_retry,
    _rollback_keeps_state,
    _double_emit,
    _lost_output,
    _uncommitted_slot,
    _offset_apart,
    _broadcast_after,
    _changelog_without_deletes,
    _poison_drops_neighbours,
    _last_event_cut,
    _failure_takes_a_neighbour,
    _failure_is_no_dead_letter,
    _offsets_without_changes,
    _changes_without_offsets,
    _redelivery_applied,
    _retry_applies_twice,
    _broadcast_noted_too_early,
    _broadcast_one_too_late,
    _dead_letter_cut,
    _memory_kept_after_a_failed_read,
    _failed_read_blames_an_event,
    _second_stage_not_written,
    _second_stage_keeps_its_place,
)
