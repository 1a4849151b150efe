"""What comes by the socket goes through the stages in the commit that appends it, where they have read all before."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.errors import CommitError
from schemas.frames import encode_frames
from schemas.topics import FILLS, INSTRUMENTS, POSITIONS
from tests.integration.faust_support import quick_settings, worker_over
from tests.support import Books, fill, fill_key
from topology.control.entry import records_of
from topology.control.intake import Intake
from topology.control.protocol import Outgoing


def outgoing(*fills: Any) -> list[Outgoing]:
    return records_of(FILLS, fills, fill_key, 2)


def positions(books: Books) -> int:
    return len(books.events(POSITIONS))


@pytest.fixture
def books(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as opened:
        yield opened


def with_intake(books: Books, tmp_path: Path, work: Any, bytes_max: int = 1 << 20) -> None:
    async def run() -> None:
        async with worker_over(books.log, quick_settings(tmp_path)) as running:
            await running.idle()
            await work(running, Intake(books.log, running.worker.apps, bytes_max))
            await running.idle()

    asyncio.run(run())


def test_a_fill_is_in_its_position_when_append_returns(books: Books, tmp_path: Path):
    async def work(running: Any, intake: Intake) -> None:
        for number in range(5):
            intake.append(outgoing(fill(f"t{number}", at=number), fill(f"u{number}", at=number, book="B2")))
            # The loop has not run: nobody but the append itself can have stepped.
            assert positions(books) == 2 * (number + 1)
            assert running.caught_up()

    with_intake(books, tmp_path, work)
    assert positions(books) == 10
    assert sorted(books.event_bytes(POSITIONS)) == sorted(set(books.event_bytes(POSITIONS)))


def test_what_an_append_has_stepped_wakes_nobody(books: Books, tmp_path: Path):
    async def work(running: Any, intake: Intake) -> None:
        # What hangs on the books reads what positions emit, and is woken by it.
        consumers = [app.consumer for app in running.worker.spine]
        intake.append(outgoing(fill("t1"), fill("u1", book="B2")))
        for _ in range(5):
            await asyncio.sleep(0)
            assert not any(consumer._wakeup.is_set() for consumer in consumers)
        Intake(books.log, running.worker.apps, 10).append(outgoing(fill("t2", at=2)))
        await asyncio.sleep(0)
        assert consumers[0]._wakeup.is_set()
        await running.idle()

    with_intake(books, tmp_path, work)
    assert positions(books) == 3


def test_what_is_too_much_or_comes_to_a_stage_that_is_behind_is_read_from_the_log(
    books: Books, tmp_path: Path
):
    async def work(running: Any, intake: Intake) -> None:
        small = Intake(books.log, running.worker.apps, 10)
        small.append(outgoing(fill("t1")))
        assert positions(books) == 0 and not running.caught_up()
        # The stage has not read the one before.
        intake.append(outgoing(fill("t1", price=7), fill("t2", at=2)))
        assert positions(books) == 0
        await running.idle()
        intake.append(outgoing(fill("t3", at=3)))
        assert positions(books) == 3

    with_intake(books, tmp_path, work)
    assert [event.trade_id for event in books.events(POSITIONS)] == ["t1", "t2", "t3"]
    assert len(books.dead_letters()) == 1


def test_other_topics_and_frames_that_cannot_be_read_are_appended(books: Books, tmp_path: Path):
    async def work(running: Any, intake: Intake) -> None:
        intake.append([Outgoing(INSTRUMENTS.name, 0, b"X", b"[1]"), *outgoing(fill("t1"))])
        await running.idle()
        intake.append([Outgoing(FILLS.name, 0, None, b"no frame"), *outgoing(fill("t2", at=2))])

    with_intake(books, tmp_path, work)
    assert positions(books) == 2
    assert b"no frame" in [letter.original for letter in books.dead_letters()]


def test_a_commit_that_fails_appends_nothing_and_steps_nothing(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def work(running: Any, intake: Intake) -> None:
        def full(batch: Any) -> None:
            raise CommitError("no room")

        with monkeypatch.context() as patched:
            patched.setattr(books.log, "write", full)
            with pytest.raises(CommitError, match="no room"):
                intake.append(outgoing(fill("t1")))
        assert positions(books) == 0 and running.caught_up()
        intake.append(outgoing(fill("t1")))
        assert positions(books) == 1

    with_intake(books, tmp_path, work)
    assert books.position().quantity == 10


def test_a_stage_that_fails_beside_an_append_holds_it_not_up(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def work(running: Any, intake: Intake) -> None:
        def broken(*_: Any) -> None:
            raise MemoryError

        with monkeypatch.context() as patched:
            patched.setattr("topology.control.intake.append_together", broken)
            intake.append(outgoing(fill("t1")))
        assert positions(books) == 0
        await running.idle()

    with_intake(books, tmp_path, work)
    assert books.position().quantity == 10


def test_frames_are_what_the_socket_brings(books: Books, tmp_path: Path):
    async def work(running: Any, intake: Intake) -> None:
        partition = outgoing(fill("t1"))[0].partition
        [frame] = encode_frames([fill("t1"), fill("t1")])
        intake.append([Outgoing(FILLS.name, partition, None, frame)])

    with_intake(books, tmp_path, work)
    assert positions(books) == 1 and books.counts().duplicates == 1
