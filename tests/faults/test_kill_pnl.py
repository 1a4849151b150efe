"""kill -9 in the middle of what the P&L stage does: the same days, events and tables as without it.

Trades come late, twice and are cancelled, days end, and the worker dies on the way; what is told in the end is what a run
that nothing disturbed tells, byte for byte, and every day is what its trades and marks make of it.
"""

import random
import signal
import subprocess
import sys
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
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def lines_until(worker: subprocess.Popen[str], count: int) -> str:
    assert worker.stdout is not None
    line = ""
    for _ in range(count):
        line = worker.stdout.readline().strip()
    return line


def killed(folder: Path) -> int:
    """Run the worker with kills; returns how many of them left something undone."""
    chance = random.Random(5)
    undone = 0
    worker = start(folder)
    try:
        for _ in range(KILLS):
            undone += int(lines_until(worker, 1).split()[1]) > 0
            if lines_until(worker, chance.randint(3, 8)) != "on":
                break
            try:
                worker.wait(chance.uniform(0.0, 0.02))
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()
            worker = start(folder)
        undone += int(lines_until(worker, 1).split()[1]) > 0
        assert worker.stdout is not None
        assert worker.stdout.read().split()[-1] == "done"
        assert worker.wait(60) == 0
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
        if worker.stdout is not None:
            worker.stdout.close()
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
