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
from typing import Any

import msgspec
import structlog

from agents.stage import Frame, InvariantBroken, Refusal, Stage, StageState, Step
from schemas import events
from schemas.frames import BadEvent, encode_event, encode_frames, wire
from schemas.identity import derived_id
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from schemas.topics import TOPIC_BY_NAME
from tables.partition import TablePartition
from topology.log import Log, LogStore, Record, Transaction

BROADCAST_RECORDS_MAX = 1_000
PACKED_KEY = b"\x00step"
"""First bytes of the changelog key of a step's packed families; no table key starts with a zero byte."""

_DeadLetter = wire(events.DeadLetter)
_logger = structlog.get_logger(__name__)
_raw_items = msgspec.json.Decoder(list[msgspec.Raw])
_packer = msgspec.msgpack.Encoder()


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
        self._partition_of = lru_cache(maxsize=100_000)(
            lambda key: partition_of_key(key.encode(), partitions)
        )
        with exact_arithmetic():
            self.state: StageState = stage.open_state(
                TablePartition(LogStore(log, stage.table.name, partition))
            )
        self.next_offset = self._committed(stage.input.name, partition)
        self._broadcast_offsets = {topic.name: self._committed(topic.name, 0) for topic in stage.broadcasts}

    @property
    def group(self) -> str:
        """The consumer group of this stage; a broadcast is consumed by each partition for itself."""
        return self.stage.name

    def _committed(self, topic: str, partition: int) -> int:
        return self._log.committed(self._group_of(topic), topic, partition) or 0

    def _group_of(self, topic: str) -> str:
        return self.group if topic == self.stage.input.name else f"{self.group}/{self.partition}"

    def step(self, records: Sequence[Record]) -> StepReport:
        """Apply records, which follow the last applied one (earlier ones are skipped), and commit.

        Raises PartitionStopped where an invariant is broken or records are missing, and `CommitError` of the
        log where the write failed; then nothing is applied and the step may be tried again.
        """
        if self.stopped is not None:
            raise PartitionStopped(self.stopped)
        fresh = [record for record in records if record.offset >= self.next_offset]
        if fresh and fresh[0].offset != self.next_offset:
            self._stop(
                f"expected offset {self.next_offset} of {self.stage.input.name}, found {fresh[0].offset}"
            )
        report = StepReport(records=len(fresh))
        try:
            with exact_arithmetic():
                self._apply(fresh, report)
        except InvariantBroken as error:
            self.rollback()
            self._stop(str(error))
        except BaseException:
            self.rollback()
            raise
        for observer in self._observers:
            observer(self, report)
        return report

    def rollback(self) -> None:
        """Forget whatever the running step has done."""
        self.state.table.rollback()
        self.state.rollback()

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        _logger.error("partition stopped", stage=self.stage.name, partition=self.partition, reason=reason)
        raise PartitionStopped(reason)

    def _apply(self, records: Sequence[Record], report: StepReport) -> None:
        transaction = self._log.transaction()
        broadcast_offsets = self._apply_broadcasts(transaction)
        frames: list[Frame] = []
        dead: list[tuple[int, int, bytes, Refusal]] = []
        for record in records:
            frames.append(self._decode(record, dead))
        step = self._handle(frames, records, dead)
        for offset, index, event, refusal in step.refusals:
            dead.append((offset, index, _original_bytes(records, offset, index, event), refusal))
        self.state.before_commit()
        self._write(transaction, step, dead, report)
        if records:
            following = records[-1].offset + 1
            transaction.commit_offset(self.group, self.stage.input.name, self.partition, following)
        report.sequence = transaction.commit()
        self._broadcast_offsets = broadcast_offsets
        if records:
            self.next_offset = records[-1].offset + 1
        self.state.committed()
        self.state.table.committed()
        report.events = sum(len(frame.events) for frame in frames)
        report.dead_letters = len(dead)
        report.touched = step.touched

    def _apply_broadcasts(self, transaction: Transaction) -> dict[str, int]:
        on_broadcast = self.stage.on_broadcast
        offsets = dict(self._broadcast_offsets)
        for topic in self.stage.broadcasts:
            offset = offsets[topic.name]
            if on_broadcast is None or self._log.end_offset(topic.name, 0) <= offset:
                continue
            while found := self._log.read(topic.name, 0, offset, BROADCAST_RECORDS_MAX, 1 << 20):
                for record in found:
                    events_found = topic.codec.decode_each(record.value or b"")
                    on_broadcast(
                        self.state, [event for event in events_found if not isinstance(event, BadEvent)]
                    )
                offset = found[-1].offset + 1
            transaction.commit_offset(self._group_of(topic.name), topic.name, 0, offset)
            offsets[topic.name] = offset
        return offsets

    def _decode(self, record: Record, dead: list[tuple[int, int, bytes, Refusal]]) -> Frame:
        topic = self.stage.input
        value = record.value or b""
        try:
            decoded = topic.codec.decode(value)
            return Frame(topic.name, self.partition, record.offset, decoded, range(len(decoded)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            good: list[Any] = []
            indexes: list[int] = []
            for index, event in enumerate(topic.codec.decode_each(value)):
                if isinstance(event, BadEvent):
                    refusal = Refusal(event.reason, kind="unreadable")
                    dead.append((record.offset, event.index, event.original, refusal))
                else:
                    good.append(event)
                    indexes.append(index)
            return Frame(topic.name, self.partition, record.offset, good, indexes)

    def _handle(
        self, frames: Sequence[Frame], records: Sequence[Record], dead: list[tuple[int, int, bytes, Refusal]]
    ) -> Step:
        step = Step(self._partition_of)
        try:
            self.stage.handler(self.state, frames, step)
            return step
        except (InvariantBroken, MemoryError):
            raise
        except Exception as error:
            # A defect met by one event must not hold up the others: undo, then go one by one.
            _logger.error(
                "handler failed", stage=self.stage.name, partition=self.partition, error=repr(error)
            )
            self.rollback()
        return self._handle_one_by_one(frames, dead)

    def _handle_one_by_one(
        self, frames: Sequence[Frame], dead: list[tuple[int, int, bytes, Refusal]]
    ) -> Step:
        whole = Step(self._partition_of)
        table = self.state.table
        for frame in frames:
            for index, event in zip(frame.indexes, frame.events, strict=True):
                kept = dict(table.changes)
                step = Step(self._partition_of)
                single = Frame(frame.topic, frame.partition, frame.offset, [event], [index])
                try:
                    self.stage.handler(self.state, [single], step)
                    self.state.before_commit()
                except InvariantBroken:
                    raise
                except Exception as error:
                    table.changes = kept
                    self.state.rollback()
                    refusal = Refusal(f"{type(error).__name__}: {error}", kind="failed")
                    dead.append((frame.offset, index, encode_event(event), refusal))
                    continue
                for place, found in step.outputs.items():
                    whole.outputs.setdefault(place, []).extend(found)
                whole.refusals.extend(step.refusals)
                whole.touched.update(step.touched)
        return whole

    def _write(
        self,
        transaction: Transaction,
        step: Step,
        dead: list[tuple[int, int, bytes, Refusal]],
        report: StepReport,
    ) -> None:
        table, partition, changelog = self.stage.table.name, self.partition, self.stage.changelog
        packed_families = self.stage.table.packed
        packed: list[bytes | None] = []
        for key, value in self.state.table.changes.items():
            if value is None:
                transaction.delete(table, partition, key)
            else:
                transaction.put(table, partition, key, value)
            if key[0] in packed_families:
                packed.append(key)
                packed.append(value)
            else:
                transaction.append(changelog, partition, key, value)
        if packed:
            key = PACKED_KEY + self.next_offset.to_bytes(8, "big")
            transaction.append(changelog, partition, key, _packer.encode(packed))
        for (topic, to_partition), found in step.outputs.items():
            for frame in encode_frames(found):
                transaction.append(topic, to_partition, None, frame)
            report.outputs += len(found)
        if dead:
            self._write_dead_letters(transaction, dead)

    def _write_dead_letters(
        self, transaction: Transaction, dead: list[tuple[int, int, bytes, Refusal]]
    ) -> None:
        name = self.stage.input.dead_letters
        if name is None:
            raise InvariantBroken(f"expected dead letters declared for {self.stage.input.name}, found none")
        topic = TOPIC_BY_NAME[name]
        source = f"{self.stage.input.name}/{self.partition}"
        for offset, index, original, refusal in dead:
            identity = derived_id(f"{source}@{offset}.{index}", f"{self.stage.name}/dead", 0)
            letter = _DeadLetter(
                event_id=identity,
                source=source,
                reason=refusal.reason,
                kind=refusal.kind,
                stage=self.stage.name,
                topic=self.stage.input.name,
                partition=self.partition,
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


def _original_bytes(records: Sequence[Record], offset: int, index: int, event: Any) -> bytes:
    """An event's bytes as they came; as we would write them where it came in an earlier step."""
    for record in records:
        if record.offset == offset:
            try:
                return bytes(_raw_items.decode(record.value or b"")[index])
            except (msgspec.MsgspecError, UnicodeDecodeError, IndexError):
                return record.value or b""
    return encode_event(event)
