"""`pks day-close`: without a clock, days of books end by hand; cash settles and P&L goes on to the next day."""

import json
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.embedded.log import EmbeddedLog
from domain.capture.business_date import BusinessDays
from schemas import topics
from tests.support import SECOND
from topology.cli.application import run
from topology.control.entry import Entry, OwnedGate
from topology.day_closing import BookDays
from topology.demo.stack import Stack
from topology.log_reading import partition_count, read_events
from topology.settings import Settings

FILLS = """trade_id,book,instrument,side,quantity,price,fee,currency,executed_at,instrument_class,account
t1,B1,X,BUY,100,10,0,USD,2025-01-06T09:30:00Z,equity,A
t2,B1,X,SELL,40,11,0,USD,2025-01-08T10:00:00Z,equity,A
t3,B2,X,BUY,5,10,0,USD,2025-01-10T10:00:00Z,equity,A
"""
MARKS = "instrument,price,time\nX,12,2025-01-10T12:00:00Z\n"


class Desk:
    """`pks` on one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def run(self, *arguments: str, code: int = 0) -> Any:
        self._capsys.readouterr()
        assert run([*arguments, "--json", "--data", str(self.folder / "data")]) == code
        said = self._capsys.readouterr()
        return said.err if code else json.loads(said.out)

    def close(self, day: str, *more: str) -> dict[str, tuple[str, str, int]]:
        told = self.run("day-close", "--date", day, *more)
        assert told["through"] == day
        books = {each["book"]: (each["first"], each["last"], each["days"]) for each in told["books"]}
        assert told["days_closed"] == sum(days for _, _, days in books.values())
        return books

    def cash(self) -> tuple[str, str]:
        (held,) = self.run("cash")["cash"]
        return held["settled_balance"], held["pending"]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path, capsys)
    desk.run("import", desk.file("marks.csv", MARKS), "--format", "csv-marks")
    desk.run("import", desk.file("fills.csv", FILLS), "--format", "canonical")
    return desk


def closed_days(desk: Desk, book: str) -> dict[str, tuple[str, str]]:
    """Realised and total P&L of each closed day."""
    (position,) = desk.run("pnl", "--days", "--book", book)["pnl"]
    return {day["day"]["business_date"]: (day["realised"], day["total"]) for day in position["days"]}


def test_cash_settles_and_pnl_goes_on_day_by_day(desk: Desk):
    assert desk.cash() == ("0", "-610")
    (day,) = desk.run("pnl", "--book", "B1")["pnl"]
    assert day["total"] == "160"
    assert desk.close("2025-01-08") == {"B1": ("2025-01-06", "2025-01-08", 3)}
    assert desk.cash() == ("-1000", "390")
    # All at the only mark that there is: bought at 10 on Monday, 40 sold at 11 on Wednesday, marked at 12.
    assert closed_days(desk, "B1") == {
        "2025-01-06": ("0", "200"),
        "2025-01-07": ("0", "0"),
        "2025-01-08": ("40", "-40"),
    }
    assert desk.run("pnl", "--book", "B1")["pnl"][0]["total"] == "0"
    assert desk.close("2025-01-31") == {
        "B1": ("2025-01-09", "2025-01-31", 23),
        "B2": ("2025-01-10", "2025-01-31", 22),
    }
    assert desk.cash() == ("-610", "0")
    assert all(check["ok"] for check in desk.run("verify")["checks"])


def test_each_day_has_the_marks_that_were_known_when_it_was_closed(desk: Desk):
    for day, price in (("06", "12"), ("07", "13"), ("08", "10")):
        if day != "06":
            marks = MARKS.replace("2025-01-10", f"2025-01-{day}").replace("X,12", f"X,{price}")
            marks = marks.replace("2025-01-", "2025-02-")
            desk.run("import", desk.file(f"{day}.csv", marks), "--format", "csv-marks")
        desk.close(f"2025-01-{day}", "--book", "B1")
    assert {day: total for day, (_, total) in closed_days(desk, "B1").items()} == {
        "2025-01-06": "200",
        "2025-01-07": "100",
        # 60 that are held fell by 3, and 40 were sold at 11 that stood at 13.
        "2025-01-08": "-260",
    }


def test_closing_again_is_nothing(desk: Desk):
    assert desk.close("2025-01-05") == {}
    assert desk.close("2025-01-10", "--book", "B2", "--book", "B2") == {"B2": ("2025-01-10", "2025-01-10", 1)}
    before = desk.run("book-hash")
    assert desk.close("2025-01-10", "--book", "B2") == desk.close("2025-01-09", "--book", "B2") == {}
    assert desk.run("book-hash") == before


def test_a_late_trade_restates_its_closed_day(desk: Desk):
    desk.close("2025-01-31")
    before = closed_days(desk, "B1")
    header = FILLS.splitlines()[0]
    late = f"{header}\nt0,B1,X,BUY,10,11,0,USD,2025-01-07T10:00:00Z,equity,A\n"
    desk.run("import", desk.file("late.csv", late), "--format", "canonical")
    after = closed_days(desk, "B1")
    assert after["2025-01-07"] == ("0", "10")
    assert {day: figures[1] for day, figures in after.items() if day != "2025-01-07"} == {
        day: figures[1] for day, figures in before.items() if day != "2025-01-07"
    }
    # What settled before it was known settles at once.
    assert desk.cash() == ("-720", "0")


def test_days_are_those_of_the_books_calendar(desk: Desk):
    desk.run(
        "book-define", desk.file("books.csv", "book,calendar,time_zone,cut_off\nB2,weekdays,UTC,17:00\n")
    )
    assert desk.close("2025-01-12", "--book", "B2") == {"B2": ("2025-01-10", "2025-01-10", 1)}
    assert desk.close("2025-01-14", "--book", "B2") == {"B2": ("2025-01-13", "2025-01-14", 2)}


def test_what_is_not_over_or_not_known_is_refused(desk: Desk):
    tomorrow = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    said = desk.run("day-close", "--date", tomorrow, "--book", "B1", code=2)
    assert "expected a business date that is over" in said and "of B1 is not" in said
    assert "found 'Q'" in desk.run("day-close", "--date", "2025-01-31", "--book", "Q", "--book", "B1", code=2)
    assert "expected a day as YYYY-MM-DD" in desk.run("day-close", "--date", "31.1.2025", code=2)
    assert desk.close("2025-01-06") == {"B1": ("2025-01-06", "2025-01-06", 1)}


def test_it_goes_through_the_socket_of_a_worker(desk: Desk, shared_memory_name: str):
    stack = Stack(desk.folder / "data", 0, shared_memory_name)
    stack.start()
    try:
        assert desk.close("2025-01-31", "--book", "B1") == {"B1": ("2025-01-06", "2025-01-31", 26)}
        assert desk.close("2025-01-31", "--book", "B1") == {}
    finally:
        stack.stop()
    # B2 has bought for 50, and is not closed.
    assert desk.cash() == ("-560", "-50")


def told_days(desk: Desk, book: str) -> list[str]:
    """The ends of a book's days among its bookings."""
    with closing(EmbeddedLog.reader(desk.folder / "data")) as log:
        return [
            event.business_date
            for partition in range(partition_count(log))
            for _, event in read_events(log, topics.BOOKINGS, partition)
            if type(event).__name__ == "DayClosed" and event.book == book
        ]


def test_the_clock_goes_on_after_a_day_that_was_closed_by_hand(desk: Desk):
    desk.run("book-define", desk.file("books.csv", "book,cut_off\nB1,24:00\n"))
    settings = Settings(data=desk.folder / "data", sync="os")

    def tick(day: int) -> None:
        with closing(EmbeddedLog.owner(settings.data, sync="os")) as log:
            gate = OwnedGate(log, settings)
            moment = int(datetime(2025, 1, day, 1, tzinfo=UTC).timestamp()) * SECOND
            Entry(gate, owned=True, clock=lambda: moment).tick(topics.FILLS)
            gate.settle()

    tick(7)
    assert desk.close("2025-01-09", "--book", "B1") == {"B1": ("2025-01-06", "2025-01-09", 4)}
    before, cash = closed_days(desk, "B1"), desk.cash()
    tick(10)
    assert (closed_days(desk, "B1"), desk.cash()) == (before, cash)
    assert told_days(desk, "B1") == [f"2025-01-{day:02}" for day in range(6, 10)]
    tick(11)
    assert told_days(desk, "B1") == [f"2025-01-{day:02}" for day in range(6, 11)]
    assert list(closed_days(desk, "B1")) == [*before, "2025-01-10"]
    assert desk.close("2025-01-10", "--book", "B1") == {}
    assert all(check["ok"] for check in desk.run("verify")["checks"])


KILLED = """
import os, signal, sys
from topology.cli.application import run
from topology.control import entry

publish, left = entry.LogInput.publish, [int(sys.argv[2])]

def killed(self, topic, found, key_of):
    if not left[0]:
        if sys.argv[3] == "appended":
            self._into = Appending(self._into)
            publish(self, topic, found, key_of)
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return publish(self, topic, found, key_of)

class Appending:
    # Appends, and lets no stage run.
    def __init__(self, gate):
        self.gate, self.partitions = gate, gate.partitions

    def append(self, records):
        return entry.append_records(self.gate.log, records)

entry.LogInput.publish, entry.CHUNK_EVENTS = killed, 7
run(["day-close", "--date", "2025-01-31", "--data", sys.argv[1]])
"""


@pytest.mark.parametrize(("chunks", "when"), [(0, "before"), (2, "before"), (2, "appended")])
def test_a_close_that_is_killed_is_completed_by_the_next(desk: Desk, chunks: int, when: str):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(desk.folder / "data"), str(chunks), when],
        check=False,
        capture_output=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    desk.close("2025-01-31")
    for book, first in (("B1", 6), ("B2", 10)):
        assert told_days(desk, book) == [f"2025-01-{day:02}" for day in range(first, 32)]
    assert desk.cash() == ("-610", "0")
    assert sorted(closed_days(desk, "B1")) == [f"2025-01-{day:02}" for day in range(6, 32)]
    assert desk.close("2025-01-31") == {}
    assert all(check["ok"] for check in desk.run("verify")["checks"])


@pytest.mark.tapes
def test_the_cash_of_a_year_of_a_real_account_settles(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    desk = Desk(tmp_path, capsys)
    statement = tapes / "ibkr_flex/opensteuerauszug_eTax_2025.xml.gz"
    desk.run("import", str(statement), "--format", "ibkr-flex", "--opening-cash")
    before = desk.run("cash")["cash"]
    assert any(Decimal(balance["pending"]) for balance in before)
    ((_, last, _),) = desk.close("2026-01-31").values()
    assert last == "2026-01-31"
    after = desk.run("cash")["cash"]
    assert [balance["trade_date_balance"] for balance in after] == [
        balance["trade_date_balance"] for balance in before
    ]
    assert not any(Decimal(balance["pending"]) for balance in after)
    assert all(
        Decimal(position["realised"]) == 0 and position["day"]["business_date"] is None
        for position in desk.run("pnl")["pnl"]
        if position["realised"] is not None
    )
    assert all(check["ok"] for check in desk.run("verify")["checks"])


@given(
    first=st.dates(date(2024, 1, 1), date(2026, 1, 1)),
    closed_after=st.none() | st.integers(0, 40),
    ahead=st.integers(-5, 60),
    elapsed=st.integers(-3, 60),
    calendar=st.sampled_from(["every_day", "weekdays"]),
)
def test_every_business_date_that_is_over_is_closed_once(
    first: date, closed_after: int | None, ahead: int, elapsed: int, calendar: str
):
    through = first + timedelta(days=ahead)
    now = datetime.combine(first + timedelta(days=elapsed), datetime.min.time(), UTC)
    book = BookDays(BusinessDays(calendar=calendar), first.isoformat())
    start = first
    if closed_after is not None:
        start = first + timedelta(days=closed_after + 1)
        book.closed = book.days.from_day((start - timedelta(days=1)).isoformat())
        start = date.fromisoformat(book.closed) + timedelta(days=1)
    wanted = [
        day
        for day in (start + timedelta(days=number) for number in range((through - start).days + 1))
        if calendar == "every_day" or day.weekday() < 5
    ]
    over = [day for day in wanted if day < now.date()]
    ended, open_day = book.to_close(through.isoformat(), int(now.timestamp()) * SECOND)
    assert [name for name, _ in ended] == [day.isoformat() for day in over]
    assert open_day == (wanted[len(over)].isoformat() if len(over) < len(wanted) else "")
