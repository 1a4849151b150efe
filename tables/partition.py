"""One partition of a stage's table: committed contents below, the changes of the running step above.

Owns: the changes that a step has made and the runtime has not yet committed.
Assumes: one stage, one partition, one step at a time (a single writer).
Guarantees: reads see the step's own changes; `rollback` forgets them; nothing reaches the store from here,
the runtime writes `changes` in the one atomic commit of the step.

The first byte of a key is its *family* (a summary, a lot, a journal entry, ...). Families that are never
overwritten travel *packed* in the changelog, one record a step; the others one record a key, so that they compact.
"""

from collections.abc import Iterator

from tables.store import Store


def prefix_end(prefix: bytes) -> bytes | None:
    """The first key after every key that starts with `prefix`; None where there is none (all bytes are 255)."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


class TablePartition:
    """A table partition as a handler sees it: get, put, delete, scan."""

    __slots__ = ("changes", "store")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.changes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of `key` with the step's own changes."""
        if key in self.changes:
            return self.changes[key]
        return self.store.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set `key` in this step."""
        self.changes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove `key` in this step."""
        self.changes[key] = None

    def scan(
        self, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` up to before `end`, with the step's own changes."""
        if not self.changes:
            return self.store.scan(start, end, reverse=reverse)
        return self._scan_changed(start, end, reverse=reverse)

    def _scan_changed(
        self, start: bytes, end: bytes | None, *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        changed = sorted(
            (key for key in self.changes if key >= start and (end is None or key < end)), reverse=reverse
        )
        position = 0
        for key, value in self.store.scan(start, end, reverse=reverse):
            while position < len(changed) and (
                changed[position] > key if reverse else changed[position] < key
            ):
                replacement = self.changes[changed[position]]
                if replacement is not None:
                    yield changed[position], replacement
                position += 1
            if position < len(changed) and changed[position] == key:
                replacement = self.changes[key]
                position += 1
                if replacement is not None:
                    yield key, replacement
            else:
                yield key, value
        for key in changed[position:]:
            replacement = self.changes[key]
            if replacement is not None:
                yield key, replacement

    def scan_prefix(self, prefix: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values under a prefix."""
        return self.scan(prefix, prefix_end(prefix), reverse=reverse)

    def committed(self) -> None:
        """The runtime has committed the changes."""
        self.changes = {}

    def rollback(self) -> None:
        """Forget the step's changes."""
        self.changes = {}
