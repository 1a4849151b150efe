"""The bars stage beside a slow reference: every bar from all its ticks, sorted, whatever order and batches they came in."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agents import bars
from domain.marks.bars import LENGTHS
from schemas.units import BarInterval, MarkQuality
from tests.redis_support import mark
from tests.stage_support import StageInMemory, emitted

PRICES = st.integers(-3, 6).map(lambda number: str(Decimal(number) / 4))
TICKS = st.builds(
    lambda instrument, price, at, sequence, quality: mark(
        instrument,
        None if quality is MarkQuality.MISSING else price,
        at=at,
        source_sequence=sequence,
        quality=quality,
    ),
    st.sampled_from(["A", "AB", "B"]),
    PRICES,
    # Around midnight, so that days and minutes have bounds, too; all within the window of seconds.
    st.integers(86_300, 86_500),
    st.integers(0, 3),
    st.sampled_from([MarkQuality.LIVE] * 6 + list(MarkQuality)),
)


def reference(marks: list[Any]) -> dict[tuple[str, str, int], tuple[Decimal, ...]]:
    """Open, high, low and close of every bar."""
    ticks = defaultdict(list)
    for each in marks:
        if each.quality in (MarkQuality.LIVE, MarkQuality.INDICATIVE):
            for interval, length in LENGTHS.items():
                begin = each.event_time - each.event_time % length
                ticks[each.instrument, str(interval), begin].append(each)
    found = {}
    for key, of_bar in ticks.items():
        prices = [
            each.price
            for each in sorted(
                of_bar, key=lambda tick: (tick.event_time, tick.source_sequence, tick.event_id)
            )
        ]
        found[key] = (prices[0], max(prices), min(prices), prices[-1])
    return found


@settings(max_examples=150)
@given(st.lists(TICKS, max_size=40), st.data())
def test_the_last_revision_of_every_bar_is_the_bar_of_all_its_ticks(marks, data):
    stage = StageInMemory(bars.stage(cached_bars_max=data.draw(st.sampled_from([1, 5, 1_000]))))
    shown: dict[tuple[str, str, int], dict[str, Any]] = {}
    rest = list(marks)
    while rest:
        size = data.draw(st.integers(1, len(rest)), label="batch")
        batch, rest = rest[:size], rest[size:]
        if data.draw(st.booleans(), label="first in vain"):
            stage.fail(*batch)
        if data.draw(st.booleans(), label="restart"):
            stage.restart()
        for bar in emitted(stage.step(*batch), "md.ohlc.v1"):
            key = (bar["instrument"], bar["interval"], bar["opened_at"])
            assert bar.get("revision", 1) > shown.get(key, {}).get("revision", 1) or key not in shown
            shown[key] = bar
    prices = {
        key: tuple(Decimal(bar[name]) for name in ("open", "high", "low", "close"))
        for key, bar in shown.items()
    }
    assert prices == reference(marks)


@settings(max_examples=60)
@given(st.lists(TICKS, min_size=1, max_size=30))
def test_batches_change_how_often_a_bar_is_emitted_and_not_what_it_is(marks):
    one, many = StageInMemory(bars.stage()), StageInMemory(bars.stage())
    together = {_key(bar): bar for bar in emitted(one.step(*marks), "md.ohlc.v1")}
    singly = {_key(bar): bar for each in marks for bar in emitted(many.step(each), "md.ohlc.v1")}
    assert together == singly
    assert {bar["interval"] for bar in singly.values()} <= set(BarInterval)


def _key(bar: dict[str, Any]) -> tuple[str, str, int]:
    return bar["instrument"], bar["interval"], bar["opened_at"]
