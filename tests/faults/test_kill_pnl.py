"""kill -9 in the middle of what the P&L stage does: the same days, events and tables as without it.

Trades come late, twice and are cancelled, days end, and the worker dies on the way; what is told in the end is what a run
that nothing disturbed tells, byte for byte, and every day is what its trades and marks make of it.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from agents import pnl
from agents.pnl_state import closed_days
from domain.pnl.figures import closed_figures
from schemas.identity import position_key
from schemas.numbers import exact_arithmetic
from schemas.pnl import BUCKETS
from schemas.topics import PNL
from tables.partition import TablePartition
from tests.faults import pnl_worker
from tests.support import Books
from topology.log import LogStore

ROOT = Path(__file__).resolve().parents[2]
KILLS = 6


def start(folder: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.faults.pnl_worker", str(folder)]
    return subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def found_behind(worker: subprocess.Popen[str]) -> bool:
    """Whether the worker began with something undone."""
    assert worker.stdout is not None
    word, number = worker.stdout.readline().split()
    assert word == "behind"
    return int(number) > 0


def go_on(worker: subprocess.Popen[str], batches: int) -> None:
    """Let the worker begin some batches."""
    assert worker.stdin is not None and worker.stdout is not None
    for _ in range(batches):
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "on\n"


def end(worker: subprocess.Popen[str]) -> None:
    """Kill the worker, if it lives; every pipe is closed."""
    if worker.poll() is None:
        worker.send_signal(signal.SIGKILL)
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        assert pipe is not None
        pipe.close()


def killed(folder: Path) -> int:
    """Run the worker with kills; returns how many of them left something undone."""
    chance = random.Random(5)
    undone = 0
    for _ in range(KILLS):
        worker = start(folder)
        try:
            undone += found_behind(worker)
            go_on(worker, chance.randint(3, 8))
            time.sleep(chance.uniform(0.0, 0.02))
        finally:
            end(worker)
    worker = start(folder)
    try:
        undone += found_behind(worker)
        told, _ = worker.communicate("\n" * pnl_worker.BATCHES, timeout=120)
        assert told.endswith("done\n")
    finally:
        end(worker)
    return undone


def test_kills_of_the_pnl_stage(tmp_path: Path):
    assert killed(tmp_path / "killed") > 0
    pnl_worker.run(tmp_path / "clean")
    with (
        Books(tmp_path / "killed", stages=pnl_worker.stages()) as books,
        Books(tmp_path / "clean", stages=pnl_worker.stages()) as clean,
        exact_arithmetic(),
    ):
        told = books.events(PNL)
        assert len({event.event_id for event in told}) == len(told)
        assert last(told) == last(clean.events(PNL))
        assert days(books) == days(clean)
        assert len(days(clean)) == pnl_worker.DAYS * len(pnl_worker.INSTRUMENTS)
        for event in told:
            if event.total is not None:
                assert sum(getattr(event.buckets, name) for name in BUCKETS) == event.total
        for instrument in pnl_worker.INSTRUMENTS:
            running = [event for event in told if event.instrument == instrument and not event.closed][-1]
            position = clean.positions()["B1", instrument].position
            value = position.quantity * running.mark
            assert running.total_to_date == position.realised_pnl + value - position.cost_basis


FIGURES = (
    "quantity",
    "opening_quantity",
    "realised",
    "unrealised",
    "total",
    "positional",
    "trading",
    "total_to_date",
)


def last(told: list) -> dict:
    """The last that was told of each day: its figures, not into how many valuations it fell."""
    return {
        (event.instrument, event.business_date, event.closed): [getattr(event, name) for name in FIGURES]
        for event in told
    }


def days(books: Books) -> dict:
    """The figures of the closed days."""
    table = TablePartition(LogStore(books.log, pnl.NAME, 0))
    return {
        (instrument, day.business_date): msgspec.structs.replace(
            closed_figures(day), buckets=None, book_buckets=None
        )
        for instrument in pnl_worker.INSTRUMENTS
        for day in closed_days(table, position_key("B1", instrument))
    }
