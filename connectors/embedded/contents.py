"""What a log holds: its topics, tables and records, as they are defined and read.

Owns: the definitions, and where each topic partition ends.
Guarantees: reading a partition or a table never shows what is not committed; damage that is met is a StateError,
never an end of the records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rocksdict import Rdict

from connectors.embedded import layout
from connectors.embedded.errors import StateError, translate
from connectors.embedded.layout import LogRecord
from connectors.embedded.tails import Tails

TopicPartition = tuple[str, int]


class TopicDefinition(msgspec.Struct, frozen=True):
    """A topic of the log. No retention keeps it for ever; `compact` keeps the last record of a key.

    `generation` counts the moves to another number of partitions: a place of an earlier one is another place.
    """

    name: str
    number: int
    partitions: int
    retention_seconds: int | None = None
    retention_bytes: int | None = None
    compact: bool = False
    generation: int = 0


@dataclass(slots=True)
class End:
    """Where a topic partition ends: the next offset, and the bytes so far."""

    offset: int
    bytes: int


class LogContents:
    """Definitions and records of an open database."""

    def __init__(self, folder: Path, database: Rdict, *, writable: bool) -> None:
        self.folder = folder
        self.writable = writable
        self._database = database
        self._topics: dict[str, TopicDefinition] = {}
        self._tables: dict[str, int] = {}
        self._ends: dict[TopicPartition, End] = {}
        self._prefixes: dict[tuple[str, int], bytes] = {}
        self._table_prefixes: dict[tuple[str, int], bytes] = {}
        self.tails = Tails()
        self.sequence = 0
        self.appended_at = 0

    def _load_definitions(self) -> None:
        found = self._database.get(layout.FORMAT_KEY)
        if found is None and self.writable:
            self._database.put(layout.FORMAT_KEY, str(layout.FORMAT).encode())
        elif found is not None and int(found) > layout.FORMAT:
            raise StateError(
                f"{self.folder}: expected log format {layout.FORMAT} or older, found {int(found)}; it was written "
                "by a newer version of PKS: use that one"
            )
        for key, value in self._scan(layout.TOPIC_PREFIX):
            topic = msgspec.json.decode(value, type=TopicDefinition)
            self._topics[key[len(layout.TOPIC_PREFIX) :].decode()] = topic
        for key, value in self._scan(layout.TABLE_PREFIX):
            self._tables[key[len(layout.TABLE_PREFIX) :].decode()] = int(value)
        self._ends.clear()
        self._prefixes.clear()
        self._table_prefixes.clear()
        self.tails.clear()
        for topic in self._topics.values():
            for partition in range(topic.partitions):
                self._find_end(topic, partition)

    def _find_end(self, topic: TopicDefinition, partition: int) -> None:
        prefix = layout.log_prefix(topic.number, partition)
        self._prefixes[topic.name, partition] = prefix
        iterator = self._database.iter()
        iterator.seek_for_prev(prefix + b"\xff" * 8)
        end = End(0, 0)
        if iterator.valid():
            key = iterator.key()
            if key.startswith(prefix):
                stored = iterator.value()
                end = End(layout.offset_of(key) + 1, layout.bytes_through(stored))
                self.sequence = max(self.sequence, layout.sequence_of(stored))
                self.appended_at = max(self.appended_at, layout.appended_at_of(stored))
        else:
            iterator.status()
        self._ends[topic.name, partition] = end

    # -- topics -----------------------------------------------------------------------------------------------

    def create_topic(
        self,
        name: str,
        partitions: int,
        *,
        retention_seconds: int | None = None,
        retention_bytes: int | None = None,
        compact: bool = False,
        generation: int = 0,
    ) -> TopicDefinition:
        """Make a topic, or find it. Raises StateError where it has another number of partitions."""
        known = self._topics.get(name)
        if known is not None:
            if known.partitions != partitions:
                raise StateError(
                    f"{self.folder}: expected {partitions} partitions of topic {name}, found {known.partitions}; "
                    "set PKS_PARTITIONS to it, or move the log with `pks topology repartition`"
                )
            return known
        number = 1 + max((topic.number for topic in self._topics.values()), default=0)
        topic = TopicDefinition(
            name, number, partitions, retention_seconds, retention_bytes, compact, generation
        )
        self._database.put(layout.TOPIC_PREFIX + name.encode(), msgspec.json.encode(topic))
        self._topics[name] = topic
        for partition in range(partitions):
            self._find_end(topic, partition)
        return topic

    @property
    def generation(self) -> int:
        """How often the log was moved to another number of partitions."""
        return max((topic.generation for topic in self._topics.values()), default=0)

    def keep_tail(self, topic: str) -> None:
        """Keep the latest records of a topic in memory, for a reader that keeps up."""
        self.tails.keep(topic, self._topics[topic].partitions)

    def topics(self) -> dict[str, TopicDefinition]:
        """The topics by name."""
        return dict(self._topics)

    def tables(self) -> dict[str, int]:
        """The tables by name, with the numbers that their keys have."""
        return dict(self._tables)

    def _table_prefix(self, table: str, partition: int) -> bytes:
        prefix = self._table_prefixes.get((table, partition))
        if prefix is None:
            number = self._tables.get(table)
            if number is None:
                number = 1 + max(self._tables.values(), default=0)
                if self.writable:
                    self._database.put(layout.TABLE_PREFIX + table.encode(), str(number).encode())
                    self._tables[table] = number
            prefix = layout.table_prefix(number, partition)
            if table in self._tables:
                self._table_prefixes[table, partition] = prefix
        return prefix

    # -- reading ----------------------------------------------------------------------------------------------

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> list[LogRecord]:
        """Records from `offset` on, at least one if there is one, until either bound."""
        prefix = self._prefixes.get((topic, partition))
        end = self._ends.get((topic, partition))
        if prefix is None or end is None or offset >= end.offset:
            return []
        latest = self.tails.read((topic, partition), offset, max_records, max_bytes)
        if latest is not None:
            return latest
        records: list[LogRecord] = []
        size = 0
        iterator = self._database.iter()
        iterator.seek(prefix + offset.to_bytes(8, "big"))
        while iterator.valid() and len(records) < max_records and size < max_bytes:
            key = iterator.key()
            if not key.startswith(prefix):
                break
            stored = iterator.value()
            records.append(layout.decode_record(topic, partition, layout.offset_of(key), stored))
            size += len(stored)
            iterator.next()
        self._check(iterator)
        return records

    def _check(self, iterator: object) -> None:
        try:
            iterator.status()  # type: ignore[attr-defined]
        except Exception as error:
            raise translate(error, str(self.folder)) from error

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset that the next record will have."""
        end = self._ends.get((topic, partition))
        return 0 if end is None else end.offset

    def start_offset(self, topic: str, partition: int) -> int:
        """The offset of the first record that is still there; the end where there is none."""
        first = self.read(topic, partition, 0, 1, 1)
        return first[0].offset if first else self.end_offset(topic, partition)

    def offset_after(
        self, topic: str, partition: int, *, sequence: int | None = None, time_ns: int | None = None
    ) -> int:
        """The first offset whose record came after a sequence of the log, or after an instant."""
        low, high = 0, self.end_offset(topic, partition)
        while low < high:
            middle = (low + high) // 2
            found = self.read(topic, partition, middle, 1, 1)
            if not found:
                high = middle
                continue
            record = found[0]
            before = (
                record.sequence <= sequence
                if sequence is not None
                else time_ns is not None and record.appended_at <= time_ns
            )
            if before:
                low = record.offset + 1
            else:
                high = middle
        return low

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The committed value of a key of a table."""
        return self._get(self._table_prefix(table, partition) + key)

    def _get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key)
        except Exception as error:
            raise translate(error, str(self.folder)) from error
        return value

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Committed keys and values of a table partition from `start` to before `end`, in order of key."""
        prefix = self._table_prefix(table, partition)
        last = None if end is None else prefix + end
        for key, value in self._scan(prefix, prefix + start, last, reverse=reverse):
            yield key[len(prefix) :], value

    def _scan(
        self, prefix: bytes, start: bytes | None = None, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        first = prefix if start is None else start
        iterator = self._database.iter()
        if reverse:
            iterator.seek_for_prev(prefix + b"\xff" * 64 if end is None else end)
            if end is not None and iterator.valid() and iterator.key() == end:
                iterator.prev()
        else:
            iterator.seek(first)
        while iterator.valid():
            key = iterator.key()
            if not key.startswith(prefix) or (key < first if reverse else end is not None and key >= end):
                break
            yield key, iterator.value()
            if reverse:
                iterator.prev()
            else:
                iterator.next()
        self._check(iterator)

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Where a group goes on in a topic partition; None where it never committed."""
        value = self._get(layout.offset_key(group, topic, partition))
        return None if value is None else int.from_bytes(value, "big")

    def commits(self) -> Iterator[tuple[str, str, int]]:
        """Every group with the topics and partitions of which it has committed an offset."""
        for key, _ in self._scan(layout.OFFSET):
            group, topic, partition = key[len(layout.OFFSET) :].split(b"\x00", 2)
            yield group.decode(), topic.decode(), int.from_bytes(partition, "big")
