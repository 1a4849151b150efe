"""The ledger and the cash of another time, made again in memory from the log.

Owns: which bookings, movements and payments were known at a point, or were executed by a time with all that is known now.
Assumes: `exact_arithmetic`; that the sums of the ledger do not depend on the order of its input, which tests hold: so updates
come first here, then movements, then the ends of days.
Guarantees: the same rules and code as live; a movement that was refused then is left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from agents import cash, ledger, positions
from agents.ledger_movements import find_movement
from domain.ledger.rules import Rules
from schemas import events, money, topics
from schemas.frames import wire
from schemas.topics import Topic
from tables.partition import TablePartition
from topology.history.points import Point, offsets_at
from topology.log_reading import WholeLog, partition_count, read_events, table_partition
from topology.money.memory import EVENTS_A_STEP, MemoryStage

_TradeBooked = wire(events.TradeBooked)
_LifecycleEventApplied = wire(events.LifecycleEventApplied)
_DayClosed = wire(events.DayClosed)
_Movement = wire(money.CashMovement)
_Instruction = wire(money.PaymentInstruction)
_Due = wire(money.PaymentDue)


class Past:
    """The ledger's entries and the cash table as of an execution time, as known at a point, or both."""

    def __init__(self, log: WholeLog, standard: Rules, as_of: int | None, known_at: Point | None) -> None:
        self._log = log
        self._partitions = partition_count(log)
        self._as_of = as_of
        self._known_at = known_at
        self._positions = MemoryStage(positions.stage())
        self._ledger = MemoryStage(ledger.stage(standard))
        self._cash = MemoryStage(cash.stage())
        self._ledger.define(definition for _, definition in read_events(log, topics.POSTING_RULES, 0))

    @property
    def cash_table(self) -> TablePartition:
        """The balances, when all entries are taken."""
        return self._cash.table

    @property
    def ledger_table(self) -> TablePartition:
        """The accounts, when all entries are taken."""
        return self._ledger.table

    def entries(self) -> Iterator[Any]:
        """Every entry of the ledger, in the order in which it is made here."""
        days: list[Any] = []
        bookings = self._bookings(days)
        for together in _batches(bookings):
            yield from self._post(self._positions.step(together, topics.POSITIONS))
        for together in _batches(self._by_hand()):
            yield from self._post(together)
        yield from self._post(days)

    def _post(self, given: Sequence[Any]) -> list[Any]:
        told = self._ledger.step(given, topics.LEDGER_ENTRIES) if given else []
        if told:
            self._cash.step(told, topics.CASH_BALANCES)
        return told

    def _bookings(self, days: list[Any]) -> Iterator[Any]:
        if self._as_of is None:
            for event in self._known(topics.BOOKINGS):
                if type(event) is _DayClosed:
                    days.append(event)
                else:
                    yield event
            return
        trades: dict[tuple[str, str], Any] = {}
        for event in self._known(topics.BOOKINGS):
            kind = type(event)
            if kind is _TradeBooked:
                trades.setdefault((event.book, event.trade_id), event)
            elif kind is _LifecycleEventApplied:
                trades.pop((event.book, event.original_trade_id), None)
                if event.trade is not None:
                    trades[event.book, event.original_trade_id] = event.trade
            elif kind is _DayClosed and event.event_time <= self._as_of:
                days.append(event)
        executed = [trade for trade in trades.values() if trade.executed_at <= self._as_of]
        executed.sort(key=lambda trade: (trade.executed_at, trade.source_sequence, trade.trade_id))
        yield from executed

    def _by_hand(self) -> Iterator[Any]:
        for partition in range(self._partitions):
            live = table_partition(self._log, ledger.NAME, partition)
            for event in self._known(topics.LEDGER_INPUT, partition):
                kind = type(event)
                if kind not in (_Movement, _Due, _Instruction):
                    continue
                if self._as_of is not None and event.event_time > self._as_of:
                    continue
                if kind is not _Movement or find_movement(live, event.movement_id) is not None:
                    yield event

    def _known(self, topic: Topic, only: int | None = None) -> Iterator[Any]:
        partitions = range(self._partitions) if only is None else (only,)
        ends = None
        if self._known_at is not None:
            others = (topics.FILLS, topics.BOOKINGS, topics.LEDGER_INPUT)
            point = self._known_at
            if point.offsets and topic.name not in {name for name, _ in point.offsets}:
                ends = None
            else:
                ends = offsets_at(self._log, point, topic, self._partitions, others)
        for partition in partitions:
            for record, event in read_events(self._log, topic, partition):
                if ends is not None and record.offset >= ends[partition]:
                    break
                yield event


def _batches(given: Iterable[Any]) -> Iterator[list[Any]]:
    together: list[Any] = []
    for event in given:
        together.append(event)
        if len(together) == EVENTS_A_STEP:
            yield together
            together = []
    if together:
        yield together
