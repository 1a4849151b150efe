"""Hosts that come, go, hang and are lost, in any order, while fills flow: nothing lost, nothing doubled, books as ever."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench.bookings import START, booking, random_walk
from bench.host import Host
from bench.workload import WORKLOADS, frames_of, fresh_log, make_fills
from connectors.kafka.link import parse_url
from schemas.topics import BOOKINGS, POSITIONS
from tests.kafka_support import (
    PARTITIONS,
    Expected,
    View,
    events_of,
    ids_of,
    make_topics,
    produce_fills,
    produce_records,
    raw_events,
    running_broker,
)
from tests.support import eventually, soak_kills
from topology.drive import run_until_idle
from topology.replaying.outcome import books_of

pytestmark = pytest.mark.soak

NAMES = ("a", "b", "c")
FILLS_A_CHANGE = 2_000
CHANGE_SECONDS = 12.0
"""What a change of the storm takes, its wait included."""

HISTORY = 22_000
"""Trades of one position: a trade that is late by all of them is matched in slices."""

LATE_A_CHANGE = 10


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


class Embedded:
    """What the embedded log makes of bookings: the hash of its books, and the ids of its outputs."""

    def __init__(self, bookings: list[Any]) -> None:
        with fresh_log() as bench:
            bench.append(BOOKINGS, frames_of(BOOKINGS, bookings))
            run_until_idle(bench.runners, bench.log)
            self.hash = str(books_of(bench.log, range(PARTITIONS))[0].hexadecimal)
            self.ids = sorted(
                identity
                for partition in range(PARTITIONS)
                for record in bench.log.read(POSITIONS.name, partition, 0, 1_000_000, 1 << 30)
                for identity in ids_of(raw_events(record.value))
            )


def late(number: int) -> Any:
    """A trade that was executed before every other one that came so far."""
    name = f"late{number}"
    return booking(number, Decimal("12.5"), Decimal("100.5"), trade_id=name, executed_at=START - 1 - number)


def test_rebalance_storm_inside_long_rematches(tmp_path: Path) -> None:
    changes = max(4, soak_kills(CHANGE_SECONDS) // 4)
    history = list(random_walk(HISTORY))
    coming = [late(number) for number in range(changes * LATE_A_CHANGE)]
    expected = Embedded([*history, *coming])
    with running_broker(tmp_path / "broker") as broker:
        link = parse_url(f"kafka://{broker.address}")
        make_topics(link)
        storm = Storm(
            3, lambda name: Host(name, tmp_path / name, f"kafka://{link.brokers}", session_seconds=2)
        )
        view = View(link, tmp_path / "view")
        done: list[str] = []
        try:
            produce_records(link, BOOKINGS, frames_of(BOOKINGS, history))
            for number in range(changes):
                found = coming[number * LATE_A_CHANGE : (number + 1) * LATE_A_CHANGE]
                produce_records(link, BOOKINGS, frames_of(BOOKINGS, found))
                # One is under way, and others wait for it.
                eventually(lambda: view.waiting() > 1, 120)
                done.append(storm.change())
            eventually(lambda: view.hash() == expected.hash, 300)
            assert view.waiting() == 0
            assert sorted(ids_of(events_of(link))) == expected.ids, done
        finally:
            view.close()
            storm.end()
