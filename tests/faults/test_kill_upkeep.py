"""Kills in retention and while shared memory grows, a clock that jumps back, and a sender that is ahead."""

import random
from pathlib import Path

from clients.python.pks_client import PositionReader
from connectors.embedded.log import EmbeddedLog
from connectors.shm.writer import remove
from schemas import topics
from tests.faults import marked_worker, stages_worker
from tests.faults.marked import Worker
from tests.faults.up_support import connect, environment, request_of, running, settle
from tests.support import Books, eventually, fill
from topology.control.protocol import ControlClient


def test_kills_in_retention_leave_an_unbroken_log(tmp_path: Path):
    choose = random.Random(5)
    folder = tmp_path / "data"
    places = []
    appended = 0
    for _ in range(8):
        with Worker(tmp_path / "marks", marked_worker.retention, folder) as worker:
            more = appended + choose.randint(1_000, 6_000)
            worker.until(lambda marks, more=more: marks.appended >= more)
            worker.until(lambda marks: marks.inside("retaining"), closely=True)
            places.append(worker.kill())
            appended = worker.marks.appended
    assert any(place.startswith("retaining") for place in places), places
    with EmbeddedLog.owner(folder, sync="os") as log:
        sized = log.read("sized", 0, 0, 1_000_000, 1 << 40)
        end = log.end_offset("sized", 0)
        assert 0 < log.start_offset("sized", 0) < end
        assert [(record.offset, record.value) for record in sized] == [
            (number, b"%d" % number) for number in range(sized[0].offset, end)
        ]
        keyed = log.read("keyed", 0, 0, 1_000_000, 1 << 40)
        assert len(keyed) < end / 2
        newest = {record.key: record.value for record in keyed}
        assert log.end_offset("keyed", 0) == end
        assert newest == {b"%d" % (number % 70): b"%d" % number for number in range(end - 70, end)}


def test_kills_while_shared_memory_grows(tmp_path: Path, shared_memory_name: str):
    folder = tmp_path / "data"
    settings = {
        **environment(),
        "PKS_SHARED_MEMORY": shared_memory_name,
        "PKS_SHARED_MEMORY_SLOTS": "16",
    }
    arguments = (tmp_path / "marks", marked_worker.command, "up", "--data", str(folder), "--json")
    batches = [
        [
            fill(f"t{turn}.{n}", n + 1, 100, at=turn, book=f"B{n % 7}", instrument=f"X{turn}.{n}")
            for n in range(200)
        ]
        for turn in range(6)
    ]
    places = []
    for turn, batch in enumerate(batches):
        if turn % 2:
            # Else the first segment would be as large as the last one was, and would not grow.
            remove(shared_memory_name)
        with Worker(*arguments, environment=settings) as worker:
            # Half of the kills fall while positions come, the others while a start shows the tables.
            grown = 0
            if turn % 2 == 0:
                client = eventually(lambda: connect(folder))
                settle(client)
                grown = worker.marks.growing
                client.send(request_of(batch))
            worker.until(lambda marks, grown=grown: marks.growing > grown, closely=True)
            places.append(worker.kill())
            if turn % 2 == 0:
                client.close()
    assert any(place.startswith("growing") for place in places), places
    with Worker(*arguments, environment=settings) as worker:
        client = eventually(lambda: connect(folder))
        for batch in batches:  # what was not acknowledged; the rest counts as duplicate
            client.ask(request_of(batch))
        settle(client)
        client.close()
        expected = {(one.book, one.instrument): one.quantity for batch in batches for one in batch}
        reader = PositionReader(shared_memory_name)

        def shown() -> bool:
            return {(s.book, s.instrument): s.quantity for s in reader.positions() if s.live} == expected

        eventually(shown)
        assert worker.terminate() == 0
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
