"""`make demo`: how it ends when something is in its way, and that it leaves nothing in shared memory."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.servers import nats, postgres, questdb, redis
from connectors.shm.mapping import path_of

ROOT = Path(__file__).resolve().parents[2]

Demo = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def demo(tmp_path: Path, shared_memory_name: str) -> Iterator[Demo]:
    """Starts a short demonstration."""
    started: list[subprocess.Popen[str]] = []

    def start(**settings: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "DEMO_DATA": str(tmp_path / "demo"),
            "DEMO_FILLS": "300",
            "DEMO_SERVERS": "0",
            "PKS_WEB_PORT": "0",
            "PKS_SHARED_MEMORY": shared_memory_name,
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "topology.demo"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _left(name: str) -> list[Path]:
    return list(Path(path_of(name)).parent.glob(f"{name[1:]}*"))


def test_a_port_that_is_taken_is_said_in_words(demo: Demo, shared_memory_name: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = demo(PKS_WEB_PORT=str(taken.getsockname()[1]))
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    first, second = said.splitlines()
    assert first.startswith("web: expected to listen on 127.0.0.1:")
    assert second.endswith("PKS_WEB_PORT=0 make demo")
    assert _left(shared_memory_name) == []


@pytest.mark.parametrize("name", ["PKS_WEB_PORT", "DEMO_FILLS"])
def test_a_setting_that_is_no_number_is_said(demo: Demo, name: str):
    process = demo(**{name: "many"})
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, f"{name}: expected a whole number, found 'many'\n")


def test_a_worker_that_is_killed_while_it_is_held_ends_it(demo: Demo, shared_memory_name: str):
    process = demo(DEMO_HOLD="1")
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if line.startswith("DEMO_HOLD=1"):
            break
    assert "EQUAL" in output
    [worker] = re.findall(r"ready again after \S+ s as process (\d+)", output)
    assert _left(shared_memory_name)
    os.kill(int(worker), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    [line] = said.splitlines()
    assert f"process {worker}" in line and "signal 9" in line
    assert _left(shared_memory_name) == []


def test_each_server_that_was_started_says_what_the_books_say(demo: Demo):
    # In a folder that a server which is started as another user may enter.
    with tempfile.TemporaryDirectory(prefix="pks-demo-") as folder:
        Path(folder).chmod(0o755)
        process = demo(DEMO_SERVERS="1", DEMO_DATA=f"{folder}/demo", COLUMNS="200")
        output, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    wanted = {"postgres": postgres.available(), "nats": nats.available(), "questdb": questdb.available()}
    wanted["redis"] = redis.available()
    for server, available in wanted.items():
        if available:
            # Beside it stand what was asked, the answer and what the log says.
            assert re.search(rf"│ {server} .*", output), output
        else:
            assert f"without {server}: expected" in output
    assert output.count("EQUAL") == 1 + sum(wanted.values())
    assert "DIFFERENT" not in output
    for command in ("valuations", "pnl", "cash", "ocp-live"):
        assert re.search(rf"│ pks {command} +│ (?!none)\S", output), output
