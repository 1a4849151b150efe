"""What is conflated and what comes too late is counted: by the grid of an import, and in the metrics of a worker."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents import bars, valuation
from domain.marks.judging import order_of
from tests.redis_support import mark
from tests.stage_support import StageInMemory
from tests.support import MONDAY, SECOND
from topology.marks.importing import MarkCounts, conflated
from topology.web.metrics import Metrics

TIMES = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 12)), max_size=30)


def some(times: list[tuple[str, int]]) -> list[Any]:
    return [
        mark(instrument, str(number + 1), at=at, source_sequence=number)
        for number, (instrument, at) in enumerate(times)
    ]


@given(TIMES, st.integers(1, 5))
def test_in_order_the_newest_of_each_cell_is_left(times: list[tuple[str, int]], seconds: int):
    marks = sorted(some(times), key=order_of)
    newest: dict[tuple[str, int], Any] = {}
    for each in marks:
        newest[each.instrument, each.event_time // (seconds * SECOND)] = each
    counts = MarkCounts()
    found = list(conflated(marks, seconds * SECOND, counts))
    assert sorted(found, key=str) == sorted(newest.values(), key=str)
    assert counts.conflated + len(found) == len(marks)


@given(TIMES, st.integers(0, 5))
def test_in_any_order_no_newest_mark_is_lost(times: list[tuple[str, int]], seconds: int):
    marks, counts = some(times), MarkCounts()
    found = list(conflated(marks, seconds * SECOND, counts))
    assert counts.conflated + len(found) == len(marks)
    for instrument in {each.instrument for each in marks}:
        of_all = max((each for each in marks if each.instrument == instrument), key=order_of)
        assert of_all in found
    if not seconds:
        assert found == marks


def test_ticks_that_are_too_late_are_in_the_metrics():
    stage = StageInMemory(bars.stage())
    stage.step(mark(price="5", at=10_000), mark(price="5", at=0), mark(price="5", at=1))
    runner = SimpleNamespace(state=stage.state, stopped=None)
    app = SimpleNamespace(stage=stage.stage, runners={0: runner}, trouble=None)
    metrics = Metrics()
    metrics.watch([app], SimpleNamespace(lag=lambda *_: 0), [])
    assert b'pks_bar_ticks_too_late_total{interval="1s"} 2.0' in metrics.render()
    assert stage.state.newest("X") == MONDAY + 10_000 * SECOND


def test_marks_that_valuation_leaves_out_are_in_the_metrics():
    stage = StageInMemory(valuation.stage())
    stage.step(mark(price="5", at=3), mark(price="6", at=4), mark(price="7", at=1))
    runner = SimpleNamespace(state=stage.state, stopped=None)
    app = SimpleNamespace(stage=stage.stage, runners={0: runner}, trouble=None)
    metrics = Metrics()
    metrics.watch([app], SimpleNamespace(lag=lambda *_: 0), [])
    told = metrics.render()
    assert b'pks_marks_left_out_total{why="conflated"} 1.0' in told
    assert b'pks_marks_left_out_total{why="passed_over"} 1.0' in told
    assert b"pks_prices_waited_for 0.0" in told
