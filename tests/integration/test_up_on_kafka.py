"""`pks up --transport kafka://...` as a stranger runs it: real processes, a real broker, the commands over it."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connectors.kafka.link import parse_url
from connectors.kafka.local_broker import LocalBroker
from connectors.servers.process import free_ports
from schemas.topics import FILLS
from tests.kafka_support import running_broker
from tests.support import eventually
from topology.cli.application import run as run_command

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "topology"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


class Installation:
    """A data folder, and the cluster or the embedded log that its commands work on, `within` another host maybe."""

    within: Sequence[str] = ()

    def __init__(self, folder: Path, transport: str, **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._in_process = transport.startswith("embedded:")
        self.environment = {
            **os.environ,
            "PKS_TRANSPORT": transport,
            "PKS_DATA": str(folder / "data"),
            "PKS_SHARED_MEMORY": "",
            "PKS_WEB_PORT": "0",
            "PKS_WORKER_NAME": folder.name,
            "PKS_SESSION_SECONDS": "3",
            # So that a step is one of what is sent.
            "PKS_CLOCK_TICK_SECONDS": "3600",
            # What hangs on the books is in test_kafka_stages.
            **({"PKS_STAGES": "books"} if transport.startswith("kafka") else {}),
            "PYTHONPATH": str(ROOT),
            **settings,
        }

    def run(self, *arguments: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """A command, to its end."""
        return subprocess.run(
            [*self.within, *COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def ask(self, *arguments: str, seconds: float = 120) -> Any:
        """What a command prints with --json. Over a data folder it runs in this process: a start of Python each is dear."""
        if self._in_process:
            said = io.StringIO()
            with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
                for name, value in self.environment.items():
                    patch.setenv(name, value)
                assert run_command([*arguments, "--json"]) == 0
            return json.loads(said.getvalue())
        done = self.run(*arguments, "--json", seconds=seconds)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`pks up`, not waited for."""
        with (self.folder / "up.log").open("a") as log:
            return subprocess.Popen(
                [*self.within, *COMMAND, "up", "--json", *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def said(self) -> str:
        """What `pks up` has said so far."""
        return (self.folder / "up.log").read_text()

    @contextmanager
    def up(self, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
        """`pks up`, ready, with its addresses; ended in order."""
        process = self.start(*arguments)
        try:
            line = process.stdout.readline()
            assert line, self.said()
            yield process, json.loads(line)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, self.said()
        finally:
            # Its workers end when their pipe does.
            process.kill()
            process.communicate()


def write_fills(path: Path, number: int, prefix: str = "") -> Path:
    """A canonical file of fills, always the same for a number and a prefix of their ids."""
    rng = random.Random(prefix)
    lines = ["trade_id,book,instrument,side,quantity,price,executed_at"]
    for trade in range(number):
        book, instrument = rng.randrange(50), rng.randrange(20)
        side, quantity, price = rng.choice(("BUY", "SELL")), rng.randrange(1, 999), rng.randrange(90, 110)
        time = f"2026-01-05T{trade // 3_600 % 24:02}:{trade // 60 % 60:02}:{trade % 60:02}Z"
        lines.append(f"{prefix}{trade},B{book},I{instrument},{side},{quantity},{price},{time}")
    path.write_text("\n".join(lines) + "\n")
    return path


class Twins:
    """A cluster and an embedded log into which the same is put."""

    def __init__(self, folder: Path, broker: LocalBroker) -> None:
        self.folder = folder
        self.broker = broker
        self.embedded = Installation(folder / "embedded", "embedded://")
        self._made = 0

    def installation(self, name: str, **settings: str) -> Installation:
        """One more data folder beside the cluster."""
        return Installation(self.folder / name, f"kafka://{self.broker.address}", **settings)

    def fills(self, number: int) -> tuple[str, ...]:
        """The command that imports fills which the embedded twin has by now; each call makes others."""
        self._made += 1
        path = write_fills(self.folder / f"fills-{self._made}.csv", number, f"{self._made}-")
        command = ("import", str(path), "--format", "canonical")
        self.embedded.ask(*command)
        return command

    def expected(self) -> str:
        """The hash of the books of the embedded twin."""
        return str(self.embedded.ask("book-hash")["book_hash"])


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, broker: LocalBroker) -> Twins:
    return Twins(tmp_path_factory.mktemp("twins"), broker)


def embedded_hash(folder: Path, commands: Sequence[Sequence[str]], **settings: str) -> str:
    embedded = Installation(folder, "embedded://", **settings)
    for command in commands:
        embedded.ask(*command)
    return embedded.ask("book-hash")["book_hash"]


def metric(address: str, name: str) -> float:
    """The sum of a metric over its labels."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


def has_begun(addresses: dict[str, Any]) -> bool:
    return any(metric(worker["web"], "pks_step_seconds_count") for worker in addresses["workers"])


UNREADABLE_BYTES = 14 * 1024 * 1024


def unreadable_letter(twins: Twins, cluster: Installation) -> dict[str, Any]:
    """The dead letter of a record that is nearly as large as a topic takes, and grows when it is written as text."""
    producer = Producer(parse_url(f"kafka://{twins.broker.address}").producer(compression_type="none"))
    producer.produce(FILLS.name, random.Random(1).randbytes(UNREADABLE_BYTES), partition=0)
    assert producer.flush(60) == 0
    found = eventually(lambda: cluster.ask("dlq", "list")["dead_letters"], 60)
    assert len(found) == 1
    return dict(found[0])


def test_one_worker_makes_the_books_of_the_embedded_log_and_stops_in_order(twins: Twins) -> None:
    cluster = twins.installation("one")
    command = twins.fills(3_000)
    with cluster.up() as (_, addresses):
        assert [worker["name"] for worker in addresses["workers"]] == ["one-1"]
        receipt = cluster.ask(*command)
        assert (receipt["read"], receipt["fills"]) == (3_000, 3_000)
        again = cluster.ask(*command)
        assert (again["read"], again["fills"], again["duplicates"]) == (3_000, 0, 3_000)
        assert cluster.ask("book-hash")["book_hash"] == twins.expected()
        letter = unreadable_letter(twins, cluster)
        assert letter["original_bytes"] == UNREADABLE_BYTES
        assert cluster.ask("dlq", "drop", letter["id"])["dropped"] == [letter["id"]]
        assert cluster.ask("dlq", "show", letter["id"])["status"] == "dropped"
        assert cluster.ask("verify")["ok"]
    # The workers are down: what they left is read from the cluster, here and from any other folder.
    assert cluster.ask("book-hash")["book_hash"] == twins.expected()
    assert twins.installation("other").ask("book-hash")["book_hash"] == twins.expected()


@pytest.mark.soak
def test_workers_that_are_killed_while_it_is_imported_make_the_same_books(twins: Twins) -> None:
    cluster = twins.installation("killed")
    command = twins.fills(15_000)
    with cluster.up("--workers", "2") as (_, addresses):
        importing = subprocess.Popen(
            [*COMMAND, *command, "--json"],
            env=cluster.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        eventually(lambda: has_begun(addresses), 60)
        for worker in addresses["workers"]:
            os.kill(worker["process"], signal.SIGKILL)
        told, _ = importing.communicate(timeout=120)
        assert importing.returncode == 0, cluster.said()
        assert json.loads(told)["fills"] == 15_000
        assert cluster.ask("book-hash")["book_hash"] == twins.expected()
    assert cluster.said().count("it was ended by SIGKILL") == 2


def test_a_worker_that_stands_still_is_killed_and_started_again(twins: Twins) -> None:
    cluster = twins.installation("stuck", PKS_STUCK_SECONDS="3")
    command = twins.fills(1_000)
    with cluster.up("--workers", "2") as (_, addresses):
        os.kill(addresses["workers"][0]["process"], signal.SIGSTOP)
        assert cluster.ask(*command)["fills"] == 1_000
        assert cluster.ask("book-hash")["book_hash"] == twins.expected()
        eventually(lambda: "it was killed: it has said nothing for" in cluster.said(), 60)


@pytest.mark.soak
def test_a_broker_that_is_gone_for_a_while_costs_no_fill(twins: Twins) -> None:
    cluster = twins.installation("waiting")
    command = twins.fills(10_000)
    with cluster.up("--workers", "2") as (_, addresses):
        importing = subprocess.Popen([*COMMAND, *command], env=cluster.environment)
        eventually(lambda: has_begun(addresses), 60)
        twins.broker.kill()
        twins.broker.start()
        importing.wait(180)
        # Where it gave up waiting it said so; what had arrived counts as duplicate.
        receipt = cluster.ask(*command)
        assert receipt["fills"] + receipt["duplicates"] == 10_000
        assert cluster.ask("book-hash")["book_hash"] == twins.expected()


def test_a_broker_that_is_not_there_is_said_with_where_and_for_how_long(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    nowhere = Installation(tmp_path / "nowhere", f"kafka://127.0.0.1:{port}")
    for command in (["up"], ["positions"]):
        done = nowhere.run(*command)
        assert done.returncode == 1
        assert f"expected a Kafka broker at 127.0.0.1:{port}, found for 10 s: " in done.stderr
        assert "docs/operating/kafka-unreachable.md" in done.stderr


def test_another_number_of_partitions_than_the_cluster_has_is_refused(twins: Twins) -> None:
    cluster = twins.installation("counted", PKS_PARTITIONS="8")
    with twins.installation("first").up():
        pass
    done = cluster.run("up")
    assert done.returncode == 3
    assert "pd.canonical 4 of 8" in done.stderr
    assert "docs/operating/repartition.md" in done.stderr


@pytest.mark.soak
def test_of_two_of_one_name_one_ends_and_says_what_to_do(twins: Twins) -> None:
    both = [twins.installation(name, PKS_WORKER_NAME="same") for name in ("earlier", "later")]
    processes = [both[0].start()]
    try:
        assert processes[0].stdout.readline(), both[0].said()
        second = both[0].run("up")
        assert second.returncode == 3
        assert "expected to own this data folder" in second.stderr
        processes.append(both[1].start())
        ended = eventually(lambda: [each for each in processes if each.poll() is not None], 120)
        assert [each.returncode for each in ended] == [3]
        assert "give each host its own with PKS_WORKER_NAME" in both[processes.index(ended[0])].said()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
