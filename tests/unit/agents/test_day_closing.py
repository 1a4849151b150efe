"""The business days of books are closed by the clock: once each, in order, whatever stood still meanwhile."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents import day_closing, trade_capture
from domain.capture.business_date import BusinessDays
from schemas import topics
from tests.stage_support import StageInMemory, emitted
from tests.support import MONDAY, SECOND, Book, Books, ClockTick, PostingRules, fill

DAY = 86_400


@pytest.fixture
def books(tmp_path: Path):
    with Books(tmp_path / "log", partitions=3) as books:
        yield books


def closed(books: Books) -> list[tuple[str, str, int]]:
    return [
        (event.book, event.business_date, (event.event_time - MONDAY) // SECOND)
        for event in books.events(topics.BOOKINGS)
        if type(event).__name__ == "DayClosed"
    ]


def test_a_day_is_closed_by_the_first_tick_after_its_end(books: Books):
    books.define(Book(event_id="b", book="B1", cut_off="17:00"))
    for hour in (1, 16, 17, 18):
        books.tick(hour * 3600)
        books.run()
    assert closed(books) == [("B1", "2026-01-05", 17 * 3600)]
    assert [event.event_id for event in books.events(topics.POSITIONS)] == ["B1@2026-01-05"]


def test_days_over_which_nothing_ran_are_closed_one_after_the_other(books: Books):
    books.define(Book(event_id="b", book="B1", calendar="weekdays"), Book(event_id="b", book="B2"))
    books.tick(3 * DAY + 5)
    books.run()
    books.reopen()
    books.tick(7 * DAY + 5)
    books.run()
    assert sorted(closed(books)) == [
        ("B1", "2026-01-08", 4 * DAY),
        ("B1", "2026-01-09", 5 * DAY),
        *(("B2", f"2026-01-{day:02}", (day - 4) * DAY) for day in range(8, 12)),
    ]


def test_the_first_tick_of_a_book_only_says_which_day_is_open(books: Books):
    books.define(Book(event_id="b", book="B1"))
    books.tick(10 * DAY)
    books.run()
    assert closed(books) == []


def test_an_end_stands_between_what_was_executed_before_and_after_it(books: Books):
    books.define(Book(event_id="b", book="B1"))
    books.tick(0)
    books.run()
    books.fills(fill("t1", at=DAY - 1), fill("t2", at=DAY + 1))
    books.tick(DAY + 2)
    books.run()
    kinds = [type(event).__name__ for event in books.events(topics.BOOKINGS)]
    assert sorted(kinds) == ["DayClosed", "TradeBooked", "TradeBooked"]
    assert [getattr(event, "business_date", "") for event in books.events(topics.POSITIONS)].count(
        "2026-01-05"
    ) == 2


def test_no_more_days_than_a_step_bears(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(day_closing, "DAYS_MAX", 2)
    capture = StageInMemory(trade_capture.stage())
    capture.define(Book(event_id="b", book="B1"))
    found = [
        [event["business_date"][-2:] for event in emitted(capture.step(tick), topics.BOOKINGS.name)]
        for tick in (
            ClockTick(event_id="k", event_time=MONDAY + days * DAY * SECOND) for days in (0, 5, 5, 5, 5)
        )
    ]
    assert found == [[], ["05", "06"], ["07", "08"], ["09"], []]


def test_a_failed_step_closes_the_day_again():
    capture = StageInMemory(trade_capture.stage())
    capture.define(Book(event_id="b", book="B1"))
    capture.step(ClockTick(event_id="k", event_time=MONDAY))
    late = ClockTick(event_id="l", event_time=MONDAY + DAY * SECOND)
    capture.fail(late)
    assert len(emitted(capture.step(late), topics.BOOKINGS.name)) == 1
    assert emitted(capture.step(late), topics.BOOKINGS.name) == []


@pytest.mark.parametrize(
    ("days", "hour"),
    [
        (BusinessDays("America/New_York", "17:00"), 21),
        (BusinessDays("America/New_York", "17:00", "weekdays"), 21),
    ],
)
def test_the_end_is_that_of_the_time_zone_also_where_the_clock_is_changed(days: BusinessDays, hour: int):
    def at(*when: int) -> int:
        return int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND

    # Clocks go forward on 8 March 2026, a Sunday.
    ends = days.ended("2026-03-06", at(2026, 3, 10, 12), 10)
    assert ends[0] == ("2026-03-06", at(2026, 3, 6, hour + 1))
    assert ends[-1] == ("2026-03-09", at(2026, 3, 9, hour))
    assert days.after("2026-03-09") == "2026-03-10"


def test_trades_carry_the_version_of_the_posting_rules_that_is_in_force(books: Books):
    books.book(fill("t1"))
    books.define(PostingRules(event_id="r", version=2, definition="{}"))
    books.book(fill("t2", at=1))
    books.reopen()
    books.define(PostingRules(event_id="r", version=1, definition="{}"))
    books.book(fill("t3", at=2))
    versions = {event.trade_id: event.posting_rules for event in books.events(topics.BOOKINGS)}
    assert versions == {"t1": 0, "t2": 2, "t3": 2}
    assert {update.posting_rules for update in books.events(topics.POSITIONS)} == {0, 2}
