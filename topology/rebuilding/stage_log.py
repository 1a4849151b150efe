"""The log as a stage sees it while its state is made anew: old input to read, a new table, and no outputs.

Owns: the new table and changelog of one partition of a stage, and the account of what the stage would send.
Assumes: an owned log, whose stages stand still.
Guarantees: input is read up to where the stage had committed it, and reference data as the horizon says, so that
what is made is the state at that place; topics and offsets of the log stay as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.replacing import new_name
from connectors.embedded.transaction import EmbeddedTransaction
from domain.book_hash import BookHash
from schemas import events
from schemas.frames import BadEvent, encode_event, wire
from schemas.topics import TOPIC_BY_NAME
from topology.log_reading import StoredRecord, events_of

_Booked: Any = wire(events.TradeBooked)
_Applied: Any = wire(events.LifecycleEventApplied)
_DeadLetter: Any = wire(events.DeadLetter)


class Sent:
    """Which events a stage has sent, whatever their order: those that are kept for ever, by what names them."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = BookHash()

    def add(self, event: Any) -> None:
        """Take an event in."""
        self.count += 1
        self._sum.add(_identity(event))

    def remove(self, event: Any) -> None:
        """Take an event out again."""
        self.count -= 1
        self._sum.remove(_identity(event))

    def merge(self, other: "Sent") -> None:
        """Take in what another partition has sent."""
        self.count += other.count
        self._sum.merge(other._sum)

    @property
    def digest(self) -> tuple[int, str]:
        """Equal where, and only where, the same events were sent."""
        return self.count, self._sum.hexadecimal


def is_kept(event: Any, stage: str) -> bool:
    """Whether an event is one that this stage sends and the log keeps for ever."""
    return type(event) in (_Booked, _Applied) or (isinstance(event, _DeadLetter) and event.stage == stage)


def _identity(event: Any) -> int:
    # Not the whole content: a later version may say more in an event, and it is still the same one.
    named: Any = (
        _input_of(event) if isinstance(event, _DeadLetter) else f"{event.event_id}\0{event.book}".encode()
    )
    return int.from_bytes(sha256(named).digest(), "big")


def _input_of(letter: Any) -> bytes:
    """A dead letter by the input that it is about: where that stood changes with the number of partitions."""
    original: bytes = letter.original
    found = list(TOPIC_BY_NAME[letter.topic].codec.decode_each(original))
    if len(found) == 1 and not isinstance(found[0], BadEvent):
        # A later step has no bytes of it, and writes them as we do.
        original = encode_event(found[0])
    return f"{letter.stage}\0{letter.kind}\0{letter.topic}\0".encode() + original


class RebuildingLog:
    """Fulfils `topology.log.Log` for one partition of a stage.

    `horizon`, where set, hides reference data that was appended at or after that sequence. Where the input is
    `moved`, it is the one that is made beside the old under its new name, to be read to its end.
    """

    def __init__(self, log: EmbeddedLog, stage: Stage, partition: int, *, moved: bool = False) -> None:
        self.horizon: int | None = None
        self.sent = Sent()
        self._log = log
        self._stage = stage
        self._broadcasts = frozenset(topic.name for topic in stage.broadcasts)
        self._offsets: dict[tuple[str, str, int], int] = {}
        self._names = {stage.input.name: new_name(stage.input.name)} if moved else {}
        self.end = self._end(stage.name, stage.input.name, partition)
        """Where the stage had come to in its input."""
        self._ends = {(stage.input.name, partition): self.end}
        for name in self._broadcasts:
            group = f"{stage.name}/{partition}"
            self._ends[name, 0] = log.end_offset(name, 0) if moved else self._end(group, name, 0)

    def _end(self, group: str, topic: str, partition: int) -> int:
        if topic in self._names:
            return self._log.end_offset(self._names[topic], partition)
        return self._log.committed(group, topic, partition) or 0

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[StoredRecord]:
        """Records from `offset` on that the stage had applied."""
        end = self._ends[topic, partition]
        horizon = self.horizon if topic in self._broadcasts else None
        return [
            record
            for record in self._log.read(
                self._names.get(topic, topic), partition, offset, max_records, max_bytes
            )
            if record.offset < end and (horizon is None or record.sequence < horizon)
        ]

    @property
    def generation(self) -> int:
        """That of the log."""
        return self._log.generation

    def end_offset(self, topic: str, partition: int) -> int:
        """Where the stage had come to."""
        return self._ends[topic, partition]

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """How far the new state has come."""
        return self._offsets.get((group, topic, partition))

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of the new table."""
        return self._log.get(new_name(table), partition, key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of the new table."""
        return self._log.scan(new_name(table), partition, start, end, reverse=reverse)

    def transaction(self) -> "RebuildingTransaction":
        """A new, empty transaction."""
        return RebuildingTransaction(self, self._log.transaction(), self._stage)


class RebuildingTransaction:
    """One step of a state that is made anew."""

    __slots__ = ("_changelog", "_log", "_offsets", "_sent", "_stage", "_to")

    def __init__(self, log: RebuildingLog, to: EmbeddedTransaction, stage: Stage) -> None:
        self._log = log
        self._to = to
        self._stage = stage.name
        self._changelog = stage.changelog
        self._offsets: dict[tuple[str, str, int], int] = {}
        self._sent: list[Any] = []

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Add a record of the new changelog; what is for another topic is there already, and is only counted."""
        if topic == self._changelog:
            return self._to.append(new_name(topic), partition, key, value)
        known = TOPIC_BY_NAME[topic]
        if known.retention_seconds is None:
            self._sent += [event for event in events_of(known, value) if is_kept(event, self._stage)]
        return 0

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of the new table."""
        self._to.put(new_name(table), partition, key, value)

    def delete(self, table: str, partition: int, key: bytes) -> None:
        """Remove a key of the new table."""
        self._to.delete(new_name(table), partition, key)

    def put_all(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set and remove keys of the new table."""
        self._to.put_all(new_name(table), partition, changes)

    def commit_offset(self, group: str, topic: str, partition: int, next_offset: int) -> None:
        """Note how far the new state has come."""
        self._offsets[group, topic, partition] = next_offset

    def commit(self) -> int:
        """Write it all."""
        sequence = self._to.commit()
        self._log._offsets.update(self._offsets)
        for event in self._sent:
            self._log.sent.add(event)
        return sequence
