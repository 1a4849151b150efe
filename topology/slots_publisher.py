"""Slots of shared memory as a stage fills them: an observer that writes what a step has touched.

Owns: when slots are written (after the commit, never before), and the heartbeat.
Assumes: called on the one thread that runs the stages.
Guarantees: a slot shows committed state; a restart rebuilds all slots from the table before readers see them, and a
log that was opened again does so within a heartbeat; a full segment is an alarm, never an exception into the step.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import structlog

from connectors.shm.slot_writer import SlotWriter
from schemas.numbers import exact_arithmetic
from tables.partition import TablePartition
from topology.runtime import PartitionRunner, StepReport

HEARTBEAT_SECONDS = 0.1
"""How often `heartbeat` is to be called; readers take ten times that for a stale writer."""

FILL_SLOTS = 500
"""How many slots are written at a time where steps may run between: some milliseconds."""

Writer = TypeVar("Writer", bound=SlotWriter[Any])
_logger = structlog.get_logger(__name__)


class _OpenedLog(Protocol):
    reopened: int
    sequence: int

    @property
    def durable_sequence(self) -> int: ...


class SlotsPublisher(ABC, Generic[Writer]):
    """Writes what one stage keeps into slots.

    Use: make it, give it to the runners as an observer, `start`, `beat` ten times a second, `close`.
    """

    stage: str

    def __init__(
        self,
        make_writer: Callable[[Callable[[str], None]], Writer],
        on_alarm: Callable[[str], None] | None = None,
    ) -> None:
        self._on_alarm = on_alarm
        self.alarms = 0
        self.committed_sequence = 0
        self._reopened = 0
        self._released: set[int] = set()
        self._written_since: dict[int, set[Hashable]] = {}
        self.writer = make_writer(self._alarm)

    @abstractmethod
    def shown(self, table: TablePartition) -> Iterator[Any]:
        """All that a table partition has to show."""

    @abstractmethod
    def key_of(self, found: Any) -> Hashable:
        """The key of the slot of what `shown` gives, or a step has touched."""

    @abstractmethod
    def write_shown(self, found: Any, partition: int, now: int) -> None:
        """Write what `shown` gives."""

    @abstractmethod
    def write_touched(self, touched: Any, partition: int, now: int) -> None:
        """Write what a step has touched."""

    def _alarm(self, text: str) -> None:
        self.alarms += 1
        _logger.warning("shared memory is full", detail=text)
        if self._on_alarm is not None:
            self._on_alarm(text)

    def start(self, runners: Sequence[PartitionRunner], log: _OpenedLog) -> None:
        """Show what is committed of the partitions that run."""
        self._reopened = log.reopened
        tables = [
            (runner.partition, runner.state.table)
            for runner in runners
            if runner.stage.name == self.stage and runner.stopped is None
        ]
        self.rebuild(tables, log.sequence)

    def beat(self, runners: Sequence[PartitionRunner], log: _OpenedLog) -> None:
        """The heartbeat; call it every `HEARTBEAT_SECONDS`, between steps.

        What stands still must not look live, though the process does live. And where the log was opened again, a
        commit that had failed may be found in it, which no step has shown.
        """
        stopped = {
            runner.partition
            for runner in runners
            if runner.stage.name == self.stage and runner.stopped is not None
        } - self._released
        if stopped:
            self.release(stopped)
            self._released |= stopped
        if log.reopened != self._reopened:
            self.start(runners, log)
        self.heartbeat(log.durable_sequence)

    def rebuild(self, tables: Iterable[tuple[int, TablePartition]], committed_sequence: int = 0) -> int:
        """Write all that these partitions' tables show, then let readers see it; returns how many slots that are."""
        tables = list(tables)
        count = sum(sum(self.fill(partition, table)) for partition, table in tables)
        self.committed_sequence = committed_sequence
        self.writer.committed(committed_sequence)
        self.claim(partition for partition, _ in tables)
        return count

    def fill(self, partition: int, table: TablePartition) -> Iterator[int]:
        """Write all that a partition's table shows, some at a time: yields how many, and steps may run between.

        What a step writes meanwhile stays: it is newer than what is read here.
        """
        newer = self._written_since[partition] = set()
        shown = self.shown(table)
        while True:
            with exact_arithmetic():
                some = list(islice(shown, FILL_SLOTS))
                now = time.time_ns()
                for found in some:
                    if self.key_of(found) not in newer:
                        self.write_shown(found, partition, now)
            if not some:
                break
            yield len(some)
        del self._written_since[partition]

    def __call__(self, runner: PartitionRunner, report: StepReport) -> None:
        """Write what a step of the stage has touched."""
        if runner.stage.name != self.stage or not report.touched:
            return
        partition, now = runner.partition, time.time_ns()
        with exact_arithmetic():
            for touched in report.touched.values():
                self.write_touched(touched, partition, now)
        if partition in self._written_since:
            self._written_since[partition].update(self.key_of(touched) for touched in report.touched.values())
        self.committed_sequence = max(self.committed_sequence, report.sequence)
        self.writer.committed(self.committed_sequence)

    def heartbeat(self, durable_sequence: int | None = None) -> None:
        """Say that the process lives, and up to where the log is durable; call it every `HEARTBEAT_SECONDS`."""
        self.writer.heartbeat(durable_sequence)

    def renew(self, partition: int) -> None:
        """Begin to own a partition (again): `fill` it after this, then `claim` it."""
        self.writer.renew(partition)

    def claim(self, partitions: Iterable[int]) -> None:
        """All of these partitions is written: let readers see it."""
        self.writer.claim(partitions)

    def release(self, partitions: Iterable[int]) -> None:
        """These partitions are ours no more (or have stopped): their slots are not live from now on."""
        self.writer.release(partitions)

    def close(self) -> None:
        """A clean stop: readers see the last state, marked as closed."""
        self.writer.close()
