"""A real broker that is killed and started again, and one that hangs, while fills come in: nothing lost, nothing doubled.

Among the fills are duplicates, whole frames of them, frames that come late, and a record that nobody can read. Under
`exactly_once` a worker may hang in its client library after the broker's death (docs/concepts/kafka.md); `pks up` kills
it then, and so the stand does.
"""

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.workload import WORKLOADS, make_fills
from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from schemas.topics import FILL_DEAD_LETTERS
from tests.kafka_support import (
    PATIENCE,
    Expected,
    View,
    assert_outputs,
    environment_of,
    events_of,
    produce_fills,
    remake_topics,
    running_broker,
    start_worker,
)
from tests.support import eventually

FILLS = 6_000
UNREADABLE = (0, b'[{"event_id": "half an ev')
WORKERS = ("one", "two")
STUCK_SECONDS = 20.0
"""Without any progress for so long the workers are killed, as the supervisor's watchdog does."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def expected() -> Expected:
    return Expected(make_fills(WORKLOADS["W"], FILLS), UNREADABLE)


class Stand:
    """Two workers, each started again where it ends, and the tables that they leave."""

    def __init__(self, link: Link, folder: Path, guarantee: str) -> None:
        self.link = link
        self._folder = folder
        self._environment = environment_of(guarantee)
        self.view = View(link, folder / "view")
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._progress = ("", 0.0)
        for name in WORKERS:
            (folder / name).mkdir()
        self.keep()

    def keep(self) -> None:
        """Start who does not run, as a supervisor does."""
        for name in WORKERS:
            worker = self._workers.get(name)
            if worker is None or worker.poll() is not None:
                self._workers[name] = start_worker(self.link, self._folder / name, name, **self._environment)

    def hash(self) -> str:
        self.keep()
        found, now = self.view.hash(), time.monotonic()
        if found != self._progress[0]:
            self._progress = (found, now)
        elif now > self._progress[1] + STUCK_SECONDS:
            self._progress = (found, now)
            for worker in self._workers.values():
                worker.kill()
                worker.wait()
        return found

    def close(self) -> None:
        self.view.close()
        for worker in self._workers.values():
            worker.kill()
            worker.wait()


def parts_of(expected: Expected) -> list[list[tuple[int, bytes]]]:
    """The frames in three parts; the second has what came before it once more, and late frames before early ones."""
    third = len(expected.frames) // 3
    first, second, last = (
        expected.frames[:third],
        expected.frames[third : 2 * third],
        expected.frames[2 * third :],
    )
    return [first, [*first, *reversed(second), UNREADABLE], last]


def run_through(broker: LocalBroker, expected: Expected, folder: Path, guarantee: str, hangs: float) -> None:
    """Feed three parts: the broker dies in the second, and hangs in the third."""
    link = parse_url(f"kafka://{broker.address}")
    remake_topics(link)
    stand = Stand(link, folder, guarantee)
    first, second, last = parts_of(expected)
    try:
        before = stand.hash()
        produce_fills(link, first)
        eventually(lambda: stand.hash() != before, PATIENCE)
        feeding = threading.Thread(target=produce_fills, args=(link, second))
        feeding.start()
        broker.kill()
        broker.start()
        feeding.join()
        broker.pause()
        feeding = threading.Thread(target=produce_fills, args=(link, last, 600.0))
        feeding.start()
        feeding.join(hangs)
        broker.go_on()
        feeding.join()
        eventually(lambda: stand.hash() == expected.hash, PATIENCE)
        assert_outputs(link, expected.trades, guarantee)
        assert len(events_of(link, FILL_DEAD_LETTERS)) == 1
    finally:
        stand.close()


@pytest.mark.soak
def test_a_broker_that_dies_and_then_hangs_for_five_seconds(
    broker: LocalBroker, expected: Expected, tmp_path: Path
) -> None:
    run_through(broker, expected, tmp_path, "low_latency", 5.0)


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [5.0, 60.0, 360.0])
@pytest.mark.parametrize("guarantee", ["exactly_once", "low_latency"])
def test_a_broker_that_dies_and_then_hangs_for_long(
    broker: LocalBroker, expected: Expected, tmp_path: Path, guarantee: str, seconds: float
) -> None:
    run_through(broker, expected, tmp_path, guarantee, seconds)
