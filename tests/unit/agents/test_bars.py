"""The bars stage: late ticks, repeats, the window, restarts, and bars that a single step moves past."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from agents import bars
from agents.bar_state import BAR, PRUNE_BARS
from domain.marks.bars import WINDOW_BARS
from schemas import topics
from schemas.units import BarInterval, MarkQuality
from tests.redis_support import mark
from tests.stage_support import StageInMemory
from tests.support import MONDAY, SECOND

MINUTE, DAY = 60, 86_400


def emitted(step: Any) -> list[Any]:
    return [
        topics.BARS.codec.decode(b"[" + encoded + b"]")[0]
        for output in step.outputs.values()
        for encoded in output.encoded
    ]


def of(step: Any, interval: BarInterval) -> list[tuple[Any, ...]]:
    """Begin (seconds after Monday), open, high, low, close and revision of the bars that a step emitted."""
    return [
        (
            (bar.opened_at - MONDAY) // SECOND,
            *(int(price) for price in (bar.open, bar.high, bar.low, bar.close)),
            bar.revision,
        )
        for bar in emitted(step)
        if bar.interval is interval
    ]


def test_ticks_of_one_step_make_one_bar_of_each_interval():
    stage = StageInMemory(bars.stage())
    step = stage.step(
        *(mark(price=price, at=at) for price, at in (("5", 61), ("9", 62), ("3", 63), ("7", 64)))
    )
    assert of(step, BarInterval.MINUTE) == [(60, 5, 9, 3, 7, 4)]
    assert of(step, BarInterval.DAY) == [(0, 5, 9, 3, 7, 4)]
    assert [bar[0] for bar in of(step, BarInterval.SECOND)] == [61, 62, 63, 64]


def test_a_late_tick_corrects_its_bar_with_a_higher_revision():
    stage = StageInMemory(bars.stage())
    stage.step(mark(price="5", at=10), mark(price="6", at=70))
    step = stage.step(mark(price="8", at=2))
    assert of(step, BarInterval.MINUTE) == [(0, 8, 8, 5, 5, 2)]
    assert of(step, BarInterval.DAY) == [(0, 8, 8, 5, 6, 3)]
    assert of(step, BarInterval.SECOND) == [(2, 8, 8, 8, 8, 1)]


def test_the_same_marks_again_change_and_emit_nothing():
    stage = StageInMemory(bars.stage())
    marks = [mark(price=str(price), at=price % 7) for price in range(1, 30)]
    stage.step(*marks)
    stage.restart()
    assert emitted(stage.step(*marks)) == []


def test_ticks_of_one_time_are_in_the_order_of_their_source():
    stage = StageInMemory(bars.stage())
    step = stage.step(*(mark(price=str(number), source_sequence=number) for number in (2, 3, 1)))
    assert of(step, BarInterval.SECOND) == [(0, 1, 3, 1, 3, 3)]


def test_stale_and_missing_marks_are_no_ticks():
    stage = StageInMemory(bars.stage())
    step = stage.step(
        mark(price=None),
        mark(price="5", quality=MarkQuality.STALE),
        mark(price="6", quality=MarkQuality.INDICATIVE),
    )
    assert of(step, BarInterval.DAY) == [(0, 6, 6, 6, 6, 1)]
    assert stage.state.counters.of("test").applied == 3


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+308", "-1E+61"])
@pytest.mark.parametrize("name", ["price", "bid", "ask"])
def test_a_mark_with_a_number_that_is_none_is_refused_and_the_others_hold(number: str, name: str):
    stage = StageInMemory(bars.stage())
    bad = structs.replace(mark(price="9", at=62), **{name: Decimal(number)})
    step = stage.step(mark(price="5", at=61), bad, mark(price="6", at=63))
    assert of(step, BarInterval.MINUTE) == [(60, 5, 6, 5, 6, 2)]
    assert [refusal.reason for *_, refusal in step.refusals] == [f"{name} is no number"]
    assert {each.event_time for each in step.touched.values()} == {MONDAY + 63 * SECOND}
    counts = stage.state.counters.all()[bad.source]
    assert (counts.read, counts.applied, counts.refused) == (3, 2, 1)


def test_a_tick_that_is_too_late_leaves_the_bars_that_are_kept_no_more():
    stage = StageInMemory(bars.stage())
    stage.step(mark(price="5", at=WINDOW_BARS[BarInterval.SECOND] + 1))
    step = stage.step(mark(price="9", at=0))
    assert of(step, BarInterval.SECOND) == []
    assert of(step, BarInterval.MINUTE) == [(0, 9, 9, 9, 9, 1)]
    assert stage.state.too_late == {BarInterval.SECOND: 1}
    stage.restart()
    assert stage.state.too_late == {BarInterval.SECOND: 1}


def test_a_bar_that_one_step_opens_and_moves_past_is_emitted():
    stage = StageInMemory(bars.stage())
    far = WINDOW_BARS[BarInterval.SECOND] + 10 * PRUNE_BARS
    step = stage.step(mark(price="5", at=0), mark(price="6", at=far))
    assert of(step, BarInterval.SECOND) == [(0, 5, 5, 5, 5, 1), (far, 6, 6, 6, 6, 1)]
    # Only the later one can still be corrected, so only that one is kept.
    assert sum(key.startswith(BAR + b"s") for key, _ in stage.store.scan(b"")) == 1


def test_what_is_kept_is_bounded_by_the_window():
    stage = StageInMemory(bars.stage(cached_bars_max=10))
    for start in range(0, 20_000, 500):
        stage.step(*(mark(price="5", at=at) for at in range(start, start + 500)))
    kept = sum(key.startswith(BAR + b"s") for key, _ in stage.store.scan(b""))
    assert kept <= WINDOW_BARS[BarInterval.SECOND] + PRUNE_BARS + 1
    # The cache is small, and a late tick still finds its bar.
    step = stage.step(mark(price="7", at=19_000, source_sequence=1))
    assert of(step, BarInterval.SECOND) == [(19_000, 5, 7, 5, 7, 2)]


def test_a_step_that_is_rolled_back_is_as_if_it_had_not_been():
    stage = StageInMemory(bars.stage())
    stage.step(mark(price="5", at=0))
    stage.fail(mark(price="9", at=0, source_sequence=1), mark(price="1", at=0, source_sequence=2))
    step = stage.step(mark(price="6", at=0, source_sequence=1))
    assert of(step, BarInterval.DAY) == [(0, 5, 6, 5, 6, 2)]


def test_numbers_are_exact():
    stage = StageInMemory(bars.stage())
    price = Decimal("0.123456789012345678901234567890123456789")
    [bar, *_] = emitted(stage.step(mark(price=str(price))))
    assert (bar.open, bar.volume, bar.trades) == (price, 0, 0)


def test_ids_are_functions_of_the_mark_that_changed_the_bar():
    stage = StageInMemory(bars.stage())
    first, second = mark(price="5", at=0), mark(price="6", at=1)
    found = emitted(stage.step(first, second))
    assert {bar.event_id for bar in found} == {
        f"{first.event_id}.bars0",
        *(f"{second.event_id}.bars{index}" for index in range(3)),
    }
