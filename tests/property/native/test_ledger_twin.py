"""The compiled twin of the ledger stage against the plain code: whatever comes, the same bytes in the same order.

Two stages take the same steps, one of them with the twin, the other without: changes of the table, outputs and
refusals must be equal, also where one code goes on with what the other has left.
"""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import native
from agents import ledger
from agents.stage import Step
from schemas.frames import encode_event
from schemas.numbers import exact_arithmetic
from tests.ledger_feed import EVENTS, RULES, TRADES, Feed
from tests.stage_support import RecordedStage, written
from tests.support import plain_code
from topology.money.rules import standard_rules

pytestmark = pytest.mark.skipif(native.ledger() is None, reason=native.description())


def compare(steps: list[list[tuple[Any, ...]]], restarts: set[int]) -> None:
    twin, plain = RecordedStage(ledger.stage(standard_rules())), RecordedStage(ledger.stage(standard_rules()))
    twin.define(RULES)
    plain.define(RULES)
    feed = Feed()
    for number, contents in enumerate(steps):
        if number in restarts:
            twin.restart()
            plain.restart()
        events = [event for content in contents for event in feed.events(content)]
        with plain_code():
            expected = written(plain.step(*events))
        assert written(twin.step(*events)) == expected
        assert twin.changes == plain.changes
        assert twin.counts() == plain.counts()


BUY, SELL = ("B1", 0, "5", "99.5", (("1.25", "commission", ""),), 0, {}), ("B1", 0, "-3", "100", (), 0, {})


@given(st.lists(st.lists(EVENTS, max_size=12), max_size=8), st.sets(st.integers(0, 7), max_size=2))
@example(
    [[BUY, SELL, SELL, SELL], [("close", 8), BUY, BUY, ("lock", 9), SELL], [SELL, ("cancel", 0), BUY, BUY]],
    {1},
)
@settings(max_examples=150, deadline=None)
def test_the_same_bytes(steps: list[list[tuple[Any, ...]]], restarts: set[int]) -> None:
    compare(steps, restarts)


@given(st.lists(TRADES, min_size=30, max_size=100))
@settings(max_examples=20, deadline=None)
def test_the_same_bytes_of_trades_alone(trades: list[tuple[Any, ...]]) -> None:
    usual = [(book, kind % 3, *rest[:-1], {}) for book, kind, *rest in trades]
    compare([usual[start : start + 25] for start in range(0, len(usual), 25)], {2})


def test_the_twin_takes_the_usual_case() -> None:
    compiled = native.ledger()
    assert compiled is not None
    feed = Feed()
    updates = [event for content in (BUY, BUY, SELL, SELL) for event in feed.events(content)]
    stage = RecordedStage(ledger.stage(standard_rules()))
    stage.step(updates[0])
    assert stage.stage.codec is not None
    read = stage.stage.codec.decode(b"[" + b",".join(map(encode_event, updates[1:])) + b"]")
    with exact_arithmetic():
        assert compiled.book(stage.state, read, 0, Step(lambda key: 0)) == len(read)
