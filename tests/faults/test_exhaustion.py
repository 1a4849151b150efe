"""A full disk and no more files: a commit fails whole, says so, and the log goes on when there is room again."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import stages_worker
from tests.faults.up_support import COMMAND, environment, pks, request_of, running, settle
from tests.support import Books, eventually, fill
from topology.control.protocol import ControlClient, ControlError, Request

ROOT = Path(__file__).resolve().parents[2]

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from connectors.embedded.errors import EmbeddedLogError
from tests.support import Books, fill

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
books = Books(folder)
books.book(*(fill(f"t{n}") for n in range(10)))
committed, digest = books.log.end_offset("pd.canonical", 0), books.hash()
limit = max(path.stat().st_size for path in (folder / "log").iterdir()) + 200_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    for number in range(10_000):
        books.fills(*(fill(f"u{number}.{n}", trader="x" * 500) for n in range(20)))
        committed += 1
except EmbeddedLogError as error:
    print("refused", committed, type(error).__name__, flush=True)
else:
    sys.exit("expected the disk to be full")
assert books.log.end_offset("pd.canonical", 0) == committed
assert books.hash() == digest
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    books.close()
except EmbeddedLogError:
    pass
"""

NO_FILES = """
import os, resource, sys
from pathlib import Path
from connectors.embedded.errors import ResourceError
from connectors.embedded.log import EmbeddedLog

folder = Path(sys.argv[1])
with EmbeddedLog.owner(folder) as log:
    log.create_topic("a", 1)
    transaction = log.transaction()
    transaction.append("a", 0, b"k", b"v")
    transaction.commit()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for free in range(4):
    for open_log in (EmbeddedLog.owner, EmbeddedLog.reader):
        try:
            open_log(folder).close()
        except ResourceError:
            print("ResourceError", flush=True)
        except OSError:
            print("OSError", flush=True)
    os.close(held.pop())
for descriptor in held:
    os.close(descriptor)
with EmbeddedLog.owner(folder) as log:
    assert [record.value for record in log.read("a", 0, 0, 9, 999)] == [b"v"]
"""


def run(script: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_full_disk_refuses_the_commit_whole_and_loses_nothing_before_it(tmp_path: Path):
    lines = run(FULL_DISK, tmp_path / "data")
    (refused,) = (line.split() for line in lines if line.startswith("refused"))
    assert refused[2] == "CommitError"
    with Books(tmp_path / "data") as books:
        # The frame that was refused is there whole or not at all; those before it are there.
        frames = books.log.end_offset("pd.canonical", 0)
        assert frames in (int(refused[1]), int(refused[1]) + 1)
        books.book(fill("after"))
        assert books.position().quantity == 10 * (10 + 20 * (frames - 1) + 1)


def test_without_files_to_open_the_log_says_so_and_opens_later(tmp_path: Path):
    lines = run(NO_FILES, tmp_path / "data")
    assert len(lines) >= 2
    assert "ResourceError" in lines and set(lines) <= {"ResourceError", "OSError"}


def with_open_files(number: int) -> list[str]:
    """`pks` that may open so many files."""
    return ["sh", "-c", f'ulimit -n {number}; exec "$@"', "sh", *COMMAND]


@pytest.mark.parametrize("number", [200, 32])
def test_too_few_open_files_are_exit_code_1_with_what_to_do(tmp_path: Path, number: int):
    folder = tmp_path / "data"
    with Books(folder) as books:
        books.book(fill("t1"))
    done = subprocess.run(
        [*with_open_files(number), "up", "--data", str(folder), "--json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "ulimit -n" in done.stderr and "Traceback" not in done.stderr
    assert pks(folder, "positions", "--json").returncode == 0


def connect_until_refused(folder: Path) -> list[ControlClient]:
    """Connections to a worker until one more is not answered."""
    held: list[ControlClient] = []
    while True:
        held.append(ControlClient(folder, timeout_seconds=2))
        try:
            held[-1].ask(Request("status"))
        except ControlError:
            return held


def test_without_files_pks_up_serves_who_is_there_and_writes_again_when_some_are_free(tmp_path: Path):
    """Connections take every file; then RocksDB, whose buffer is full, can open none."""
    folder, sent = tmp_path / "data", 0

    texts = dict.fromkeys(("trader", "strategy", "account", "counterparty"), "x" * 900)

    def batch(turn: int) -> Request:
        return request_of([fill(f"t{turn}.{n}", at=turn, source_sequence=n, **texts) for n in range(200)])

    with running(folder, command=with_open_files(256)) as process:
        client = ControlClient(folder)
        held = connect_until_refused(folder)
        assert len(held) > 100
        error = ""
        while sent < 400 and not error:
            try:
                client.ask(batch(sent))
                sent += 1
            except ControlError as refused:
                error = str(refused)
        assert "Too many open files" in error and sent > 1
        assert process.poll() is None
        for connection in held:
            connection.close()

        def accepted() -> bool:
            try:
                client.ask(batch(sent))
            except ControlError:
                return False
            return True

        eventually(accepted, 30)
        settle(client)
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        # What was refused may be there whole after all, so that sending it again is a duplicate.
        assert books.counts().applied == 200 * (sent + 1)
        assert books.position().quantity == 10 * 200 * (sent + 1)
