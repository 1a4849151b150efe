"""One step's revaluation: which rows are touched, at what price, and what is asked of the engine.

Guarantees: only what a mark, a rate, a definition or the position itself touched is valued; the frames of a block are
written in the order of its rows; a row that is touched twice in a step is told once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.stage import Step
from agents.valuation_blocks import Alike, Touch
from agents.valuation_definitions import day_of
from agents.valuation_engine import AWAY, NOT_ASKED, fault_of, price_of, request_of
from agents.valuation_frames import Change, FrameWriter, TooLarge, pieces
from agents.valuation_options import Options
from agents.valuation_rows import ROWS_MAX, Rows
from agents.valuation_state import ValuationState
from agents.valuation_values import Price, Values, value_alike
from domain.fx import FxTable
from domain.valuation.terms import Model
from schemas import topics, valuation
from schemas.frames import wire
from schemas.identity import content_id
from schemas.times import Nanoseconds
from schemas.units import MarkQuality

RATE_ROWS_MAX = 2_000
"""Most rows that are told at once because a rate of currencies moved; more are told with the next tick of the clock."""

_PriceRequested = wire(valuation.PriceRequested)
_NOTHING: Mapping[int, list[Change]] = {}


class Told(NamedTuple):
    """Rows that a step has told, for who shows them: `now` is their event time, `rates` convert their currencies."""

    block: Rows
    rows: Sequence[int]
    values: Values
    now: int
    rates: FxTable


class Revaluation:
    """What a step does with what it touched."""

    def __init__(self, state: ValuationState, step: Step) -> None:
        self._state = state
        self._step = step
        self._writer = FrameWriter(state.conversions)

    def take_mark(self, mark: Any) -> None:
        """A new mark: touch what it moves."""
        state, instrument = self._state, mark.instrument
        state.take_mark(mark)
        cause = (mark.event_id, mark.correlation_id)
        block = state.blocks.of.get(instrument)
        if isinstance(block, Alike):
            state.blocks.touch(block, None, cause, moved=True)
        elif block is not None:
            state.imply(block, instrument)
            state.blocks.touch(block, block.by_instrument[instrument], cause)
        options = state.blocks.options.get(instrument)
        if options is not None:
            state.blocks.touch(options, None, cause)
        for name in state.blocks.hung_on.get(instrument, ()):
            state.blocks.touch(state.blocks.of[name], None, cause, moved=True)

    def rates_due(self, cause: tuple[str, str]) -> None:
        """Touch whatever hangs on rates that have moved, however much that is."""
        state = self._state
        if state.rates_moved or state.rates_waiting:
            state.rates_moved = False
            for blocks, rows in self._moved_by_rates():
                state.blocks.touch(blocks, rows, cause)
            state.rates_told()

    def _moved_by_rates(self) -> list[tuple[Rows, list[int]]]:
        state = self._state
        moved = [pair for pair in state.blocks.of_pair if state.conversions.moved(pair)]
        return [
            (block, [row for row, of_row in enumerate(block.pairs) if of_row == pair])
            for pair in moved
            for block in state.blocks.of_pair[pair]
        ]

    def _touch_for_rates(self) -> None:
        """After rates have moved: touch what hangs on them, or leave it to the next tick where that is much."""
        state = self._state
        state.rates_moved = False
        found = self._moved_by_rates()
        if sum(len(rows) for _, rows in found) > RATE_ROWS_MAX:
            state.rates_wait()
            return
        for block, rows in found:
            state.blocks.touch(block, rows, state.rates_cause)

    def run(self, partition: int, changes: Mapping[Rows, Mapping[int, list[Change]]]) -> None:
        """Value and tell all that is touched."""
        state = self._state
        if state.rates_moved:
            self._touch_for_rates()
        touched, state.blocks.touched = state.blocks.touched, {}
        for block, touch in touched.items():
            if isinstance(block, Alike) and block.terms.model is Model.ENGINE:
                self._ask(block, touch, partition)
            rows = touch.rows
            selections: Sequence[Sequence[int]]
            if rows is None or len(rows) == len(block):
                selections = pieces(len(block))
            else:
                ordered = sorted(rows)
                selections = [ordered[start : start + ROWS_MAX] for start in range(0, len(ordered), ROWS_MAX)]
            of_block = changes.get(block, _NOTHING)
            for selection in selections:
                self._tell(partition, block, touch, selection, of_block)

    def tell_all(self, partition: int) -> None:
        """Tell every row as it is worth now, touched or not; nothing is asked of the engine."""
        for block in self._state.blocks:
            touch = Touch(None, ("now", ""))
            for rows in pieces(len(block)):
                self._tell(partition, block, touch, rows, _NOTHING)

    def tell_at(self, partition: int, book: str, at: int, cause: str) -> None:
        """Tell the rows of a book at the last marks up to a time, where newer ones have come; what is told of them later in
        the step is at the newest again. What the engine priced, own marks of options, and what has no mark up to then are of
        now."""
        state = self._state
        for block in state.blocks:
            name = block.driver if isinstance(block, Options) else block.terms.instrument
            newest = state.marks.get(name)
            if newest is None or newest.event_time <= at:
                continue
            rows = [row for row, held in enumerate(block.held) if held.book == book]
            past = state.mark_at(name, at) if rows else None
            if past is None:
                continue
            state.marks[name] = past
            try:
                for start in range(0, len(rows), ROWS_MAX):
                    touch = Touch(None, (cause, ""))
                    self._tell(partition, block, touch, rows[start : start + ROWS_MAX], _NOTHING, at)
            finally:
                state.marks[name] = newest
            state.blocks.touch(block, rows, (cause, ""))

    def _tell(
        self,
        partition: int,
        block: Rows,
        touch: Touch,
        rows: Sequence[int],
        changes: Mapping[int, list[Change]],
        at: int | None = None,
    ) -> None:
        state = self._state
        now = state.now.get(block.underlying, 0) if at is None else at
        values = self.value(block, rows, now)
        output = self._step.bucket_at(topics.VALUATIONS, partition)
        if changes:
            inside = set(rows)
            changes = {row: found for row, found in changes.items() if row in inside}
        try:
            self._writer.write(output, touch.cause, block.underlying, now, block, rows, values, changes)
        except TooLarge:
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                self._tell(partition, block, touch, half, changes, at)
            return
        if at is None:
            self._step.touched[block, rows[0]] = Told(block, rows, values, now, state.definitions.fx)

    def value(self, block: Rows, rows: Sequence[int], now: int) -> Values:
        """What some rows of a block are worth."""
        state = self._state
        if isinstance(block, Options):
            return block.value(
                rows, state.price(block.driver), day_of(now), now, state.definitions.rate_of, state.evaluate
            )
        assert isinstance(block, Alike), "a block is of one kind or the other"
        return value_alike(block, rows, self.price(block))

    def price(self, block: Alike) -> Price:
        """What a unit of the instrument of a block is valued at."""
        state, terms = self._state, block.terms
        if terms.model is Model.BOND:
            return state.bond_price(terms.instrument, terms)
        own = state.price(terms.instrument)
        if terms.model is not Model.ENGINE or _by_mark(block, own):
            return own
        price = price_of(state.talk(terms.instrument))
        if price.accrued is None:
            return price
        # The engine's is in units of the price; a position's is of one unit of its quantity.
        return price._replace(accrued=price.accrued * block.held[0].multiplier)

    # -- the engine --------------------------------------------------------------------------------------------

    def _ask(self, block: Alike, touch: Touch, partition: int) -> None:
        """Ask for a price where the market moved, or there is none yet; one request at a time."""
        state, terms = self._state, block.terms
        own = state.price(terms.instrument)
        if _by_mark(block, own):
            return
        asked = state.talk(terms.instrument)
        if not touch.moved and (asked.answer or asked.waiting or asked.fault):
            return
        if asked.waiting:
            if not asked.moved:
                asked.moved = True
                state.keep_talk(asked)
            return
        now = state.now.get(block.underlying, 0)
        spot = state.price(terms.driver) if terms.driver != terms.instrument else None
        request = request_of(terms, now, day_of(now), spot, own, state.definitions.curve_texts())
        if request is None:
            asked.fault = f"{NOT_ASKED}: no mark of {terms.driver}, or no curve that its terms name"
            state.keep_talk(asked)
            return
        asked.waiting = content_id(touch.cause[0], terms.instrument, request)
        asked.moved = False
        if asked.fault.startswith(NOT_ASKED):
            asked.fault = ""
        asked.since = state.clock
        asked.quality = MarkQuality.LIVE if spot is None else spot.quality
        state.keep_talk(asked)
        self._step.bucket(topics.PRICE_REQUESTS, terms.instrument).append(
            _PriceRequested(
                event_id=asked.waiting,
                correlation_id=touch.cause[1],
                causation_id=touch.cause[0],
                instrument=terms.instrument,
                underlying=self._key_here(block, partition),
                event_time=Nanoseconds(now),
                request=request,
            )
        )

    def _key_here(self, block: Alike, partition: int) -> str:
        """A key that leads an answer back to this partition: positions came by the underlying, or by the instrument."""
        for key in (block.underlying, block.terms.instrument):
            if self._step.partition_of(key) == partition:
                return key
        return block.underlying

    def take_answer(self, answer: Any) -> bool:
        """An answer of the engine; False where it is not the one that is waited for, so it came before."""
        state = self._state
        block = state.blocks.of.get(answer.instrument)
        asked = state.asked.get(answer.instrument)
        if asked is None or not isinstance(block, Alike) or answer.causation_id != asked.waiting:
            return False
        cause = (answer.event_id, answer.correlation_id)
        fault = fault_of(answer.answer)
        if fault.startswith(AWAY):
            # Whoever asks the engine keeps the request, and answers it when the engine is back.
            if asked.fault != fault:
                asked.fault = fault
                state.keep_talk(asked)
                state.blocks.touch(block, None, cause)
            return True
        moved, asked.waiting, asked.moved = asked.moved, "", False
        recovered = bool(asked.fault) and not fault
        if fault:
            asked.fault = fault
        else:
            asked.answer, asked.answered_at, asked.fault = answer.answer, answer.event_time, ""
        state.keep_talk(asked)
        state.blocks.touch(block, None, cause, moved=moved)
        if recovered:
            for other in state.asked.values():
                failed = state.blocks.of.get(other.instrument)
                if other.fault and not other.waiting and isinstance(failed, Alike):
                    state.blocks.touch(failed, None, cause, moved=True)
        return True

    def engine_silent(self, cause: tuple[str, str]) -> None:
        """A tick of the clock: what was asked before the last one and has no answer is stale."""
        state = self._state
        for asked in state.asked.values():
            block = state.blocks.of.get(asked.instrument)
            if asked.waiting and asked.since < state.clock_before and not asked.fault and block is not None:
                asked.fault = "the pricing engine has not answered for a tick of the clock"
                state.keep_talk(asked)
                state.blocks.touch(block, None, cause)


def _by_mark(block: Alike, own: Price) -> bool:
    return own.price is not None and block.terms.fields.get("value_by") != "model"
