"""`pks up` that cannot start says why in one line, with the exit code of the contract, and leaves the folder free."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.embedded.database import owner_process
from connectors.shm.mapping import path_of
from connectors.shm.writer import PositionWriter

ROOT = Path(__file__).parents[4]


@pytest.fixture
def up(tmp_path, shared_memory_name):
    """Runs `pks up`, which must end; gives its exit code, and its words on stderr."""

    def run(*arguments, **environment):
        settings = {"PKS_SHARED_MEMORY": shared_memory_name, "PKS_WEB_PORT": "0", **environment}
        command = [sys.executable, "-m", "topology", "up", "--data", str(tmp_path / "data"), *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == ""
        assert owner_process(tmp_path / "data") is None
        return done.returncode, done.stderr

    return run


def test_another_writer_of_shared_memory_is_an_owner_elsewhere(up, shared_memory_name):
    writer = PositionWriter(shared_memory_name, slots=16, partitions=4)
    writer.claim()
    try:
        code, said = up()
    finally:
        writer.close(keep=False)
    assert code == 3
    assert len(said.splitlines()) == 1
    assert f"process {os.getpid()}" in said


def test_shared_memory_that_does_not_fit_is_a_failure(up):
    code, said = up(PKS_SHARED_MEMORY_SLOTS=str(10**12))
    assert code == 1
    assert len(said.splitlines()) == 1


def test_an_address_in_use_is_a_failure_that_leaves_no_shared_memory(up, shared_memory_name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, said = up("--web-port", str(taken.getsockname()[1]))
    assert code == 1
    assert len(said.splitlines()) == 1
    assert list(Path(path_of("/x")).parent.glob(f"{shared_memory_name[1:]}*")) == []
