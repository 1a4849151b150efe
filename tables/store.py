"""The storage that tables need, as a protocol; `connectors.embedded` provides one."""

from collections.abc import Iterator
from typing import Protocol


class Store(Protocol):
    """The committed contents of one partition of one table, ordered by key."""

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`; None where there is none."""

    def scan(
        self, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` up to, not including, `end`; `reverse` gives the same, last first."""


class MemoryStore:
    """A store in memory: for replays into a scratch state, for what-if runs and for simulation."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`."""
        return self._values.get(key)

    def scan(
        self, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys from `start` to before `end`; sorts all keys in range, so for tools and rebuilds only."""
        keys = sorted(key for key in self._values if key >= start and (end is None or key < end))
        for key in reversed(keys) if reverse else keys:
            yield key, self._values[key]

    def write(self, changes: dict[bytes, bytes | None]) -> None:
        """Apply changes; None deletes."""
        for key, value in changes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
