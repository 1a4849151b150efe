"""What capture knows, moved to other partitions: a pure rule over its table, and the fills that it is about.

A trade is where its id's hash says. A correction is where its trade is, and a sender's hash where its fill is: neither
says so itself, so the fills are looked at (`saw`), as they are copied into the new partitions.

Guarantees: everything that is known is known in the new partition of its fill, once; what waits goes on waiting for as
many ticks as were left; counts add up as before, by source, and those of a partition are of the fills in it. What cannot
be so is refused (`MemoryFault`), and nothing is half moved: the caller writes elsewhere.

It is moved, not made anew as tables of an embedded log are: topics of definitions forget what they said before.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agents.capture_state import (
    CLOCK,
    CLOSED_DAY,
    HASH,
    HASH_BY_TIME,
    OPEN_DAY,
    REFERENCE,
    TRADE,
    Waiting,
    hash_changes,
    trade_records,
    waiting_change,
    waiting_corrections,
)
from agents.counters import FAMILY, Counts, encode_counts, read_counts
from domain.capture.lifecycle import content_digest
from schemas import events
from schemas.frames import BadEvent, wire
from schemas.murmur2 import partition_of_key
from schemas.topics import fill_key
from tables.partition import TablePartition
from topology.runtime import REFUSED_DEFINITIONS, UNREADABLE

_FillEvent: Any = wire(events.FillEvent)
_OUTCOMES = ("refused", "duplicates", "applied")
_CHANGES_MAX = 10_000

Write = Callable[[int, Mapping[bytes, bytes | None]], None]
"""Takes changes of a new table partition."""


class MemoryFault(Exception):
    """What a stage knows cannot be moved; the text says of what that is so, and why."""


class _Home:
    """Where a fill of some content stands now."""

    __slots__ = ("content", "index", "offset", "partition")

    def __init__(self, content: bytes, partition: int, offset: int, index: int) -> None:
        self.content, self.partition, self.offset, self.index = content, partition, offset, index


class CaptureMemory:
    """The tables of capture by old partition, on their way into `partitions` new ones.

    `get` and `write` are of the new table.
    """

    def __init__(
        self,
        old: Sequence[TablePartition],
        partitions: int,
        get: Callable[[int, bytes], bytes | None],
        write: Write,
    ) -> None:
        self._old = old
        self._partitions = partitions
        self._get = get
        self._write = write
        self._homes: dict[tuple[int, str], list[_Home]] = defaultdict(list)
        self._read: Counter[tuple[str, int]] = Counter()

    def saw(self, old: int, partition: int, offset: int, found: Iterable[Any]) -> None:
        """The events of a record that was copied from an `old` partition to a place in a new one."""
        for index, event in enumerate(found):
            if type(event) is _FillEvent:
                self._read[event.source, partition] += 1
                # Of any other it is clear: it is where its id's hash says.
                if fill_key(event) != event.trade_id or self._stray(old, event.trade_id):
                    home = _Home(content_digest(event), partition, offset, index)
                    self._homes[old, event.trade_id].append(home)
                if event.idempotency_hash:
                    self._move_hash(old, partition, event)
            elif isinstance(event, BadEvent):
                self._read[UNREADABLE, partition] += 1

    def _stray(self, old: int, identity: str) -> bool:
        """Whether a sender put a trade into another partition than that of its id."""
        return partition_of_key(identity.encode(), len(self._old)) != old

    def _move_hash(self, old: int, partition: int, fill: Any) -> None:
        name = fill.idempotency_hash.encode()
        changes: dict[bytes, bytes | None] = {**hash_changes(fill.idempotency_hash, fill.recorded_at)}
        when = fill.recorded_at.to_bytes(8, "big")
        if self._old[old].get(HASH + name) != when:
            return  # it was known then, and is no more; or its fill was refused
        before = self._get(partition, HASH + name)
        if before is not None and before != when:
            # Of several that meet the latest is known for longest.
            if before > when:
                return
            changes[HASH_BY_TIME + before + name] = None
        self._write(partition, changes)

    def move(self) -> None:
        """Move what is left, when every fill was seen. Raises MemoryFault."""
        self._move_records()
        clocks = [self._clock(partition) for partition in range(self._partitions)]
        waiting = self._move_waiting(clocks)
        self._move_counts(waiting)
        # The first partition speaks for all of definitions that are refused: nobody shall be ahead of it.
        definitions = dict(self._old[0].scan_prefix(REFERENCE))
        self._move_days()
        for partition, clock in enumerate(clocks):
            self._write(partition, {**definitions, **({CLOCK: str(clock).encode()} if clock else {})})

    # -- ids ----------------------------------------------------------------------------------------------------

    def _move_records(self) -> None:
        changes: dict[int, dict[bytes, bytes | None]] = defaultdict(dict)
        placed: dict[tuple[int, bytes], int] = {}
        for old, table in enumerate(self._old):
            for identity, record, value in trade_records(table):
                home = self._home(old, identity, record.content)
                key = TRADE + identity.encode()
                if home is not None:
                    self._alone(placed, home.partition, key, old)
                    changes[home.partition][key] = value
                    continue
                if self._stray(old, identity):
                    raise MemoryFault(
                        f"expected a fill of {identity} in partition {old}, where its id is known, found none"
                    )
                changes[partition_of_key(identity.encode(), self._partitions)][key] = value
                if sum(map(len, changes.values())) >= _CHANGES_MAX:
                    self._flush(changes)
        self._flush(changes)
        self._none_met(placed)

    def _alone(self, placed: dict[tuple[int, bytes], int], partition: int, key: bytes, old: int) -> None:
        before = placed.setdefault((partition, key), old)
        if before != old:
            raise MemoryFault(
                f"expected ids that were used once, found {key[1:].decode()} for corrections of several trades, which "
                f"were in partitions {before} and {old} and would meet in {partition}: try another number"
            )

    def _none_met(self, placed: Mapping[tuple[int, bytes], int]) -> None:
        """An id of a correction that is a trade's own as well was known in one partition as each."""
        for (partition, key), old in placed.items():
            identity = key[1:].decode()
            own = partition_of_key(key[1:], len(self._old))
            also_a_trade = own != old and self._old[own].get(key) is not None
            if also_a_trade and partition_of_key(key[1:], self._partitions) == partition:
                raise MemoryFault(
                    f"expected ids that were used once, found {identity} for a trade and for a correction of another, which "
                    f"would meet in partition {partition}: try another number"
                )

    def _home(self, old: int, identity: str, content: bytes) -> _Home | None:
        return next((home for home in self._homes.get((old, identity), ()) if home.content == content), None)

    def _flush(self, changes: dict[int, dict[bytes, bytes | None]]) -> None:
        for partition, found in changes.items():
            self._write(partition, found)
        changes.clear()

    def _move_days(self) -> None:
        """The days of a book are in the partition of its name."""
        for table in self._old:
            for family in (OPEN_DAY, CLOSED_DAY):
                for key, value in table.scan_prefix(family):
                    self._write(partition_of_key(key[1:], self._partitions), {key: value})

    # -- what waits ---------------------------------------------------------------------------------------------

    def _clock(self, partition: int) -> int:
        """The ticks that a new partition has had: those of the old one whose ticks are in its topic."""
        return int(self._old[partition % len(self._old)].get(CLOCK) or 0)

    def _move_waiting(self, clocks: Sequence[int]) -> Counter[tuple[str, int]]:
        numbers: Counter[int] = Counter()
        counted: Counter[tuple[str, int]] = Counter()
        for old, table in enumerate(self._old):
            clock = int(table.get(CLOCK) or 0)
            for waiting in waiting_corrections(table):
                fill = waiting.fill
                home = self._home(old, fill.trade_id, content_digest(fill))
                if home is None:
                    raise MemoryFault(
                        f"expected the fill of {fill.trade_id}, which waits for its trade, found none"
                    )
                age = clock - waiting.tick
                moved = Waiting(
                    numbers[home.partition], clocks[home.partition] - age, home.offset, home.index, fill
                )
                numbers[home.partition] += 1
                counted[fill.source, home.partition] += 1
                self._write(home.partition, dict([waiting_change(moved)]))
        return counted

    # -- counts -------------------------------------------------------------------------------------------------

    def _move_counts(self, waiting: Mapping[tuple[str, int], int]) -> None:
        totals: dict[str, Counts] = defaultdict(Counts)
        for table in self._old:
            for source, counts in read_counts(table).items():
                totals[source].add(counts)
        definitions = totals.pop(REFUSED_DEFINITIONS, None)
        if definitions is not None:
            self._write(0, {FAMILY + REFUSED_DEFINITIONS.encode(): encode_counts(definitions)})
        read: dict[str, int] = Counter()
        for (source, _), number in self._read.items():
            read[source] += number
        for source in totals.keys() | read.keys():
            if totals[source].read != read[source]:
                raise MemoryFault(
                    f"expected {totals[source].read} fills of source {source!r}, which were counted, found {read[source]} in "
                    "the topic: look at `pks verify`"
                )
            self._share(source, totals[source], waiting)

    def _share(self, source: str, total: Counts, waiting: Mapping[tuple[str, int], int]) -> None:
        """What became of a source's fills is known of all partitions together: each gets as much as it has fills."""
        for partition in range(self._partitions):
            read = self._read[source, partition]
            if not read:
                continue
            counts = Counts(read=read, waiting=waiting.get((source, partition), 0))
            left = read - counts.waiting
            for outcome in _OUTCOMES:
                taken = min(left, getattr(total, outcome))
                setattr(counts, outcome, taken)
                setattr(total, outcome, getattr(total, outcome) - taken)
                left -= taken
            self._write(partition, {FAMILY + source.encode(): encode_counts(counts)})
