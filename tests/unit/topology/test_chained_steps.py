"""A step through two stages in one commit: what it holds, and whom it leaves behind."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents import cash, ledger, position_routing, positions, trade_capture
from agents.stage import InvariantBroken
from connectors.embedded.errors import CommitError
from schemas import topics
from tests.support import Books, fill
from topology import runtime
from topology.money.rules import standard_rules
from topology.runtime import PartitionRunner, step_together


def runners(books: Books, stage: str) -> list[PartitionRunner]:
    return [runner for runner in books.runners if runner.stage.name == stage]


def step(books: Books) -> list[tuple[str, int]]:
    """A step of capture and what follows it; the stages and partitions that went on."""
    work = []
    for runner in runners(books, trade_capture.NAME):
        records = books.log.read(topics.FILLS.name, runner.partition, runner.next_offset, 99, 1 << 20)
        if records:
            work.append((runner, records))
    found = step_together(work, runners(books, positions.NAME))
    return [(runner.stage.name, runner.partition) for runner, _ in found]


def many(number: int, *, last: int = 0) -> list[Any]:
    """Fills of six books, every fifth one late."""
    return [
        fill(f"t{place}", 7 - place % 13, book=f"B{place % 6}", at=place - (40 if place % 5 == 4 else 0))
        for place in range(last, last + number)
    ]


def logged(books: Books) -> tuple[Any, Any, Any]:
    """Books, outputs and counts."""
    tables = {name: books.table(name) for name in (trade_capture.NAME, positions.NAME)}
    return tables, books.event_bytes(topics.BOOKINGS), books.event_bytes(topics.POSITIONS)


def test_one_commit_holds_what_two_steps_would(tmp_path: Path):
    with (
        Books(tmp_path / "chained", partitions=3) as chained,
        Books(tmp_path / "apart", partitions=3) as apart,
    ):
        for last in range(0, 60, 20):
            fills = many(20, last=last)
            for books in (chained, apart):
                books.fills(*fills)
            before = chained.log.sequence
            stages = step(chained)
            assert {name for name, _ in stages} == {trade_capture.NAME, positions.NAME}
            # All that the step appended stands in one commit.
            assert {
                record.appended_at
                for topic in (topics.BOOKINGS, topics.POSITIONS)
                for partition in range(3)
                for record in chained.log.read(topic.name, partition, 0, 999, 1 << 20)
                if record.sequence > before
            } == {chained.log.appended_at}
            apart.run()
            assert chained.run() == 0
            assert logged(chained) == logged(apart)
        for runner in runners(chained, positions.NAME):
            place = topics.BOOKINGS.name, runner.partition
            end = chained.log.end_offset(*place)
            assert (chained.log.committed(positions.NAME, *place) or 0) == end == runner.next_offset
        books_before = chained.hash()
        chained.reopen()
        assert chained.run() == 0 and chained.hash() == books_before == apart.hash()


def test_a_commit_that_fails_takes_both_stages_back(tmp_path: Path, monkeypatch):
    with Books(tmp_path / "data", partitions=2) as books, Books(tmp_path / "clean", partitions=2) as clean:
        books.fills(*many(20))
        assert len(step(books)) == 4
        before = logged(books)
        books.fills(*many(20, last=20))

        def broken(batch: Any) -> None:
            raise CommitError("expected room on the disk, found none")

        with monkeypatch.context() as patch:
            patch.setattr(books.log, "write", broken)
            for _ in range(2):
                with pytest.raises(CommitError):
                    step(books)
                assert logged(books) == before
        assert len(step(books)) == 4 and books.run() == 0
        for last in (0, 20):
            clean.book(*many(20, last=last))
        assert logged(books) == logged(clean)


def test_a_stage_that_has_not_read_what_was_before_reads_by_itself(tmp_path: Path):
    with Books(tmp_path / "data") as books:
        books.fills(fill("t1"))
        step_together(
            [(books.runners[0], books.log.read(topics.FILLS.name, 0, 0, 99, 1 << 20))],
        )
        books.fills(fill("t2"))
        assert step(books) == [(trade_capture.NAME, 0)]
        assert books.run() == 2
        books.fills(fill("t3"))
        assert len(step(books)) == 2
        assert books.position().quantity == 30


def test_a_partition_that_stops_in_the_second_stage_holds_up_nothing_else(tmp_path: Path):
    stages = [trade_capture.stage(100, 3), positions.stage()]
    handler = stages[1].handler

    def break_on_bad(state: Any, frames: Any, step: Any) -> None:
        found = list(frames)
        handler(state, found, step)
        if any(event.trade_id == "bad" for frame in found for event in frame.events):
            raise InvariantBroken("expected no bad trade, found one")

    stages[1] = replace(stages[1], handler=break_on_bad)
    with Books(tmp_path / "data", partitions=4, stages=stages) as books:
        names = [f"B{number}" for number in range(16)]
        books.fills(*(fill(f"t {name}", book=name) for name in names))
        step(books)
        bad = books.runners[0]._partition_of("B3")
        books.fills(fill("bad", book="B3"), *(fill(f"u {name}", book=name) for name in names))
        went_on = step(books)
        assert (positions.NAME, bad) not in went_on
        assert len(went_on) == 7
        assert {books.position(name).quantity for name in names if name != "B3"} >= {20}
        assert books.position("B3").quantity == 10
        # Capture went on for its books too: they wait in the log for who mends the partition.
        assert books.counts().applied == 33
        assert (
            books.log.end_offset(topics.BOOKINGS.name, bad) > runners(books, positions.NAME)[bad].next_offset
        )


def test_a_defect_of_the_second_stage_puts_aside_its_event_alone(tmp_path: Path):
    stages = [trade_capture.stage(100, 3), positions.stage()]
    handler = stages[1].handler

    def fail_on_bad(state: Any, frames: Any, step: Any) -> None:
        found = list(frames)
        handler(state, found, step)
        if any(event.trade_id == "bad" for frame in found for event in frame.events):
            raise ZeroDivisionError("defect")

    stages[1] = replace(stages[1], handler=fail_on_bad)
    with Books(tmp_path / "data", stages=stages) as books:
        books.fills(fill("t1"), fill("bad"), fill("t2"))
        assert len(step(books)) == 2
        (letter,) = books.dead_letters(topics.BOOKING_DEAD_LETTERS)
        assert (letter.trade_id or b"bad" in letter.original) and letter.kind == "failed"
        assert books.position().quantity == 20 and books.counts().applied == 3


def test_steps_leave_nothing_to_the_collector(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        books.fills(*many(20))
        step(books)
        for last in range(20, 200, 20):
            books.fills(*many(20, last=last))
        gc.collect()
        gc.disable()
        try:
            while books.run(max_events=1):
                pass
            # Cycles would: each pause then grows with the fills since the last one.
            assert gc.collect() == 0
        finally:
            gc.enable()


MONEY = (topics.LEDGER_INPUT, topics.LEDGER_ENTRIES, topics.CASH_BALANCES)


def with_money(folder: Path) -> Books:
    """The books, and what hangs on them as far as balances of cash."""
    later = (position_routing.stage(), ledger.stage(standard_rules()), cash.stage())
    return Books(folder, stages=(trade_capture.stage(100, 3), positions.stage(), *later))


def commits(books: Books, *found: topics.Topic) -> set[int]:
    return {
        record.appended_at for topic in found for record in books.log.read(topic.name, 0, 0, 999, 1 << 20)
    }


def test_what_hangs_on_the_books_steps_in_one_commit_of_its_own(tmp_path: Path, monkeypatch):
    with with_money(tmp_path / "together") as together, with_money(tmp_path / "apart") as apart:
        together.book(*many(20))
        monkeypatch.setattr(runtime, "TOGETHER_BYTES_MAX", 0)
        apart.book(*many(20))
        assert [together.event_bytes(topic) for topic in MONEY] == [
            apart.event_bytes(topic) for topic in MONEY
        ]
        assert len(commits(together, *MONEY)) == 1
        assert len(commits(apart, *MONEY)) == 2
        # The books wait for nothing behind them.
        assert commits(together, topics.POSITIONS).isdisjoint(commits(together, *MONEY))
        assert commits(together, topics.POSITIONS) == commits(together, topics.BOOKINGS)
