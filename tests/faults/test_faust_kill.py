"""kill -9 of a worker that runs on Faust: it starts from its folder alone, and the books are those of a clean run."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents import positions, trade_capture
from tests.faults import stages_worker
from tests.support import Books, soak_kills

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, seed: int, fills: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "tests.faults.faust_worker", str(folder), str(seed), str(fills)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE)


def outcome(folder: Path) -> tuple[str, object, object]:
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        return books.hash(), books.counts(trade_capture.NAME), books.counts(positions.NAME)


def kill_and_compare(folder: Path, *, seed: int, fills: int, kills: int) -> None:
    """Kill a worker `kills` times, let it finish, and compare."""
    choose = random.Random(seed)
    appends = fills // stages_worker.BATCH
    for number in range(kills + 1):
        worker = start(folder / "killed", seed, fills)
        with worker:
            if number < kills:
                for _ in range(choose.randint(1, max(1, appends // (kills + 1)))):
                    worker.stdout.readline()
                os.kill(worker.pid, signal.SIGKILL)
            worker.stdout.read()
        assert worker.returncode == (-signal.SIGKILL if number < kills else 0)
    stages_worker.run(folder / "clean", seed, fills)
    assert outcome(folder / "killed") == outcome(folder / "clean")


def test_a_killed_worker_on_faust_loses_and_doubles_nothing(tmp_path: Path):
    kill_and_compare(tmp_path, seed=7, fills=5_000, kills=3)


@pytest.mark.soak
def test_many_kills_of_a_worker_on_faust(tmp_path: Path):
    kills = soak_kills()
    kill_and_compare(tmp_path, seed=11, fills=kills * 1_000, kills=kills)
