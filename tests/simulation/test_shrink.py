"""Making a run that fails small: what is left fails in the same way, and its numbers name it again."""

import pytest

from tests.simulation.planted import PLANTED, caught
from topology.simulation.plan import make_plan
from topology.simulation.run import run
from topology.simulation.shrink import describe, format_numbers, parse_only, shrink


def test_what_is_left_fails_alike_and_nothing_of_it_can_be_spared():
    seed = caught()["fee dropped in a flip"]
    plan = make_plan(seed)
    with PLANTED["fee dropped in a flip"]():
        whole = run(plan)
        found = shrink(plan, whole)
        assert found.outcome.check == whole.check
        actions, fills = set(found.actions), set(found.fills)
        assert run(plan.part(*parse_only(found.only))) == found.outcome
        assert len(fills) <= 4
        for number in fills:
            assert run(plan.part(actions, fills - {number})).check != whole.check
        for number in actions:
            assert run(plan.part(actions - {number}, fills)).check != whole.check
    assert len(describe(found.plan)) == 1 + len(fills)


def test_runs_are_bounded_and_the_same_each_time():
    seed = caught()["late lost"]
    plan = make_plan(seed)
    with PLANTED["late lost"]():
        whole = run(plan)
        bounded = shrink(plan, whole, runs_max=9)
        assert bounded.runs == 9 and bounded.outcome.check == whole.check
        assert shrink(plan, whole, runs_max=20) == shrink(plan, whole, runs_max=20)


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([3], "3"), ([5, 1, 2, 3], "1-3,5"), ([0, 2, 4], "0,2,4")]
)
def test_numbers_are_written_as_spans(numbers: list[int], text: str):
    assert format_numbers(numbers) == text
    assert parse_only(f"{text}:{text}") == (set(numbers), set(numbers))
