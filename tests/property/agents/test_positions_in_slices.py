"""The machine of the positions stage, with every re-match done in slices: what waits, waits; nothing else does.

Slices, failed slices and restarts come between the events as they like. Whenever nothing is left over, all that holds
without slices must hold: positions, journal, counts and updates.
"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from agents import journal, journal_chunks, positions
from agents.booking_queue import QUEUE, waiting_by_position
from agents.counters import FAMILY
from agents.journal import ASIDE, REWRITTEN, scan_journal
from agents.open_position import scan_positions
from agents.position_state import EVENT
from agents.stage import Step
from agents.trade_index import TRADE
from domain.lots.position import Position
from domain.lots.rematch import enter
from schemas.numbers import exact_arithmetic
from schemas.topics import POSITIONS
from tables.partition import TablePartition
from tests.lots_model import differences
from tests.property.agents.test_positions_machine import PositionsMachine
from tests.stage_support import StageInMemory, emitted, run_for_long

SLICES_MAX = 20_000
SLOTS = Position.__slots__


class SlicedPositionsMachine(PositionsMachine):
    """As the machine without slices; `rematch_min` 1 lets every late trade and correction go through slices."""

    @initialize(rematch_min=st.sampled_from([1, 1, 2, 4]), slice_trades=st.sampled_from([1, 2, 7]))
    def sizes(self, rematch_min: int, slice_trades: int) -> None:
        self.stage = StageInMemory(
            positions.stage(cached_lots_max=4, rematch_min=rematch_min, slice_trades=slice_trades)
        )
        self.unsliced = StageInMemory(positions.stage())
        self.said: dict[tuple[str, str], list[Any]] = {}
        self.expected_to_say: dict[tuple[str, str], list[Any]] = {}

    def step(self, *events: Any) -> None:
        super().step(*events)
        for update in emitted(self.unsliced.step(*events), POSITIONS.name):
            self.expected_to_say.setdefault((update["book"], update["instrument"]), []).append(update)

    def take(self, step: Step) -> None:
        super().take(step)
        for update in emitted(step, POSITIONS.name):
            self.said.setdefault((update["book"], update["instrument"]), []).append(update)

    @rule(times=st.integers(1, 4))
    def slices(self, times: int) -> None:
        for _ in range(times):
            if self.stage.has_idle_work:
                self.take(self.stage.slice())

    @rule()
    def a_slice_fails(self) -> None:
        if self.stage.has_idle_work:
            self.stage.fail_slice()

    @rule()
    def all_that_is_left(self) -> None:
        slices = 0
        while self.stage.has_idle_work:
            self.take(self.stage.slice())
            slices += 1
            assert slices < SLICES_MAX
        table = self.stage.committed
        assert not [key for family in (QUEUE, ASIDE, REWRITTEN) for key, _ in table.scan_prefix(family)]
        super().every_position_is_what_the_model_says()
        super().every_input_is_counted_once()
        assert self.said == self.expected_to_say
        assert contents(table) == contents(self.unsliced.committed)

    @invariant()
    def every_position_is_what_the_model_says(self) -> None:
        """Where nothing waits for it; else it is of one piece."""
        table = self.stage.committed
        waiting = waiting_by_position(table)
        with exact_arithmetic():
            for opened in scan_positions(table):
                place, position = (opened.book, opened.instrument), opened.position
                if place not in waiting:
                    assert not (wrong := differences(position, self.expected[place])), (place, wrong)
                entries = list(scan_journal(table, opened.key))
                begin = [entry.terms_before for entry in entries if entry.terms_before is not None]
                again = Position(begin[0] if begin else position.terms)
                assert [enter(again, entry.trade, entry.terms) for entry in entries] == entries, place
                for name in SLOTS:
                    assert getattr(again, name) == getattr(position, name), (place, name)

    @invariant()
    def every_input_is_counted_once(self) -> None:
        read, applied, duplicates, refused, waiting = self.stage.counts()
        assert read == self.applied + self.duplicates + self.refused
        assert read == applied + duplicates + refused + waiting
        assert waiting == sum(1 for _ in self.stage.committed.scan_prefix(QUEUE))
        assert applied <= self.applied and duplicates <= self.duplicates and refused <= self.refused


def contents(table: TablePartition) -> dict[str, Any]:
    """What a table says, whatever the steps in which it was written."""
    with exact_arithmetic():
        opened = list(scan_positions(table))
        return {
            "positions": [
                (found.key, found.revision, found.last, [getattr(found.position, name) for name in SLOTS])
                for found in opened
            ],
            "journals": [list(scan_journal(table, found.key)) for found in opened],
            "others": [item for family in (TRADE, EVENT, FAMILY) for item in table.scan_prefix(family)],
        }


@pytest.fixture(autouse=True)
def chunks_of_few_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of some trades is many chunks, as a long one is."""
    for module in (journal, journal_chunks):
        monkeypatch.setattr(module, "CHUNK_ENTRIES_MAX", 3)


def test_whatever_happens_to_positions_in_slices():
    run_state_machine_as_test(
        SlicedPositionsMachine, settings=settings(max_examples=200, stateful_step_count=50)
    )


@pytest.mark.soak
def test_whatever_happens_to_positions_in_slices_for_long():
    assert run_for_long(SlicedPositionsMachine, examples=10_000, steps=100) > 0
