"""The stage runtime: decode, call the handler, commit once. The order of a commit lives here and nowhere else.

Owns: the one step of every stage, whoever drives it (a Faust agent, a replay, a test, a simulation).
Assumes: one runner a stage and partition, called with the partition's records in order.
Guarantees: changes, changelog, outputs, dead letters and input offsets of a step are one transaction; a record
is applied once (a redelivered one is skipped, a gap stops the partition); input that cannot be applied goes to
the dead letters with its bytes, and the partition moves on; a broken invariant stops this partition only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, groupby
from typing import Any

import structlog

from agents.stage import Frame, InvariantBroken, Refusal, Stage, StageState, Step
from schemas import events
from schemas.changelog import PACKED_KEY, RESTORED_KEY, encode_offset
from schemas.frames import BadEvent, encode_event, wire
from schemas.identity import derived_id
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from schemas.topics import TOPIC_BY_NAME, Topic
from tables.partition import TablePartition
from topology.log import Log, LogStore, Record, Transaction
from topology.step_input import DeadEvent, StepFrames, contiguous, failure, original_bytes
from topology.step_output import Appends, packed, write_outputs

BROADCAST_RECORDS_MAX = 1_000

TOGETHER_BYTES_MAX = 8 * 1024 * 1024
"""What a commit may append before a third stage steps in it, or a further one: what is left out reads it from the log."""

UNREADABLE = "unreadable"
"""The source under which events are counted that cannot be read, so name no source."""

REFUSED_DEFINITIONS = "refused definitions"
"""The source under which reference data is counted that cannot be taken in; what is taken in is no counted input."""

_DeadLetter = wire(events.DeadLetter)
_logger = structlog.get_logger(__name__)


class _Idle(tuple[Record, ...]):
    """No records: a slice of what the stage has left over."""


IDLE: Sequence[Record] = _Idle()
"""In place of a step's records: do a slice of the stage's idle work."""


class PartitionStopped(Exception):
    """This partition of this stage has stopped; `reason` says what was expected and found."""


@dataclass(slots=True)
class StepReport:
    """What one step did."""

    records: int = 0
    events: int = 0
    outputs: int = 0
    dead_letters: int = 0
    sequence: int = 0
    touched: dict[Any, Any] = field(default_factory=dict)


class PartitionRunner:
    """Runs one stage on one partition."""

    def __init__(
        self,
        stage: Stage,
        partition: int,
        log: Log,
        partitions: int,
        observers: Sequence[Callable[["PartitionRunner", StepReport], None]] = (),
    ) -> None:
        self.stage = stage
        self.partition = partition
        self.stopped: str | None = None
        self._log = log
        self._observers = observers
        self._partitions = partitions
        self._partition_of = lru_cache(maxsize=100_000)(
            lambda key: partition_of_key(key.encode(), partitions)
        )
        with exact_arithmetic():
            self.state: StageState = stage.open_state(
                TablePartition(LogStore(log, stage.table.name, partition))
            )
        self.next_offset = self._committed(stage.input.name, partition)
        self._broadcast_offsets = {topic.name: self._committed(topic.name, 0) for topic in stage.broadcasts}
        self._dead_broadcasts: list[tuple[str, DeadEvent]] = []

    @property
    def group(self) -> str:
        """The consumer group of this stage; a broadcast is consumed by each partition for itself."""
        return self.stage.name

    def begin(self) -> Transaction:
        """A new transaction of the log."""
        return self._log.transaction()

    def _committed(self, topic: str, partition: int) -> int:
        return self._log.committed(self._group_of(topic), topic, partition) or 0

    def _group_of(self, topic: str) -> str:
        return self.group if topic == self.stage.input.name else f"{self.group}/{self.partition}"

    def step(self, records: Sequence[Record]) -> StepReport:
        """Apply records, which follow the last applied one (earlier ones are skipped), and commit.

        Raises PartitionStopped where an invariant is broken or records are missing, and `CommitError` of the
        log where the write failed; then nothing is applied and the step may be tried again.
        """
        reports = step_together([(self, records)])
        if self.stopped is not None:
            raise PartitionStopped(self.stopped)
        return reports[0][1]

    @property
    def has_idle_work(self) -> bool:
        """Whether the stage has left something over, to be done in slices (`rest`)."""
        work = self.stage.idle_work
        return work is not None and self.stopped is None and work.is_left(self.state)

    @property
    def is_full(self) -> bool:
        """Whether it must not step before some of its idle work is done."""
        work = self.stage.idle_work
        return work is not None and self.stopped is None and work.is_full(self.state)

    def rest(self) -> None:
        """Do all of the stage's idle work, each slice in a commit of its own. Raises as `step` does."""
        while self.has_idle_work:
            self.step(IDLE)

    def prepare(self, records: Sequence[Record]) -> "Prepared | None":
        """Decode and handle records; nothing is written yet. None where the partition is, or now has, stopped."""
        if self.stopped is not None:
            return None
        fresh = records
        if not records or records[0].offset < self.next_offset:
            fresh = [record for record in records if record.offset >= self.next_offset]
        if fresh and self.stage.bears_gaps and fresh[0].offset > self.next_offset:
            self._pass_over(fresh[0])
        if fresh and not contiguous(fresh, self.next_offset):
            self._stop(
                f"expected {len(fresh)} records of {self.stage.input.name} from offset {self.next_offset} on, found "
                f"{fresh[0].offset} to {fresh[-1].offset}: some are missing"
            )
            return None
        frames = StepFrames(self.stage, self.partition, fresh)
        try:
            step, broadcast_offsets = self._do_slice() if records is IDLE else self._handle(frames)
        except InvariantBroken as error:
            self.rollback()
            self._stop(str(error))
            return None
        dead = list(frames.unreadable)
        for (offset, index), (event, refusal) in frames.failed.items():
            dead.append((offset, index, original_bytes(fresh, offset, index, event), refusal))
        for offset, index, event, refusal in step.refusals:
            dead.append((offset, index, original_bytes(fresh, offset, index, event), refusal))
        dead_broadcasts = self._reported_broadcasts()
        report = StepReport(
            records=len(fresh),
            events=frames.events,
            dead_letters=len(dead) + len(dead_broadcasts),
            touched=step.touched,
        )
        next_offset = fresh[-1].offset + 1 if fresh else None
        blank = records is IDLE and not (self.state.table.changes or step.outputs or dead)
        return Prepared(self, step, dead, dead_broadcasts, next_offset, broadcast_offsets, report, blank)

    def _pass_over(self, first: Record) -> None:
        """Go on with a record before which some are gone; where marks of transactions stand there, none are."""
        start = getattr(first, "follows", first.offset)
        if start > self.next_offset:
            _logger.warning(
                "input is gone that was not read",
                stage=self.stage.name,
                partition=self.partition,
                expected=self.next_offset,
                found=first.offset,
            )
            self.next_offset = start

    def rollback(self) -> None:
        """Forget whatever the running step has done."""
        self.state.table.rollback()
        self.state.rollback()

    def committed(self, prepared: "Prepared", sequence: int) -> StepReport:
        """What was prepared is in the log."""
        self._broadcast_offsets = prepared.broadcast_offsets
        if prepared.next_offset is not None:
            self.next_offset = prepared.next_offset
        self.state.committed()
        self.state.table.committed()
        if prepared.blank:
            return prepared.report
        prepared.report.sequence = sequence
        for observer in self._observers:
            observer(self, prepared.report)
        return prepared.report

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        _logger.error("partition stopped", stage=self.stage.name, partition=self.partition, reason=reason)

    def _apply_broadcasts(self) -> dict[str, int]:
        self._dead_broadcasts = []
        for name, offset in self._broadcast_offsets.items():
            if self._log.end_offset(name, 0) > offset:
                return self._apply_new_broadcasts()
        return self._broadcast_offsets

    def _apply_new_broadcasts(self) -> dict[str, int]:
        offsets = dict(self._broadcast_offsets)
        for topic in self.stage.broadcasts:
            offset = offsets[topic.name]
            if self._log.end_offset(topic.name, 0) <= offset:
                continue
            while found := self._log.read(topic.name, 0, offset, BROADCAST_RECORDS_MAX, 1 << 20):
                for record in found:
                    self._apply_broadcast(topic, record)
                offset = found[-1].offset + 1
            offsets[topic.name] = offset
        return offsets

    def _apply_broadcast(self, topic: Topic, record: Record) -> None:
        """Give the stage the events of a record, and note those that it cannot take in."""
        value = record.value or b""
        for index, event in enumerate(topic.codec.decode_each(value)):
            refusal: Refusal | None
            if isinstance(event, BadEvent):
                original, refusal = event.original, Refusal(event.reason, kind="unreadable")
            else:
                original, refusal = b"", self._broadcast_refusal(event)
            if refusal is not None:
                original = original or original_bytes([record], record.offset, index, event)
                self._dead_broadcasts.append((topic.name, (record.offset, index, original, refusal)))

    def _broadcast_refusal(self, event: Any) -> Refusal | None:
        try:
            return None if self.stage.on_broadcast is None else self.stage.on_broadcast(self.state, event)
        except Exception as error:
            # As with any other event: a defect that one meets holds up no other.
            refusal = failure(error)
            _logger.error("definition failed", stage=self.stage.name, error=repr(error))
            self.state.rollback()
            return refusal

    def _reported_broadcasts(self) -> list[tuple[str, DeadEvent]]:
        """What this partition says of them: each partition reads them all, and the first one speaks for all."""
        return self._dead_broadcasts if self.partition == 0 else []

    def _count_refused(self, source: str, number: int) -> None:
        counts = self.state.counters.of(source)
        counts.read += number
        counts.refused += number

    def _do_slice(self) -> tuple[Step, dict[str, int]]:
        try:
            return self._slice(None)
        except Exception as error:
            refusal = failure(error)
            _logger.error("slice failed", stage=self.stage.name, partition=self.partition, error=repr(error))
        self.rollback()
        return self._slice(refusal)

    def _slice(self, failed: Refusal | None) -> tuple[Step, dict[str, int]]:
        assert self.stage.idle_work is not None, "only a stage with idle work has any left"
        step = self._new_step()
        self._dead_broadcasts = []
        self.stage.idle_work.do_slice(self.state, step, failed)
        self.state.before_commit()
        return step, self._broadcast_offsets

    def _handle(self, frames: StepFrames) -> tuple[Step, dict[str, int]]:
        try:
            return self._run(frames)
        except Exception as error:
            # A defect met by one event must not hold up the others: find it, then go on without it.
            failure(error)
            _logger.error(
                "handler failed", stage=self.stage.name, partition=self.partition, error=repr(error)
            )
        self._find_failures(frames)
        self.rollback()
        return self._run(frames)

    def _run(self, frames: StepFrames) -> tuple[Step, dict[str, int]]:
        """All of a step that is in memory; nothing of it outlives a rollback, so that it may be run again."""
        step = self._new_step()
        broadcast_offsets = self._apply_broadcasts()
        self.stage.handler(self.state, frames, step)
        if frames.unreadable:
            self._count_refused(UNREADABLE, len(frames.unreadable))
        for event, _ in frames.failed.values():
            self._count_refused(event.source, 1)
        if self._reported_broadcasts():
            self._count_refused(REFUSED_DEFINITIONS, len(self._dead_broadcasts))
        self.state.before_commit()
        return step, broadcast_offsets

    def _new_step(self) -> Step:
        return Step(self._partition_of, partitions=self._partitions)

    def _find_failures(self, frames: StepFrames) -> None:
        """Try the events one by one, in a scratch run, and note those that the handler fails on."""
        self.rollback()
        self._apply_broadcasts()
        table = self.state.table
        failed: dict[tuple[int, int], tuple[Any, Refusal]] = {}
        for frame in frames:
            for index, event in zip(frame.indexes, frame.events, strict=True):
                kept = dict(table.changes)
                single = Frame(frame.topic, frame.partition, frame.offset, [event], [index])
                try:
                    self.stage.handler(self.state, [single], self._new_step())
                    self.state.before_commit()
                except Exception as error:
                    refusal = failure(error)
                    table.changes = kept
                    self.state.rollback()
                    failed[frame.offset, index] = (event, refusal)
        frames.failed = failed

    def write(self, transaction: Transaction, prepared: "Prepared") -> None:
        """Put changes, changelog, dead letters and input offsets of a prepared step into a transaction."""
        partition = self.partition
        changes = self.state.table.changes
        if changes:
            transaction.put_all(self.stage.table.name, partition, changes)
            # One record a step: what a record costs is more than what a few overwritten summaries take up.
            consumed = self.next_offset if prepared.next_offset is None else prepared.next_offset
            key = (
                PACKED_KEY
                + consumed.to_bytes(8, "big")
                + sum(prepared.broadcast_offsets.values()).to_bytes(8, "big")
            )
            offset = 0
            for number, value in enumerate(packed(list(chain.from_iterable(changes.items())))):
                part = key + number.to_bytes(4, "big")
                offset = transaction.append(self.stage.changelog, partition, part, value)
            # How far into its changelog the table has come, so that a restart restores nothing that it has.
            transaction.put(self.stage.table.name, partition, RESTORED_KEY, encode_offset(offset))
        if prepared.dead:
            self._write_dead_letters(transaction, self.stage.input.name, partition, prepared.dead)
        for name, letter in prepared.dead_broadcasts:
            self._write_dead_letters(transaction, name, 0, [letter])
        for name, offset in prepared.broadcast_offsets.items():
            if offset != self._broadcast_offsets[name]:
                transaction.commit_offset(self._group_of(name), name, 0, offset)
        if prepared.next_offset is not None:
            transaction.commit_offset(self.group, self.stage.input.name, partition, prepared.next_offset)

    def _write_dead_letters(
        self, transaction: Transaction, topic_name: str, partition: int, dead: list[DeadEvent]
    ) -> None:
        name = self.stage.input.dead_letters
        if name is None:
            raise InvariantBroken(f"expected dead letters declared for {self.stage.input.name}, found none")
        topic = TOPIC_BY_NAME[name]
        source = f"{topic_name}/{partition}"
        # Offsets begin again where the log is moved to another number of partitions.
        moves = self._log.generation
        place = f"{source}@{moves}:" if moves else f"{source}@"
        for offset, index, original, refusal in dead:
            identity = derived_id(f"{place}{offset}.{index}", f"{self.stage.name}/dead", 0)
            letter = _DeadLetter(
                event_id=identity,
                source=source,
                reason=refusal.reason,
                kind=refusal.kind,
                stage=self.stage.name,
                topic=topic_name,
                partition=partition,
                offset=offset,
                index=index,
                original=original,
                trade_id=refusal.trade_id,
                field=refusal.field,
                expected=refusal.expected,
                found=refusal.found,
            )
            to_partition = self._partition_of(identity) if topic.partitioned else 0
            # One letter a record and no cap: the original must arrive whole, however large it was.
            transaction.append(name, to_partition, identity.encode(), b"[" + encode_event(letter) + b"]")


@dataclass(slots=True)
class Prepared:
    """What one partition's part of a step will commit; a slice that only read is `blank`."""

    runner: PartitionRunner
    step: Step
    dead: list[DeadEvent]
    dead_broadcasts: list[tuple[str, DeadEvent]]
    next_offset: int | None
    broadcast_offsets: dict[str, int]
    report: StepReport
    blank: bool


@dataclass(slots=True)
class PendingStep:
    """A step that is prepared and not yet committed: `commit`, in any thread, then `finish`; or `abandon` it."""

    begun: list[PartitionRunner]
    parts: list[Prepared]
    transaction: Transaction

    def commit(self) -> int:
        """Write the step. Raises `CommitError` of the log where that failed: nothing is applied then."""
        if self.parts and all(part.blank for part in self.parts):
            return 0
        return self.transaction.commit()

    def finish(self, sequence: int) -> list[tuple[PartitionRunner, StepReport]]:
        """The step is in the log; returns the reports of the partitions that went on."""
        return [(part.runner, part.runner.committed(part, sequence)) for part in self.parts]

    def abandon(self) -> None:
        """Forget the step; it may be tried again."""
        for runner in self.begun:
            runner.rollback()


def prepare_together(
    work: Sequence[tuple[PartitionRunner, Sequence[Record]]], following: Sequence[PartitionRunner] = ()
) -> PendingStep | None:
    """Prepare one step of several partitions of a stage, to be one commit; None where all of them have stopped.

    Outputs of several partitions to one are merged by time of execution, so that trades which were spread over
    partitions by their ids meet their book in the order of matching, as far as it is known here. A partition
    whose invariant breaks is stopped and left out. Those of the stages `following` (upstream ones first) that have read
    all there was before take what these and one another emit at once, in the same commit.
    """
    if not work:
        return None
    begun = [runner for runner, _ in work]
    try:
        with exact_arithmetic():
            transaction = begun[0].begin()
            found = [_prepare(transaction, runner, records) for runner, records in work]
            prepared = [part for part in found if part is not None]
            if not prepared:
                return None
            stages = [
                list(runners) for _, runners in groupby(following, key=lambda runner: runner.stage.name)
            ]
            emitted = write_outputs(transaction, [part.step for part in prepared])
            prepared += _follow(transaction, emitted, stages, begun)
    except BaseException:
        for runner in begun:
            runner.rollback()
        raise
    return PendingStep(begun, prepared, transaction)


def append_together(
    transaction: Transaction, appended: Appends, stages: Sequence[Sequence[PartitionRunner]]
) -> PendingStep:
    """Prepare, beside what a transaction appends, the steps of the `stages` that read it, in their order.

    A runner that has not read all there was before what is appended, or is full, is left out, as in `prepare_together`.
    """
    begun: list[PartitionRunner] = []
    try:
        with exact_arithmetic():
            return PendingStep(begun, _follow(transaction, appended, stages, begun), transaction)
    except BaseException:
        for runner in begun:
            runner.rollback()
        raise


def _prepare(transaction: Transaction, runner: PartitionRunner, records: Sequence[Record]) -> Prepared | None:
    """Prepare a partition's part of a step, and put all but its outputs into a transaction; None where it stopped.

    At once, not when all partitions are prepared: what it changed is in the processor's caches now.
    """
    part = runner.prepare(records)
    if part is not None:
        runner.write(transaction, part)
        part.report.outputs = sum(len(output.encoded) for output in part.step.outputs.values())
    return part


def _follow(
    transaction: Transaction,
    appended: Appends,
    stages: Sequence[Sequence[PartitionRunner]],
    begun: list[PartitionRunner],
) -> list[Prepared]:
    """The parts of the stages that take what a transaction appends, each what those before it emit."""
    prepared: list[Prepared] = []
    known = dict(appended)
    for number, runners in enumerate(stages):
        size = sum(len(record.value) for records in known.values() for record in records)
        if number and size > TOGETHER_BYTES_MAX:
            break
        parts = []
        for runner in runners:
            records = known.get((runner.stage.input.name, runner.partition))
            if records and records[0].offset == runner.next_offset and not runner.is_full:
                begun.append(runner)
                part = _prepare(transaction, runner, records)
                if part is not None:
                    parts.append(part)
        for place, records in write_outputs(transaction, [part.step for part in parts]).items():
            known[place] = [*known.get(place, ()), *records]
        prepared += parts
    return prepared


def step_together(
    work: Sequence[tuple[PartitionRunner, Sequence[Record]]], following: Sequence[PartitionRunner] = ()
) -> list[tuple[PartitionRunner, StepReport]]:
    """`prepare_together`, committed at once; returns the reports of those that went on.

    Raises `CommitError` of the log where the write failed: then nothing is applied and the step may be tried again.
    """
    pending = prepare_together(work, following)
    if pending is None:
        return []
    try:
        sequence = pending.commit()
    except BaseException:
        pending.abandon()
        raise
    return pending.finish(sequence)
