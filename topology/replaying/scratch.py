"""A scratch log: a prefix of a real log to read, tables of its own, and nothing ever written back.

Owns: the scratch tables and group offsets, and the topics that a replayed stage hands to the next.
Assumes: a source that does not change meanwhile (a reader that does not catch up).
Guarantees: the source is only read, and only up to `ends`; changelogs and outputs that no replayed stage reads
are dropped; a step is applied whole at its commit.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from topology.log_reading import ReadLog, StoredRecord
from topology.replaying.scratch_tables import MemoryTables, ScratchTables

TopicPartition = tuple[str, int]


class ScratchRecord(NamedTuple):
    """A record that a replayed stage wrote for the next one."""

    offset: int
    sequence: int
    appended_at: int
    key: bytes | None
    value: bytes | None


class ScratchLog:
    """Fulfils `topology.log.Log` over a source.

    `tables` are in memory where none are given. `ends` bounds what is read of the source (a topic partition that it does not name is read to its end);
    `starts` says where groups begin in input topics, where not at 0; `kept` are the topics whose records pass
    from one replayed stage to the next. `horizon`, where set, hides records of unbounded topics (reference data)
    that were appended at or after that sequence.
    """

    def __init__(
        self,
        source: ReadLog | None,
        ends: Mapping[TopicPartition, int] | None = None,
        *,
        starts: Mapping[TopicPartition, int] | None = None,
        kept: frozenset[str] = frozenset(),
        tables: ScratchTables | None = None,
    ) -> None:
        self.horizon: int | None = None
        self.sequence = 0
        self._source = source
        self._bounds = dict(ends or {})
        self._starts = dict(starts or {})
        self._kept = kept
        self._tables: ScratchTables = MemoryTables() if tables is None else tables
        self._offsets: dict[tuple[str, str, int], int] = {}
        self._queues: dict[TopicPartition, deque[ScratchRecord]] = defaultdict(deque)
        self._ends: dict[TopicPartition, int] = defaultdict(int)

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[StoredRecord]:
        """Records from `offset` on. What passes between stages is forgotten once something after it is read."""
        if topic in self._kept:
            return self._read_kept(topic, partition, offset, max_records, max_bytes)
        if self._source is None:
            return []
        records = self._source.read(topic, partition, offset, max_records, max_bytes)
        end = self._bounds.get((topic, partition))
        if end is not None:
            return [record for record in records if record.offset < end]
        if self.horizon is not None:
            return [record for record in records if record.sequence < self.horizon]
        return records

    def _read_kept(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[StoredRecord]:
        queue = self._queues[topic, partition]
        while queue and queue[0].offset < offset:
            queue.popleft()
        found: list[StoredRecord] = []
        size = 0
        for record in queue:
            if len(found) >= max_records or size >= max_bytes:
                break
            found.append(record)
            size += len(record.value or b"")
        return found

    @property
    def generation(self) -> int:
        """That of the log that is replayed."""
        return 0 if self._source is None else self._source.generation

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record that can be read."""
        place = (topic, partition)
        if topic in self._kept:
            return self._ends[place]
        if place in self._bounds:
            return self._bounds[place]
        return 0 if self._source is None else self._source.end_offset(topic, partition)

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Where a group goes on."""
        known = self._offsets.get((group, topic, partition))
        return self._starts.get((topic, partition)) if known is None else known

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a scratch table."""
        return self._tables.get(table, partition, key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a scratch table partition."""
        return self._tables.scan(table, partition, start, end, reverse=reverse)

    def transaction(self) -> "ScratchTransaction":
        """A new, empty transaction."""
        return ScratchTransaction(self)


class ScratchTransaction:
    """One step of a scratch log."""

    __slots__ = ("_appended", "_changes", "_log", "_offsets")

    def __init__(self, log: ScratchLog) -> None:
        self._log = log
        self._appended: list[tuple[TopicPartition, bytes | None, bytes | None]] = []
        self._changes: dict[tuple[str, int], dict[bytes, bytes | None]] = defaultdict(dict)
        self._offsets: dict[tuple[str, str, int], int] = {}

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Add a record, where a replayed stage reads the topic; else it is dropped."""
        if topic in self._log._kept:
            self._appended.append(((topic, partition), key, value))
        return 0

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of a scratch table."""
        self._changes[table, partition][key] = value

    def delete(self, table: str, partition: int, key: bytes) -> None:
        """Remove a key of a scratch table."""
        self._changes[table, partition][key] = None

    def put_all(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set and remove keys of a scratch table."""
        self._changes[table, partition].update(changes)

    def commit_offset(self, group: str, topic: str, partition: int, next_offset: int) -> None:
        """Set where a group goes on."""
        self._offsets[group, topic, partition] = next_offset

    def commit(self) -> int:
        """Apply it all."""
        log = self._log
        for (table, partition), changes in self._changes.items():
            log._tables.write(table, partition, changes)
        log._offsets.update(self._offsets)
        for place, key, value in self._appended:
            log.sequence += 1
            log._queues[place].append(ScratchRecord(log._ends[place], log.sequence, 0, key, value))
            log._ends[place] += 1
        return log.sequence
