"""Kills in retention and while shared memory grows, a clock that jumps back, and a sender that is ahead."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from clients.python.pks_client import PositionReader
from connectors.embedded.log import EmbeddedLog
from schemas import topics
from tests.faults import stages_worker
from tests.faults.up_support import ROOT, request_of, running, settle
from tests.support import Books, eventually, fill
from topology.control import ControlClient

RETENTION = """
import sys
from pathlib import Path
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.retention import Retention

with EmbeddedLog.owner(Path(sys.argv[1]), sync="os") as log:
    log.create_topic("sized", 1, retention_bytes=20_000)
    log.create_topic("keyed", 1, compact=True)
    retention = Retention(log)
    while True:
        for _ in range(20):
            transaction = log.transaction()
            base = log.end_offset("sized", 0)
            for number in range(base, base + 50):
                transaction.append("sized", 0, b"k", b"%d" % number)
                transaction.append("keyed", 0, b"%d" % (number % 70), b"%d" % number)
            transaction.commit()
            print("on", flush=True)
            retention.step()
"""


def test_kills_in_retention_leave_an_unbroken_log(tmp_path: Path):
    choose = random.Random(5)
    folder = tmp_path / "data"
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", RETENTION, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
        ) as worker:
            for _ in range(choose.randint(20, 120)):
                worker.stdout.readline()
            os.kill(worker.pid, signal.SIGKILL)
    with EmbeddedLog.owner(folder, sync="os") as log:
        sized = log.read("sized", 0, 0, 1_000_000, 1 << 40)
        end = log.end_offset("sized", 0)
        assert 0 < log.start_offset("sized", 0) < end
        assert [(record.offset, record.value) for record in sized] == [
            (number, b"%d" % number) for number in range(sized[0].offset, end)
        ]
        newest = {record.key: record.value for record in log.read("keyed", 0, 0, 1_000_000, 1 << 40)}
        assert log.end_offset("keyed", 0) == end
        assert newest == {b"%d" % (number % 70): b"%d" % number for number in range(end - 70, end)}


def test_kills_while_shared_memory_grows(tmp_path: Path, shared_memory_name: str):
    folder = tmp_path / "data"
    settings = {"PKS_SHARED_MEMORY": shared_memory_name, "PKS_SHARED_MEMORY_SLOTS": "16"}
    batches = [
        [
            fill(f"t{turn}.{n}", n + 1, 100, at=turn, book=f"B{n % 7}", instrument=f"X{turn}.{n}")
            for n in range(60)
        ]
        for turn in range(4)
    ]
    for batch in batches:
        with running(folder, **settings) as process:
            client = ControlClient(folder)
            client.ask(request_of(batch))  # durable; its slots, and the segments for them, are being made now
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            client.close()
    with running(folder, **settings):
        client = ControlClient(folder)
        settle(client)
        client.close()
        reader = PositionReader(shared_memory_name)
        expected = {(f.book, f.instrument): f.quantity for batch in batches for f in batch}

        def shown() -> bool:
            return {(s.book, s.instrument): s.quantity for s in reader.positions() if s.live} == expected

        eventually(shown)
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        assert {key: opened.position.quantity for key, opened in books.positions().items()} == expected


def test_a_clock_that_jumps_back_an_hour_changes_no_book(tmp_path: Path):
    batches = stages_worker.batches(21, 3_000)
    now = [1_800_000_000_000_000_000]

    def clock() -> int:
        now[0] += 1_000_000
        return now[0]

    with Books(tmp_path / "jumped", clock=clock) as jumped, Books(tmp_path / "clean") as clean:
        for number, batch in enumerate(batches):
            if number == len(batches) // 2:
                now[0] -= 3_600_000_000_000
            jumped.book(*batch)
            clean.book(*batch)
        jumped.reopen()
        assert jumped.hash() == clean.hash()
        times = [record.appended_at for record in jumped.log.read(topics.FILLS.name, 0, 0, 10_000, 1 << 40)]
        assert times == sorted(times) and len(times) == len(batches)


def resident_kilobytes(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_a_sender_forty_appends_ahead_is_served_in_bounded_memory(tmp_path: Path):
    folder = tmp_path / "data"
    batches = stages_worker.batches(31, 40_000)
    with running(folder) as process:
        client = ControlClient(folder)
        resident = []
        ahead = 0
        for number, batch in enumerate(batches):
            client.send(request_of(batch))
            ahead += 1
            while ahead > 40 or (ahead and client.answered()):
                client.receive()
                ahead -= 1
            if number % 40 == 39:
                resident.append(resident_kilobytes(process.pid))
        for _ in range(ahead):
            client.receive()
        settle(client)
        client.close()
        assert max(resident) < 700_000
        process.terminate()
        assert process.wait(30) == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        assert books.counts().read == 40_000
