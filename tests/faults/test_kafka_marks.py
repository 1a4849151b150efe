"""A broker with the only copy is killed again and again while steps are committed: what it decided and left without marks
is marked as it was decided (docs/concepts/kafka.md)."""

import threading
from pathlib import Path

import pytest

from bench.workload import WORKLOADS, make_fills
from connectors.kafka.link import parse_url
from tests.faults.kafka_stand import Stand
from tests.kafka_support import Expected, assert_outputs, produce_fills, running_broker

FILLS_A_KILL = 3_000
KILLS = 6


@pytest.mark.soak
def test_a_broker_that_dies_again_and_again_while_steps_are_committed(tmp_path: Path) -> None:
    expected = Expected(make_fills(WORKLOADS["W"], FILLS_A_KILL * KILLS))
    with running_broker(tmp_path / "broker") as broker:
        link = parse_url(f"kafka://{broker.address}")
        # One record a step: always is one being committed somewhere.
        stand = Stand(link, tmp_path, "exactly_once", PKS_STEP_EVENTS_MAX="1")
        try:
            for number in range(KILLS):
                start, end = (len(expected.frames) * place // KILLS for place in (number, number + 1))
                before = stand.hash()
                feeding = threading.Thread(target=produce_fills, args=(link, expected.frames[start:end]))
                feeding.start()
                stand.until(lambda found, before=before: found != before)
                broker.kill()
                broker.start()
                feeding.join()
            stand.until(lambda found: found == expected.hash)
            assert_outputs(link, expected.trades, "exactly_once")
        finally:
            stand.close()
