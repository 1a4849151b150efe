"""The simulation: seeds hold, repeat byte for byte, and find every planted defect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.shm.mapping import FOLDER
from tests.simulation.planted import PLANTED, caught
from tests.support import soak_minutes
from topology.cli.application import run as main
from topology.simulation.plan import make_plan
from topology.simulation.run import run, simulate
from topology.simulation.shrink import describe, shrink

SEEDS_A_TEST = 125
SEEDS_A_SECOND = 20
"""What one core does at least, for the bound on a soak run."""

CAUGHT = caught()
_DIGESTS = "from topology.simulation.run import simulate\nprint([simulate(seed).digest for seed in range(5)])"


def hold(first: int, number: int) -> None:
    for seed in range(first, first + number):
        outcome = simulate(seed)
        if outcome.violation:
            found = shrink(make_plan(seed), outcome)
            pytest.fail(
                "\n".join(
                    [
                        *describe(found.plan),
                        *found.outcome.history,
                        f"again: pks simulate --seed {seed} --only {found.only}",
                    ]
                )
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
    for seed in range(6):
        assert simulate(seed) == simulate(seed)
    assert simulate(1).digest != simulate(2).digest


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_with_other_hashes_gives_the_same_run(hash_seed: str):
    found = subprocess.run(
        [sys.executable, "-c", _DIGESTS],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert found.stdout.splitlines()[-1] == str([simulate(seed).digest for seed in range(5)])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_caught(name: str):
    # That the seed is clean without the defect is among what `test_seeds_hold` holds.
    with PLANTED[name]():
        assert simulate(CAUGHT[name]).violation


def test_the_table_of_planted_defects_is_whole():
    assert CAUGHT.keys() == PLANTED.keys() and len(PLANTED) >= 45
    assert max(CAUGHT.values()) < 1_000


def test_seeds_meet_every_kind_of_event():
    told = "\n".join(line for seed in range(40) for line in simulate(seed).history)
    for event in (
        "  2 commits are lost",
        "  the commit fails",
        "  the log cannot be read",
        "  the process ends here",
        "  the commit that failed is found",
        "  partitions have stopped; the process is started again",
        "  submit fails",
        "  Receipt(",
        "  acknowledged",
        "  committed: batches",
    ):
        assert event in told


def test_no_shared_memory_is_left():
    simulate(0)
    assert not list(Path(FOLDER).glob(f"pks-simulation-{os.getpid()}*"))


@pytest.fixture
def simulated(capsys: pytest.CaptureFixture[str]):
    """Run `pks simulate --json`: its exit code, its document (None where it has none), and its lines of faults."""

    def call(*arguments: str):
        code = main(["simulate", *arguments, "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return call


def test_the_command_says_what_it_ran(simulated):
    code, document, _ = simulated("--seed", "7", "--seeds", "2")
    assert code == 0
    assert (document["seed"], document["seeds"], document["failed"]) == (7, 2, [])
    assert len(document["digest"]) == 32


@pytest.mark.parametrize("name", ["double emit", "late lost"])
def test_the_command_makes_a_run_that_fails_small_and_runs_it_again(name: str, simulated):
    defect, seed = PLANTED[name], CAUGHT[name]
    with defect():
        code, document, said = simulated("--seed", str(seed))
        (failed,) = document["failed"]
        smallest = failed["smallest"]
        code_again, document_again, _ = simulated(*smallest["command"].split()[2:])
    assert code == code_again == 1
    assert failed["seed"] == seed and failed["violation"] and failed["history"]
    assert smallest["command"] in said
    plan = make_plan(seed)
    assert smallest["actions"] < len(plan.actions) / 5 and smallest["fills"] < len(plan.fills) / 5
    (repeated,) = document_again["failed"]
    assert repeated["violation"] == smallest["violation"]
    assert smallest["history"][-len(repeated["history"]) :] == repeated["history"]
    assert "smallest" not in repeated
    assert not run(plan).violation


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--only", "4,9"], "--only: expected actions and fills by number"),
        (["--only", "1-x:2"], "--only: expected actions and fills by number"),
        (["--only", "1:2", "--seeds", "2"], "--only: expected one seed, found 2"),
    ],
)
def test_the_command_refuses_what_names_no_part_of_a_run(arguments: list[str], expected: str, simulated):
    code, document, said = simulated(*arguments)
    assert (code, document) == (2, None)
    assert expected in said
