"""Each figure of throughput can be measured, and says beside what."""

import os

import pytest

from bench import runner
from bench.workload import WORKLOADS, make_bookings, make_fills


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


def test_the_workload_is_as_it_says() -> None:
    fills = make_fills(WORKLOADS["W"], 20_000)
    assert fills == make_fills(WORKLOADS["W"], 20_000)
    assert 0.005 < 1 - len({fill.trade_id for fill in fills}) / len(fills) < 0.015
    assert len({(fill.book, fill.instrument) for fill in fills}) > 8_000
    assert len({(fill.book, fill.instrument) for fill in make_fills(WORKLOADS["H"], 5_000)}) == 100
    assert len({booked.trade_id for booked in make_bookings(fills)}) == len({fill.trade_id for fill in fills})
