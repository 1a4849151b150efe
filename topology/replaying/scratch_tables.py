"""Where a scratch state keeps its tables: in memory where it is small, in a temporary folder where it is not."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from connectors.embedded.log import EmbeddedLog
from tables.store import MemoryStore, Store
from topology.log_reading import WholeLog

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


class LayeredTables:
    """Tables over others that are only read: what is written here stands before what is there.

    `base` gives the store below a table partition, where there is one.
    """

    def __init__(self, top: ScratchTables, base: Callable[[str, int], Store | None]) -> None:
        self._top = top
        self._base = lru_cache(maxsize=None)(base)

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key."""
        found = self._top.get(table, partition, key)
        if found is not None:
            return found[1:] if found else None
        base = self._base(table, partition)
        return None if base is None else base.get(key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` to before `end`."""
        base = self._base(table, partition)
        below = iter(()) if base is None else base.scan(start, end, reverse=reverse)
        over = next(below, None)
        for key, value in self._top.scan(table, partition, start, end, reverse=reverse):
            while over is not None and (over[0] > key if reverse else over[0] < key):
                yield over
                over = next(below, None)
            if over is not None and over[0] == key:
                over = next(below, None)
            if value:
                yield key, value[1:]
        if over is not None:
            yield over
            yield from below

    def write(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys, and hide those whose value is None."""
        self._top.write(
            table,
            partition,
            {key: b"" if value is None else b"=" + value for key, value in changes.items()},
        )


@contextmanager
def tables_for(log: WholeLog, topic: str, ranges: Iterable[tuple[int, int, int]]) -> Iterator[ScratchTables]:
    """Tables for a replay of ranges (partition, first and next offset) of a topic: in memory where they are known to be
    small, else on disk."""
    if isinstance(log, EmbeddedLog):
        size = sum(
            _bytes_before(log, topic, partition, end) - _bytes_before(log, topic, partition, start)
            for partition, start, end in ranges
            if start < end
        )
        if size <= MEMORY_INPUT_BYTES_MAX:
            yield MemoryTables()
            return
    with DiskTables() as tables:
        yield tables


def _bytes_before(log: EmbeddedLog, topic: str, partition: int, offset: int) -> int:
    """Bytes of a partition before an offset, the last record left out."""
    found = log.read(topic, partition, offset - 1, 1, 1) if offset else []
    return found[0].bytes_before if found else 0
