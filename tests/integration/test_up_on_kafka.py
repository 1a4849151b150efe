"""`pks up --transport kafka://...` as a stranger runs it: real processes, a real broker, the commands over it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.workload import WORKLOADS, make_fills
from connectors.files.canonical import write_canonical_line
from connectors.kafka.local_broker import LocalBroker
from tests.kafka_support import running_broker

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
        self.environment = {
            **os.environ,
            "PKS_TRANSPORT": transport,
            "PKS_DATA": str(folder / "data"),
            "PKS_SHARED_MEMORY": "",
            "PKS_WEB_PORT": "0",
            "PKS_WORKER_NAME": folder.name,
            "PKS_SESSION_SECONDS": "3",
            "PYTHONPATH": str(ROOT),
            **settings,
        }

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command, to its end."""
        return subprocess.run(
            [*self.within, *COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        done = self.run(*arguments, "--json")
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


def write_fills(path: Path, number: int) -> Path:
    fills = make_fills(WORKLOADS["W"], number)
    path.write_text("".join(map(write_canonical_line, fills)))
    return path


def embedded_hash(folder: Path, commands: Sequence[Sequence[str]], **settings: str) -> str:
    embedded = Installation(folder, "embedded://", **settings)
    for command in commands:
        embedded.ask(*command)
    return embedded.ask("book-hash")["book_hash"]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_imported_through_workers_is_what_the_embedded_log_has(
    broker: LocalBroker, tmp_path: Path, workers: int
) -> None:
    commands = [("import", str(write_fills(tmp_path / "fills.jsonl", 2_000)), "--format", "canonical")]
    cluster = Installation(tmp_path / f"of-{workers}", f"kafka://{broker.address}")
    with cluster.up("--workers", str(workers)) as (_, addresses):
        assert [worker["name"] for worker in addresses["workers"]] == [
            f"of-{workers}-{number}" for number in range(1, workers + 1)
        ]
        receipts = [cluster.ask(*command) for command in commands]
        expected = embedded_hash(tmp_path / "embedded", commands)
        assert cluster.ask("book-hash")["book_hash"] == expected
    assert receipts[0]["read"] == 2_000
    # The workers are down: what they left is read from the cluster.
    assert cluster.ask("book-hash")["book_hash"] == expected
