"""The stage runtime: one commit a step, poison aside, a broken invariant alone, nothing twice and nothing skipped."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents import positions, trade_capture
from agents.stage import Frame, InvariantBroken, Stage, Step
from connectors.embedded.errors import CommitError, EmbeddedLogError, ResourceError, StateError
from domain.book_hash import position_digest
from schemas import topics
from schemas.frames import encode_event
from schemas.numbers import exact_arithmetic
from tests.support import Books, Instrument, fill
from topology.runtime import PartitionRunner, PartitionStopped, StepReport


def failing(stage: Stage, fails: Callable[[Any], Exception | None]) -> Stage:
    """The stage, with a defect that some events meet after it has changed its state."""

    def handler(state: Any, frames: Any, step: Step) -> None:
        for frame in frames:
            for index, event in zip(frame.indexes, frame.events, strict=True):
                stage.handler(
                    state, [Frame(frame.topic, frame.partition, frame.offset, [event], [index])], step
                )
                error = fails(event)
                if error is not None:
                    raise error

    return replace(stage, handler=handler)


def on(*trade_ids: str, error: type[Exception] = ZeroDivisionError) -> Callable[[Any], Exception | None]:
    return lambda event: (
        error(f"defect met by {event.trade_id}") if getattr(event, "trade_id", "") in trade_ids else None
    )


def books_with(folder: Path, *, capture=None, position=None, **options: Any) -> Books:
    stages = [trade_capture.stage(100, 3), positions.stage()]
    if capture is not None:
        stages[0] = failing(stages[0], capture)
    if position is not None:
        stages[1] = failing(stages[1], position)
    return Books(folder, stages=stages, **options)


def everything(books: Books) -> dict:
    """All that is committed, as far as steps must agree on it."""
    tables = {
        (stage.name, place): value
        for stage in books.stages
        for place, value in books.table(stage.name).items()
    }
    ends = {
        (name, partition): books.log.end_offset(name, partition)
        for name, topic in books.log.topics().items()
        for partition in range(topic.partitions)
    }
    return {"tables": tables, "ends": ends, "sequence": books.log.sequence}


# -- poison ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"garbage",
        b"\xff\x00",
        b"[1, 2",
        b"null",
        b"{}",
        b'"x"',
        b"[" * 50_000,
        b"[null]",
        b'[{"type":"FillEvent"}]',
    ],
)
def test_a_frame_that_cannot_be_read_is_put_aside_whole(books: Books, garbage: bytes):
    books.fills(fill("t1"))
    books.append(topics.FILLS, None, [garbage])
    books.book(fill("t2"))
    assert books.position().quantity == 20
    (letter,) = books.dead_letters()
    assert (letter.kind, letter.offset, letter.index, letter.stage) == ("unreadable", 1, 0, "trade_capture")
    assert letter.original in (garbage, garbage[1:-1]) and letter.reason
    counts = books.counts()
    assert counts.read == counts.applied + counts.duplicates + counts.refused + counts.waiting == 3


def test_of_a_frame_only_the_bad_event_is_put_aside_with_its_bytes(books: Books):
    bad = b'{"type": "FillEvent",   "trade_id": 7}'
    books.append(
        topics.FILLS,
        None,
        [b"[" + b" , ".join([encode_event(fill("t1")), bad, encode_event(fill("t2"))]) + b"]"],
    )
    books.run()
    (letter,) = books.dead_letters()
    assert (letter.index, letter.original, letter.kind) == (1, bad, "unreadable")
    assert books.position().quantity == 20


def test_a_refused_event_keeps_the_bytes_as_they_came(books: Books):
    written = (
        encode_event(fill("t1", price="NaN"))
        .replace(b'"NaN"', b' "NaN" ')
        .replace(b"{", b'{"more": [1, 2], ')
    )
    books.append(topics.FILLS, None, [b"[ " + written + b"]"])
    books.run()
    (letter,) = books.dead_letters()
    assert letter.original == written


def test_a_tombstone_is_put_aside(books: Books):
    transaction = books.log.transaction()
    transaction.append(topics.FILLS.name, 0, b"k", None)
    transaction.commit()
    books.book(fill("t1"))
    assert len(books.dead_letters()) == 1 and books.position().quantity == 10


def test_poison_in_the_bookings_goes_to_their_own_dead_letters(books: Books):
    books.append(topics.BOOKINGS, "B1", [b"garbage"])
    books.book(fill("t1"))
    (letter,) = books.dead_letters(topics.BOOKING_DEAD_LETTERS)
    assert (letter.original, letter.stage, letter.topic) == (b"garbage", "positions", "backoffice.booking.v1")
    assert books.position().quantity == 10


def test_a_burst_of_poison_is_put_aside_in_order(books: Books):
    burst = [b"poison %d" % number for number in range(300)]
    books.append(topics.FILLS, None, burst)
    books.book(fill("t1"))
    assert [letter.original for letter in books.dead_letters()] == burst
    assert len({letter.event_id for letter in books.dead_letters()}) == 300
    assert books.position().quantity == 10


# -- a defect met by one event --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["capture", "position"])
def test_an_event_that_a_handler_fails_on_is_put_aside_alone(tmp_path: Path, stage: str):
    many = [fill(f"t{number}", number + 1, at=number) for number in range(20)]
    with (
        books_with(tmp_path / "data", **{stage: on("t3", "t11")}) as books,
        Books(tmp_path / "clean") as clean,
    ):
        books.fills(*many)
        books.run()
        clean.book(*(event for event in many if event.trade_id not in ("t3", "t11")))
        assert books.hash() == clean.hash()
        topic = topics.FILL_DEAD_LETTERS if stage == "capture" else topics.BOOKING_DEAD_LETTERS
        letters = books.dead_letters(topic)
        assert [(letter.kind, letter.index) for letter in letters] == [("failed", 3), ("failed", 11)]
        assert all("ZeroDivisionError" in letter.reason for letter in letters)
        source = topics.FILLS if stage == "capture" else topics.BOOKINGS
        assert [letter.original for letter in letters] == [
            books.event_bytes(source)[place] for place in (3, 11)
        ]
        assert books.runners[0].stopped is None
        counts = books.counts(trade_capture.NAME if stage == "capture" else positions.NAME)
        assert counts.read == counts.applied + counts.duplicates + counts.refused + counts.waiting == 20
        assert counts.refused == 2
        before = everything(books)
        books.reopen()
        assert everything(books) == before and books.hash() == clean.hash()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files", "/usr/share/zoneinfo/UTC"),
        ResourceError("expected to open the log, found: Too many open files"),
        StateError("expected a sound log, found: Corruption"),
    ],
)
def test_what_is_no_fault_of_an_event_ends_the_step_and_makes_no_dead_letter(
    tmp_path: Path, error: Exception
):
    short = [True]
    capture = lambda event: error if short[0] and event.trade_id == "t2" else None  # noqa: E731
    with books_with(tmp_path / "data", capture=capture) as books:
        books.fills(fill("t1"), fill("t2", at=1), fill("t3", at=2))
        with pytest.raises(EmbeddedLogError):
            books.run()
        assert books.log.end_offset(topics.BOOKINGS.name, 0) == 0
        short[0] = False
        books.run()
        assert books.dead_letters() == [] and books.position().quantity == 30


def test_observers_see_what_is_committed_also_after_a_defect(tmp_path: Path):
    seen: dict = {}

    def observe(runner: PartitionRunner, report: StepReport) -> None:
        with exact_arithmetic():
            for (book, instrument), opened in report.touched.items():
                seen[book, instrument] = position_digest(book, instrument, opened.position)

    with books_with(tmp_path / "data", position=on("t2"), observers=[observe]) as books:
        books.book(*(fill(f"t{number}", 10, 100 + number, at=number) for number in range(4)))
        with exact_arithmetic():
            stored = {
                pair: position_digest(*pair, opened.position) for pair, opened in books.positions().items()
            }
        assert seen == stored
        assert books.position().quantity == 30


@pytest.mark.parametrize("stage", ["capture", "position"])
def test_a_defect_and_then_a_commit_that_fails_leave_nothing_behind(tmp_path: Path, stage: str, monkeypatch):
    many = [fill(f"t{number}", 10, 100, at=number) for number in range(6)]
    with books_with(tmp_path / "data", **{stage: on("t3")}) as books, Books(tmp_path / "clean") as clean:
        books.define(Instrument(event_id="i", instrument="X", currency="USD"))
        clean.define(Instrument(event_id="i", instrument="X", currency="USD"))
        books.fills(*many)
        real, calls = books.log.write, []

        def failing_write(batch: Any) -> None:
            calls.append(1)
            if len(calls) in (1, 2):
                raise CommitError("expected room on the disk, found none")
            real(batch)

        monkeypatch.setattr(books.log, "write", failing_write)
        for _ in range(2):
            before = everything(books)
            with pytest.raises(CommitError):
                books.run()
            assert everything(books) == before
        books.run()
        clean.book(*(event for event in many if event.trade_id != "t3"))
        assert books.hash() == clean.hash()
        assert books.position().terms.currency == "USD"
        counts = books.counts(positions.NAME)
        assert counts.read == counts.applied + counts.refused
        assert (
            books.event_bytes(topics.POSITIONS)[-1] == clean.event_bytes(topics.POSITIONS)[-1]
            or stage == "capture"
        )


# -- commits --------------------------------------------------------------------------------------------------------


def test_a_step_that_cannot_be_committed_changes_nothing_and_may_be_tried_again(books: Books, monkeypatch):
    books.book(fill("t1"))
    before, digest = everything(books), books.hash()
    books.fills(fill("t2"), fill("t3", price="NaN"))
    before["ends"]["pd.canonical", 0] += 1
    before["sequence"] += 1

    def broken(batch: Any) -> None:
        raise CommitError("expected room on the disk, found none")

    with monkeypatch.context() as patch:
        patch.setattr(books.log, "write", broken)
        for _ in range(3):
            with pytest.raises(CommitError):
                books.run()
            assert everything(books) == before and books.hash() == digest
    books.run()
    assert books.position().quantity == 20
    assert (books.counts().read, books.counts().applied, books.counts().refused) == (3, 2, 1)
    assert len(books.dead_letters()) == 1


def test_observers_are_called_after_the_commit_with_what_was_touched(tmp_path: Path):
    seen: list = []

    def observe(runner: PartitionRunner, report: StepReport) -> None:
        touched = {pair: opened.position.quantity for pair, opened in report.touched.items()}
        committed = {pair: opened.position.quantity for pair, opened in books.positions().items()}
        seen.append((runner.stage.name, report.sequence, touched, committed))

    with Books(tmp_path / "data", observers=[observe]) as books:
        books.book(fill("t1"), fill("t2", instrument="Y"))
        books.book(fill("t3", -4))
        of_positions = [entry for entry in seen if entry[0] == "positions"]
        assert [entry[2] for entry in of_positions] == [{("B1", "X"): 10, ("B1", "Y"): 10}, {("B1", "X"): 6}]
        assert all(touched.items() <= committed.items() for _, _, touched, committed in of_positions)
        assert [entry[1] for entry in seen] == sorted(entry[1] for entry in seen)


# -- order ----------------------------------------------------------------------------------------------------------


def test_records_that_come_again_are_skipped(books: Books):
    books.book(fill("t1"), fill("t2"))
    books.fills(fill("t3"))
    records = books.log.read(topics.FILLS.name, 0, 0, 99, 1 << 20)
    runner = books.runners[0]
    assert runner.step(records[:1]).events == 0
    assert runner.step(records).events == 1
    assert runner.step(records).events == 0
    books.run()
    assert books.counts().read == 3 and books.position().quantity == 30


@pytest.mark.parametrize("missing", [1, 2])
def test_a_gap_stops_the_partition_before_anything_is_applied(books: Books, missing: int):
    books.book(fill("t0"))
    for number in range(1, 4):
        books.fills(fill(f"t{number}"))
    records = [r for r in books.log.read(topics.FILLS.name, 0, 0, 99, 1 << 20) if r.offset != missing]
    runner, before = books.runners[0], everything(books)
    with pytest.raises(PartitionStopped, match="expected"):
        runner.step(records)
    assert runner.stopped is not None and everything(books) == before
    with pytest.raises(PartitionStopped):
        runner.step(books.log.read(topics.FILLS.name, 0, 1, 99, 1 << 20))
    books.reopen()
    books.run()
    assert books.position().quantity == 40


def test_a_broken_invariant_stops_its_partition_only_and_leaves_nothing_of_its_step(tmp_path: Path):
    with books_with(tmp_path / "data", partitions=4, position=on("bad", error=InvariantBroken)) as books:
        names = [f"B{number}" for number in range(16)]
        books.book(*(fill(f"t {name}", book=name) for name in names))
        bad = books.runners[0]._partition_of("B3")
        others = [name for name in names if books.runners[0]._partition_of(name) != bad]
        books.fills(*(fill(f"u {name}", book=name) for name in names))
        books.fills(fill("bad", book="B3"))
        books.run()
        books.book(*(fill(f"v {name}", book=name) for name in names))
        stopped = [
            (runner.stage.name, runner.partition) for runner in books.runners if runner.stopped is not None
        ]
        assert stopped == [("positions", bad)]
        (runner,) = (runner for runner in books.runners if runner.stopped is not None)
        assert "defect met by bad" in runner.stopped
        assert 0 < len(others) < len(names)
        assert {books.position(name).quantity for name in others} == {30}
        assert books.dead_letters(topics.BOOKING_DEAD_LETTERS) == []
        assert books.position("B3").quantity in (10, 20)


# -- the drive ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bounds", [{}, {"max_events": 1}, {"max_bytes": 1}, {"max_events": 7, "max_bytes": 2_000}]
)
def test_driving_to_the_end_whatever_the_bounds(tmp_path: Path, bounds: dict):
    with Books(tmp_path / "data", partitions=2) as books:
        for number in range(30):
            books.fills(fill(f"t{number}", book=f"B{number % 3}"))
        books.run(**bounds)
        assert books.counts().applied == 30 and books.counts(positions.NAME).applied == 30
        assert books.run() == 0
