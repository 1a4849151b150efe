"""A worker that stands still in the midst of its work, for seconds or minutes, and goes on: nothing lost or doubled."""

import subprocess
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from bench.workload import WORKLOADS, frames_of, make_fills
from connectors.kafka.link import Link, parse_url
from schemas.topics import FILLS
from tests.faults.kafka_stand import Stand
from tests.kafka_support import Expected, assert_outputs, produce_fills, running_broker

FILLS_COUNT = 6_000
TAKEOVER_SECONDS = 30.0
"""In a pause of that length the other worker has long done what this one left."""


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with running_broker(tmp_path / "broker") as running:
        yield parse_url(f"kafka://{running.address}")


@pytest.mark.parametrize(
    ("guarantee", "seconds"),
    [
        ("exactly_once", 5.0),
        *(
            pytest.param(guarantee, seconds, marks=pytest.mark.soak)
            for guarantee, seconds in [
                ("low_latency", 5.0),
                *product(("exactly_once", "low_latency"), (60.0, 360.0)),
            ]
        ),
    ],
)
def test_a_worker_that_stands_still_and_goes_on(
    link: Link, tmp_path: Path, guarantee: str, seconds: float
) -> None:
    fills = make_fills(WORKLOADS["W"], FILLS_COUNT)
    meanwhile, whole = Expected(fills[: FILLS_COUNT * 2 // 3]), Expected(fills)
    half = len(meanwhile.frames) // 2
    stand = Stand(link, tmp_path, guarantee)
    try:
        before = stand.hash()
        produce_fills(link, meanwhile.frames[:half])
        stand.until(lambda found: found != before)
        feeding = threading.Thread(target=produce_fills, args=(link, meanwhile.frames[half:]))
        feeding.start()
        still = stand.pause("one")
        feeding.join()
        with pytest.raises(subprocess.TimeoutExpired):
            still.wait(seconds)
        if seconds > TAKEOVER_SECONDS:
            stand.until(lambda found: found == meanwhile.hash)
        stand.go_on("one")
        # What comes now, the one that woke must do alone, in this life or in the next.
        stand.end("two")
        produce_fills(link, frames_of(FILLS, fills[FILLS_COUNT * 2 // 3 :]))
        stand.until(lambda found: found == whole.hash)
        assert_outputs(link, whole.trades, guarantee)
    finally:
        stand.close()
