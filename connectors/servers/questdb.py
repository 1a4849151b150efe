"""A QuestDB server of this machine, from the released jar.

Owns: fetching the pinned jar once, the server's folder and configuration, its start, kill and stop.
Assumes: Java 17 or newer; Maven where the jar was not fetched yet.
Guarantees: it listens on the loopback address only; `start` after `kill` has what was acknowledged; a misspelt table or
column is refused, not made.
"""

import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from connectors.servers.maven import cached, fetched, java
from connectors.servers.process import LocalServer, ServerUnavailable

QUESTDB = "9.3.4"
_SHA256 = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062"
_JAR = f"questdb-{QUESTDB}.jar"
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
    return shutil.which("java") is not None and cached(_JAR).is_file()


def jar() -> Path:
    """The server's jar, fetched from the Maven repository on first use. Raises ServerUnavailable."""
    return fetched(
        f"the jar of QuestDB {QUESTDB}",
        _JAR,
        "copy",
        lambda _: [f"-Dartifact=org.questdb:questdb:{QUESTDB}"],
        _as_released,
    )


def _as_released(folder: Path, said: str) -> Path:
    found = folder / _JAR
    digest = hashlib.sha256(found.read_bytes()).hexdigest() if found.is_file() else "no file"
    if digest != _SHA256:
        raise ServerUnavailable(
            f"expected Maven to fetch QuestDB {QUESTDB} with SHA-256 {_SHA256}, found {digest}: {said}"
        )
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
        program = java("QuestDB")
        archive = jar()
        (self.folder / "conf").mkdir(parents=True, exist_ok=True)
        settings = {**self._settings, "http.bind.to": self.address}
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "conf" / "server.conf").write_text(text, encoding="utf-8")
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        options.append(f"-XX:ErrorFile={self.folder / 'crash.log'}")
        command = [program, *options, "-p", str(archive), "-m", "io.questdb/io.questdb.ServerMain"]
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
