"""Shared memory under `pks up`: its writer killed in mid-write or stopped, a reader killed, no slots left."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clients.python.pks_client import PositionReader, SlotBusy, Status
from tests.faults.planted_up import FEW_SLOTS
from tests.faults.up_support import ROOT, Watch, environment, pks, planted, request_of, running, settle
from tests.support import eventually, fill
from topology.control.protocol import ControlClient

READ_WITHOUT_END = """
import sys
from clients.python.pks_client import PositionReader
handle = PositionReader(sys.argv[1]).slot("B1", "X")
print("reading", flush=True)
while True:
    handle.read().quantity
"""


def shown(reader: PositionReader) -> dict[str, int]:
    return {slot.book: int(slot.quantity) for slot in reader.positions() if slot.live}


def test_a_writer_killed_in_mid_write_leaves_its_slot_busy_the_others_stale_and_the_books_right(
    tmp_path: Path, shared_memory_name: str
):
    folder, settings = tmp_path / "data", {"PKS_SHARED_MEMORY": shared_memory_name}
    with running(folder, command=planted("half-slot"), **settings) as process:
        client, reader = ControlClient(folder), PositionReader(shared_memory_name, busy_seconds=0.05)
        client.ask(request_of([fill("t1", book="HALF"), fill("t2", book="WHOLE")]))
        eventually(lambda: shown(reader) == {"HALF": 10, "WHOLE": 10})
        half, whole = reader.slot("HALF", "X"), reader.slot("WHOLE", "X")
        client.send(request_of([fill("t3", book="HALF", at=1)]))
        assert process.wait(30) == -signal.SIGKILL
        client.close()
        eventually(lambda: whole.read().status is Status.STALE)
        with pytest.raises(SlotBusy):
            half.read()
    with running(folder, **settings) as process:
        client = ControlClient(folder)
        settle(client)
        client.close()
        eventually(lambda: shown(PositionReader(shared_memory_name)) == {"HALF": 20, "WHOLE": 10})
        assert half.read().quantity == 20 and half.live
        process.terminate()
        assert process.wait(30) == 0


def test_a_writer_that_hangs_is_stale_and_live_again_when_it_goes_on(tmp_path: Path, shared_memory_name: str):
    folder = tmp_path / "data"
    with running(folder, PKS_SHARED_MEMORY=shared_memory_name) as process:
        client, reader = ControlClient(folder), PositionReader(shared_memory_name)
        assert reader.stale_after_seconds == 1.0
        client.ask(request_of([fill("t1")]))
        eventually(lambda: shown(reader) == {"B1": 10})
        os.kill(process.pid, signal.SIGSTOP)
        eventually(lambda: reader.slot("B1", "X").read().status is Status.STALE)
        assert reader.slot("B1", "X").read().quantity == 10 and shown(reader) == {}
        os.kill(process.pid, signal.SIGCONT)
        eventually(lambda: shown(reader) == {"B1": 10})
        client.close()


def test_readers_that_are_killed_disturb_neither_the_writer_nor_other_readers(
    tmp_path: Path, shared_memory_name: str
):
    folder = tmp_path / "data"
    with running(folder, PKS_SHARED_MEMORY=shared_memory_name) as process:
        client, other = ControlClient(folder), PositionReader(shared_memory_name)
        client.ask(request_of([fill("t0")]))
        eventually(lambda: shown(other) == {"B1": 10})
        for turn in range(1, 4):
            with subprocess.Popen(
                [sys.executable, "-c", READ_WITHOUT_END, shared_memory_name],
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
            ) as killed:
                assert killed.stdout.readline() == b"reading\n"
                client.ask(request_of([fill(f"t{turn}", at=turn)]))
                killed.kill()
            assert killed.returncode == -signal.SIGKILL
            eventually(lambda turn=turn: shown(other) == {"B1": 10 * (turn + 1)})
        client.close()
        process.terminate()
        assert process.wait(30) == 0


def test_positions_without_a_slot_are_told_and_are_in_the_books(tmp_path: Path, shared_memory_name: str):
    folder, number = tmp_path / "data", FEW_SLOTS + 8
    settings = {"PKS_SHARED_MEMORY": shared_memory_name, "PKS_SHARED_MEMORY_SLOTS": "16"}
    with running(folder, command=planted("few-slots"), **settings) as process:
        watch, client = Watch(process.pid, folder), ControlClient(folder)
        client.ask(request_of([fill(f"t{n}", book=f"B{n}") for n in range(number)]))
        settle(client)
        reader = PositionReader(shared_memory_name)
        eventually(lambda: len(shown(reader)) == FEW_SLOTS)
        # Those that have a slot are written as before.
        kept = sorted(shown(reader))[0]
        client.ask(request_of([fill("more", book=kept, at=1)]))
        eventually(lambda: shown(reader)[kept] == 20)
        stat = subprocess.run(
            [*planted("none"), "shm", "stat", "--name", shared_memory_name, "--json"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert '"full": true' in stat.stdout
        assert watch.metrics()["pks_shared_memory_alarms_total"] >= 2  # it grew once, then it could not
        positions = json.loads(pks(folder, "positions", "--json").stdout)["positions"]
        assert len(positions) == number
        client.close()
        process.terminate()
        assert process.wait(30) == 0
