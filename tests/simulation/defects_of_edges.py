"""Defects of senders, entry, and shared memory."""

from collections.abc import Callable
from typing import Any

from connectors.shm import segment as shm_segment
from tests.simulation.switches import instead
from topology.control import entry, intake, owner
from topology.shared_memory import PositionsPublisher
from topology.simulation import senders


def _acknowledge_before_commit():
    """A sender is told that its fills are safe before they are durable."""

    def make(real):
        def acknowledge(self, log):
            for batch in self.batches:
                batch.acknowledged = batch.acknowledged or batch.sequence is not None
            return real(self, log)

        return acknowledge

    return instead(senders.Senders, "acknowledge", make)


def _slots_stale_after_reopening():
    """A commit that failed and was found again when the log was opened is not shown in slots."""

    def make(real):
        def beat(self, runners, log):
            self._reopened = log.reopened
            real(self, runners, log)

        return beat

    return instead(PositionsPublisher, "beat", make)


def _stopped_looks_live():
    """Slots of a partition that has stopped look live."""
    return instead(PositionsPublisher, "release", lambda real: lambda self, partitions: None)


def _slots_of_the_last_run():
    """A start does not show the positions that stand in the table."""

    def make(real):
        return lambda self, tables, sequence=0: real(self, [(n, t) for n, t in tables if n], sequence)

    return instead(PositionsPublisher, "rebuild", make)


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

    return instead(shm_segment.Segment, "grown", make)


def _coalescing_loses_a_request():
    """Of requests that arrive together the last is answered, and not written."""
    return instead(
        owner, "coalesced", lambda real: lambda found: real(found[:-1] if len(found) > 1 else found)
    )


def _receipt_counts_the_past():
    """A receipt counts what its sources had sent before."""

    def make(real):
        def note(self, gate, chunk):
            real(self, gate, chunk)
            self.before = dict.fromkeys(self.before, (0, 0, 0, 0))

        return note

    return instead(entry._Sources, "note", make)


def _failed_append_keeps_its_step():
    """Where an append fails, what its stages had computed beside it stays in memory."""

    def make(real):
        def append_together(transaction, appended, stages):
            pending = real(transaction, appended, stages)
            pending.begun = []
            return pending

        return append_together

    return instead(intake, "append_together", make)


def _append_not_seen_by_its_stage():
    """A stage that stepped in the commit of an append does not know that it has read it."""

    def make(real):
        def append_through(log, app, runners, records):
            before = [(runner, runner.next_offset) for runner in runners]
            sequence = real(log, app, runners, records)
            for runner, offset in before:
                runner.next_offset = offset
            return sequence

        return append_through

    return instead(intake, "append_through", make)


DEFECTS: tuple[Callable[[], Any], ...] = (
    _acknowledge_before_commit,
    _slots_stale_after_reopening,
    _stopped_looks_live,
    _slots_of_the_last_run,
    _growth_loses_a_slot,
    _coalescing_loses_a_request,
    _receipt_counts_the_past,
    _failed_append_keeps_its_step,
    _append_not_seen_by_its_stage,
)
