"""Reading a log: its records and events in order, its tables by partition, and how far the stages are.

Assumes: nobody writes the log between two reads that belong together (the owner's own loop, or a reader that
does not catch up).
Guarantees: nothing is changed; events that cannot be read are left out (they stand in the dead letters).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agents import positions, trade_capture
from schemas import topics
from schemas.frames import BadEvent
from schemas.murmur2 import partition_of_key
from schemas.topics import Topic
from tables.partition import TablePartition
from topology.log import LogStore, ReadableLog, Record, Tables

READ_RECORDS_MAX = 500
READ_BYTES_MAX = 4 * 1024 * 1024

POSITIONS_TABLE = positions.NAME
CAPTURE_TABLE = trade_capture.NAME


class StoredRecord(Record, Protocol):
    """A record with its place in the whole log."""

    @property
    def key(self) -> bytes | None:
        """Its key, where it has one."""

    @property
    def sequence(self) -> int:
        """Its place in the order of all appends; on a cluster, which has none over partitions, when it came."""

    @property
    def appended_at(self) -> int:
        """When it was appended, in nanoseconds."""


class ReadLog(ReadableLog, Protocol):
    """A log that is read for documents."""

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[StoredRecord]:
        """Records from `offset` on."""


class TopicOfLog(Protocol):
    """What a log knows of a topic."""

    @property
    def partitions(self) -> int:
        """How many partitions it has."""


class WholeLog(ReadLog, Protocol):
    """A log with all that stands in it: the embedded one, or the copy of a cluster."""

    @property
    def folder(self) -> Path:
        """Where it is on this machine."""

    @property
    def sequence(self) -> int | None:
        """How many records it has, over all topics; None where it has no order over them."""

    def topics(self) -> Mapping[str, TopicOfLog]:
        """Its topics by name."""

    def start_offset(self, topic: str, partition: int) -> int:
        """The offset of the first record that is still there."""

    def offset_after(
        self, topic: str, partition: int, *, sequence: int | None = None, time_ns: int | None = None
    ) -> int:
        """The first offset whose record came after an instant, or after a sequence of a log that has one."""


def table_partition(log: Tables, table: str, partition: int) -> TablePartition:
    """One partition of a stage's table, to read."""
    return TablePartition(LogStore(log, table, partition))


def partitions_to_read(partitions: int, book: str | None) -> Sequence[int]:
    """The partition of a book, or all of them."""
    return range(partitions) if book is None else (partition_of_key(book.encode(), partitions),)


def read_records(log: ReadLog, topic: str, partition: int, offset: int = 0) -> Iterator[StoredRecord]:
    """Every record of a topic partition from an offset on that is still there, in order."""
    while found := log.read(topic, partition, offset, READ_RECORDS_MAX, READ_BYTES_MAX):
        yield from found
        offset = found[-1].offset + 1


def events_of(topic: Topic, value: bytes | None) -> Iterator[Any]:
    """The readable events of a record's value."""
    for event in topic.codec.decode_each(value or b""):
        if not isinstance(event, BadEvent):
            yield event


def read_events(
    log: ReadLog, topic: Topic, partition: int, offset: int = 0
) -> Iterator[tuple[StoredRecord, Any]]:
    """Every readable event of a topic partition from an offset on with its record, in order."""
    for record in read_records(log, topic.name, partition, offset):
        for event in events_of(topic, record.value):
            yield record, event


def read_told(log: WholeLog, topic: Topic, ends: Mapping[int, int] | None = None) -> Iterator[Any]:
    """Every event of a topic that is still in the log, partition by partition; before the offsets `ends` where they are given."""
    for partition in range(partition_count(log)):
        start = log.start_offset(topic.name, partition)
        for record, event in read_events(log, topic, partition, start):
            if ends is not None and record.offset >= ends[partition]:
                break
            yield event


def applied_offsets(log: ReadableLog, partitions: int) -> dict[str, dict[str, int]]:
    """The next offset of each stage's input by topic and partition: everything before it is applied."""
    return {
        topic.name: {
            str(partition): log.committed(group, topic.name, partition) or 0
            for partition in range(partitions)
        }
        for group, topic in ((CAPTURE_TABLE, topics.FILLS), (POSITIONS_TABLE, topics.BOOKINGS))
    }


def records_behind(log: ReadableLog, partitions: int) -> int:
    """Records in the log that their stage has not applied yet; 0 where everything is applied."""
    return sum(
        log.end_offset(topic, int(partition)) - offset
        for topic, offsets in applied_offsets(log, partitions).items()
        for partition, offset in offsets.items()
    )


def partition_count(log: WholeLog) -> int:
    """How many partitions the keyed topics of a log have; 0 of a log in which nothing was ever made."""
    definition = log.topics().get(topics.BOOKINGS.name)
    return 0 if definition is None else definition.partitions
