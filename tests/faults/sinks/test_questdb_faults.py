"""Bookings in a real QuestDB: what the log has, each once, whatever is written again, killed or suspended."""

import signal
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from connectors.questdb.bookings import CURRENT, BookingsSink, row_of
from connectors.questdb.server import QuestdbSettings, query, resume_suspended
from connectors.servers.questdb import LocalQuestdb
from connectors.sink import Item, Unavailable
from schemas import topics
from tests.faults.sinks.feeding import Feeder
from tests.questdb_support import rows, running_questdb
from tests.sink_support import KeptLetters, following, write_all
from tests.support import Books, booked, eventually, fill

COUNT = "select count() from bo_positions"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalQuestdb]:
    with running_questdb(tmp_path_factory.mktemp("questdb") / "server") as running:
        yield running


@pytest.fixture
def server(started: LocalQuestdb) -> LocalQuestdb:
    query(settings(started), "drop table if exists bo_positions")
    return started


@pytest.fixture
def feeder(books: Books) -> Feeder:
    return Feeder(books)


def settings(server: LocalQuestdb) -> QuestdbSettings:
    return QuestdbSettings(f"http://{server.address}")


def ties(feeder: Feeder, server: LocalQuestdb) -> None:
    """QuestDB has a row of each event of the log, and the positions of the books."""
    logged = sorted(event.event_id for event in feeder.books.events(topics.BOOKINGS))

    def stored() -> bool:
        try:
            return sorted(row[0] for row in rows(server, "select event_id from bo_positions")) == logged
        except Unavailable:
            return False

    eventually(stored, timeout=90)
    found = {(row[0], row[1]): Decimal(row[2]) for row in rows(server, CURRENT)}
    assert found == {key: held.position.quantity for key, held in feeder.books.positions().items()}


def test_a_replay_leaves_the_count_unchanged(feeder: Feeder, server: LocalQuestdb):
    feeder.step(200)
    write_all(BookingsSink(settings(server)), feeder.books.folder)
    ties(feeder, server)
    before = rows(server, COUNT)
    for file in (feeder.books.folder / "sinks").glob("*.offsets"):
        file.unlink()
    status = write_all(BookingsSink(settings(server)), feeder.books.folder)
    assert status.written == before[0][0]
    assert rows(server, COUNT) == before


def test_killed_and_started_again(feeder: Feeder, server: LocalQuestdb):
    with following(BookingsSink(settings(server)), feeder.books.folder) as status:
        feeder.until(lambda: status.written > 50)
        server.kill()
        feeder.until(lambda: status.failures)
        server.start()
        ties(feeder, server)
        assert status.refused == 0


def test_a_server_that_hangs(feeder: Feeder, server: LocalQuestdb):
    with following(BookingsSink(settings(server)), feeder.books.folder) as status:
        feeder.until(lambda: status.written > 50)
        server.signal(signal.SIGSTOP)
        until = time.monotonic() + 5
        try:
            feeder.step()
            eventually(lambda: time.monotonic() > until)
            feeder.step()
        finally:
            server.signal(signal.SIGCONT)
        ties(feeder, server)


@pytest.mark.soak  # QuestDB now and then lets the table go on by itself, before anybody looks
def test_a_suspended_table_is_found_and_goes_on(feeder: Feeder, server: LocalQuestdb):
    feeder.step(20)
    write_all(BookingsSink(settings(server)), feeder.books.folder)

    def suspended() -> bool:
        # What is still being applied may let it go on again.
        query(settings(server), "alter table bo_positions suspend wal")
        found = query(settings(server), "select suspended from wal_tables() where name = 'bo_positions'")
        return bool(found and found[0][0])

    eventually(suspended, 30)
    feeder.step(20)
    sink = BookingsSink(settings(server))
    write_all(sink, feeder.books.folder)
    assert sink.complaints["suspended"] == 1
    assert not resume_suspended(settings(server), "bo_positions")
    ties(feeder, server)


def test_a_number_with_more_decimals_than_a_column_is_set_aside_alone(books: Books, server: LocalQuestdb):
    books.book(fill("t1", 1, 10), fill("t2", 1, "0." + "1" * 40, at=1), fill("t3", 1, 10, at=2))
    kept = KeptLetters()
    write_all(BookingsSink(settings(server)), books.folder, kept)
    assert [item.event.trade_id for item, _ in kept.letters] == ["t2"]
    assert "loss of precision" in kept.letters[0][1]
    assert rows(server, "select trade_id from bo_positions order by ts") == [["t1"], ["t3"]]


def test_a_row_says_when_and_what_exactly():
    event = booked("t1", "-0.000000000000000001", "37.63", account="A")
    row = row_of(Item(topics.BOOKINGS.name, 0, 7, 0, 42, 0, event))
    assert row is not None
    symbols, columns, at = row
    assert (symbols["book"], symbols["instrument"], symbols["account"]) == ("B1", "X", "A")
    assert (columns["quantity"], columns["price"]) == (Decimal("-1E-18"), Decimal("37.63"))
    assert (at, columns["place"], columns["executed_ns"]) == (event.executed_at, 42, event.executed_at)
