"""What the stage runtime needs of a log, as protocols; `connectors.embedded` fulfils them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol


class Record(Protocol):
    """A record of a topic partition."""

    @property
    def offset(self) -> int:
        """Place in its partition."""

    @property
    def value(self) -> bytes | None:
        """A frame of events."""


class Transaction(Protocol):
    """What one step writes; nothing of it is visible before `commit`, and all of it after."""

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Add a record."""

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of a table."""

    def delete(self, table: str, partition: int, key: bytes) -> None:
        """Remove a key of a table."""

    def put_all(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys of a table, and remove those whose value is None."""

    def commit_offset(self, group: str, topic: str, partition: int, next_offset: int) -> None:
        """Set where a group goes on in a topic partition."""

    def commit(self) -> int:
        """Write it all, atomically; returns the sequence of the commit."""


class Tables(Protocol):
    """Tables by name and partition, to read."""

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table."""

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table partition."""


class ReadableLog(Tables, Protocol):
    """Topics, tables and offsets in one store, to read."""

    @property
    def generation(self) -> int:
        """How often it was moved to another number of partitions: a part of what names a place of it."""

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[Record]:
        """Records from `offset` on."""

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset that the next record will have."""

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Where a group goes on."""


class Log(ReadableLog, Protocol):
    """Topics, tables and offsets in one store."""

    def transaction(self) -> Transaction:
        """A new, empty transaction."""


class LogStore:
    """One table partition of a log, as a `tables.store.Store`."""

    def __init__(self, log: Tables, table: str, partition: int) -> None:
        self._log = log
        self._table = table
        self._partition = partition

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`."""
        return self._log.get(self._table, self._partition, key)

    def scan(
        self, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Committed keys and values from `start` to before `end`."""
        return self._log.scan(self._table, self._partition, start, end, reverse=reverse)
