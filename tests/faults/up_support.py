"""`pks up` as a real process, fed through its control socket by a sender that knows only what was acknowledged."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents import positions, trade_capture
from schemas import topics
from tests.faults import stages_worker
from topology.control.entry import records_of
from topology.control.protocol import ControlClient, ControlError, Request

ROOT = Path(__file__).resolve().parents[2]
BOOKS = (trade_capture.NAME, positions.NAME)
COMMAND = [sys.executable, "-c", "from topology.cli import main; main()"]


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PKS_SHARED_MEMORY": "",
        "PKS_WEB_PORT": "0",
        "PKS_PARTITIONS": str(stages_worker.PARTITIONS),
        "PKS_LOG_LEVEL": "error",
        "PYTHONPATH": str(ROOT),
    }


def planted(defect: str) -> list[str]:
    """`pks` with a defect of `planted_up`."""
    return [sys.executable, "-m", "tests.faults.planted_up", defect]


@contextmanager
def running(
    folder: Path, *, command: Sequence[str] = COMMAND, **settings: str
) -> Iterator["subprocess.Popen[str]"]:
    """`pks up` over a folder, ready; killed with -9 at the end if it still runs."""
    with started(folder, command=command, **settings) as (process, addresses):
        assert addresses["process"] == process.pid
        yield process


@contextmanager
def started(
    folder: Path, *options: str, command: Sequence[str] = COMMAND, **settings: str
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """The same with options of the command, and the addresses that it prints."""
    process = subprocess.Popen(
        [*command, "up", "--data", str(folder), "--json", *options],
        cwd=folder.parent,
        env={**environment(), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, f"expected pks up to be ready, found exit code {process.wait()}"
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def pks(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One command over a folder."""
    return subprocess.run(
        [*COMMAND, *arguments, "--data", str(folder)],
        cwd=folder.parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def connect(folder: Path) -> ControlClient | None:
    """A connection to the owner of a folder; None while it does not listen."""
    try:
        return ControlClient(folder)
    except ControlError:
        return None


def request_of(batch: list[Any]) -> Request:
    """An append of a batch of fills."""
    records = records_of(topics.FILLS, batch, topics.fill_key, stages_worker.PARTITIONS)
    return Request("append", records=records)


def settle(client: ControlClient) -> None:
    """Wait until the stages have applied what is appended."""
    while not client.ask(Request("settle")).document:
        pass


class Watch:
    """Looks at a worker from outside."""

    def __init__(self, process: int, folder: Path) -> None:
        self._process = process
        client = ControlClient(folder)
        self._web = client.ask(Request("status")).document["web"]
        client.close()

    def health(self) -> tuple[int, Any]:
        """Status and document of the health view."""
        try:
            with urllib.request.urlopen(f"{self._web}/health/ready", timeout=60) as found:
                return found.status, json.loads(found.read())
        except urllib.error.HTTPError as unready:
            return unready.code, json.loads(unready.read())

    def lags(self) -> dict[str, int]:
        """Of the first partition, by stage, as the health view says."""
        _, document = self.health()
        return {stage["stage"]: stage["partitions"][0]["lag"] for stage in document["stages"]}

    def lags_of_books(self) -> dict[str, int]:
        """The same of the stages that keep the books: senders wait for these, and for no others."""
        return {name: lag for name, lag in self.lags().items() if name in BOOKS}

    def metrics(self) -> dict[str, float]:
        """What a scrape gets, by name and labels."""
        with urllib.request.urlopen(f"{self._web}/metrics", timeout=60) as found:
            lines = found.read().decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
        }

    def resident_kilobytes(self) -> int:
        """What the worker has in memory."""
        lines = Path(f"/proc/{self._process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
