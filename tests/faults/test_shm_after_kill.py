"""A killed owner: readers see it stale within a second, and its successor's slots are the books again."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from clients.python.pks_client import PositionReader, Status
from tests.support import eventually

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from topology.cli import main; main()"]
FILLS = "trade_id,book,instrument,side,quantity,price,executed_at\n" + "".join(
    f"t{number},B{number % 3},X{number % 5},{'BUY' if number % 4 else 'SELL'},{number},{number}.25,"
    f"2026-01-05T10:00:{number:02d}Z\n"
    for number in range(1, 60)
)


def environment(name):
    return {**os.environ, "PKS_SHARED_MEMORY": name, "PKS_WEB_PORT": "0", "PYTHONPATH": str(ROOT)}


@contextmanager
def running(folder, name):
    """`pks up`, ready; killed with -9 at the end if it still runs."""
    process = subprocess.Popen(
        [*COMMAND, "up", "--data", str(folder), "--json"],
        cwd=folder.parent,
        env=environment(name),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert json.loads(process.stdout.readline())["shared_memory"] == name
        yield process
    finally:
        process.kill()
        process.communicate()


def pks(folder, name, *arguments):
    done = subprocess.run(
        [*COMMAND, *arguments, "--data", str(folder), "--json"],
        cwd=folder.parent,
        env=environment(name),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def shown(reader):
    return {
        (slot.book, slot.instrument): (slot.quantity, slot.realised_pnl, slot.revision)
        for slot in reader.positions()
        if slot.live
    }


def test_slots_after_kill_9(tmp_path, shared_memory_name):
    data, fills = tmp_path / "data", tmp_path / "fills.csv"
    fills.write_text(FILLS)
    with running(data, shared_memory_name) as process:
        reader = PositionReader(shared_memory_name)
        assert pks(data, shared_memory_name, "import", str(fills), "--format", "canonical")["fills"] == 59
        eventually(lambda: sum(revision for _, _, revision in shown(reader).values()) == 59)
        before = shown(reader)
        handle = reader.slot("B1", "X1")
        assert handle.live
        process.kill()
        process.wait()
        eventually(lambda: handle.read().status is Status.STALE)
        assert shown(reader) == {}
    with running(data, shared_memory_name) as process:
        assert handle.live and shown(reader) == before
        process.terminate()
        process.wait(30)
        assert handle.read().status is Status.CLOSED


def names_of(name):
    """The directory and the segments under a name, in shared memory."""
    return sorted(Path("/dev/shm").glob(f"{name[1:]}*"))


def test_deleted_segments_are_made_again_from_the_tables(tmp_path, shared_memory_name):
    """All of them, or the data alone: after a reboot, or by whoever cleans /dev/shm."""
    data, fills = tmp_path / "data", tmp_path / "fills.csv"
    fills.write_text(FILLS)
    with running(data, shared_memory_name) as process:
        assert pks(data, shared_memory_name, "import", str(fills), "--format", "canonical")["fills"] == 59
        reader = PositionReader(shared_memory_name)
        eventually(lambda: sum(revision for _, _, revision in shown(reader).values()) == 59)
        before = shown(reader)
        process.kill()
        process.wait()
    for deleted in (lambda path: True, lambda path: "." in path.name):
        assert len(names_of(shared_memory_name)) >= 2
        for path in filter(deleted, names_of(shared_memory_name)):
            path.unlink()
        with running(data, shared_memory_name) as process:
            reader = PositionReader(shared_memory_name)
            assert shown(reader) == before
            process.kill()
            process.wait()
