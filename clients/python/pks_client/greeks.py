"""Values and Greeks of positions from shared memory, and their sums by underlying, book and desk.

from pks_client import GreeksReader

slot = GreeksReader().slot("MM-BOOK", "BTC-C100")   # once
delta = slot.raw().delta                            # float64, in the strategy's loop; NaN where there is none
found = slot.read()                                 # GreeksSlot or None: quality, times, status
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from . import layout
from .marks import QUALITIES
from .position import Status
from .segment import SegmentView
from .slots import BUSY_SECONDS, STALE_AFTER_SECONDS, VERSION, SlotHandleBase, SlotReader

NAME = "/pks-greeks-v1"

_FLOATS_OFFSET = 16
_floats = layout.GREEK_FLOATS.unpack_from
_raw_greeks = tuple.__new__


class RawGreeks(NamedTuple):
    """The figures of a position or a sum as float64; NaN where there is none. `delta_value` is delta x spot."""

    market_value: float
    unrealised_pnl: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    vanna: float
    volga: float
    delta_value: float
    spot: float


class GreeksSlot:
    """A consistent copy of a slot; times are nanoseconds since 1970 UTC.

    `status` says whether its writer lives, `quality` how far the mark behind it is to be trusted (empty for a sum).
    """

    __slots__ = ("_values", "book", "currency", "instrument", "status", "underlying")

    def __init__(self, values: tuple[Any, ...], segment: SegmentView, status: Status) -> None:
        self._values = values
        self.book, self.instrument, self.currency, self.underlying = (
            segment.text(place) for place in values[18:22]
        )
        self.status = status

    @property
    def live(self) -> bool:
        """The writer is alive; the mark behind it may still be stale: ask `quality`."""
        return self.status is Status.LIVE

    @property
    def raw(self) -> RawGreeks:
        """All figures."""
        return RawGreeks(*self._values[1:12])

    @property
    def positions(self) -> int:
        """How many positions it is of: 1, or those of a sum."""
        return int(self._values[13])

    @property
    def unvalued(self) -> int:
        """How many of them have no value or, in a sum, no rate, and are left out."""
        return int(self._values[14])

    @property
    def quality(self) -> str:
        """How far the mark behind it is to be trusted; empty for a sum."""
        number = self._values[15]
        return QUALITIES[number] if number < len(QUALITIES) else f"unknown ({number})"

    @property
    def event_time(self) -> int:
        """The newest event time behind it."""
        return int(self._values[16])

    @property
    def updated_at(self) -> int:
        """When this copy was written."""
        return int(self._values[17])

    @property
    def partition(self) -> int:
        """The partition of the position."""
        return int(self._values[22])

    def __repr__(self) -> str:
        return f"GreeksSlot({self.book!r}, {self.instrument!r}, {self.raw}, status={self.status.value!r})"


class GreeksReader(SlotReader):
    """Greeks of one name on this machine. Raises NotAvailable where there are none, LayoutMismatch where they are of
    another layout. One reader a thread."""

    form = layout.GREEKS

    def __init__(
        self,
        name: str = NAME,
        *,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        super().__init__(name, stale_after_seconds=stale_after_seconds, busy_seconds=busy_seconds)

    def locate(self, key: tuple[str, ...]) -> tuple[int, tuple[int, SegmentView, int] | None]:
        """As for other slots; but the partition is that of the underlying, which the key does not name: the slot itself says
        it. So every worker's are looked at for the one that owns it."""
        form = self.form

        def look() -> tuple[int, SegmentView, int] | None:
            found = None
            for index in range(layout.WORKERS_MAX):
                segment = self._segment(index)
                number = -1 if segment is None else segment.find(*key)
                if segment is None or number < 0:
                    continue
                values = SlotHandleBase.at(self, segment, number).copy()
                owner = self.directory.owner_of_partition(values[form.partition])
                found = (owner[0], segment, number)
                if owner == (values[form.epoch], index):
                    break
            return found

        return self.consistently(look)

    def slot(self, book: str, instrument: str) -> "GreeksHandle":
        """A handle on a position, which need not exist yet. Keep it: finding is dearer than reading."""
        return GreeksHandle(self, book, instrument)

    def underlying(self, name: str) -> "GreeksHandle":
        """A handle on the sum of an underlying."""
        return GreeksHandle(self, "", f"underlying:{name}")

    def book(self, name: str) -> "GreeksHandle":
        """A handle on the sum of a book."""
        return GreeksHandle(self, "", f"book:{name}")

    def desk(self, name: str) -> "GreeksHandle":
        """A handle on the sum of a desk."""
        return GreeksHandle(self, "", f"desk:{name}")

    def slots(self) -> Iterator[GreeksSlot]:
        """A consistent copy of every slot that workers show, sums included."""
        for values, segment, status in self.all_slots():
            yield GreeksSlot(values, segment, status)


class GreeksHandle(SlotHandleBase):
    """One slot of a reader: `raw()` (float64), `read()` (with quality, times and status)."""

    __slots__ = ()

    def raw(self) -> RawGreeks | None:
        """All figures, of one moment; None where there is no such slot (yet).

        The fast path: it looks neither at the heartbeat nor at the quality. Read the whole slot as often as that matters.
        """
        if self._directory[VERSION] == self._seen:
            words, word = self._words, self._word
            sequence = words[word]
            values = _floats(self._map, (word << 3) + _FLOATS_OFFSET)
            if words[word] == sequence and not sequence & 1:
                return _raw_greeks(RawGreeks, values)
        elif not self._resolve():
            return None
        return _raw_greeks(RawGreeks, self._copy(layout.GREEK_FLOATS, _FLOATS_OFFSET))

    def read(self) -> GreeksSlot | None:
        """A consistent copy; None where there is no such slot (yet)."""
        found = self.values()
        return None if found is None else GreeksSlot(found[0], self._segment, found[1])
