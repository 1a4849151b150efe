"""Reading positions: handles that find their slot once, and copy it without ever holding up the writer.

Assumes: x86-64, where loads are made in their order, and CPython, which loads an 8-byte word at once.
Guarantees: a copy is of one moment: it is taken again while the slot's sequence is odd or changes, for at most
`busy_seconds`; a handle follows restarts, growth and changes of owner by itself; what is not written by the living
owner of the book is never `live`.
"""

import os
import time
from collections.abc import Iterator
from struct import Struct
from time import monotonic_ns
from typing import Any

from . import layout
from .errors import NotAvailable, SlotBusy
from .position import PositionSlot, RawPosition, Status
from .segment import DirectoryView, SegmentFacts, SegmentView

NAME = "/pks-positions-v1"
STALE_AFTER_SECONDS = 1.0
"""Ten of the writer's heartbeats."""

BUSY_SECONDS = 0.25
"""A writer is between two stores for far less than a microsecond, unless it is preempted there, or has died."""

_LIVE = Status.LIVE
_STATE, _HEARTBEAT = layout.STATE_WORD, layout.HEARTBEAT_WORD
_VERSION = layout.DIRECTORY_VERSION_WORD
_SPINS = 100
_NEVER = -1
_floats = layout.SLOT_FLOATS.unpack_from
_raw_position = tuple.__new__


class PositionReader:
    """Positions of one name on this machine. Raises NotAvailable where there are none, LayoutMismatch where
    they are of another layout.

    `stale_after_seconds`: without a heartbeat for so long, positions are stale. One reader a thread.
    """

    def __init__(
        self,
        name: str = NAME,
        *,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self.name = name
        self.stale_after_seconds = stale_after_seconds
        self.stale_after = int(stale_after_seconds * 1e9)
        self.busy_seconds = busy_seconds
        self._segments: dict[tuple[str, int], SegmentView] = {}
        self.directory = DirectoryView(name)

    def slot(self, book: str, instrument: str) -> "SlotHandle":
        """A handle on a position, which need not exist yet. Keep it: finding is dearer than reading."""
        return SlotHandle(self, book, instrument)

    def read(self, book: str, instrument: str) -> PositionSlot | None:
        """A consistent copy of a position; None where there is none. For repeated reads take `slot`."""
        return SlotHandle(self, book, instrument).read()

    def positions(self) -> Iterator[PositionSlot]:
        """A consistent copy of every slot that workers show, worker by worker."""
        for index, segment in self._shown():
            for number in range(segment.get("slots_used")):
                handle = SlotHandle.at(self, segment, number)
                values = handle.copy()
                epoch, owner = self.directory.owner_of_partition(values[15])
                book, instrument, currency = (segment.text(place) for place in values[12:15])
                owned = (epoch, owner) == (values[7], index)
                yield PositionSlot(values, book, instrument, currency, self.status(segment, owned))

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
        self.directory = DirectoryView(self.name)
        self._segments.clear()
        return True

    def consistently(self, look: Any) -> tuple[int, Any]:
        """The directory's version, and what `look()` gave while it stood still."""
        deadline = None
        while True:
            words = self.directory.words
            version = words[_VERSION]
            if not version & 1:
                result = look()
                if words[_VERSION] == version:
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

    def locate(self, book: str, instrument: str) -> tuple[int, tuple[int, SegmentView, int] | None]:
        """The directory's version, and owner epoch, segment and slot number of a position (None: it has none)."""

        def look() -> tuple[int, SegmentView, int] | None:
            epoch, index = self.directory.owner(book)
            segment = None if index < 0 else self._segment(index)
            number = -1 if segment is None else segment.find(book, instrument)
            return None if segment is None or number < 0 else (epoch, segment, number)

        return self.consistently(look)

    def _segment(self, index: int) -> SegmentView | None:
        worker, generation = self.directory.worker(index)
        if not generation:
            return None
        segment = self._segments.get((worker, generation))
        if segment is None:
            try:
                segment = SegmentView(self.name, worker, generation)
            except NotAvailable:
                # Another generation has just replaced it, or somebody removed it.
                return None
            for key in [key for key in self._segments if key[0] == worker]:
                del self._segments[key]
            self._segments[worker, generation] = segment
        return segment


class SlotHandle:
    """One position of a reader: `quantity` and its like (float64), `raw()` (all of them), `read()` (exact)."""

    __slots__ = (
        "_currency",
        "_directory",
        "_epoch",
        "_map",
        "_reader",
        "_seen",
        "_segment",
        "_start",
        "_word",
        "_words",
        "book",
        "instrument",
    )

    def __init__(self, reader: PositionReader, book: str, instrument: str) -> None:
        self.book = book
        self.instrument = instrument
        self._reader = reader
        self._directory = reader.directory.words
        self._seen = _NEVER
        self._resolve()

    @classmethod
    def at(cls, reader: PositionReader, segment: SegmentView, number: int) -> "SlotHandle":
        """A handle on a slot by its number, which does not follow the position elsewhere."""
        handle = cls.__new__(cls)
        handle._reader = reader
        handle._place(segment, number)
        return handle

    def _resolve(self) -> bool:
        reader = self._reader
        version, found = reader.locate(self.book, self.instrument)
        self._directory = reader.directory.words
        if found is None:
            self._seen = _NEVER
            return False
        self._epoch, segment, number = found
        self._place(segment, number)
        self._seen = version
        return True

    def _place(self, segment: SegmentView, number: int) -> None:
        self._segment = segment
        self._map, self._words = segment.map, segment.words
        start = layout.SEGMENT_HEADER_SIZE + number * layout.SLOT_SIZE
        self._word = start >> 3
        self._start = start + layout.SLOT_FLOATS_OFFSET
        self._currency = (0, "")

    def raw(self) -> RawPosition | None:
        """All figures as float64, of one moment; None where there is no such position (yet).

        The fast path: it does not look at the heartbeat. Ask `live` as often as a stale figure would matter.
        """
        if self._directory[_VERSION] == self._seen:
            words, word = self._words, self._word
            sequence = words[word]
            values = _floats(self._map, self._start)
            if words[word] == sequence and not sequence & 1:
                return _raw_position(RawPosition, values)
        elif not self._resolve():
            return None
        return _raw_position(RawPosition, self._copy(layout.SLOT_FLOATS, layout.SLOT_FLOATS_OFFSET))

    def read(self) -> PositionSlot | None:
        """A consistent copy with exact figures and a status; None where there is no such position (yet)."""
        if self._directory[_VERSION] != self._seen and not self._resolve():
            return self.read() if self._reader.renew() else None
        values = self.copy()
        status = self._status(values[7])
        if status is not _LIVE and self._reader.renew():
            self._seen = _NEVER
            return self.read()
        if self._currency[0] != values[14]:
            self._currency = values[14], self._segment.text(values[14])
        return PositionSlot(values, self.book, self.instrument, self._currency[1], status)

    def copy(self) -> tuple[Any, ...]:
        """The members of the slot, of one moment."""
        words, word = self._words, self._word
        sequence = words[word]
        values = layout.SLOT.unpack_from(self._map, (word << 3) + 8)
        if words[word] == sequence and not sequence & 1:
            return values
        return self._copy(layout.SLOT, 8)

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
        """The position exists, and its writer is alive and owns the book."""
        if self._directory[_VERSION] == self._seen and self._status(self._words[self._word + 8]) is _LIVE:
            return True
        position = self.read()
        return position is not None and position.live

    @property
    def quantity(self) -> float | None:
        """What is held, as float64."""
        raw = self.raw()
        return None if raw is None else raw[0]

    @property
    def average_price(self) -> float | None:
        """The average price as float64; NaN when flat."""
        raw = self.raw()
        return None if raw is None else raw[1]

    @property
    def realised_pnl(self) -> float | None:
        """P&L of what was closed, without fees, as float64."""
        raw = self.raw()
        return None if raw is None else raw[3]

    @property
    def net_realised_pnl(self) -> float | None:
        """P&L of what was closed, with fees by the book's policy, as float64."""
        raw = self.raw()
        return None if raw is None else raw[4]
