"""What capture should make of a log of fills: an independent model, and the positions that follow from it.

Reads what stands in the log, in its order, with rules of its own: nothing is shared with the capture stage but
the definitions of events.
"""

from collections.abc import Iterable
from typing import Any

from domain.lots.position import Terms, Trade
from domain.lots.reference import Figures, position
from schemas.frames import BadEvent
from schemas.numbers import ZERO
from schemas.topics import FILLS
from schemas.units import Action, Side
from topology.simulation.log import SimulatedRecord
from topology.simulation.workload import BOOKS, INSTRUMENTS, LATE_INSTRUMENT, ORIGIN, SECOND, FillEvent

UNREADABLE = "unreadable"
_DAY = 24 * 3600 * SECOND
COUNTED = ("read", "applied", "duplicates", "refused", "waiting")


class CaptureModel:
    """One partition of fills: what should have become of them, and the last content of each live trade."""

    def __init__(self, ticks_max: int) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self.bookings = 0
        self.updates = 0
        self.arrived: set[str] = set()
        self.live: dict[str, tuple[Any, int]] = {}
        self._ticks_max = ticks_max
        self._contents: dict[str, Any] = {}
        self._cancelled: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._waits: list[tuple[int, Any]] = []
        self._hashes: dict[str, int] = {}
        self._tick = 0
        self._late_defined = False

    def take(self, records: Iterable[SimulatedRecord], defined_at: int | None) -> None:
        """Go on with these records; `defined_at` is the sequence at which the late instrument was defined."""
        for record in records:
            self._late_defined = defined_at is not None and record.sequence > defined_at
            for event in FILLS.codec.decode_each(record.value or b""):
                self._event(event)

    def _count(self, source: str, name: str, number: int = 1) -> None:
        counts = self.counts.setdefault(source, dict.fromkeys(COUNTED, 0))
        counts[name] += number

    def _event(self, event: Any) -> None:
        if isinstance(event, BadEvent):
            self._count(UNREADABLE, "read")
            self._count(UNREADABLE, "refused")
        elif isinstance(event, FillEvent):
            self.arrived.add(event.event_id)
            self._count(event.source, "read")
            self._fill(event)
        else:
            self._expire(event.event_time)

    def _expire(self, now: int) -> None:
        self._tick += 1
        self._hashes = {name: when for name, when in self._hashes.items() if when >= now - _DAY}
        for since, fill in self._waits:
            if self._tick - since >= self._ticks_max:
                self._count(fill.source, "waiting", -1)
                self._refuse_after_all(fill)
        self._waits = [wait for wait in self._waits if self._tick - wait[0] < self._ticks_max]

    def _fill(self, fill: Any) -> None:
        known = self._contents.get(fill.trade_id)
        when = self._hashes.get(fill.idempotency_hash or "")
        if fill.trader or fill.executed_at < ORIGIN // 2:
            self._count(fill.source, "refused")
        elif known == fill.event_id or (when is not None and abs(fill.recorded_at - when) < _DAY):
            self._count(fill.source, "duplicates")
        elif known is not None:
            self._count(fill.source, "refused")
        elif fill.action is Action.NEW:
            self._new(fill)
        elif fill.original_trade_id in self._numbers:
            self._correct(fill)
        else:
            self._count(fill.source, "waiting")
            self._waits.append((self._tick, fill))
            self._keep(fill)

    def _keep(self, fill: Any) -> None:
        self._contents[fill.trade_id] = fill.event_id
        if fill.idempotency_hash:
            self._hashes[fill.idempotency_hash] = fill.recorded_at

    def _refuse_after_all(self, fill: Any) -> None:
        """What is refused may come again, also if it was kept while it waited."""
        self._count(fill.source, "refused")
        if self._contents.pop(fill.trade_id, None) and fill.recorded_at == self._hashes.get(
            fill.idempotency_hash or ""
        ):
            del self._hashes[fill.idempotency_hash]

    def _undefined(self, fill: Any) -> bool:
        return bool(fill.instrument == LATE_INSTRUMENT and not self._late_defined)

    def _new(self, fill: Any) -> None:
        if self._undefined(fill):
            self._count(fill.source, "refused")
            return
        self._numbers[fill.trade_id] = fill.source_sequence
        self._accept(fill, fill.trade_id)
        found = [wait for wait in self._waits if wait[1].original_trade_id == fill.trade_id]
        self._waits = [wait for wait in self._waits if wait not in found]
        for _, correction in found:
            self._count(correction.source, "waiting", -1)
            self._correct(correction)

    def _accept(self, fill: Any, trade_id: str) -> None:
        self._count(fill.source, "applied")
        self.bookings += 1
        self.updates += 1
        self._keep(fill)
        self.live[trade_id] = (fill, self._numbers[trade_id])

    def _correct(self, fill: Any) -> None:
        trade_id = fill.original_trade_id
        cancels = fill.action is Action.CANCEL
        if trade_id in self._cancelled or (self._undefined(fill) and not cancels):
            self._refuse_after_all(fill)
            return
        before = self.live[trade_id][0]
        self._accept(fill, trade_id)
        if cancels:
            self._cancelled.add(trade_id)
            del self.live[trade_id]
        elif fill.book != before.book:
            # Taken out of one book, put into the other.
            self.bookings += 1
            self.updates += 1
        elif fill.instrument != before.instrument:
            self.updates += 1


class PositionModel:
    """The positions of live trades by the slow reference, which is asked again only where trades changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[list[tuple[str, str, int]], Figures]] = {}

    def positions(self, models: Iterable[CaptureModel]) -> dict[tuple[str, str], Figures]:
        """By book and instrument."""
        trades: dict[tuple[str, str], list[tuple[str, Any, int]]] = {}
        for model in models:
            for trade_id, (fill, number) in model.live.items():
                trades.setdefault((fill.book, fill.instrument), []).append((trade_id, fill, number))
        return {place: self._figures(place, found) for place, found in trades.items()}

    def _figures(self, place: tuple[str, str], found: list[tuple[str, Any, int]]) -> Figures:
        contents = sorted((trade_id, fill.event_id, number) for trade_id, fill, number in found)
        known = self._known.get(place)
        if known is not None and known[0] == contents:
            return known[1]
        book, instrument = place
        terms = Terms(*BOOKS[book], *INSTRUMENTS[instrument], "USD")
        figures = position([_trade(*trade) for trade in found], terms)
        self._known[place] = contents, figures
        return figures


def _trade(trade_id: str, fill: Any, number: int) -> Trade:
    quantity = fill.quantity if fill.side is Side.BUY else -fill.quantity
    fee = sum((fee.amount for fee in fill.fees), ZERO)
    return Trade(trade_id, fill.executed_at, number, quantity, fill.price, fee)
