"""`pks up` killed, stopped in a burst and out of disk: what it acknowledged is in the books, once."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agents import trade_capture
from schemas import topics
from tests.faults import marked_worker, stages_worker
from tests.faults.marked import Worker
from tests.faults.up_support import connect, environment, pks, request_of, running, settle
from tests.small_disk import fill_up, make_room, small_disk
from tests.support import Books, eventually
from topology.control.protocol import ControlClient, ControlError


def outcome(folder: Path) -> tuple[str, set[str]]:
    """The book hash and the identities of the fills; no output event may stand in the log twice."""
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        for topic in (topics.BOOKINGS, topics.POSITIONS, topics.REJECTIONS):
            found = [msgspec.json.decode(event)["event_id"] for event in books.event_bytes(topic)]
            assert len(set(found)) == len(found), f"{topic.name}: an event twice"
        counts = books.counts(trade_capture.NAME)
        fills = [msgspec.json.decode(event)["event_id"] for event in books.event_bytes(topics.FILLS)]
        assert counts.read == len(fills)
        return books.hash(), set(fills)


def clean(folder: Path, batches: list[list]) -> str:
    """The book hash of a run that nothing disturbs."""
    with Books(folder, partitions=stages_worker.PARTITIONS, waiting_max=100_000) as books:
        for batch in batches:
            books.book(*batch)
        return books.hash()


def kill_while_fed(scratch: Path, *, seed: int, fills: int, kills: int) -> None:
    """Feed `pks up` through its socket and kill it `kills` times; what was not acknowledged is sent again."""
    choose = random.Random(seed)
    batches = stages_worker.batches(seed, fills)
    folder = scratch / "killed"
    sent = 0
    for number in range(kills + 1):
        with running(folder, PKS_WAITING_CORRECTIONS_MAX="100000") as process:
            client = ControlClient(folder)
            last = number == kills
            until = len(batches) if last else min(len(batches), sent + choose.randint(1, 8))
            while sent < until:
                client.ask(request_of(batches[sent]))
                sent += 1
            if last:
                settle(client)
                client.close()
                process.terminate()
                assert process.wait(30) == 0
                continue
            # One more is on its way, acknowledged or not, when the kill falls.
            if sent < len(batches):
                client.send(request_of(batches[sent]))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            client.close()
    found, identities = outcome(folder)
    assert identities == {fill.event_id for batch in batches for fill in batch}
    assert found == clean(scratch / "clean", batches)


def test_kills_of_pks_up_lose_and_double_nothing(tmp_path: Path):
    kill_while_fed(tmp_path, seed=3, fills=5_000, kills=2)


def test_sigterm_in_a_burst_applies_and_commits_what_was_acknowledged_and_exits_0(tmp_path: Path):
    """Killed by nobody: what was acknowledged is in the books when the process ends, not only in the log."""
    folder = tmp_path / "data"
    feed = stages_worker.batches(9, 10_000)
    acknowledged = 0
    settings = {**environment(), "PKS_WAITING_CORRECTIONS_MAX": "100000"}
    with Worker(
        tmp_path / "marks", marked_worker.held_up, "--data", str(folder), "--json", environment=settings
    ) as worker:
        client = eventually(lambda: connect(folder), 30)
        for batch in feed:
            client.send(request_of(batch))
        for acknowledged in range(1, 21):  # noqa: B007
            client.receive()
        # Nothing of it is applied when the order comes.
        assert worker.marks.stepping == 0
        os.kill(worker.pid, signal.SIGTERM)
        worker.marks.set("released", 1)
        try:  # what was answered before the end counts as acknowledged; the rest may be there or not
            while acknowledged < len(feed):
                client.receive()
                acknowledged += 1
        except ControlError:
            pass
        client.close()
        assert worker.wait(30) == 0
    with Books(folder, partitions=stages_worker.PARTITIONS, waiting_max=100_000) as books:
        assert books.run() == 0, "something was left to apply"
    found, identities = outcome(folder)
    assert {fill.event_id for batch in feed[:acknowledged] for fill in batch} <= identities
    entered = [[fill for fill in batch if fill.event_id in identities] for batch in feed]
    assert found == clean(tmp_path / "clean", entered)


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk(96) as folder:
        yield folder


def test_a_full_disk_stops_pks_up_cleanly_and_it_goes_on_when_there_is_room(disk: Path, tmp_path: Path):
    folder = disk / "data"
    batches = stages_worker.batches(13, 5_000)
    with running(folder, PKS_WAITING_CORRECTIONS_MAX="100000") as process:
        client = ControlClient(folder)
        client.ask(request_of(batches[0]))
        settle(client)
        fill_up(disk)
        client.close()
        sent, refused = 1, False
        while sent < len(batches) and not refused:
            client = ControlClient(folder, timeout_seconds=2)
            try:
                client.ask(request_of(batches[sent]))
                sent += 1
            except ControlError:
                refused = True
            client.close()
        assert refused and process.poll() is None
        make_room(disk)

        def accepted() -> bool:
            again = ControlClient(folder, timeout_seconds=5)
            try:
                again.ask(request_of(batches[sent]))
            except ControlError:
                return False
            finally:
                again.close()
            return True

        eventually(accepted, 30)
        client = ControlClient(folder)
        for batch in batches[sent + 1 :]:
            client.ask(request_of(batch))
        settle(client)
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    found, identities = outcome(folder)
    assert identities == {fill.event_id for batch in batches for fill in batch}
    assert found == clean(tmp_path / "clean", batches)


@pytest.mark.parametrize(
    "command", [["up", "--json"], ["positions", "--json"], ["import", "--format", "canonical"]]
)
def test_damaged_files_are_exit_code_3_with_what_to_do(tmp_path: Path, command: list[str]):
    folder = tmp_path / "data"
    with Books(folder) as books:
        books.book(*stages_worker.batches(1, 250)[0])
    for path in (folder / "log").glob("MANIFEST-*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    if command[0] == "import":
        (tmp_path / "fills.jsonl").write_text(
            '{"trade_id":"t","book":"B","instrument":"X","side":"BUY","quantity":"1","price":"1",'
            '"executed_at":"2026-01-05T10:00:00Z"}\n'
        )
        command = [*command, str(tmp_path / "fills.jsonl")]
    done = pks(folder, *command)
    assert done.returncode == 3, done.stderr
    assert "damaged-state.md" in done.stderr
