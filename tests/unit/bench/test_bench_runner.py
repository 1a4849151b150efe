"""Each figure of throughput can be measured, and says beside what."""

import os
from pathlib import Path

import pytest

from agents.open_position import scan_positions
from bench import runner
from bench.bookings import apply, one_each
from bench.workload import WORKLOADS, log_in, make_bookings, make_fills
from schemas.numbers import exact_arithmetic


def test_unknown_figures_are_refused() -> None:
    with pytest.raises(KeyError, match="speed"):
        runner.run(["lots", "speed"])


def test_figures_of_a_small_run_have_values_and_references() -> None:
    before = os.sched_getaffinity(0)
    seen = []
    rows = runner.run(["lots", "capture", "positions", "both", "replay"], 2_000, seen.append)
    assert rows == seen
    assert [row.name for row in rows] == [
        "lot matching, H",
        "capture, W",
        "positions, W",
        "positions, H",
        "capture and positions, W",
        "capture and positions, H",
        "replay, W",
    ]
    assert all(row.value and row.ratio and row.cpu_us for row in rows)
    assert os.sched_getaffinity(0) == before


def test_late_trades_and_sizes_of_a_small_run() -> None:
    rows = runner.run(["late", "flatness"], 2_000)
    assert [row.name for row in rows] == [
        "late trade, by 10 of 2,000",
        "late trade, by 1,000 of 2,000",
        "late trade, by all of 2,000",
        "a fill with 10 open lots in its position",
        "a fill with 1,000 open lots in its position",
    ]
    assert all(row.value and row.ratio and row.cpu_us for row in rows)


def test_looking_back_of_a_small_run() -> None:
    rows = runner.run(["looking-back"], 2_000)
    assert [row.name for row in rows] == [
        "replay, one process",
        "replay, two processes",
        "checkpoints taken",
        "known at, one book",
        "known at, all books",
    ]
    assert all(row.value for row in rows)


def test_bookings_make_as_many_positions_as_they_say(tmp_path: Path) -> None:
    with log_in(tmp_path, cached_lots_max=1_000) as bench, exact_arithmetic():
        apply(bench, one_each(3_000, books=7), portion=1_000)
        runners = bench.of("positions")
        assert sum(sum(1 for _ in scan_positions(runner.state.table)) for runner in runners) == 3_000


def test_the_workload_is_as_it_says() -> None:
    fills = make_fills(WORKLOADS["W"], 20_000)
    assert fills == make_fills(WORKLOADS["W"], 20_000)
    assert 0.005 < 1 - len({fill.trade_id for fill in fills}) / len(fills) < 0.015
    assert len({(fill.book, fill.instrument) for fill in fills}) > 8_000
    assert len({(fill.book, fill.instrument) for fill in make_fills(WORKLOADS["H"], 5_000)}) == 100
    assert len({booked.trade_id for booked in make_bookings(fills)}) == len({fill.trade_id for fill in fills})
