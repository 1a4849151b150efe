"""A QuestDB server of this machine, from the released jar.

Owns: fetching the pinned jar once, the server's folder and configuration, its start, kill and stop.
Assumes: Java 17 or newer; Maven where the jar was not fetched yet.
Guarantees: it listens on the loopback address only; `start` after `kill` has what was acknowledged; a misspelt table or
column is refused, not made.
"""

import hashlib
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from connectors.servers.process import LocalServer, ServerUnavailable

QUESTDB = "9.3.4"
_SHA256 = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_FETCH_SECONDS_MAX = 300
START_SECONDS_MAX = 90.0

_SETTINGS = {
    "telemetry.enabled": "false",
    "line.udp.enabled": "false",
    "line.tcp.enabled": "false",
    "pg.enabled": "false",
    "http.min.enabled": "false",
    "line.auto.create.new.columns": "false",
    "line.auto.create.new.tables": "false",
    "shared.worker.count": "2",
}


def available() -> bool:
    """Whether Java and the jar are there; nothing is fetched."""
    return shutil.which("java") is not None and _cached().is_file()


def _cached() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pks" / f"questdb-{QUESTDB}.jar"


def jar() -> Path:
    """The server's jar, fetched from the Maven repository on first use. Raises ServerUnavailable."""
    found = _cached()
    if found.is_file():
        return found
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerUnavailable(
            f"expected the jar of QuestDB {QUESTDB} as {found} or Maven (mvn) to fetch it, found neither: install Maven"
        )
    folder = found.parent / f"questdb.{uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        command = [maven, "-q", "-B", _COPY, f"-Dartifact=org.questdb:questdb:{QUESTDB}"]
        done = subprocess.run(  # noqa: S603
            [*command, f"-DoutputDirectory={folder}"],
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS_MAX,
            check=False,
        )
        fetched = folder / found.name
        digest = hashlib.sha256(fetched.read_bytes()).hexdigest() if fetched.is_file() else "no file"
        if digest != _SHA256:
            raise ServerUnavailable(
                f"expected Maven to fetch QuestDB {QUESTDB} with SHA-256 {_SHA256}, found {digest}: "
                f"{(done.stdout + done.stderr)[-2_000:]}"
            )
        fetched.replace(found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


class LocalQuestdb(LocalServer):
    """One server with its data in a folder; `start`, `kill` and `start` again keep what it holds.

    `settings` are added to its `server.conf`.
    """

    def __init__(self, folder: Path, *, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("QuestDB", folder, folder / "server.log", port)
        self._settings = {**_SETTINGS, **(settings or {})}

    @property
    def address(self) -> str:
        """Host and port of its HTTP interface."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerUnavailable."""
        java = shutil.which("java")
        if java is None:
            raise ServerUnavailable("expected Java 17 or newer to run QuestDB, found no java: install it")
        program = jar()
        (self.folder / "conf").mkdir(parents=True, exist_ok=True)
        settings = {**self._settings, "http.bind.to": self.address}
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "conf" / "server.conf").write_text(text, encoding="utf-8")
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        options.append(f"-XX:ErrorFile={self.folder / 'crash.log'}")
        command = [java, *options, "-p", str(program), "-m", "io.questdb/io.questdb.ServerMain"]
        self._server.start([*command, "-d", str(self.folder), "-n"], self._answers, START_SECONDS_MAX)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://{self.address}/exec?query=select%201", timeout=2.0
            ) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


if __name__ == "__main__":
    jar()
