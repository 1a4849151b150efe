"""What the bars stage keeps: bars that can still be corrected, and the newest tick and mark of each instrument.

Owns: the layout of the `bars` table, and the cache of bars in memory.
Guarantees: memory is bounded by `cached_bars_max` bars (what a step touches may be more until it is committed), the table
by the window of each interval (`domain.marks.bars`) and `PRUNE_BARS` bars more.

Families of keys (first byte):

    b interval instrument 0 time   a bar, by when it begins
    n instrument                   the time of the newest tick
    m instrument                   the newest mark, ticks and others
    t                              ticks that came too late, by interval
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from agents.counters import Counters
from domain.marks.bars import LENGTHS, WINDOW_BARS, OpenBar, Order, is_kept, opened_at
from domain.marks.judging import order_of
from schemas import market_data
from schemas.frames import encode_event, wire
from schemas.units import BarInterval
from tables.partition import TablePartition

BAR, NEWEST, MARK, TOO_LATE = b"b", b"n", b"m", b"t"

PRUNE_BARS = 64
"""How many bars of an instrument leave the window before they are removed from the table together."""

_TIME_ORIGIN = 2**63
_CODES = {BarInterval.SECOND: b"s", BarInterval.MINUTE: b"m", BarInterval.DAY: b"d"}

_encode = msgspec.json.Encoder().encode
_decode_bar = msgspec.json.Decoder(tuple[Decimal, Decimal, Decimal, Decimal, Order, Order, int]).decode
decode_mark = msgspec.json.Decoder(wire(market_data.Mark)).decode
_decode_counts = msgspec.json.Decoder(dict[str, int]).decode


def scan_marks(table: TablePartition) -> Iterator[Any]:
    """The newest mark (wire twin) of each instrument of a table partition."""
    for _, stored in table.scan_prefix(MARK):
        yield decode_mark(stored)


class BarKey(NamedTuple):
    """Which bar: of what, how long, and when it begins."""

    instrument: str
    interval: BarInterval
    opened_at: int


def _shrink(held: dict[Any, Any], most: int) -> None:
    for key in list(held)[: max(0, len(held) - most)]:
        del held[key]


def _prefix(instrument: str, interval: BarInterval) -> bytes:
    return BAR + _CODES[interval] + instrument.encode() + b"\0"


def _key(bar: BarKey) -> bytes:
    return _prefix(bar.instrument, bar.interval) + (bar.opened_at + _TIME_ORIGIN).to_bytes(8, "big")


class BarsState:
    """The bars of one partition."""

    def __init__(self, table: TablePartition, cached_bars_max: int) -> None:
        self.table = table
        self.counters = Counters(table)
        self._cached_bars_max = cached_bars_max
        self._bars: dict[BarKey, OpenBar] = {}
        self._newest: dict[str, int] = {}
        self._marks: dict[str, Any] = {}
        self._marked: set[str] = set()
        self._touched: set[BarKey] = set()
        self._too_late: dict[str, int] = {}
        self._load_too_late()

    def _load_too_late(self) -> None:
        stored = self.table.get(TOO_LATE)
        self._too_late = {} if stored is None else _decode_counts(stored)

    @property
    def too_late(self) -> Mapping[str, int]:
        """Ticks that came when their bar was kept no more, by interval."""
        return self._too_late

    def count_too_late(self, interval: BarInterval) -> None:
        """A tick came too late for its bar."""
        self._too_late[interval] = self._too_late.get(interval, 0) + 1
        self.table.put(TOO_LATE, _encode(self._too_late))

    def newest(self, instrument: str) -> int | None:
        """The time of an instrument's newest tick; None where it has none."""
        found = self._newest.get(instrument)
        if found is None:
            stored = self.table.get(NEWEST + instrument.encode())
            if stored is not None:
                found = self._newest[instrument] = int.from_bytes(stored, "big") - _TIME_ORIGIN
        return found

    def take_mark(self, mark: Any) -> bool:
        """Take in a mark; says whether it is now the newest of its instrument."""
        held = self._marks.get(mark.instrument)
        if held is None:
            stored = self.table.get(MARK + mark.instrument.encode())
            held = None if stored is None else decode_mark(stored)
        if held is not None and order_of(held) > order_of(mark):
            return False
        self._marks[mark.instrument] = mark
        self._marked.add(mark.instrument)
        return True

    def advance(self, instrument: str, event_time: int) -> None:
        """An instrument has a newer tick; bars that leave the window go, some together."""
        before = self.newest(instrument)
        self._newest[instrument] = event_time
        self.table.put(NEWEST + instrument.encode(), (event_time + _TIME_ORIGIN).to_bytes(8, "big"))
        if before is None:
            return
        for interval, length in LENGTHS.items():
            if event_time // (PRUNE_BARS * length) > before // (PRUNE_BARS * length):
                horizon = opened_at(event_time, interval) - WINDOW_BARS[interval] * length
                self._prune(instrument, interval, horizon)

    def _prune(self, instrument: str, interval: BarInterval, horizon: int) -> None:
        start = _prefix(instrument, interval)
        for key, _ in list(self.table.scan(start, _key(BarKey(instrument, interval, horizon)))):
            self.table.delete(key)
            gone = BarKey(instrument, interval, int.from_bytes(key[-8:], "big") - _TIME_ORIGIN)
            self._bars.pop(gone, None)

    def bar(self, key: BarKey) -> OpenBar | None:
        """A bar that the step may change; None where there is none yet."""
        self._touched.add(key)
        found = self._bars.get(key)
        if found is None:
            stored = self.table.get(_key(key))
            if stored is not None:
                found = self._bars[key] = OpenBar(*_decode_bar(stored))
        return found

    def put(self, key: BarKey, bar: OpenBar) -> None:
        """Begin a bar."""
        self._bars[key] = bar

    def before_commit(self) -> None:
        """Write the bars that the step touched, but for those that it has moved out of their window."""
        # In an order that no hash decides: the same step writes the same bytes in every process.
        for key in sorted(self._touched):
            bar = self._bars.get(key)
            newest = self.newest(key.instrument)
            if bar is None or newest is None or not is_kept(key.opened_at, newest, key.interval):
                self._bars.pop(key, None)
            else:
                content = (bar.open, bar.high, bar.low, bar.close, bar.first, bar.last, bar.revision)
                self.table.put(_key(key), _encode(content))
        for instrument in sorted(self._marked):
            self.table.put(MARK + instrument.encode(), encode_event(self._marks[instrument]))
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed: what was taken in first goes, where there is too much."""
        self._touched.clear()
        self._marked.clear()
        self.counters.committed()
        _shrink(self._bars, self._cached_bars_max)
        _shrink(self._newest, self._cached_bars_max)
        _shrink(self._marks, self._cached_bars_max)

    def rollback(self) -> None:
        """Forget the step: bars are read from the table again."""
        self._touched.clear()
        self._bars.clear()
        self._newest.clear()
        self._marks.clear()
        self._marked.clear()
        self._load_too_late()
        self.counters.rollback()
