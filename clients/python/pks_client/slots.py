"""Reading slots, whatever stands in them: handles that find their slot once, and copy it without ever holding up the writer.

Assumes: x86-64, where loads are made in their order, and CPython, which loads an 8-byte word at once.
Guarantees: a copy is of one moment: it is taken again while the slot's sequence is odd or changes, for at most
`busy_seconds`; a handle follows restarts, growth and changes of owner by itself; what is not written by the living
owner of its key is never `live`.
"""

import os
import time
from collections.abc import Iterator
from struct import Struct
from time import monotonic_ns
from typing import Any

from . import layout
from .errors import NotAvailable, SlotBusy
from .position import Status
from .segment import DirectoryView, SegmentFacts, SegmentView

STALE_AFTER_SECONDS = 1.0
"""Ten of the writer's heartbeats."""

BUSY_SECONDS = 0.25
"""A writer is between two stores for far less than a microsecond, unless it is preempted there, or has died."""

_LIVE = Status.LIVE
_STATE, _HEARTBEAT = layout.STATE_WORD, layout.HEARTBEAT_WORD
VERSION = layout.DIRECTORY_VERSION_WORD
_SPINS = 100
NEVER = -1


class SlotReader:
    """The slots of one name on this machine. Raises NotAvailable where there are none, LayoutMismatch where
    they are of another layout.

    `stale_after_seconds`: without a heartbeat for so long, they are stale. One reader a thread.
    """

    form: layout.Form

    def __init__(
        self,
        name: str,
        *,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self.name = name
        self.stale_after_seconds = stale_after_seconds
        self.stale_after = int(stale_after_seconds * 1e9)
        self.busy_seconds = busy_seconds
        self._segments: dict[tuple[str, int], SegmentView] = {}
        self.directory = DirectoryView(name, self.form)

    def segments(self) -> list[SegmentFacts]:
        """What the headers of the data segments say that workers show."""
        now = monotonic_ns()
        return [segment.facts(now, self.stale_after_seconds) for _, segment in self._shown()]

    def owned_partitions(self) -> dict[int, int]:
        """How many partitions each worker (by its index) owns; -1 counts those without an owner."""
        counts: dict[int, int] = {}
        for partition in range(self.directory.words[layout.DIRECTORY_PARTITION_COUNT_WORD]):
            _, index = self.directory.owner_of_partition(partition)
            counts[index] = counts.get(index, 0) + 1
        return counts

    def _shown(self) -> list[tuple[int, SegmentView]]:
        self.renew()

        def look() -> list[tuple[int, SegmentView]]:
            found = [(index, self._segment(index)) for index in range(layout.WORKERS_MAX)]
            return [(index, segment) for index, segment in found if segment is not None]

        shown: list[tuple[int, SegmentView]] = self.consistently(look)[1]
        return shown

    def status(self, segment: SegmentView, owned: bool) -> Status:
        """How far what stands in a segment may be trusted now."""
        state = segment.words[_STATE]
        if state == layout.ACTIVE:
            if monotonic_ns() - segment.words[_HEARTBEAT] > self.stale_after:
                return Status.STALE
            return Status.LIVE if owned else Status.NOT_OWNED
        return Status.CLOSED if state == layout.CLOSED else Status.NOT_OWNED

    def renew(self) -> bool:
        """Map the directory again if its name now stands for another; says whether it did."""
        if not self.directory.replaced():
            return False
        self.directory = DirectoryView(self.name, self.form)
        self._segments.clear()
        return True

    def consistently(self, look: Any) -> tuple[int, Any]:
        """The directory's version, and what `look()` gave while it stood still."""
        deadline = None
        while True:
            words = self.directory.words
            version = words[VERSION]
            if not version & 1:
                result = look()
                if words[VERSION] == version:
                    return version, result
            deadline = self.wait(deadline, f"the directory {self.name}")

    def wait(self, deadline: float | None, what: str) -> float:
        """Let others run; raises SlotBusy when that was done for too long."""
        now = time.monotonic()
        if deadline is None:
            return now + self.busy_seconds
        if now > deadline:
            raise SlotBusy(
                f"{what}: expected a whole copy within {self.busy_seconds} s, found it half-written for so long: "
                "its writer was stopped or died in the middle; restarting `pks up` makes it anew"
            )
        os.sched_yield()
        return deadline

    def locate(self, key: tuple[str, ...]) -> tuple[int, tuple[int, SegmentView, int] | None]:
        """The directory's version, and owner epoch, segment and slot number of a key (None: it has none)."""

        def look() -> tuple[int, SegmentView, int] | None:
            epoch, index = self.directory.owner(key[0])
            segment = None if index < 0 else self._segment(index)
            number = -1 if segment is None else segment.find(*key)
            return None if segment is None or number < 0 else (epoch, segment, number)

        return self.consistently(look)

    def all_slots(self) -> Iterator[tuple[tuple[Any, ...], SegmentView, Status]]:
        """A consistent copy of every slot that workers show, worker by worker, and how far each may be trusted."""
        form = self.form
        for index, segment in self._shown():
            for number in range(segment.get("slots_used")):
                values = SlotHandleBase.at(self, segment, number).copy()
                owner = self.directory.owner_of_partition(values[form.partition])
                yield values, segment, self.status(segment, owner == (values[form.epoch], index))

    def _segment(self, index: int) -> SegmentView | None:
        worker, generation = self.directory.worker(index)
        if not generation:
            return None
        segment = self._segments.get((worker, generation))
        if segment is None:
            try:
                segment = SegmentView(self.name, worker, generation, self.form)
            except NotAvailable:
                # Another generation has just replaced it, or somebody removed it.
                return None
            for key in [key for key in self._segments if key[0] == worker]:
                del self._segments[key]
            self._segments[worker, generation] = segment
        return segment


class SlotHandleBase:
    """One key of a reader."""

    __slots__ = (
        "_directory",
        "_epoch",
        "_map",
        "_reader",
        "_seen",
        "_segment",
        "_word",
        "_words",
        "key",
    )

    def __init__(self, reader: SlotReader, *key: str) -> None:
        self.key = key
        self._reader = reader
        self._directory = reader.directory.words
        self._seen = NEVER
        self._resolve()

    @classmethod
    def at(cls, reader: SlotReader, segment: SegmentView, number: int) -> "SlotHandleBase":
        """A handle on a slot by its number, which does not follow the key elsewhere."""
        handle = cls.__new__(cls)
        handle._reader = reader
        handle._place(segment, number)
        return handle

    def _resolve(self) -> bool:
        reader = self._reader
        version, found = reader.locate(self.key)
        self._directory = reader.directory.words
        if found is None:
            self._seen = NEVER
            return False
        self._epoch, segment, number = found
        self._place(segment, number)
        self._seen = version
        return True

    def _place(self, segment: SegmentView, number: int) -> None:
        self._segment = segment
        self._map, self._words = segment.map, segment.words
        self._word = layout.SEGMENT_HEADER_SIZE + number * segment.form.size >> 3

    def values(self) -> tuple[tuple[Any, ...], Status] | None:
        """The members of the slot, of one moment, and how far they may be trusted; None where there is none (yet)."""
        if self._directory[VERSION] != self._seen and not self._resolve():
            return self.values() if self._reader.renew() else None
        values = self.copy()
        status = self._status(values[self._reader.form.epoch])
        if status is not _LIVE and self._reader.renew():
            self._seen = NEVER
            return self.values()
        return values, status

    def copy(self) -> tuple[Any, ...]:
        """The members of the slot, of one moment."""
        words, word = self._words, self._word
        slot = self._reader.form.slot
        sequence = words[word]
        values = slot.unpack_from(self._map, (word << 3) + 8)
        if words[word] == sequence and not sequence & 1:
            return values
        return self._copy(slot, 8)

    def _copy(self, members: Struct, offset: int) -> tuple[Any, ...]:
        words, word = self._words, self._word
        start, deadline = (word << 3) + offset, None
        while True:
            for _ in range(_SPINS):
                sequence = words[word]
                values = members.unpack_from(self._map, start)
                if words[word] == sequence and not sequence & 1:
                    return values
            deadline = self._reader.wait(deadline, f"slot of {self._segment.name}")

    def _status(self, epoch: int) -> Status:
        words = self._segment.words
        if (
            words[_STATE] == layout.ACTIVE
            and epoch == self._epoch
            and monotonic_ns() - words[_HEARTBEAT] <= self._reader.stale_after
        ):
            return _LIVE
        return self._reader.status(self._segment, epoch == self._epoch)

    @property
    def live(self) -> bool:
        """The slot exists, and its writer is alive and owns the key."""
        if self._directory[VERSION] == self._seen:
            # What stands before the epoch is of 8 bytes each.
            epoch = self._words[self._word + 1 + self._reader.form.epoch]
            if self._status(epoch) is _LIVE:
                return True
        found = self.values()
        return found is not None and found[1] is _LIVE
