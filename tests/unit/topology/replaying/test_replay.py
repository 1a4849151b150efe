"""Replays: counts, spans, processes, from the bookings and from the fills; the same books every time."""

from pathlib import Path

import pytest

from agents import trade_capture
from schemas.topics import BOOKINGS, FILLS
from schemas.units import Action, LotMethod
from tests.support import Book, Books, booked, fill
from topology.replaying import scratch_tables
from topology.replaying.fills import replay_fills
from topology.replaying.outcome import Span, books_of
from topology.replaying.replay import Origin, replay_bookings, replay_in_processes
from topology.replaying.scratch_tables import DiskTables, MemoryTables, tables_for

PARTITIONS = 3


@pytest.fixture
def held(tmp_path: Path):
    """Fills in three batches: with a duplicate, refused ones, corrections, and a booking that is refused."""
    with Books(tmp_path / "data", partitions=PARTITIONS) as books:
        for batch in range(3):
            books.book(
                *(
                    fill(
                        f"t{batch}.{number}",
                        7 - number % 13 or 1,
                        100 + number,
                        book=f"B{number % 5}",
                        at=number,
                    )
                    for number in range(40)
                ),
                fill(f"c{batch}", action=Action.CANCEL, original_trade_id=f"t{batch}.3", book="B3"),
                fill(f"w{batch}", action=Action.CANCEL, original_trade_id="nowhere"),
                fill("t0.0", 7, 100, book="B0", at=0),
                fill("t0.1", 99, 100, book="B1", at=0),
            )
        books.bookings(booked("t0.0", 7, 100, book="B0", at=0), booked("t0.1", 5, 5, book="B1"))
        books.run()
        yield books


def _spans(books: Books, topic: str = BOOKINGS.name, start: int = 0, **fields) -> list[Span]:
    return [
        Span(
            partition,
            min(start, books.log.end_offset(topic, partition)),
            books.log.end_offset(topic, partition),
            **fields,
        )
        for partition in range(PARTITIONS)
    ]


def test_bookings_give_the_same_books_and_counts(held: Books):
    outcome, scratch = replay_bookings(held.log, PARTITIONS, _spans(held))
    counts = held.counts("positions")
    assert (outcome.applied, outcome.duplicates, outcome.rejected) == (
        counts.applied,
        counts.duplicates,
        counts.refused,
    )
    assert (outcome.duplicates, outcome.rejected) == (1, 1)
    assert outcome.events == outcome.applied + outcome.duplicates + outcome.rejected
    assert outcome.book_hash.hexadecimal == held.hash()
    assert outcome.positions == len(held.positions())
    assert books_of(scratch, range(PARTITIONS))[0].hexadecimal == held.hash()


def test_tables_on_disk_give_the_same(held: Books):
    with DiskTables() as tables:
        outcome, _ = replay_bookings(held.log, PARTITIONS, _spans(held), origin=Origin(tables))
    assert outcome.book_hash.hexadecimal == held.hash()


def test_from_a_point_the_rest_is_counted_and_the_books_are_whole(held: Books):
    whole, _ = replay_bookings(held.log, PARTITIONS, _spans(held))
    seen: list[int] = []
    rest, _ = replay_bookings(held.log, PARTITIONS, _spans(held, start=1), seen.append)
    assert 0 < rest.events < whole.events
    assert rest.book_hash.hexadecimal == held.hash()
    assert sum(seen) == sum(span.end for span in _spans(held))


def test_from_a_point_on_nothing_there_are_the_later_books_only(held: Books):
    rest, _ = replay_bookings(held.log, PARTITIONS, _spans(held, start=1))
    empty, _ = replay_bookings(held.log, PARTITIONS, _spans(held, start=1, empty=True))
    assert empty.events == rest.events
    assert empty.book_hash.hexadecimal != held.hash()


def test_nothing_of_the_source_changes(held: Books):
    before = (held.log.sequence, held.table("positions"), held.hash())
    replay_bookings(held.log, PARTITIONS, _spans(held))
    replay_fills(held.log, PARTITIONS, _spans(held, FILLS.name))
    assert (held.log.sequence, held.table("positions"), held.hash()) == before


def test_fills_give_the_same_books(held: Books):
    capture = trade_capture.stage(100, 3)
    outcome = replay_fills(held.log, PARTITIONS, _spans(held, FILLS.name), capture)
    counts = held.counts()
    assert (outcome.applied, outcome.duplicates, outcome.rejected, outcome.waiting) == (
        counts.applied,
        counts.duplicates,
        counts.refused,
        3,
    )
    assert outcome.events == outcome.applied + outcome.duplicates + outcome.rejected
    assert outcome.book_hash.hexadecimal == held.hash()


def test_fills_from_a_point_count_the_rest(held: Books):
    whole = replay_fills(held.log, PARTITIONS, _spans(held, FILLS.name))
    rest = replay_fills(held.log, PARTITIONS, _spans(held, FILLS.name, start=2))
    assert 0 < rest.events < whole.events
    assert rest.book_hash.hexadecimal == held.hash()


def test_a_replayed_fill_sees_the_reference_data_of_its_time(tmp_path: Path):
    with Books(tmp_path / "data", partitions=PARTITIONS) as books:
        books.book(fill("t1", 5, 1, at=1), fill("t2", 5, 2, at=2))
        books.define(Book(event_id="d1", book="B2", lot_methods={"*": LotMethod.LIFO}))
        books.book(*(fill(f"u{number}", 5, number, book="B2", at=number) for number in (1, 2)))
        books.book(fill("u3", -3, 9, book="B2", at=3))
        books.define(Book(event_id="d2", book="B2", lot_methods={"*": LotMethod.AVERAGE}))
        books.book(fill("u4", -7, 9, book="B2", at=4))
        outcome = replay_fills(books.log, PARTITIONS, _spans(books, FILLS.name))
        # The last one brings other terms to an open position.
        assert (outcome.applied, outcome.rejected) == (5, 1)
        assert outcome.book_hash.hexadecimal == books.hash()


def test_processes_share_the_partitions(held: Books):
    spans, expected = _spans(held), held.hash()
    whole, _ = replay_bookings(held.log, PARTITIONS, spans)
    done: list[int] = []
    outcome = replay_in_processes(held.folder, PARTITIONS, spans, 2, done.append)
    assert outcome.book_hash.hexadecimal == expected
    assert (outcome.events, outcome.applied, outcome.positions) == (
        whole.events,
        whole.applied,
        whole.positions,
    )
    assert sum(done) == sum(span.end for span in spans)


def test_large_inputs_are_replayed_on_disk(held: Books, monkeypatch: pytest.MonkeyPatch):
    whole = [(partition, 0, held.log.end_offset(BOOKINGS.name, partition)) for partition in range(PARTITIONS)]
    with tables_for(held.log, BOOKINGS.name, whole) as tables:
        assert isinstance(tables, MemoryTables)
    monkeypatch.setattr(scratch_tables, "MEMORY_INPUT_BYTES_MAX", 10)
    nothing = [(partition, end, end) for partition, _, end in whole]
    with tables_for(held.log, BOOKINGS.name, nothing) as tables:
        assert isinstance(tables, MemoryTables)
    with tables_for(held.log, BOOKINGS.name, whole) as tables:
        assert isinstance(tables, DiskTables)
        outcome = replay_fills(held.log, PARTITIONS, _spans(held, FILLS.name), tables=tables)
    assert outcome.book_hash.hexadecimal == held.hash()
