"""What a step reads: records decoded as they are handled, and what is said of an event that cannot be taken in.

Guarantees: an event that cannot be decoded keeps its bytes and holds up no other; what is no fault of an event (a
log that cannot be read, no memory, a broken invariant) is raised, never blamed on one.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

import native
from agents.stage import Frame, InvariantBroken, Refusal, Stage
from connectors.embedded.errors import EmbeddedLogError, ResourceError, remedy
from schemas.frames import BadEvent, encode_event, wire
from schemas.passing import PartialCodec
from schemas.topics import BOOKINGS, CASH_BALANCES, FILLS, LEDGER_ENTRIES, LEDGER_INPUT
from topology.log import Record

_REASON_CHARACTERS_MAX = 1_000

_NO_FAULT_OF_AN_EVENT = (InvariantBroken, EmbeddedLogError, MemoryError)
"""What ends a step, whichever event met it: above all a log that cannot be read now."""

_MACHINE_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EIO)

_READ_COMPILED = (BOOKINGS.name, FILLS.name, LEDGER_INPUT.name, LEDGER_ENTRIES.name, CASH_BALANCES.name)
"""The topics whose frames come in numbers."""

_raw_items = msgspec.json.Decoder(list[msgspec.Raw])


DeadEvent = tuple[int, int, bytes, Refusal]
"""An input that becomes a dead letter: offset, place in the record, original bytes, and why."""


class StepFrames:
    """The frames of a step's records, decoded as they are handled: so that events are still at hand then.

    `events` counts what was read and `unreadable` holds what could not be, after the last iteration. Events in
    `failed`, by offset and index, are left out.
    """

    def __init__(self, stage: Stage, partition: int, records: Sequence[Record]) -> None:
        self._topic = stage.input.name
        self._codec = stage.input.codec if stage.codec is None else stage.codec
        self._read = _compiled_reader(stage) if self._topic in _READ_COMPILED else None
        self._partition = partition
        self._records = records
        self.events = 0
        self.unreadable: list[DeadEvent] = []
        self.failed: dict[tuple[int, int], tuple[Any, Refusal]] = {}

    def __iter__(self) -> Iterator[Frame]:
        self.events = 0
        self.unreadable = []
        for record in self._records:
            frame = self._decode(record)
            self.events += len(frame.events)
            yield self._without_failed(frame) if self.failed else frame

    def _without_failed(self, frame: Frame) -> Frame:
        kept = [
            place for place, index in enumerate(frame.indexes) if (frame.offset, index) not in self.failed
        ]
        indexes, events_kept = (
            [frame.indexes[place] for place in kept],
            [frame.events[place] for place in kept],
        )
        return Frame(frame.topic, frame.partition, frame.offset, events_kept, indexes)

    def _decode(self, record: Record) -> Frame:
        topic = self._topic
        value = record.value or b""
        try:
            decoded = None if self._read is None else self._read(value)
            if decoded is None:
                decoded = self._codec.decode(value)
            return Frame(topic, self._partition, record.offset, decoded, range(len(decoded)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            good: list[Any] = []
            indexes: list[int] = []
            for index, event in enumerate(self._codec.decode_each(value)):
                if isinstance(event, BadEvent):
                    refusal = Refusal(event.reason, kind="unreadable")
                    self.unreadable.append((record.offset, event.index, event.original, refusal))
                else:
                    good.append(event)
                    indexes.append(index)
            return Frame(topic, self._partition, record.offset, good, indexes)


def _compiled_reader(stage: Stage) -> Callable[[bytes], list[Any] | None] | None:
    """What reads the stage's frames of nothing but its usual events, whole or in part as its codec does; None: msgspec."""
    usual = stage.input.event_classes[0]
    whole: Any = wire(usual)
    return (
        native.frames(stage.codec.head(usual), whole)
        if isinstance(stage.codec, PartialCodec)
        else native.frames(whole)
    )


def failure(error: Exception) -> Refusal:
    """What is said of an event that the code failed on. Raises instead what is no fault of that event."""
    if isinstance(error, _NO_FAULT_OF_AN_EVENT):
        raise error
    if isinstance(error, OSError) and error.errno in _MACHINE_ERRORS:
        text = f"expected to open {error.filename}, found: {error.strerror}; {remedy(str(error.strerror)) or 'free some'}"
        raise ResourceError(text) from error
    return Refusal(f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS_MAX], kind="failed")


def contiguous(records: Sequence[Record], next_offset: int) -> bool:
    """Whether none is missing: offsets are dense, or each record says which offset it `follows` on a cluster.

    There the marks of transactions take offsets too, so who reads in order says where each record was read from.
    """
    if records[0].offset == next_offset and records[-1].offset - next_offset == len(records) - 1:
        return True
    for record in records:
        if getattr(record, "follows", None) != next_offset:
            return False
        next_offset = record.offset + 1
    return True


def original_bytes(records: Sequence[Record], offset: int, index: int, event: Any) -> bytes:
    """An event's bytes as they came; as we would write them where it came in an earlier step."""
    for record in records:
        if record.offset == offset:
            try:
                return bytes(_raw_items.decode(record.value or b"")[index])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
                return record.value or b""
    return encode_event(event)
