"""The embedded log: topics, tables and group offsets in one RocksDB, so that one write makes a step atomic.

Owns: a data folder, for one process (`owner`), or a view of it beside that process (`reader`).
Assumes: one thread writes.
Guarantees: a transaction is in the log whole or not at all; offsets of a topic partition are contiguous from 0
(compaction and retention leave holes); `sequence` numbers all records of the log in the order of their appends;
`appended_at` never goes back, even where the clock does.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec
from rocksdict import Rdict, WriteBatch, WriteOptions

from connectors.embedded import layout
from connectors.embedded.database import (
    OwnerLock,
    database_exists,
    database_folder,
    open_beside,
    open_owned,
    require_room,
)
from connectors.embedded.durability import GroupSync
from connectors.embedded.errors import CommitError, StateError, translate
from connectors.embedded.layout import Headers, LogRecord
from connectors.embedded.watermark import Watermark

SyncPolicy = Literal["always", "group", "os"]
TopicPartition = tuple[str, int]
Listener = Callable[[list[TopicPartition]], None]


class TopicDefinition(msgspec.Struct, frozen=True):
    """A topic of the log. No retention keeps it for ever; `compact` keeps the last record of a key."""

    name: str
    number: int
    partitions: int
    retention_seconds: int | None = None
    retention_bytes: int | None = None
    compact: bool = False


@dataclass(slots=True)
class _End:
    """Where a topic partition ends: the next offset, and the bytes so far."""

    offset: int
    bytes: int


class EmbeddedLog:
    """The log of a data folder; `owner(...)` or `reader(...)` open it."""

    def __init__(
        self,
        folder: Path,
        database: Rdict,
        *,
        lock: OwnerLock | None,
        notes: TemporaryDirectory[str] | None,
        sync: SyncPolicy,
        clock: Callable[[], int],
        watermark: Watermark | None = None,
    ) -> None:
        self.folder = folder
        self._database = database
        self._lock = lock
        self._watermark = watermark
        self._notes = notes
        self._clock = clock
        self._sync = sync
        self._write_options = WriteOptions()
        self._write_options.sync = sync == "always"
        self._listeners: list[Listener] = []
        self._topics: dict[str, TopicDefinition] = {}
        self._tables: dict[str, int] = {}
        self._ends: dict[TopicPartition, _End] = {}
        self._prefixes: dict[tuple[str, int], bytes] = {}
        self.sequence = 0
        self.appended_at = 0
        self._synced = 0
        self.closed = False
        self.failed: str | None = None
        self.reopened = 0
        self._load()
        self._group = self._start_group()

    @classmethod
    def owner(
        cls, folder: Path, *, sync: SyncPolicy = "group", clock: Callable[[], int] = time.time_ns
    ) -> "EmbeddedLog":
        """Own a folder; made where there is none.

        Raises OwnedElsewhereError where another process owns it, StateError where it is damaged or newer.
        """
        lock = OwnerLock(folder)
        watermark: Watermark | None = None
        try:
            watermark = Watermark(folder, database_folder(folder))
            watermark.check_files()
            database = open_owned(folder)
            return cls(folder, database, lock=lock, notes=None, sync=sync, clock=clock, watermark=watermark)
        except BaseException:
            if watermark is not None:
                watermark.close()
            lock.release()
            raise

    @classmethod
    def reader(cls, folder: Path) -> "EmbeddedLog":
        """Read a folder beside its owner; `catch_up` follows it. Raises StateError where there is no log."""
        if not database_exists(folder):
            raise StateError(
                f"{folder}: expected a data folder with a log, found none; name one with --data, or start one "
                "with `pks up` or `pks import`"
            )
        database, notes = open_beside(folder)
        try:
            return cls(folder, database, lock=None, notes=notes, sync="os", clock=time.time_ns)
        except BaseException:
            notes.cleanup()
            raise

    def _start_group(self) -> GroupSync | None:
        return GroupSync(self._flush, lambda: self.sequence) if self._lock and self._sync == "group" else None

    @property
    def writable(self) -> bool:
        """Whether this process owns the folder."""
        return self._lock is not None

    def _load(self) -> None:
        try:
            self._load_definitions()
            if self._watermark is not None:
                self._watermark.check_sequence(self.sequence)
                self._watermark.note(self._watermark.sequence, settled=True)
        except StateError:
            self._database.close()
            raise
        except Exception as error:
            self._database.close()
            raise translate(error, str(self.folder)) from error

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
        for topic in self._topics.values():
            for partition in range(topic.partitions):
                self._find_end(topic, partition)

    def _find_end(self, topic: TopicDefinition, partition: int) -> None:
        prefix = layout.log_prefix(topic.number, partition)
        self._prefixes[topic.name, partition] = prefix
        iterator = self._database.iter()
        iterator.seek_for_prev(prefix + b"\xff" * 8)
        end = _End(0, 0)
        if iterator.valid():
            key = iterator.key()
            if key.startswith(prefix):
                stored = iterator.value()
                end = _End(layout.offset_of(key) + 1, layout.bytes_through(stored))
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
    ) -> TopicDefinition:
        """Make a topic, or find it. Raises StateError where it has another number of partitions."""
        known = self._topics.get(name)
        if known is not None:
            if known.partitions != partitions:
                raise StateError(
                    f"{self.folder}: expected {partitions} partitions of topic {name}, found {known.partitions}; "
                    "the number is fixed once the log exists: set PKS_PARTITIONS to it, or use another folder"
                )
            return known
        number = 1 + max((topic.number for topic in self._topics.values()), default=0)
        topic = TopicDefinition(name, number, partitions, retention_seconds, retention_bytes, compact)
        self._database.put(layout.TOPIC_PREFIX + name.encode(), msgspec.json.encode(topic))
        self._topics[name] = topic
        for partition in range(partitions):
            self._find_end(topic, partition)
        return topic

    def topics(self) -> dict[str, TopicDefinition]:
        """The topics by name."""
        return dict(self._topics)

    def _table_prefix(self, table: str, partition: int) -> bytes:
        prefix = self._prefixes.get((f"table {table}", partition))
        if prefix is None:
            number = self._tables.get(table)
            if number is None:
                number = 1 + max(self._tables.values(), default=0)
                if self.writable:
                    self._database.put(layout.TABLE_PREFIX + table.encode(), str(number).encode())
                    self._tables[table] = number
            prefix = layout.table_prefix(number, partition)
            if table in self._tables:
                self._prefixes[f"table {table}", partition] = prefix
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

    def catch_up(self) -> None:
        """Let a reader see what the owner has committed by now."""
        if not self.writable:
            try:
                self._database.try_catch_up_with_primary()
                self._load_definitions()
            except StateError:
                raise
            except Exception as error:
                raise translate(error, str(self.folder)) from error

    # -- writing ----------------------------------------------------------------------------------------------

    def transaction(self) -> "EmbeddedTransaction":
        """A new, empty transaction."""
        return EmbeddedTransaction(self)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each commit with the topic partitions that grew; returns how to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def write(self, batch: WriteBatch) -> None:
        """Write a batch, for `EmbeddedTransaction` and `retention`. Raises CommitError."""
        if self._lock is None:
            raise CommitError(f"{self.folder}: expected to own the folder, found it opened to read")
        if self.failed is not None:
            raise CommitError(self.failed)
        try:
            self._database.write(batch, self._write_options)
        except Exception as error:
            self.failed = (
                f"{self.folder}: expected to write a commit, found: {error}; make room on the disk: writing goes on "
                "then (docs/operating/disk-full.md)"
            )
            raise CommitError(self.failed) from error

    def _flush(self) -> None:
        sequence = self.sequence
        try:
            self._database.flush_wal(True)
        except Exception as error:
            raise CommitError(
                f"{self.folder}: expected to sync the log to the disk, found: {error}; what was committed since the "
                "last sync is not on the disk for certain"
            ) from error
        if self._watermark is not None:
            self._watermark.note(sequence)

    @property
    def durable_sequence(self) -> int:
        """Up to which sequence the log is synced to the disk."""
        if self._group is not None:
            return self._group.durable
        return self.sequence if self._sync == "always" else self._synced

    def wait_durable(self, sequence: int, timeout_seconds: float = 10.0) -> bool:
        """Wait until the log is synced up to `sequence` (with `os`, sync it now); False after the time-out."""
        if self._group is not None:
            return self._group.wait(sequence, timeout_seconds)
        if self._sync == "os":
            synced = self.sequence
            self._flush()
            self._synced = synced
        return True

    def reopen(self) -> None:
        """Open the database again after a write failed: RocksDB takes no other write before. For the owner.

        `reopened` counts these: whoever keeps in memory what the log holds must read it again, since the write
        that failed may be found there whole after all. Raises CommitError while there is no room to open it, and
        leaves it as it is; StateError where it cannot be opened.
        """
        require_room(self.folder)
        if self._group is not None:
            self._group.close()
        self._close_database()
        self.reopened += 1
        self._database = open_owned(self.folder)
        self._load()
        self._group = self._start_group()
        self.failed = None

    def _close_database(self) -> None:
        # A database whose last write failed says so when it is closed, and is closed all the same.
        with contextlib.suppress(Exception):
            self._database.close()

    def close(self) -> None:
        """Sync and close; the folder is free for another owner."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._group is not None:
                self._group.close()
            elif self.writable:
                self._flush()
        finally:
            self._close_database()
            if self._watermark is not None:
                if self.failed is None:
                    self._watermark.note(self._watermark.sequence, settled=True)
                self._watermark.close()
            if self._lock is not None:
                self._lock.release()
            if self._notes is not None:
                self._notes.cleanup()

    def __enter__(self) -> "EmbeddedLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EmbeddedTransaction:
    """What one step writes: records, table entries and offsets, in one atomic batch."""

    __slots__ = ("_batch", "_ends", "_log", "_now", "_sequence")

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self._batch = WriteBatch(raw_mode=True)
        self._ends: dict[TopicPartition, tuple[int, _End]] = {}
        self._sequence = log.sequence
        self._now = max(log._clock(), log.appended_at)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        appended_at: int | None = None,
    ) -> int:
        """Add a record; returns the offset that it gets by `commit`."""
        place = (topic, partition)
        ends = self._ends.get(place)
        if ends is None:
            known = self._log._ends.get(place)
            if known is None:
                raise CommitError(f"expected a topic partition of this log, found {topic}/{partition}")
            ends = self._ends[place] = (known.offset, _End(known.offset, known.bytes))
        end = ends[1]
        self._sequence += 1
        stored = layout.encode_record(
            self._sequence,
            self._now if appended_at is None else appended_at,
            end.bytes,
            key,
            value,
            headers,
        )
        offset = end.offset
        self._batch.put(self._log._prefixes[place] + offset.to_bytes(8, "big"), stored)
        end.offset = offset + 1
        end.bytes += len(stored)
        return offset

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of a table."""
        self._batch.put(self._log._table_prefix(table, partition) + key, value)

    def delete(self, table: str, partition: int, key: bytes) -> None:
        """Remove a key of a table."""
        self._batch.delete(self._log._table_prefix(table, partition) + key)

    def put_all(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys of a table, and remove those whose value is None."""
        prefix = self._log._table_prefix(table, partition)
        put, delete = self._batch.put, self._batch.delete
        for key, value in changes.items():
            if value is None:
                delete(prefix + key)
            else:
                put(prefix + key, value)

    def commit_offset(self, group: str, topic: str, partition: int, next_offset: int) -> None:
        """Set where a group goes on in a topic partition."""
        self._batch.put(layout.offset_key(group, topic, partition), next_offset.to_bytes(8, "big"))

    def commit(self) -> int:
        """Write it all, atomically; returns the sequence of the log after it.

        Raises CommitError where the write failed or another transaction came between; nothing is written then.
        """
        log = self._log
        for place, (base, _) in self._ends.items():
            if log._ends[place].offset != base:
                raise CommitError(
                    f"expected the end of {place[0]}/{place[1]} at {base}, found {log._ends[place].offset}: another "
                    "transaction was committed in between; begin again"
                )
        if self._sequence != log.sequence + sum(end.offset - base for base, end in self._ends.values()):
            raise CommitError("expected no commit since this transaction began, found one; begin again")
        log.write(self._batch)
        log.sequence = self._sequence
        log.appended_at = self._now
        grown: list[TopicPartition] = []
        for place, (_, end) in self._ends.items():
            log._ends[place] = end
            grown.append(place)
        if grown:
            for listener in log._listeners:
                listener(grown)
        return self._sequence
