"""Points of the log: their text, and the offsets that they are."""

from pathlib import Path

import pytest

from schemas.topics import BOOKINGS, FILLS
from tests.support import MONDAY, SECOND, Books, booked
from topology.history.points import Point, PointFault, is_after, offsets_at, parse_point, unnamed_partitions


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("0", Point(sequence=0)),
        ("17", Point(sequence=17)),
        ("2026-01-05T00:00:01Z", Point(time_ns=MONDAY + SECOND)),
        ("a.b:0=3", Point(offsets={("a.b", 0): 3})),
        ("a:0=3,a:1=0", Point(offsets={("a", 0): 3, ("a", 1): 0})),
    ],
)
def test_text_and_back(text: str, point: Point):
    assert parse_point(text) == point
    assert str(point) == text


@pytest.mark.parametrize("text", ["", "-1", "1.5", "2026-01-05", "a:0=", "a=3", "a:x=3", "a:0=3;", "١"])
def test_other_text_is_refused(text: str):
    with pytest.raises(PointFault, match="expected"):
        parse_point(text)


@pytest.fixture
def three(tmp_path: Path):
    """Three bookings, in records of their own, one second apart."""
    now = iter(range(MONDAY, MONDAY + 1_000 * SECOND, SECOND))
    with Books(tmp_path / "data", partitions=2, clock=lambda: next(now)) as books:
        # All in one book, so in one partition; the other stays empty.
        for number in range(3):
            books.bookings(booked(f"t{number}", at=number))
        yield books


def _offsets(books: Books, point: Point, **fields) -> list[int]:
    found = offsets_at(books.log, point, BOOKINGS, 2, **fields)
    return found if books.log.end_offset(BOOKINGS.name, 0) else found[::-1]


def test_sequence_and_time_are_inclusive(three: Books):
    records = [record for p in range(2) for record in three.log.read(BOOKINGS.name, p, 0, 9, 1 << 20)]
    for number, record in enumerate(records):
        assert _offsets(three, Point(sequence=record.sequence)) == [number + 1, 0]
        assert _offsets(three, Point(time_ns=record.appended_at)) == [number + 1, 0]
        assert _offsets(three, Point(time_ns=record.appended_at - 1)) == [number, 0]
    assert _offsets(three, Point(sequence=0)) == [0, 0]


def test_a_vector_is_of_next_offsets(three: Books):
    partition = 0 if three.log.end_offset(BOOKINGS.name, 0) else 1
    assert _offsets(three, Point(offsets={(BOOKINGS.name, partition): 2})) == [2, 0]
    both = Point(offsets={(FILLS.name, 0): 0, (BOOKINGS.name, 1 - partition): 0})
    assert _offsets(three, both, named=(FILLS,)) == [3, 0]
    assert _offsets(three, both, named=(FILLS,), missing=0) == [0, 0]
    assert unnamed_partitions(both, BOOKINGS, range(2)) == [partition]
    assert unnamed_partitions(both, BOOKINGS, [1 - partition]) == []
    assert unnamed_partitions(Point(sequence=1), BOOKINGS, range(2)) == []


def test_a_vector_of_another_topic_alone_says_nothing_and_is_refused(three: Books):
    expected = (
        f"expected offsets of {BOOKINGS.name}, as {BOOKINGS.name}:0=.*, found none among {FILLS.name}:0=0"
    )
    with pytest.raises(PointFault, match=expected):
        offsets_at(three.log, Point(offsets={(FILLS.name, 0): 0}), BOOKINGS, 2, named=(FILLS,))


@pytest.mark.parametrize(
    ("point", "other", "after"),
    [
        (Point(sequence=2), Point(sequence=1), True),
        (Point(sequence=1), Point(sequence=1), False),
        (Point(time_ns=2), Point(time_ns=1), True),
        (Point(time_ns=1), Point(time_ns=2), False),
        (Point(time_ns=2), Point(sequence=1), False),
        (None, Point(sequence=1), False),
        (Point(sequence=1), None, False),
    ],
)
def test_what_is_after_what(point: Point | None, other: Point | None, after: bool):
    assert is_after(point, other) is after


@pytest.mark.parametrize(
    "point",
    [
        Point(sequence=99),
        Point(offsets={(BOOKINGS.name, 0): 99}),
        Point(offsets={(BOOKINGS.name, 7): 0}),
        Point(offsets={(FILLS.name, 0): 0}),
        Point(offsets={("other", 0): 0}),
    ],
)
def test_what_the_log_does_not_reach_is_refused(three: Books, point: Point):
    with pytest.raises(PointFault, match=r"expected .* found"):
        offsets_at(three.log, point, BOOKINGS, 2)
