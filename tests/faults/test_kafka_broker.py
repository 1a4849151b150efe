"""A real broker that is killed and started again, and one that hangs, while fills come in: nothing lost, nothing doubled.

Among the fills are duplicates, whole frames of them, frames that come late, and a record that nobody can read. Under
`exactly_once` a worker may hang in its client library after the broker's death (docs/concepts/kafka.md); `pks up` kills
it then, and so the stand does.
"""

import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from bench.workload import WORKLOADS, make_fills
from connectors.kafka.link import parse_url
from connectors.kafka.local_broker import LocalBroker
from schemas.topics import FILL_DEAD_LETTERS
from tests.faults.kafka_stand import Stand
from tests.kafka_support import Expected, assert_outputs, events_of, produce_fills, running_broker

FILLS = 6_000
UNREADABLE = (0, b'[{"event_id": "half an ev')


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBroker]:
    """A broker of its own: what a test before it left there would be met by this one."""
    with running_broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def expected() -> Expected:
    return Expected(make_fills(WORKLOADS["W"], FILLS), UNREADABLE)


def parts_of(expected: Expected) -> list[list[tuple[int, bytes]]]:
    """The frames in three parts; the second has what came before it once more, and late frames before early ones."""
    third = len(expected.frames) // 3
    first, second, last = (
        expected.frames[:third],
        expected.frames[third : 2 * third],
        expected.frames[2 * third :],
    )
    return [first, [*first, *reversed(second), UNREADABLE], last]


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
def test_a_broker_that_dies_and_then_hangs(
    broker: LocalBroker, expected: Expected, tmp_path: Path, guarantee: str, seconds: float
) -> None:
    """Fed in three parts: the broker dies in the second, and hangs in the third."""
    link = parse_url(f"kafka://{broker.address}")
    stand = Stand(link, tmp_path, guarantee)
    first, second, last = parts_of(expected)
    try:
        before = stand.hash()
        produce_fills(link, first)
        stand.until(lambda found: found != before)
        feeding = threading.Thread(target=produce_fills, args=(link, second))
        feeding.start()
        broker.kill()
        broker.start()
        feeding.join()
        broker.pause()
        feeding = threading.Thread(target=produce_fills, args=(link, last, 600.0))
        feeding.start()
        feeding.join(seconds)
        broker.go_on()
        feeding.join()
        stand.until(lambda found: found == expected.hash)
        assert_outputs(link, expected.trades, guarantee)
        assert len(events_of(link, FILL_DEAD_LETTERS)) == 1
    finally:
        stand.close()
