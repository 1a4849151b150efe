"""What capture should make of a log of fills: an independent model, and the positions that follow from it.

Reads what stands in the log, in its order, with rules of its own: nothing is shared with the capture stage but
the definitions of events.
"""

from dataclasses import dataclass, field
from typing import Any

from domain.lots.position import Terms, Trade
from domain.lots.reference import Figures, position
from schemas.frames import BadEvent
from schemas.numbers import ZERO
from schemas.topics import FILLS
from schemas.units import Action, Side
from topology.simulation.log import SimulatedRecord
from topology.simulation.workload import BOOKS, INSTRUMENTS, ORIGIN, FillEvent


@dataclass(slots=True)
class Expected:
    """What should have become of the fills, and the last content of each live trade with its number."""

    read: int = 0
    applied: int = 0
    duplicates: int = 0
    refused: int = 0
    waiting: int = 0
    bookings: int = 0
    live: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def add(self, other: "Expected") -> None:
        """Take in another partition's."""
        for name in ("read", "applied", "duplicates", "refused", "waiting", "bookings"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.live.update(other.live)


class _Capture:
    def __init__(self, ticks_max: int) -> None:
        self.expected = Expected()
        self.contents: dict[str, Any] = {}
        self.cancelled: set[str] = set()
        self.numbers: dict[str, int] = {}
        self.waits: list[tuple[int, Any]] = []
        self.tick = 0
        self.ticks_max = ticks_max

    def event(self, event: Any) -> None:
        expected = self.expected
        if not isinstance(event, BadEvent) and not isinstance(event, FillEvent):
            self.tick += 1
            for since, fill in self.waits:
                if self.tick - since >= self.ticks_max:
                    expected.refused += 1
                    del self.contents[fill.trade_id]
            self.waits = [wait for wait in self.waits if self.tick - wait[0] < self.ticks_max]
            expected.waiting = len(self.waits)
            return
        expected.read += 1
        if isinstance(event, BadEvent) or event.executed_at < ORIGIN // 2:
            expected.refused += 1
        elif event.trade_id in self.contents:
            if self.contents[event.trade_id] == event.event_id:
                expected.duplicates += 1
            else:
                expected.refused += 1
        elif event.action is Action.NEW:
            self.accept(event, event.trade_id)
            self.numbers[event.trade_id] = event.source_sequence
            found = [wait for wait in self.waits if wait[1].original_trade_id == event.trade_id]
            self.waits = [wait for wait in self.waits if wait not in found]
            for _, fill in found:
                self.correct(fill)
        elif event.original_trade_id in self.numbers:
            self.correct(event)
        else:
            self.waits.append((self.tick, event))
            self.contents[event.trade_id] = event.event_id
        expected.waiting = len(self.waits)

    def accept(self, fill: Any, trade_id: str) -> None:
        self.expected.applied += 1
        self.expected.bookings += 1
        self.contents[fill.trade_id] = fill.event_id
        self.expected.live[trade_id] = (fill, self.numbers.get(trade_id, fill.source_sequence))

    def correct(self, fill: Any) -> None:
        trade_id = fill.original_trade_id
        if trade_id in self.cancelled:
            self.contents.pop(fill.trade_id, None)
            self.expected.refused += 1
            return
        before = self.expected.live[trade_id][0]
        self.accept(fill, trade_id)
        if fill.action is Action.CANCEL:
            self.cancelled.add(trade_id)
            del self.expected.live[trade_id]
        elif fill.book != before.book:
            self.expected.bookings += 1


def expect(records: list[SimulatedRecord], ticks_max: int) -> Expected:
    """What one partition of fills should have led to."""
    capture = _Capture(ticks_max)
    for record in records:
        for event in FILLS.codec.decode_each(record.value or b""):
            capture.event(event)
    return capture.expected


def expected_positions(expected: Expected) -> dict[tuple[str, str], Figures]:
    """The positions of the live trades, by the slow reference."""
    trades: dict[tuple[str, str], list[Trade]] = {}
    for trade_id, (fill, number) in expected.live.items():
        quantity = fill.quantity if fill.side is Side.BUY else -fill.quantity
        fee = sum((fee.amount for fee in fill.fees), ZERO)
        trade = Trade(trade_id, fill.executed_at, number, quantity, fill.price, fee)
        trades.setdefault((fill.book, fill.instrument), []).append(trade)
    found = {}
    for (book, instrument), of_position in trades.items():
        multiplier, inverse = INSTRUMENTS[instrument]
        terms = Terms(*BOOKS[book], multiplier, inverse, "USD")
        found[book, instrument] = position(of_position, terms)
    return found
