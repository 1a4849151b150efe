"""Kafka brokers that are nodes of one cluster, each with settings of its own, and maybe in a network of its own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.kafka.local_broker import KAFKA, jars
from connectors.servers.class_archive import ClassArchive
from connectors.servers.process import ServerUnavailable
from tests.support import eventually

JAVA = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
ANSWERED = bytes.fromhex("0000000a0012000000000001ffff")
"""A request that every broker answers: API key 18, version 0."""


class Node:
    """One broker. `within` is put before its command, as what runs it in another network."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str], cluster: str, within: Sequence[str] = ()
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._within = [*within]
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = folder / "server.properties"
        told = {**settings, "log.dirs": str(folder / "data")}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
        java = shutil.which("java")
        if java is None:
            raise ServerUnavailable(
                "expected Java 17 or newer to run Apache Kafka, found no java: install it"
            )
        self._program = java
        self._options = [*JAVA, *ClassArchive(f"kafka-{KAFKA}", java).options(), "-cp", f"{jars()}/*"]
        command = [
            java,
            *JAVA,
            "-cp",
            f"{jars()}/*",
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster}",
            "-c",
        ]
        done = subprocess.run([*command, str(self._properties)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerUnavailable(f"expected a folder for a broker, found: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start it; it answers when enough of the others do."""
        setpriv = shutil.which("setpriv")
        leash = [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._within, *leash, self._program, *self._options, "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def until_it_answers(self, host: str, port: int) -> None:
        """Wait until clients are served."""

        def answers() -> bool:
            assert self._process is not None and self._process.poll() is None, self.said()
            try:
                with socket.create_connection((host, port), timeout=1.0) as link:
                    link.settimeout(5.0)
                    link.sendall(ANSWERED)
                    return len(link.recv(8)) == 8
            except OSError:
                return False

        eventually(answers, 120)

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "broker.log").read_text(errors="replace")[-2_000:]

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def skipped_without_brokers() -> Iterator[None]:
    """Skip a test with the reason where no broker can be started; that is a failure in CI."""
    try:
        yield
    except ServerUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
