"""Where a scratch state keeps its tables: in memory where it is small, in a temporary folder where it is not."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from connectors.embedded.log import EmbeddedLog
from tables.store import MemoryStore

MEMORY_INPUT_BYTES_MAX = 128 * 1024 * 1024
"""Input of a replay up to which its tables are in memory; they take about twice as much."""


class ScratchTables(Protocol):
    """Where a scratch log keeps its tables."""

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key."""

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` to before `end`."""

    def write(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys, and remove those whose value is None."""


class MemoryTables:
    """Tables in memory."""

    def __init__(self) -> None:
        self._stores: dict[tuple[str, int], MemoryStore] = defaultdict(MemoryStore)

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key."""
        return self._stores[table, partition].get(key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` to before `end`."""
        return self._stores[table, partition].scan(start, end, reverse=reverse)

    def write(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys, and remove those whose value is None."""
        self._stores[table, partition].write(changes)


class DiskTables:
    """Tables in a temporary folder, for states of any size in bounded memory; gone when closed."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="pks-scratch-")
        self._log = EmbeddedLog.owner(Path(self._folder.name), sync="os")

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key."""
        return self._log.get(table, partition, key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` to before `end`."""
        return self._log.scan(table, partition, start, end, reverse=reverse)

    def write(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys, and remove those whose value is None."""
        transaction = self._log.transaction()
        transaction.put_all(table, partition, changes)
        transaction.commit()

    def __enter__(self) -> "DiskTables":
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        self._folder.cleanup()


@contextmanager
def tables_for(log: EmbeddedLog, topic: str) -> Iterator[ScratchTables]:
    """Tables for a replay of a topic of a log: in memory where that is small, else on disk."""
    size = 0
    definition = log.topics().get(topic)
    for partition in range(0 if definition is None else definition.partitions):
        end = log.end_offset(topic, partition)
        size += sum(record.bytes_before for record in log.read(topic, partition, end - 1, 1, 1)) if end else 0
    if size <= MEMORY_INPUT_BYTES_MAX:
        yield MemoryTables()
        return
    with DiskTables() as tables:
        yield tables
