"""The newest mark of each instrument from shared memory.

from pks_client import MarkReader

slot = MarkReader().slot("BTCUSDT.BINANCE")     # once
price = slot.price                              # float64, in the strategy's loop; NaN where there is none
mark = slot.read()                              # MarkSlot or None: exact decimals, quality, status
"""

from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any, NamedTuple

from . import layout
from .position import Status
from .segment import SegmentView
from .slots import BUSY_SECONDS, STALE_AFTER_SECONDS, VERSION, SlotHandleBase, SlotReader

NAME = "/md-marks-v1"
QUALITIES = ("", "live", "stale", "indicative", "missing")
"""By their number in a slot."""

_EXACT_START = 14
_FLOATS_OFFSET = 16
_floats = layout.MARK_FLOATS.unpack_from
_raw_mark = tuple.__new__
_scaleb = Context(prec=60, traps=[]).scaleb


class RawMark(NamedTuple):
    """The figures of a mark as float64; NaN where there is none."""

    price: float
    bid: float
    ask: float
    accrued_interest: float


class MarkSlot:
    """A consistent copy of the newest mark of an instrument; times are nanoseconds since 1970 UTC.

    `status` says whether its writer lives; `quality` how far the price is to be trusted (`live`, `stale`, `indicative`,
    `missing`).
    """

    __slots__ = ("_values", "currency", "instrument", "source", "status")

    def __init__(self, values: tuple[Any, ...], segment: SegmentView, status: Status) -> None:
        self._values = values
        self.instrument, self.currency, self.source = (segment.text(place) for place in values[10:13])
        self.status = status

    def _exact(self, place: int) -> Decimal | None:
        low, high, exponent, flags = self._values[_EXACT_START + 4 * place : _EXACT_START + 4 * place + 4]
        return None if flags & layout.EXACT_NULL else _scaleb(high << 64 | low, exponent)

    @property
    def live(self) -> bool:
        """The writer is alive; the mark itself may still be stale: ask `quality`."""
        return self.status is Status.LIVE

    @property
    def raw(self) -> RawMark:
        """All figures as float64."""
        return RawMark(*self._values[1:5])

    @property
    def price(self) -> Decimal | None:
        """The price; None where the quality is `missing`."""
        return self._exact(0)

    @property
    def bid(self) -> Decimal | None:
        """The best bid, where it is known."""
        return self._exact(1)

    @property
    def ask(self) -> Decimal | None:
        """The best ask, where it is known."""
        return self._exact(2)

    @property
    def accrued_interest(self) -> Decimal | None:
        """Accrued interest of one bond, beside a clean price."""
        return self._exact(3)

    @property
    def quality(self) -> str:
        """How far the price is to be trusted."""
        number = self._values[6]
        return QUALITIES[number] if number < len(QUALITIES) else f"unknown ({number})"

    @property
    def event_time(self) -> int:
        """When it was quoted."""
        return int(self._values[7])

    @property
    def source_sequence(self) -> int:
        """The source's own order of its quotes."""
        return int(self._values[8])

    @property
    def updated_at(self) -> int:
        """When this copy was written."""
        return int(self._values[9])

    @property
    def partition(self) -> int:
        """The partition of the instrument."""
        return int(self._values[13])

    @property
    def inexact(self) -> tuple[str, ...]:
        """The figures of more than 38 digits, which were rounded to fit."""
        return tuple(
            name
            for place, name in enumerate(layout.MARK_DECIMALS)
            if self._values[_EXACT_START + 4 * place + 3] & layout.EXACT_INEXACT
        )

    def __repr__(self) -> str:
        return (
            f"MarkSlot({self.instrument!r}, price={self.price}, quality={self.quality!r}, "
            f"status={self.status.value!r})"
        )


class MarkReader(SlotReader):
    """Marks of one name on this machine. Raises NotAvailable where there are none, LayoutMismatch where they are of
    another layout. One reader a thread."""

    form = layout.MARKS

    def __init__(
        self,
        name: str = NAME,
        *,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        super().__init__(name, stale_after_seconds=stale_after_seconds, busy_seconds=busy_seconds)

    def slot(self, instrument: str) -> "MarkHandle":
        """A handle on an instrument's mark, which need not exist yet. Keep it: finding is dearer than reading."""
        return MarkHandle(self, instrument)

    def read(self, instrument: str) -> MarkSlot | None:
        """A consistent copy of an instrument's mark; None where it has none. For repeated reads take `slot`."""
        return MarkHandle(self, instrument).read()

    def marks(self) -> Iterator[MarkSlot]:
        """A consistent copy of every mark that workers show."""
        for values, segment, status in self.all_slots():
            yield MarkSlot(values, segment, status)


class MarkHandle(SlotHandleBase):
    """One instrument of a reader: `price`, `bid`, `ask` (float64), `raw()` (all of them), `read()` (exact)."""

    __slots__ = ()

    def raw(self) -> RawMark | None:
        """All figures as float64, of one moment; None where there is no such mark (yet).

        The fast path: it looks neither at the heartbeat nor at the quality. Read the whole slot as often as that matters.
        """
        if self._directory[VERSION] == self._seen:
            words, word = self._words, self._word
            sequence = words[word]
            values = _floats(self._map, (word << 3) + _FLOATS_OFFSET)
            if words[word] == sequence and not sequence & 1:
                return _raw_mark(RawMark, values)
        elif not self._resolve():
            return None
        return _raw_mark(RawMark, self._copy(layout.MARK_FLOATS, _FLOATS_OFFSET))

    def read(self) -> MarkSlot | None:
        """A consistent copy with exact figures, quality and status; None where there is no such mark (yet)."""
        found = self.values()
        return None if found is None else MarkSlot(found[0], self._segment, found[1])

    @property
    def price(self) -> float | None:
        """The price as float64; NaN where there is none."""
        raw = self.raw()
        return None if raw is None else raw.price
