"""The bars stage: open, high, low and close of every second, minute and day, from marks.

Reads marks by instrument; live and indicative ones are ticks (a stale one repeats a price, a missing one has none). A
late tick corrects its bar, as long as that is kept (`domain.marks.bars`: an hour of seconds, two days of minutes, 400
days), and is counted as too late after that. Each step emits the bars that it changed, once, as they are then; a bar's
`revision` counts the ticks that changed it, so what is emitted does not depend on how ticks were batched, only how often
it is. A mark with a number that is none is refused: who shows the newest would fail at it. The newest mark of each instrument is kept too, for those who show it (shared memory).
"""

from collections.abc import Iterable
from typing import Any

from agents.bar_state import BarKey, BarsState
from agents.mark_faults import mark_fault
from agents.stage import Frame, Stage, Step, TableDeclaration
from domain.marks.bars import LENGTHS, OpenBar, is_kept, opened_at
from schemas import market_data, topics
from schemas.frames import wire
from schemas.identity import derived_id
from schemas.times import Nanoseconds
from schemas.units import MarkQuality

NAME = "bars"
CACHED_BARS_MAX = 50_000

_Bar: Any = wire(market_data.Bar)
_TICKS = (MarkQuality.LIVE, MarkQuality.INDICATIVE)
_INDEXES = {interval: index for index, interval in enumerate(LENGTHS)}


def handle(state: BarsState, frames: Iterable[Frame], step: Step) -> None:
    """Take marks into their bars."""
    changed: dict[BarKey, tuple[OpenBar, Any]] = {}
    for frame in frames:
        for place, event in enumerate(frame.events):
            counts = state.counters.of(event.source)
            counts.read += 1
            fault = mark_fault(event)
            if fault is not None:
                counts.refused += 1
                step.refuse(frame, place, fault)
                continue
            counts.applied += 1
            if state.take_mark(event):
                step.touched[event.instrument] = event
            if event.quality in _TICKS:
                _take(state, event, changed)
    if step.silent:
        return
    # A bar that the step itself has moved out of the window is emitted too: what it came to is known.
    for key, (bar, mark) in changed.items():
        step.bucket(topics.BARS, key.instrument).append(_event(key, bar, mark))


def _take(state: BarsState, mark: Any, changed: dict[BarKey, tuple[OpenBar, Any]]) -> None:
    instrument, event_time, price = mark.instrument, mark.event_time, mark.price
    newest = state.newest(instrument)
    if newest is None or event_time > newest:
        state.advance(instrument, event_time)
        newest = event_time
    order = (event_time, mark.source_sequence, mark.event_id)
    for interval in LENGTHS:
        key = BarKey(instrument, interval, opened_at(event_time, interval))
        if not is_kept(key.opened_at, newest, interval):
            state.count_too_late(interval)
            continue
        bar = state.bar(key)
        if bar is None:
            bar = OpenBar.begin(price, order)
            state.put(key, bar)
        elif not bar.take(price, order):
            continue
        changed[key] = (bar, mark)


def _event(key: BarKey, bar: OpenBar, mark: Any) -> Any:
    return _Bar(
        event_id=derived_id(mark.event_id, NAME, _INDEXES[key.interval]),
        correlation_id=mark.correlation_id or mark.event_id,
        causation_id=mark.event_id,
        source=mark.source,
        instrument=key.instrument,
        interval=key.interval,
        opened_at=Nanoseconds(key.opened_at),
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        revision=bar.revision,
    )


def stage(cached_bars_max: int = CACHED_BARS_MAX) -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.MARKS,
        outputs=(topics.BARS,),
        table=TableDeclaration(NAME),
        open_state=lambda table: BarsState(table, cached_bars_max),
        handler=handle,
        bears_gaps=True,
        description="bars of seconds, minutes and days from marks, corrected by late ones",
    )
