"""Positions into shared memory: an observer of the positions stage that writes what a step has touched.

Owns: when slots are written (after the commit, never before), and the heartbeat.
Assumes: called on the one thread that runs the stages.
Guarantees: a slot shows committed state; a restart rebuilds all slots from the table before readers see them, and a
log that was opened again does so within a heartbeat; a full segment is an alarm, never an exception into the step.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Protocol

import structlog

from agents.open_position import OpenPosition, ShownPosition, scan_shown
from connectors.shm.writer import SLOTS_MAX, PositionWriter
from schemas.numbers import exact_arithmetic
from tables.partition import TablePartition
from topology.runtime import PartitionRunner, StepReport

HEARTBEAT_SECONDS = 0.1
"""How often `heartbeat` is to be called; readers take ten times that for a stale writer."""

FILL_POSITIONS = 500
"""How many positions are written at a time where steps may run between: some milliseconds."""

STAGE = "positions"
_TIME_MIN, _TIME_MAX = -(1 << 63), (1 << 63) - 1
_logger = structlog.get_logger(__name__)


class _OpenedLog(Protocol):
    reopened: int
    sequence: int

    @property
    def durable_sequence(self) -> int: ...


class PositionsPublisher:
    """Writes the positions of a process into `/pks-positions-v1` (or another name).

    Raises `connectors.shm.errors.SharedMemoryError` where that cannot be: another writer, no memory, another
    layout. Use: make it, give it to the runners as an observer, `start`, `beat` ten times a second, `close`.
    """

    def __init__(
        self,
        name: str,
        slots: int,
        partitions: int,
        worker: str = "0",
        *,
        slots_max: int = SLOTS_MAX,
        on_alarm: Callable[[str], None] | None = None,
    ) -> None:
        self._on_alarm = on_alarm
        self.alarms = 0
        self.committed_sequence = 0
        self._reopened = 0
        self._released: set[int] = set()
        self._written_since: dict[int, set[tuple[str, str]]] = {}
        self.writer = PositionWriter(
            name,
            slots=slots,
            partitions=partitions,
            worker=worker,
            slots_max=slots_max,
            on_alarm=self._alarm,
        )

    def _alarm(self, text: str) -> None:
        self.alarms += 1
        _logger.warning("shared memory is full", detail=text)
        if self._on_alarm is not None:
            self._on_alarm(text)

    def start(self, runners: Sequence[PartitionRunner], log: _OpenedLog) -> None:
        """Show the committed positions of the partitions that run."""
        self._reopened = log.reopened
        tables = [
            (runner.partition, runner.state.table)
            for runner in runners
            if runner.stage.name == STAGE and runner.stopped is None
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
            if runner.stage.name == STAGE and runner.stopped is not None
        } - self._released
        if stopped:
            self.release(stopped)
            self._released |= stopped
        if log.reopened != self._reopened:
            self.start(runners, log)
        self.heartbeat(log.durable_sequence)

    def rebuild(self, tables: Iterable[tuple[int, TablePartition]], committed_sequence: int = 0) -> int:
        """Write every position of these partitions' tables, then show them; returns how many there are."""
        tables = list(tables)
        count = sum(sum(self.fill(partition, table)) for partition, table in tables)
        self.committed_sequence = committed_sequence
        self.writer.committed(committed_sequence)
        self.writer.claim(partition for partition, _ in tables)
        return count

    def fill(self, partition: int, table: TablePartition) -> Iterator[int]:
        """Write every position of a partition's table, some at a time: yields how many, and steps may run between.

        What a step writes meanwhile stays: it is newer than what is read here.
        """
        newer = self._written_since[partition] = set()
        shown = scan_shown(table)
        while True:
            with exact_arithmetic():
                some = list(islice(shown, FILL_POSITIONS))
                now = time.time_ns()
                for found in some:
                    if (found.book, found.instrument) not in newer:
                        self._write_shown(found, partition, now)
            if not some:
                break
            yield len(some)
        del self._written_since[partition]

    def _write_shown(self, shown: ShownPosition, partition: int, now: int) -> None:
        self.writer.write(
            (shown.book, shown.instrument),
            partition,
            shown.terms.currency,
            (
                shown.quantity,
                shown.average_price,
                shown.cost_basis,
                shown.realised_pnl,
                shown.net_realised_pnl,
                shown.fees,
            ),
            (shown.lots_open, shown.revision),
            (_slot_time(shown.last[0]), now),
        )

    def __call__(self, runner: PartitionRunner, report: StepReport) -> None:
        """Write what a step of the positions stage has touched."""
        if runner.stage.name != STAGE or not report.touched:
            return
        partition, now = runner.partition, time.time_ns()
        with exact_arithmetic():
            for opened in report.touched.values():
                self._write(opened, partition, now)
        if partition in self._written_since:
            self._written_since[partition].update(
                (opened.book, opened.instrument) for opened in report.touched.values()
            )
        self.committed_sequence = max(self.committed_sequence, report.sequence)
        self.writer.committed(self.committed_sequence)

    def _write(self, opened: OpenPosition, partition: int, now: int) -> None:
        position = opened.position
        decimals: tuple[Decimal | None, ...] = (
            position.quantity,
            position.average_price,
            position.cost_basis,
            position.realised_pnl,
            position.net_realised_pnl,
            position.fees,
        )
        self.writer.write(
            (opened.book, opened.instrument),
            partition,
            position.terms.currency,
            decimals,
            (len(position.lots), opened.revision),
            (_slot_time(opened.last[0]), now),
        )

    def heartbeat(self, durable_sequence: int | None = None) -> None:
        """Say that the process lives, and up to where the log is durable; call it every `HEARTBEAT_SECONDS`."""
        self.writer.heartbeat(durable_sequence)

    def release(self, partitions: Iterable[int]) -> None:
        """These partitions are ours no more (or have stopped): their slots are not live from now on."""
        self.writer.release(partitions)

    def close(self) -> None:
        """A clean stop: readers see the last state, marked as closed."""
        self.writer.close()


def _slot_time(at: int) -> int:
    return at if _TIME_MIN <= at <= _TIME_MAX else min(max(at, _TIME_MIN), _TIME_MAX)
