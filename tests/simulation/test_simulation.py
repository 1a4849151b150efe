"""The simulation: seeds hold, repeat byte for byte, and find every planted defect."""

import json
import os

import pytest
from typer.testing import CliRunner

from tests.simulation.planted import PLANTED
from tests.support import soak_minutes
from topology.cli.application import application
from topology.simulation.oracle import simulate

SEEDS_A_TEST = 125
SEEDS_A_SECOND = 40
"""What one core does at least, for the bound on a soak run."""


def hold(first: int, number: int) -> None:
    for seed in range(first, first + number):
        outcome = simulate(seed)
        if outcome.violation:
            pytest.fail(
                "\n".join([*outcome.history, outcome.violation, f"again: pks simulate --seed {seed}"])
            )
        assert outcome.digest


@pytest.mark.parametrize("first", range(0, 1_000, SEEDS_A_TEST))
def test_seeds_hold(first: int):
    hold(first, SEEDS_A_TEST)


@pytest.mark.soak
def test_many_seeds_hold():
    wanted = int(os.environ.get("PKS_SOAK_SEEDS", "100000"))
    hold(1_000, min(wanted, int(60 * soak_minutes() * SEEDS_A_SECOND)))


def test_a_seed_gives_the_same_run():
    for seed in range(20):
        assert simulate(seed) == simulate(seed)
    assert simulate(1).digest != simulate(2).digest


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_caught(name: str):
    defect, seed = PLANTED[name]
    with defect():
        assert simulate(seed).violation
    assert not simulate(seed).violation


def test_seeds_meet_every_kind_of_event():
    told = "\n".join(line for seed in range(60) for line in simulate(seed).history)
    for event in (
        "power cut: 2",
        "the commit fails",
        "killed in the commit",
        "the clock jumps back",
        "tick",
        "start trade_capture",
        "acknowledged",
    ):
        assert event in told


def test_the_command_says_what_it_ran():
    found = CliRunner().invoke(application, ["simulate", "--seed", "7", "--seeds", "2", "--json"])
    document = json.loads(found.stdout)
    assert found.exit_code == 0
    assert (document["seed"], document["seeds"], document["failed"]) == (7, 2, [])
    assert len(document["digest"]) == 32


def test_the_command_tells_the_history_of_a_seed_that_fails():
    defect, seed = PLANTED["double emit"]
    with defect():
        found = CliRunner().invoke(application, ["simulate", "--seed", str(seed), "--json"])
    assert found.exit_code != 0
    (failed,) = json.loads(found.stdout)["failed"]
    assert failed["seed"] == seed and failed["violation"] and failed["history"]
