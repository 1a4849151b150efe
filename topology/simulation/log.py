"""A log in memory that fails on demand: what a disk, a kill and a power cut do to the embedded log.

Owns: records, tables and offsets, and how to take back every commit that is not durable yet.
Assumes: one thread; the world decides the fate of each commit.
Guarantees: a commit is there whole or not at all; what was synced survives a power cut, and after one the log
is as it was after some earlier commit. After a write that failed it takes no other one until it is opened again,
and may then be found to have it after all: whoever asked cannot know.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from connectors.embedded.errors import CommitError, ResourceError


class Fate(StrEnum):
    """What becomes of the next commit."""

    WRITTEN = "written"
    CROSSED = "another commit came first"
    FAILS = "fails"
    FAILS_AND_IS_FOUND = "fails, and is found when the log is opened again"
    KILLED_BEFORE = "killed before it is written"
    KILLED_AFTER = "killed after it is written"


class Killed(BaseException):
    """The process ends here; nothing in its memory survives, and nothing in it can catch this."""


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
Appends = list[tuple[Place, bytes | None, bytes | None]]
Changes = Mapping[Place, Mapping[bytes, bytes | None]]
Offsets = Mapping[tuple[str, str, int], int]


class _Table:
    """Keys and values of a table partition, the keys in order as well."""

    __slots__ = ("keys", "values")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: dict[bytes, bytes] = {}

    def set(self, key: bytes, value: bytes | None) -> None:
        known = key in self.values
        if value is not None:
            self.values[key] = value
            if not known:
                insort(self.keys, key)
        elif known:
            del self.values[key]
            del self.keys[bisect_left(self.keys, key)]

    def set_all(self, changes: Mapping[bytes, bytes | None]) -> Undo:
        """Returns what takes it back."""
        before = {key: self.values.get(key) for key in changes}
        for key, value in changes.items():
            self.set(key, value)

        def undo() -> None:
            for key, value in before.items():
                self.set(key, value)

        return undo


class SimulatedLog:
    """Fulfils `topology.log.Log`."""

    def __init__(self) -> None:
        self.records: dict[Place, list[SimulatedRecord]] = {}
        self.offsets: dict[tuple[str, str, int], int] = {}
        self.sequence = 0
        self.generation = 0
        self.durable_sequence = 0
        self.now = 0
        self.appended_at = 0
        self.fate: Fate = Fate.WRITTEN
        self.failed: str | None = None
        self.reopened = 0
        self.read_fault: list[int] | None = None
        """Reads until they fail, and how many fail then; None while none is to fail."""
        self.killed = False
        """Whether the process that wrote is gone: nothing reads for it any more."""
        self._tables: dict[Place, _Table] = {}
        self._undo: list[list[Undo]] = []
        self._in_doubt: tuple[Appends, Changes, Offsets] | None = None

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> list[SimulatedRecord]:
        """Records from `offset` on."""
        self._may_read()
        return self.records.get((topic, partition), [])[offset : offset + max_records]

    def _may_read(self) -> None:
        if self.killed:
            raise Killed
        fault = self.read_fault
        if fault is None:
            return
        if fault[0]:
            fault[0] -= 1
        elif fault[1]:
            fault[1] -= 1
            raise ResourceError("simulated: expected to open a file, found too many open")

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset that the next record will have."""
        return len(self.records.get((topic, partition), ()))

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Where a group goes on."""
        return self.offsets.get((group, topic, partition))

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table."""
        self._may_read()
        found = self._tables.get((table, partition))
        return None if found is None else found.values.get(key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table partition."""
        self._may_read()
        found = self._tables.get((table, partition))
        if found is None:
            return iter(())
        first = bisect_left(found.keys, start)
        keys = found.keys[first : None if end is None else bisect_left(found.keys, end)]
        if reverse:
            keys.reverse()
        return iter([(key, found.values[key]) for key in keys])

    def tables(self) -> list[tuple[Place, list[tuple[bytes, bytes]]]]:
        """Every table partition with what is in it, in order."""
        return [(place, list(self.scan(*place, b""))) for place in sorted(self._tables)]

    def transaction(self) -> "SimulatedTransaction":
        """A new, empty transaction."""
        return SimulatedTransaction(self)

    def sync(self) -> None:
        """Everything so far survives a power cut."""
        self.durable_sequence = self.sequence
        self._undo.clear()

    def sync_one(self) -> None:
        """A slow disk: only the oldest commit that was not durable yet is now."""
        if self._undo:
            self._undo.pop(0)
            self.durable_sequence += 1

    def power_cut(self) -> int:
        """Take back what was not durable; returns how many commits that was."""
        lost = len(self._undo)
        for commit in reversed(self._undo):
            for undo in reversed(commit):
                undo()
        self._undo.clear()
        self._in_doubt = None
        self.sequence = self.durable_sequence
        return lost

    def reopen(self) -> bool:
        """Open the log again, by this process or the next; whether a commit that failed is found after all."""
        self.failed = None
        self.killed = False
        self.reopened += 1
        found, self._in_doubt = self._in_doubt, None
        if found is None:
            return False
        self._apply(*found)
        return True

    def write(self, appends: Appends, changes: Changes, offsets: Offsets) -> int:
        """Apply a commit, as its fate wants it."""
        if self.failed is not None:
            raise CommitError(self.failed)
        fate, self.fate = self.fate, Fate.WRITTEN
        if fate is Fate.CROSSED:
            raise CommitError(
                "simulated: expected no commit since this transaction began, found one; begin again"
            )
        if fate in (Fate.FAILS, Fate.FAILS_AND_IS_FOUND):
            self.failed = "simulated: expected room on the disk, found none"
            if fate is Fate.FAILS_AND_IS_FOUND:
                copied = {place: dict(changed) for place, changed in changes.items()}
                self._in_doubt = (list(appends), copied, dict(offsets))
            raise CommitError(self.failed)
        self.killed = fate in (Fate.KILLED_BEFORE, Fate.KILLED_AFTER)
        if fate is not Fate.KILLED_BEFORE:
            self._apply(appends, changes, offsets)
        if self.killed:
            raise Killed
        return self.sequence

    def _apply(self, appends: Appends, changes: Changes, offsets: Offsets) -> None:
        undo: list[Undo] = []
        self.sequence += 1
        self.now += 1
        self.appended_at = max(self.now, self.appended_at)
        for place, key, value in appends:
            records = self.records.setdefault(place, [])
            records.append(SimulatedRecord(len(records), key, value, self.appended_at, self.sequence))
            undo.append(records.pop)
        for place, changed in changes.items():
            undo.append(self._tables.setdefault(place, _Table()).set_all(changed))
        if offsets:
            before = dict(self.offsets)
            undo.append(lambda: setattr(self, "offsets", before))
            self.offsets.update(offsets)
        self._undo.append(undo)


class SimulatedTransaction:
    """What one step writes."""

    def __init__(self, log: SimulatedLog) -> None:
        self._log = log
        self._appends: Appends = []
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
