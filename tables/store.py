"""The storage that tables need, as a protocol; `connectors.embedded` provides one."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from tables.ordered import OrderedKeys


class Store(Protocol):
    """The committed contents of one partition of one table, ordered by key."""

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`; None where there is none."""

    def scan(
        self, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` up to, not including, `end`; `reverse` gives the same, last first."""


class MemoryStore:
    """A store in memory: for replays into a scratch state, for what-if runs and for simulation.

    Keys are put in order by family (first byte) when the family is first scanned: what is only ever looked up
    by its key costs no order.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._ordered: dict[int, OrderedKeys] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`."""
        return self._values.get(key)

    def scan(
        self, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` to before `end`; nothing may be written meanwhile."""
        first = start[0] if start else 0
        last = 255 if not end else end[0]
        families = range(first, last + 1)
        for family in reversed(families) if reverse else families:
            for key in self._order_of(family).between(start, end, reverse=reverse):
                yield key, self._values[key]

    def _order_of(self, family: int) -> OrderedKeys:
        ordered = self._ordered.get(family)
        if ordered is None:
            found = [key for key in self._values if key[0] == family]
            ordered = OrderedKeys(found)
            if found:
                self._ordered[family] = ordered
        return ordered

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Apply changes; None deletes."""
        values, orders = self._values, self._ordered
        for key, value in changes.items():
            if value is None:
                if values.pop(key, None) is not None and key[0] in orders:
                    orders[key[0]].discard(key)
                continue
            if key[0] in orders and key not in values:
                orders[key[0]].add(key)
            values[key] = value
