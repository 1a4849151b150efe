"""A log in memory that fails on demand: what a disk, a kill and a power cut do to the embedded log.

Owns: records, tables and offsets, and how to take back every commit that is not durable yet.
Assumes: one thread; the world decides the fate of each commit.
Guarantees: a commit is there whole or not at all; what was synced survives a power cut, and after one the log
is as it was after some earlier commit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from connectors.embedded.errors import CommitError


class Fate(StrEnum):
    """What becomes of the next commit."""

    WRITTEN = "written"
    FAILS = "fails"
    KILLED_BEFORE = "killed before it is written"
    KILLED_AFTER = "killed after it is written"


class Killed(Exception):
    """The process ends here; nothing in its memory survives."""


@dataclass(frozen=True, slots=True)
class SimulatedRecord:
    """A record of a topic partition."""

    offset: int
    key: bytes | None
    value: bytes | None
    appended_at: int
    sequence: int


Place = tuple[str, int]
Undo = Callable[[], object]


class SimulatedLog:
    """Fulfils `topology.log.Log`."""

    def __init__(self) -> None:
        self.records: dict[Place, list[SimulatedRecord]] = {}
        self.tables: dict[Place, dict[bytes, bytes]] = {}
        self.offsets: dict[tuple[str, str, int], int] = {}
        self.sequence = 0
        self.durable = 0
        self.now = 0
        self.appended_at = 0
        self.fate: Fate = Fate.WRITTEN
        self._undo: list[list[Undo]] = []

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> list[SimulatedRecord]:
        """Records from `offset` on."""
        return self.records.get((topic, partition), [])[offset : offset + max_records]

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset that the next record will have."""
        return len(self.records.get((topic, partition), ()))

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Where a group goes on."""
        return self.offsets.get((group, topic, partition))

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table."""
        return self.tables.get((table, partition), {}).get(key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table partition."""
        found = self.tables.get((table, partition), {})
        keys = sorted((key for key in found if key >= start and (end is None or key < end)), reverse=reverse)
        return iter([(key, found[key]) for key in keys])

    def transaction(self) -> "SimulatedTransaction":
        """A new, empty transaction."""
        return SimulatedTransaction(self)

    def sync(self) -> None:
        """Everything so far survives a power cut."""
        self.durable = self.sequence
        self._undo.clear()

    def sync_one(self) -> None:
        """A slow disk: only the oldest commit that was not durable yet is now."""
        if self._undo:
            self._undo.pop(0)
            self.durable += 1

    def power_cut(self) -> int:
        """Take back what was not durable; returns how many commits that was."""
        lost = len(self._undo)
        for commit in reversed(self._undo):
            for undo in reversed(commit):
                undo()
        self._undo.clear()
        self.sequence = self.durable
        return lost

    def write(
        self,
        appends: list[tuple[Place, bytes | None, bytes | None]],
        changes: Mapping[Place, Mapping[bytes, bytes | None]],
        offsets: Mapping[tuple[str, str, int], int],
    ) -> int:
        """Apply a commit, as its fate wants it."""
        fate, self.fate = self.fate, Fate.WRITTEN
        if fate is Fate.FAILS:
            raise CommitError("simulated: expected room on the disk, found none")
        if fate is Fate.KILLED_BEFORE:
            raise Killed
        undo: list[Undo] = []
        self.sequence += 1
        self.now += 1
        self.appended_at = max(self.now, self.appended_at)
        for place, key, value in appends:
            records = self.records.setdefault(place, [])
            records.append(SimulatedRecord(len(records), key, value, self.appended_at, self.sequence))
            undo.append(records.pop)
        for place, changed in changes.items():
            table = self.tables.setdefault(place, {})
            undo.append(partial(self.tables.__setitem__, place, dict(table)))
            for table_key, new in changed.items():
                if new is None:
                    table.pop(table_key, None)
                else:
                    table[table_key] = new
        if offsets:
            undo.append(partial(setattr, self, "offsets", dict(self.offsets)))
            self.offsets.update(offsets)
        self._undo.append(undo)
        if fate is Fate.KILLED_AFTER:
            raise Killed
        return self.sequence


class SimulatedTransaction:
    """What one step writes."""

    def __init__(self, log: SimulatedLog) -> None:
        self._log = log
        self._appends: list[tuple[Place, bytes | None, bytes | None]] = []
        self._added: dict[Place, int] = {}
        self._changes: dict[Place, dict[bytes, bytes | None]] = {}
        self._offsets: dict[tuple[str, str, int], int] = {}

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Add a record."""
        place = (topic, partition)
        added = self._added.get(place, 0)
        self._added[place] = added + 1
        self._appends.append((place, key, value))
        return self._log.end_offset(topic, partition) + added

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of a table."""
        self._changes.setdefault((table, partition), {})[key] = value

    def delete(self, table: str, partition: int, key: bytes) -> None:
        """Remove a key of a table."""
        self._changes.setdefault((table, partition), {})[key] = None

    def put_all(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys of a table, and remove those whose value is None."""
        self._changes.setdefault((table, partition), {}).update(changes)

    def commit_offset(self, group: str, topic: str, partition: int, next_offset: int) -> None:
        """Set where a group goes on in a topic partition."""
        self._offsets[group, topic, partition] = next_offset

    def commit(self) -> int:
        """Write it all, atomically; returns the sequence of the commit."""
        return self._log.write(self._appends, self._changes, self._offsets)
