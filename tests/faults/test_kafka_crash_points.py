"""A worker on a real broker dies at each point of a commit: no output lost, none doubled, the books of the embedded log."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.workload import WORKLOADS, make_fills
from connectors.kafka.link import Link, parse_url
from tests.faults.kafka_points import POINTS
from tests.kafka_support import (
    PATIENCE,
    Expected,
    View,
    assert_outputs,
    environment_of,
    make_topics,
    produce_fills,
    running_broker,
    start_worker,
)
from tests.support import eventually

FILLS = 4_000
STEPS_BEFORE = 2
"""At which step of positions each worker dies."""


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    """A broker of its own: what a killed worker left open in a test before it would be met by this one."""
    with running_broker(tmp_path / "broker") as running:
        link = parse_url(f"kafka://{running.address}")
        make_topics(link)
        yield link


@pytest.fixture(scope="module")
def expected() -> Expected:
    return Expected(make_fills(WORKLOADS["W"], FILLS))


class Run:
    """Fills that come in parts, and workers that die one after the other."""

    def __init__(self, link: Link, expected: Expected, folder: Path, guarantee: str) -> None:
        self.link = link
        self._guarantee = guarantee
        self._parts = iter([expected.frames[start::5] for start in range(5)])
        self._folder = folder
        # One record a step, so that there are steps before and after the one that is hit.
        self._environment = {
            "PKS_STEP_EVENTS_MAX": "1",
            **environment_of(guarantee),
        }

    def start(self, point: str = "", *, name: str = "one", sent: str = "SIGKILL") -> subprocess.Popen[bytes]:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return start_worker(
            self.link,
            folder,
            name,
            ends_at=point and f"{self._guarantee}/{point}/{STEPS_BEFORE}/{sent}",
            **self._environment,
        )

    def die_at(self, point: str) -> None:
        """A worker begins, gets the next part of the fills, and dies."""
        worker = self.start(point)
        try:
            for frame in next(self._parts):
                produce_fills(self.link, [frame])
            assert worker.wait(PATIENCE) == -signal.SIGKILL
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
    run = Run(link, expected, tmp_path, guarantee)
    for point in POINTS[guarantee]:
        run.die_at(point)
    run.finish()
    worker, view = run.start(), View(link, tmp_path / "view")
    try:
        eventually(lambda: view.hash() == expected.hash, PATIENCE)
        assert_outputs(link, expected.trades, guarantee)
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        view.close()
        worker.kill()
        worker.wait()


@pytest.mark.parametrize(("guarantee", "point"), [("exactly_once", "outputs"), ("low_latency", "outputs")])
def test_a_worker_that_hung_in_a_commit_while_another_took_over_writes_nothing(
    link: Link, expected: Expected, tmp_path: Path, guarantee: str, point: str
) -> None:
    run = Run(link, expected, tmp_path, guarantee)
    hung = run.start(point, sent="SIGSTOP")
    view, other = View(link, tmp_path / "view"), None
    try:
        run.finish()
        eventually(lambda: state_of(hung.pid) == "T", PATIENCE)
        other = run.start(name="other")
        eventually(lambda: view.hash() == expected.hash, PATIENCE)
        os.kill(hung.pid, signal.SIGCONT)
        assert hung.wait(PATIENCE) == 1
        assert view.hash() == expected.hash
        assert_outputs(link, expected.trades, guarantee)
    finally:
        view.close()
        for worker in filter(None, (hung, other)):
            worker.kill()
            worker.wait()


def state_of(process: int) -> str:
    """The state of a process as the system has it: T where it stands still."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
