"""What `deploy/` says, run as processes: its commands, settings, ports and probes; what is another machine there is this one."""

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.local_broker import LocalBroker
from connectors.servers.process import free_ports
from tests.broker_nodes import Node, skipped_without_brokers
from tests.deploy_support import BASE, base_manifests, compose, generated_settings, of_kind, services
from tests.integration.test_up_on_kafka import Installation, embedded_hash, write_fills
from tests.kafka_support import running_broker
from tests.support import eventually


class Deployed:
    """A worker with the environment, command and probes of a file; `here` is what only another machine would have."""

    def __init__(self, folder: Path, environment: dict[str, str], command: list[str], **here: str) -> None:
        self.transport = here["PKS_TRANSPORT"]
        settings = {name: value for name, value in environment.items() if name not in here} | here
        settings["PKS_DATA"] = str(folder / "data")
        (port,) = free_ports(1)
        settings |= {"PKS_WEB_HOST": "127.0.0.1", "PKS_WEB_PORT": str(port)}
        self.web = f"http://127.0.0.1:{port}"
        self.installation = Installation(folder, self.transport, **settings)
        self.command = command
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        assert self.command[0] == "up"
        self.process = self.installation.start(*self.command[2:])

    def status(self, path: str) -> int:
        """What a probe gets; 0 where nobody answers yet."""
        assert self.process is not None and self.process.poll() is None, self.installation.said()
        try:
            with urllib.request.urlopen(self.web + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def stop(self, grace_seconds: float) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(grace_seconds) == 0, self.installation.said()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


ONE_BROKER = {"PKS_REPLICAS": "1", "PKS_IN_SYNC_REPLICAS_MIN": "1"}


def test_pods_run_by_the_manifests(broker: LocalBroker, tmp_path: Path) -> None:
    (workers,) = of_kind(base_manifests(), "StatefulSet")
    pod = workers["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pods = []
    for number in range(workers["spec"]["replicas"]):
        name = f"{workers['metadata']['name']}-{number}"
        told = {
            entry["name"]: {"metadata.name": name, "status.podIP": "127.0.0.1"}[
                entry["valueFrom"]["fieldRef"]["fieldPath"]
            ]
            for entry in container["env"]
        }
        here = {"PKS_TRANSPORT": f"kafka://{broker.address}", **ONE_BROKER}
        environment = generated_settings(BASE) | told
        pods.append(Deployed(tmp_path / name, environment, container["args"], **here))
    try:
        for one in pods:
            one.start()
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = container[kind]["httpGet"]["path"]
            for one in pods:
                eventually(lambda one=one, path=path: one.status(path) == 200, 120)
        fills = write_fills(tmp_path / "fills.csv", 1_000)
        commands = [("import", str(fills), "--format", "canonical")]
        for command in commands:
            pods[0].installation.ask(*command)
        found = pods[1].installation.ask("book-hash")["book_hash"]
        settings = {"PKS_PARTITIONS": generated_settings(BASE)["PKS_PARTITIONS"]}
        assert found == embedded_hash(tmp_path / "embedded", commands, **settings)
        for one in pods:
            one.stop(pod["terminationGracePeriodSeconds"])
    finally:
        for one in pods:
            one.kill()


@pytest.mark.soak
def test_the_compose_file_with_its_three_brokers_one_of_which_is_lost(tmp_path: Path) -> None:
    """Brokers and workers by their settings alone; only names of machines and their ports are others."""
    with skipped_without_brokers():
        brokers, addresses = compose_brokers(tmp_path)
    workers: list[Deployed] = []
    try:
        for node in brokers.values():
            node.start()
        for name, node in brokers.items():
            node.until_it_answers("127.0.0.1", addresses[name])
        transport = ",".join(f"127.0.0.1:{port}" for port in addresses.values())
        for name, service in services("worker").items():
            one = Deployed(
                tmp_path / name,
                service["environment"],
                service["command"],
                PKS_TRANSPORT=f"kafka://{transport}",
            )
            one.start()
            workers.append(one)
        for one, service in zip(workers, services("worker").values(), strict=True):
            probe = service["healthcheck"]["test"][1:]
            eventually(lambda one=one, probe=probe: ready(one, probe), 180)
        commands = []
        for number in (1_000, 2_000, 3_000):
            fills = write_fills(tmp_path / f"fills{number}.csv", number)
            commands.append(("import", str(fills), "--format", "canonical"))
            workers[0].installation.ask(*commands[-1])
            if number == 1_000:
                brokers["kafka-2"].kill()
        settings = {"PKS_PARTITIONS": workers[0].installation.environment["PKS_PARTITIONS"]}
        expected = embedded_hash(tmp_path / "embedded", commands, **settings)
        assert workers[1].installation.ask("book-hash")["book_hash"] == expected
        for one in workers:
            one.stop(float(compose()["x-worker"]["stop_grace_period"].rstrip("s")))
    finally:
        for one in workers:
            one.kill()
        for node in brokers.values():
            node.kill()


def ready(one: Deployed, probe: list[str]) -> bool:
    """The health check of the service, as it is written."""
    assert probe[0] == "python"
    command = [sys.executable, *probe[1:]]
    return not subprocess.run(
        command, env=one.installation.environment, capture_output=True, check=False
    ).returncode


def compose_brokers(tmp_path: Path) -> tuple[dict[str, Node], dict[str, int]]:
    """The brokers of the compose file, and the ports by which clients reach them here."""
    found = services("kafka")
    ports = dict(zip(found, zip(*[iter(free_ports(2 * len(found)))] * 2, strict=True), strict=True))

    def here(text: str) -> str:
        for name, (client, controller) in ports.items():
            text = text.replace(f"{name}:9092", f"127.0.0.1:{client}")
            text = text.replace(f"{name}:9093", f"127.0.0.1:{controller}")
        return text

    brokers = {}
    for name, service in found.items():
        client, controller = ports[name]
        told: dict[str, Any] = dict(service["environment"])
        cluster, heap = told.pop("CLUSTER_ID"), told.pop("KAFKA_HEAP_OPTS")
        assert heap.startswith("-Xms")
        settings = {
            variable.removeprefix("KAFKA_").lower().replace("_", "."): here(value)
            for variable, value in told.items()
        }
        settings["listeners"] = (
            settings["listeners"]
            .replace("://:9092", f"://127.0.0.1:{client}")
            .replace("://:9093", f"://127.0.0.1:{controller}")
        )
        brokers[name] = Node(tmp_path / name, settings, cluster)
    return brokers, {name: client for name, (client, _) in ports.items()}
