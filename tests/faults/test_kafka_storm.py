"""Hosts that come, go, hang and are lost, in any order, while fills flow: nothing lost, nothing doubled, books as ever."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.host import Host
from bench.workload import WORKLOADS, make_fills
from connectors.kafka.link import parse_url
from tests.kafka_support import (
    Expected,
    View,
    events_of,
    ids_of,
    make_topics,
    produce_fills,
    running_broker,
)
from tests.support import eventually, soak_kills

pytestmark = pytest.mark.soak

NAMES = ("a", "b", "c")
FILLS_A_CHANGE = 2_000
CHANGE_SECONDS = 12.0
"""What a change of the storm takes, its wait included."""


class Storm:
    """Hosts, and what is done to them next; one of them runs at any time."""

    def __init__(self, seed: int, make: Callable[[str], Host]) -> None:
        self._random = random.Random(seed)
        self._hosts = {name: make(name) for name in NAMES}
        self._hosts["a"].start()
        self._paused: Host | None = None

    def running(self) -> list[Host]:
        return [host for host in self._hosts.values() if host.running and host is not self._paused]

    def change(self) -> str:
        """One change; returns what it was."""
        if self._paused is not None:
            host, self._paused = self._paused, None
            host.resume()
            return f"{host.name} goes on"
        host = self._hosts[self._random.choice(NAMES)]
        if not host.running:
            host.start()
            return f"{host.name} joins"
        if len(self.running()) == 1:
            return "nothing"
        done = self._random.choice(("lost", "stopped", "hangs"))
        if done == "hangs":
            host.pause()
            self._paused = host
        elif done == "stopped":
            host.stop()
        else:
            host.lose()
        return f"{host.name} {done}"

    def end(self) -> None:
        for host in self._hosts.values():
            if host.running:
                host.lose()


@pytest.mark.parametrize("seed", [1, 2])
def test_rebalance_storm(seed: int, tmp_path: Path) -> None:
    changes = soak_kills(CHANGE_SECONDS) // 2
    expected = Expected(make_fills(WORKLOADS["W"], changes * FILLS_A_CHANGE))
    with running_broker(tmp_path / "broker") as broker:
        link = parse_url(f"kafka://{broker.address}")
        make_topics(link)
        storm = Storm(
            seed, lambda name: Host(name, tmp_path / name, f"kafka://{link.brokers}", session_seconds=2)
        )
        view = View(link, tmp_path / "view")
        done: list[str] = []
        try:
            frames = expected.frames
            for number in range(changes):
                before = view.hash()
                start, end = (len(frames) * place // changes for place in (number, number + 1))
                produce_fills(link, frames[start:end])
                # Not all of it need be applied when the next change comes.
                eventually(lambda before=before: view.hash() != before, 120)
                done.append(storm.change())
            eventually(lambda: view.hash() == expected.hash, 180)
            ids = ids_of(events_of(link))
            assert len(ids) == len(set(ids)) == expected.trades, done
        finally:
            view.close()
            storm.end()
