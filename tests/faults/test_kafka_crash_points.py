"""A worker on a real broker dies at each point of a commit: no output lost, none doubled, the books of the embedded log."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.workload import WORKLOADS, make_fills
from connectors.kafka.link import Link, parse_url
from tests.faults.kafka_points import POINTS
from tests.kafka_support import (
    LOW_LATENCY,
    Expected,
    View,
    events_of,
    ids_of,
    produce_fills,
    remake_topics,
    running_broker,
    start_worker,
)
from tests.support import eventually

FILLS = 4_000
STEPS_BEFORE = 2
"""At which step of positions each worker dies."""


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield parse_url(f"kafka://{running.address}")


@pytest.fixture(scope="module")
def expected() -> Expected:
    return Expected(make_fills(WORKLOADS["W"], FILLS))


class Run:
    """Fills that come in parts, and workers that die one after the other."""

    def __init__(self, link: Link, expected: Expected, folder: Path, guarantee: str) -> None:
        self.link = link
        self._guarantee = guarantee
        self._parts = iter([expected.frames[start::5] for start in range(5)])
        self._folder = folder / "worker"
        self._folder.mkdir()
        # One record a step, so that there are steps before and after the one that is hit.
        self._environment = {
            "PKS_STEP_EVENTS_MAX": "1",
            **(LOW_LATENCY if guarantee == "low_latency" else {}),
        }

    def start(self, point: str = "") -> subprocess.Popen[bytes]:
        return start_worker(
            self.link,
            self._folder,
            "one",
            ends_at=point and f"{self._guarantee}/{point}/{STEPS_BEFORE}",
            **self._environment,
        )

    def die_at(self, point: str) -> None:
        """A worker begins, gets the next part of the fills, and dies."""
        worker = self.start(point)
        try:
            for frame in next(self._parts):
                produce_fills(self.link, [frame])
            assert worker.wait(60) == -signal.SIGKILL
        finally:
            worker.kill()
            worker.wait()

    def finish(self) -> None:
        """The rest of the fills comes."""
        for part in self._parts:
            produce_fills(self.link, part)


@pytest.mark.parametrize("guarantee", list(POINTS))
def test_a_worker_that_dies_at_each_point_loses_nothing_and_doubles_nothing(
    link: Link, expected: Expected, tmp_path: Path, guarantee: str
) -> None:
    remake_topics(link)
    run = Run(link, expected, tmp_path, guarantee)
    for point in POINTS[guarantee]:
        run.die_at(point)
    run.finish()
    worker, view = run.start(), View(link, tmp_path / "view")
    try:
        eventually(lambda: view.hash() == expected.hash, 60)
        events = events_of(link)
        ids = ids_of(events)
        assert len(set(ids)) == expected.trades
        if guarantee == "exactly_once":
            assert len(ids) == expected.trades
        else:
            # What came again after "outputs" is the same to the byte.
            assert len(ids) > expected.trades
            assert len(set(events)) == expected.trades
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        view.close()
        worker.kill()
        worker.wait()
