"""Reading positions from shared memory. Finding and copying slots is `slots`'."""

from collections.abc import Iterator

from . import layout
from .position import PositionSlot, RawPosition
from .segment import SegmentView
from .slots import BUSY_SECONDS, STALE_AFTER_SECONDS, VERSION, SlotHandleBase, SlotReader

NAME = "/pks-positions-v1"

_floats = layout.SLOT_FLOATS.unpack_from
_raw_position = tuple.__new__


class PositionReader(SlotReader):
    """Positions of one name on this machine. Raises NotAvailable where there are none, LayoutMismatch where
    they are of another layout.

    `stale_after_seconds`: without a heartbeat for so long, positions are stale. One reader a thread.
    """

    form = layout.POSITIONS

    def __init__(
        self,
        name: str = NAME,
        *,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        super().__init__(name, stale_after_seconds=stale_after_seconds, busy_seconds=busy_seconds)

    def slot(self, book: str, instrument: str) -> "SlotHandle":
        """A handle on a position, which need not exist yet. Keep it: finding is dearer than reading."""
        return SlotHandle(self, book, instrument)

    def read(self, book: str, instrument: str) -> PositionSlot | None:
        """A consistent copy of a position; None where there is none. For repeated reads take `slot`."""
        return SlotHandle(self, book, instrument).read()

    def positions(self) -> Iterator[PositionSlot]:
        """A consistent copy of every slot that workers show, worker by worker."""
        for values, segment, status in self.all_slots():
            book, instrument, currency = (segment.text(place) for place in values[12:15])
            yield PositionSlot(values, book, instrument, currency, status)


class SlotHandle(SlotHandleBase):
    """One position of a reader: `quantity` and its like (float64), `raw()` (all of them), `read()` (exact)."""

    __slots__ = ("_currency", "_start", "book", "instrument")

    def __init__(self, reader: PositionReader, book: str, instrument: str) -> None:
        self.book, self.instrument = book, instrument
        super().__init__(reader, book, instrument)

    def _place(self, segment: SegmentView, number: int) -> None:
        super()._place(segment, number)
        self._start = (self._word << 3) + layout.SLOT_FLOATS_OFFSET
        self._currency = (0, "")

    def raw(self) -> RawPosition | None:
        """All figures as float64, of one moment; None where there is no such position (yet).

        The fast path: it does not look at the heartbeat. Ask `live` as often as a stale figure would matter.
        """
        if self._directory[VERSION] == self._seen:
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
        found = self.values()
        if found is None:
            return None
        values, status = found
        if self._currency[0] != values[14]:
            self._currency = values[14], self._segment.text(values[14])
        return PositionSlot(values, self.book, self.instrument, self._currency[1], status)

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
