"""The compiled twin of the cash stage against the plain code: whatever comes, the same bytes in the same order.

Two stages take the transfers that a ledger has posted, one of them with the twin, the other without: changes of the table
and outputs must be equal, also where one code goes on with what the other has left.
"""

import contextlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import native
from agents import cash, ledger
from agents.stage import InvariantBroken, Step
from schemas import topics
from schemas.frames import encode_event
from schemas.numbers import exact_arithmetic
from tests.ledger_feed import EVENTS, RULES, Feed
from tests.ledger_support import told
from tests.stage_support import RecordedStage, StageInMemory, written
from tests.support import plain_code
from topology.money.rules import standard_rules

pytestmark = pytest.mark.skipif(native.cash() is None, reason=native.description())


class Transfers:
    """What a ledger makes of events."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.ledger = StageInMemory(ledger.stage(standard_rules()))
        self.ledger.define(RULES)

    def of(self, contents: list[tuple[Any, ...]]) -> list[Any]:
        events = [event for content in contents for event in self.feed.events(content)]
        return told(self.ledger.step(*events), topics.LEDGER_ENTRIES)


def compare(steps: list[list[tuple[Any, ...]]], restarts: set[int]) -> None:
    twin, plain = RecordedStage(cash.stage()), RecordedStage(cash.stage())
    transfers = Transfers()
    for number, contents in enumerate(steps):
        if number in restarts:
            twin.restart()
            plain.restart()
        entries = transfers.of(contents)
        with plain_code():
            expected = written(plain.step(*entries))
        assert written(twin.step(*entries)) == expected
        assert twin.changes == plain.changes
        assert twin.counts() == plain.counts()


BUY, SELL = ("B1", 0, "5", "99.5", (("1.25", "commission", ""),), 0, {}), ("B1", 0, "-3", "100", (), 0, {})


@given(st.lists(st.lists(EVENTS, max_size=12), max_size=8), st.sets(st.integers(0, 7), max_size=2))
@example(
    [[BUY, SELL, ("move", -5)], [("close", 8), BUY, SELL, ("lock", 9), SELL], [SELL, ("cancel", 0), BUY]], {1}
)
@settings(max_examples=100, deadline=None)
def test_the_same_bytes(steps: list[list[tuple[Any, ...]]], restarts: set[int]) -> None:
    compare(steps, restarts)


def test_a_balance_that_the_ledger_contradicts_stops_both_alike() -> None:
    entries = Transfers().of([BUY, BUY])
    wrong = [*entries[:-1], msgspec.structs.replace(entries[-1], cash_balance=Decimal(1))]
    faults = []
    for code in (plain_code(), contextlib.nullcontext()):
        stage = RecordedStage(cash.stage())
        stage.step(*entries[:1])
        with code, pytest.raises(InvariantBroken, match="expected the sum of its ledger, 1, found") as found:
            stage.step(*wrong[1:])
        faults.append(str(found.value))
    assert faults[0] == faults[1]


def test_the_twin_takes_the_usual_case() -> None:
    compiled = native.cash()
    assert compiled is not None
    entries = Transfers().of([BUY, SELL, SELL])
    stage = RecordedStage(cash.stage())
    stage.step(entries[0])
    frame = b"[" + b",".join(map(encode_event, entries[1:])) + b"]"
    assert stage.stage.codec is not None
    read = stage.stage.codec.decode(frame)
    with exact_arithmetic():
        assert compiled.take(stage.state, read, 0, Step(lambda key: 0)) == len(read)
