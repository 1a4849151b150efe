"""The valuation stage: what every position is worth, each time a mark, a rate or the position itself changes it.

Reads updates of positions and marks by underlying, so that a mark meets its positions and its options in one partition;
definitions, curves and rates are broadcasts. Values what was touched in columns, once a step: of several marks of one
instrument the newest holds. What only the pricing engine can price is asked for, never waited for.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from agents.mark_faults import mark_fault
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from agents.valuation_frames import Change
from agents.valuation_rows import Held, Rows
from agents.valuation_state import ValuationState
from agents.valuation_step import Revaluation
from schemas import events, market_data, pnl, topics, valuation
from schemas.frames import wire
from schemas.numbers import ZERO
from schemas.times import NANOSECONDS_PER_SECOND

NAME = "valuation"

CHANGES_MAX = 400
"""Changes of positions after which what is touched is valued, so that they fit a frame."""

FUTURE_NANOSECONDS = 300 * NANOSECONDS_PER_SECOND
"""How far beyond the newest tick of the clock a mark may be dated; ticks come every half minute or so."""

BROADCASTS = (topics.INSTRUMENTS, topics.BOOKS, topics.CURVES, topics.FX_RATES)

_Mark = wire(market_data.Mark)
_PositionUpdated = wire(events.PositionUpdated)
_DayClosed = wire(events.DayClosed)
_ClockTick = wire(events.ClockTick)
_PriceAnswered = wire(valuation.PriceAnswered)
_PositionIncome = wire(pnl.PositionIncome)


def handle(state: ValuationState, frames: Iterable[Frame], step: Step) -> None:
    """Take in what came, then value what it touched."""
    work = _Work(state, step)
    for frame in frames:
        work.partition = frame.partition
        for place, event in enumerate(frame.events):
            kind = type(event)
            if kind is _Mark:
                work.mark(frame, place, event)
            elif kind is _PositionUpdated:
                work.position(event)
            elif kind is _ClockTick:
                work.tick(event)
            elif kind is _DayClosed:
                work.day_closed(event)
            elif kind is _PriceAnswered:
                work.answered(event)
            elif kind is _PositionIncome:
                work.income(event)
    if work.partition is not None:
        work.flush(work.partition)


class _Work:
    """What a step has read and not yet valued."""

    def __init__(self, state: ValuationState, step: Step) -> None:
        self.state = state
        self.step = step
        self.partition: int | None = None
        self.marks: dict[str, Any] = {}
        self.changes: dict[Rows, dict[int, list[Change]]] = {}
        self.change_count = 0
        self.revaluation = Revaluation(state, step)

    def mark(self, frame: Frame, place: int, mark: Any) -> None:
        """Let the newest mark of each instrument hold."""
        counts = self.state.counters.of(mark.source)
        counts.read += 1
        refusal = mark_fault(mark) or _time_fault(mark, self.state.clock)
        if refusal is not None:
            counts.refused += 1
            self.step.refuse(frame, place, refusal)
            return
        counts.applied += 1
        instrument = mark.instrument
        waiting = self.marks.get(instrument)
        known = waiting or self.state.marks.get(instrument)
        if known is not None and (mark.event_time, mark.source_sequence) < (
            known.event_time,
            known.source_sequence,
        ):
            self.state.note_passed_over()
            return
        if waiting is not None:
            if self.state.ends_a_day(waiting, mark):
                # A day may have ended with it: what it was worth then is told.
                self.flush(frame.partition)
            else:
                self.state.note_conflated()
        self.marks[instrument] = mark

    def position(self, update: Any) -> None:
        """Keep a position as it is after the update, and what the update changed."""
        counts = self.state.counters.of(update.source)
        counts.read += 1
        counts.applied += 1
        before = self.state.held(update.book, update.instrument)
        # A trade that was taken out says nothing of its instrument and entity: they are what they were.
        told = update if before is None or update.trade_quantity != 0 else before
        block, row = self.state.hold(
            Held(
                update.book,
                update.instrument,
                told.underlying,
                told.instrument_class,
                told.entity,
                update.currency,
                update.revision,
                update.executed_at,
                update.quantity,
                update.multiplier,
                update.inverse,
                update.cost_basis,
                update.held_fees,
                update.realised_pnl,
                update.net_realised_pnl,
                update.fees,
            )
        )
        self._changed(block, row, update, update.held_fees - (ZERO if before is None else before.held_fees))

    def income(self, income: Any) -> None:
        """Tell a position with what it earned, where it is held here: every partition is told of it."""
        counts = self.state.counters.of(income.source)
        counts.read += 1
        counts.applied += 1
        block = self.state.blocks.of.get(income.instrument)
        row = None if block is None else block.place(income.book, income.instrument)
        if block is not None and row is not None:
            self._changed(block, row, income, ZERO)

    def _changed(self, block: Rows, row: int, cause: Any, held_fees_delta: Decimal) -> None:
        self.state.blocks.touch(block, (row,), (cause.event_id, cause.correlation_id))
        self.changes.setdefault(block, {}).setdefault(row, []).append((cause, held_fees_delta))
        self.change_count += 1
        if self.change_count >= CHANGES_MAX:
            assert self.partition is not None, "an update stands in a frame"
            self.flush(self.partition)

    def tick(self, tick: Any) -> None:
        """Time passes: for rates that many rows hang on, and for an engine that does not answer."""
        self.state.tick(tick.event_time)
        assert self.partition is not None, "a tick stands in a frame"
        self.flush(self.partition)
        self.revaluation.rates_due((tick.event_id, tick.correlation_id))
        self.revaluation.engine_silent((tick.event_id, tick.correlation_id))

    def day_closed(self, closed: Any) -> None:
        """Everything that came before the end of a day is told before it, and what came too early again after it."""
        assert self.partition is not None, "the end of a day stands in a frame"
        self.revaluation.rates_due((closed.event_id, closed.correlation_id))
        self.flush(self.partition)
        self.revaluation.tell_at(self.partition, closed.book, closed.event_time - 1, closed.event_id)
        self.step.bucket_at(topics.VALUATIONS, self.partition).append(closed)

    def answered(self, answer: Any) -> None:
        """The engine has answered."""
        counts = self.state.counters.of(answer.source)
        counts.read += 1
        if self.revaluation.take_answer(answer):
            counts.applied += 1
        else:
            counts.duplicates += 1

    def flush(self, partition: int) -> None:
        """Value what was touched, and tell it."""
        for mark in self.marks.values():
            self.revaluation.take_mark(mark)
        self.marks = {}
        changes, self.changes, self.change_count = self.changes, {}, 0
        self.revaluation.run(partition, changes)


def _time_fault(mark: Any, clock: int) -> Refusal | None:
    """Why a mark cannot be taken in by the clock of the log; None where it can."""
    if not clock or mark.event_time <= clock + FUTURE_NANOSECONDS:
        return None
    expected = f"a time up to {clock + FUTURE_NANOSECONDS} ns"
    return Refusal("the mark is from the future", "event_time", expected, str(mark.event_time))


def stage(pivot: str = "USD") -> Stage:
    """The declaration of this stage; `pivot` is the currency that others are crossed through."""
    return Stage(
        name=NAME,
        input=topics.VALUATION_INPUT,
        outputs=(topics.VALUATIONS, topics.PRICE_REQUESTS),
        table=TableDeclaration(NAME),
        open_state=lambda table: ValuationState(table, pivot),
        handler=handle,
        broadcasts=BROADCASTS,
        on_broadcast=ValuationState.define,
        description="values positions at the newest marks, with their Greeks",
    )
