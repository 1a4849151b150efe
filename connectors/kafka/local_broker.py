"""A real Apache Kafka broker on this machine: one node that is broker and controller, from the released jars.

Owns: fetching the pinned jars once, the broker's folder and settings, its start, kill and stop.
Assumes: Java 17 or newer; Maven where the jars were not fetched yet.
Guarantees: `start` returns when the broker answers requests; the broker dies with the thread that started it
(start it from one that lives as long as it shall); what is not there is an error that says what to install. Once one was
stopped in order, those after it start in half of the time.
"""

import base64
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from connectors.kafka.broker_security import BrokerSecurity
from connectors.servers.class_archive import ClassArchive
from connectors.servers.maven import fetched, java
from connectors.servers.process import LocalServer, ServerUnavailable, free_ports

KAFKA = "4.4.0"
SCALA = "2.13"
_LOG4J_BINDING = "2.25.3"
_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 20.0
_API_VERSIONS = bytes.fromhex("0000000a0012000000000001ffff")
"""A request of API key 18, version 0, correlation 1, no client id: what a broker answers when it is up."""

_POM = f"""<project><modelVersion>4.0.0</modelVersion>
<groupId>pks</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_{SCALA}</artifactId><version>{KAFKA}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{_LOG4J_BINDING}</version></dependency>
</dependencies></project>
"""

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    # One node holds the only copy of everything.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # A member that died is noticed soon, and a new group waits for nobody.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.retention.hours": "-1",
}


def jars() -> Path:
    """The folder of the broker's jars, fetched from the Maven repository on first use. Raises ServerUnavailable."""

    def arguments(folder: Path) -> list[str]:
        pom = folder / "pom.xml"
        pom.write_text(_POM, encoding="utf-8")
        return ["-f", str(pom), "-DincludeScope=runtime"]

    return fetched(
        f"the jars of Apache Kafka {KAFKA}",
        f"kafka-{KAFKA}",
        "copy-dependencies",
        arguments,
        lambda folder, _: folder,
    )


class LocalBroker(LocalServer):
    """One broker with its data in a folder; `start`, `kill` and `start` again keep what it holds.

    `settings` are added to its `server.properties`; `java_options` go to the virtual machine; with `security` it takes
    clients by TLS and SASL only.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        java_options: Sequence[str] = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        security: BrokerSecurity | None = None,
    ) -> None:
        port, self._inner_port, self._controller_port = free_ports(3)
        super().__init__(
            "the broker",
            folder,
            folder / "broker.log",
            port,
            stop_seconds=_STOP_SECONDS_MAX,
            # In order it would wait for a controller that ends as well.
            death_signal=signal.SIGKILL,
        )
        self._security = security
        self._settings = dict(settings or {})
        self._java_options = list(java_options)
        self._archive: ClassArchive | None = None

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the broker and wait until it answers. Raises ServerUnavailable."""
        program = java("Apache Kafka")
        classes = f"{jars()}/*"
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        if not properties.exists():
            self._format(program, classes, properties)
        self._archive = ClassArchive(f"kafka-{KAFKA}", program)
        options = [*self._java_options, *self._archive.options()]
        command = [program, *options, "-cp", classes, "kafka.Kafka", str(properties)]
        self._server.start(command, self._answers, _START_SECONDS_MAX)

    def _format(self, program: str, classes: str, properties: Path) -> None:
        settings = {
            **_SETTINGS,
            **self._listeners(),
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "log.dirs": str(self.folder / "data"),
            **self._settings,
        }
        written = properties.with_suffix(".new")
        written.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        identity = base64.urlsafe_b64encode(UUID(int=uuid4().int).bytes).decode().rstrip("=")
        command = [program, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classes, "kafka.tools.StorageTool"]
        # With static voters named in the settings the node formats its own part.
        # Joined, for an identity may begin with a dash.
        command += ["format", f"--cluster-id={identity}", "-c", str(written)]
        if self._security is not None:
            command += self._security.format_options()
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if found.returncode:
            raise ServerUnavailable(
                f"expected the broker's folder to be formatted, found: {found.stdout}{found.stderr}"
            )
        written.rename(properties)

    def _listeners(self) -> dict[str, str]:
        controller = f"CONTROLLER://127.0.0.1:{self._controller_port}"
        if self._security is None:
            plain = f"PLAINTEXT://127.0.0.1:{self.port}"
            return {
                "listeners": f"{plain},{controller}",
                "advertised.listeners": plain,
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            }
        # The broker speaks to itself by a listener of its own, which nobody is told of.
        ours = f"SASL_SSL://127.0.0.1:{self.port},PLAINTEXT://127.0.0.1:{self._inner_port}"
        return {
            "listeners": f"{ours},{controller}",
            "advertised.listeners": ours,
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            **self._security.settings(),
        }

    def _answers(self) -> bool:
        try:
            port = self.port if self._security is None else self._inner_port
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as link:
                link.sendall(_API_VERSIONS)
                return len(link.recv(8)) == 8
        except OSError:
            return False

    def pause(self) -> None:
        """Let it stand still, as a machine that swaps does, until `go_on`."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let it shut down in order."""
        super().stop()
        if self._archive is not None:
            self._archive.keep()
