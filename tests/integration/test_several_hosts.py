"""Broker, workers and client on hosts of their own: slow, lossy and cut off from each other, the books are the same."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.link import parse_url
from schemas.topics import POSITIONS
from tests.broker_nodes import Node, skipped_without_brokers
from tests.integration.test_up_on_kafka import Installation, embedded_hash, write_fills
from tests.kafka_support import events_of, ids_of
from tests.networks import Network, network
from tests.support import eventually, soak_minutes

WORKERS = ("one", "two")
SESSION_SECONDS = 6


def broker_settings(address: str) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{address}:9092,CONTROLLER://{address}:9093",
        "advertised.listeners": f"PLAINTEXT://{address}:9092",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"1@{address}:9093",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
    }


class Site:
    """A broker, two workers and a client, each on its host."""

    def __init__(self, net: Network, folder: Path) -> None:
        address = net.address("broker")
        self.net = net
        self.broker = Node(
            folder / "broker", broker_settings(address), "cGtzLWhvc3RzLTAwMDAwMQ", net.within("broker")
        )
        self.transport = f"kafka://{address}:9092"
        self.folder = folder
        self.workers = {name: self._installation(name) for name in WORKERS}
        self.client = self._installation("client")
        self.processes: dict[str, Any] = {}
        self.imported: list[tuple[str, ...]] = []

    def _installation(self, host: str) -> Installation:
        made = Installation(
            self.folder / host,
            self.transport,
            PKS_WEB_HOST=self.net.address(host),
            PKS_SESSION_SECONDS=str(SESSION_SECONDS),
            PKS_PARTITIONS="6",
        )
        made.within = self.net.within(host)
        return made

    def start(self, name: str) -> None:
        self.processes[name] = self.workers[name].start()
        line = self.processes[name].stdout.readline()
        assert line, self.workers[name].said()

    def submit(self, number: int) -> None:
        """Fills from the client, applied when this returns."""
        file = write_fills(self.folder / f"fills{number}.csv", number)
        self.imported.append(("import", str(file), "--format", "canonical"))
        self.client.ask(*self.imported[-1])

    def check(self) -> None:
        """The books of the embedded log, and each output once."""
        settings = {"PKS_PARTITIONS": "6"}
        expected = embedded_hash(self.folder / "embedded", self.imported, **settings)
        assert self.client.ask("book-hash")["book_hash"] == expected
        ids = ids_of(events_of(parse_url(self.transport), POSITIONS))
        assert len(ids) == len(set(ids)) > 0

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.communicate()
        self.broker.kill()


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    with network("broker", *WORKERS, "client") as net:
        with skipped_without_brokers():
            made = Site(net, folder)
        try:
            made.broker.start()
            made.broker.until_it_answers(net.address("broker"), 9092)
            for name in WORKERS:
                made.start(name)
            yield made
        finally:
            made.close()


@pytest.mark.soak
def test_slow_and_lossy_hosts_and_one_that_is_cut_off(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.submit(500)
        made.net.link("one", "broker", delay_seconds=0.02, loss=0.02)
        made.net.link("client", "broker", delay_seconds=0.01, loss=0.01)
        made.submit(1_000)
        assert made.net.dropped > 0
        # The other takes over what the one that is cut off had; nothing of that one counts any more.
        made.net.cut("two")
        made.submit(1_500)
        made.net.mend()
        made.submit(2_000)
        made.check()


@pytest.mark.soak
def test_a_broker_that_nobody_reaches_for_a_while(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.submit(500)
        made.net.cut("broker")
        dropped = made.net.dropped
        sender = threading.Thread(target=made.submit, args=(1_500,))
        sender.start()
        eventually(lambda: made.net.dropped > dropped + 20, 30)
        made.net.mend()
        sender.join(120)
        assert not sender.is_alive()
        made.submit(2_000)
        made.check()


@pytest.mark.soak
def test_hosts_that_are_cut_off_in_turn(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        rounds = max(2, min(20, int(soak_minutes() * 2)))
        for number in range(rounds):
            made.net.link("one", "broker", delay_seconds=0.005 * (number % 5), loss=0.01 * (number % 4))
            made.net.link("two", "broker", delay_seconds=0.005 * (number % 3), loss=0.01 * (number % 3))
            if number % 2:
                made.net.cut(WORKERS[number // 2 % 2])
            made.submit(500 * (number + 1))
            made.net.mend()
        made.check()
