"""Input that retention took before a stage read it: marks are gone without harm, positions never are."""

from decimal import Decimal
from pathlib import Path

import pytest

from agents import mark_routing, position_routing
from agents.stage import Stage
from connectors.embedded.retention import Retention
from schemas import market_data, topics
from schemas.frames import encode_event, wire
from schemas.topics import Topic
from schemas.units import MarkQuality
from tests.support import MONDAY, Books

Mark = wire(market_data.Mark)


def pruned(books: Books, topic: Topic, values: list[bytes]) -> None:
    """A topic of which only the last record is left."""
    for value in values:
        books.append(topic, None, [value])
    Retention(books.log, lambda: 1 << 62).run_round()
    assert books.log.start_offset(topic.name, 0) == len(values) - 1


@pytest.fixture
def books_of(tmp_path: Path):
    def make(stage: Stage) -> Books:
        return Books(tmp_path / "log", stages=(stage,))

    return make


def mark(number: int) -> bytes:
    found = Mark(
        event_id=f"m{number}", instrument="X", event_time=MONDAY + number, price=Decimal(1), source="test",
        quality=MarkQuality.LIVE,
    )  # fmt: skip
    return b"[" + encode_event(found) + b"]"


def test_marks_go_on_with_what_is_left(books_of):
    with books_of(mark_routing.stage()) as books:
        pruned(books, topics.MARKS, [mark(number) for number in range(4)])
        books.run()
        assert books.event_bytes(topics.VALUATION_INPUT) == [mark(3)[1:-1]]
        books.append(topics.MARKS, None, [mark(4), mark(5)])
        books.run()
        assert len(books.event_bytes(topics.VALUATION_INPUT)) == 3
        assert books.runners[0].stopped is None


def test_positions_stop_and_say_what_is_missing(books_of):
    with books_of(position_routing.stage()) as books:
        pruned(books, topics.POSITIONS, [b"[]", b"[]", b"[]"])
        books.run()
        assert books.runners[0].stopped is not None
        assert "from offset 0 on, found 2 to 2: some are missing" in books.runners[0].stopped
