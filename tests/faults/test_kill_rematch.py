"""kill -9 inside a long re-match: it is done whole or not at all, and done again after the restart.

In one step, and in slices; these begin again, on top of what they had written.
"""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents import positions
from agents.journal import scan_journal
from schemas.numbers import exact_arithmetic
from schemas.topics import POSITIONS
from tables.partition import TablePartition
from tests.faults import rematch_worker
from tests.support import Books, soak_kills
from topology.log import LogStore

ROOT = Path(__file__).resolve().parents[2]


SLICES = (0, 200)
"""Trades of a slice; 0 for all of a re-match in one step."""


def start(folder: Path, slice_trades: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.faults.rematch_worker", str(folder), str(slice_trades)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def behind(worker: subprocess.Popen[str]) -> int:
    """How much the worker found undone."""
    assert worker.stdout is not None
    word, number = worker.stdout.readline().split()
    assert word == "behind"
    return int(number)


def kill_inside(folder: Path, slice_trades: int, kills: int, seed: int) -> int:
    """Kill the worker in the steps of changes; returns how many kills left something undone."""
    chance = random.Random(seed)
    undone = 0
    worker = start(folder, slice_trades)
    try:
        steps = rematch_worker.TRADES // rematch_worker.BATCH
        for _ in range(kills):
            undone += behind(worker) > 0
            assert worker.stdout is not None
            line = "on"
            for _ in range(steps + 1):
                line = worker.stdout.readline().strip()
            steps = 0
            if line != "on":
                break
            try:
                # `on` is written as a step begins; one that re-matches thousands of trades takes longer than this.
                worker.wait(chance.uniform(0.0, 0.06 if slice_trades else 0.012))
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
            worker.stdout.close()
            worker = start(folder, slice_trades)
        undone += behind(worker) > 0 if line == "on" else 0
        assert worker.stdout is not None
        worker.stdout.read()
        assert worker.wait(120) == 0
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
        if worker.stdout is not None:
            worker.stdout.close()
    return undone


def outcome(books: Books) -> dict[str, object]:
    table = TablePartition(LogStore(books.log, positions.NAME, 0))
    with exact_arithmetic():
        journal = list(scan_journal(table, b"B1\x00X"))
    return {"hash": books.hash(), "journal": journal, "lots": list(books.position().lots)}


def compare(folder: Path, slice_trades: int) -> None:
    rematch_worker.run(folder.parent / f"{folder.name}-clean", slice_trades)
    with Books(folder) as killed, Books(folder.parent / f"{folder.name}-clean") as clean:
        assert killed.event_bytes(POSITIONS) == clean.event_bytes(POSITIONS)
        assert killed.table(positions.NAME) == clean.table(positions.NAME)
        found = outcome(killed)
        assert killed.counts(positions.NAME) == clean.counts(positions.NAME)
        assert killed.counts(positions.NAME).waiting == 0
        assert killed.counts(positions.NAME).read == rematch_worker.TRADES + rematch_worker.LATE
    with Books(folder.parent / f"{folder.name}-ordered") as ordered:
        ordered.bookings(*rematch_worker.standing())
        ordered.run()
        assert found == outcome(ordered)


@pytest.mark.parametrize("slice_trades", SLICES)
def test_kills_inside_long_rematches(tmp_path: Path, slice_trades: int):
    assert kill_inside(tmp_path / "killed", slice_trades, kills=6, seed=3) > 0
    compare(tmp_path / "killed", slice_trades)


@pytest.mark.soak
@pytest.mark.parametrize("slice_trades", SLICES)
def test_many_kills_inside_long_rematches(tmp_path: Path, slice_trades: int):
    kills, hit = soak_kills(), 0
    for number in range(1 + kills // rematch_worker.LATE):
        folder = tmp_path / str(number)
        hit += kill_inside(folder, slice_trades, rematch_worker.LATE, number)
        compare(folder, slice_trades)
    assert hit > 0
