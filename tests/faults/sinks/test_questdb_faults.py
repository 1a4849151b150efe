"""Bookings in a real QuestDB: what the log has, each once, whatever is written again, killed or suspended."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.questdb.bookings import CURRENT, BookingsSink, row_of
from connectors.questdb.server import QuestdbSettings, query
from connectors.servers.questdb import LocalQuestdb
from connectors.sink import Batch, Item
from schemas import topics
from schemas.units import Action
from tests.faults.sinks.far_sides import QuestdbSide, until
from tests.faults.sinks.feeding import Feeder
from tests.proxy import Cut, proxied
from tests.questdb_support import ready_questdb
from tests.sink_support import KeptLetters, following, write_all
from tests.support import Books, booked, eventually, fill

COUNT = "select count() from bo_positions"
SUSPENDED = "select suspended from wal_tables() where name = 'bo_positions'"


def test_a_replay_leaves_the_count_unchanged(questdb_side: QuestdbSide):
    questdb_side.feeder.step(200)
    write_all(BookingsSink(questdb_side.settings), questdb_side.feeder.books.folder)
    questdb_side.ties()
    before = questdb_side.rows(COUNT)
    for file in (questdb_side.feeder.books.folder / "sinks").glob("*.offsets"):
        file.unlink()
    status = write_all(BookingsSink(questdb_side.settings), questdb_side.feeder.books.folder)
    assert status.written == before[0][0]
    assert questdb_side.rows(COUNT) == before


def test_what_became_of_a_trade_in_its_own_record_holds(questdb_side: QuestdbSide):
    """Corrections that came before their trades are applied with them, and stand beside them in one record."""
    books = questdb_side.feeder.books
    early = [
        fill(f"c{number}", 5, at=number, action=Action.CANCEL, original_trade_id=f"t{number}", book="GONE")
        for number in range(40)
    ]
    early += [
        fill(f"a{number}", 7, at=number, action=Action.AMEND, original_trade_id=f"u{number}")
        for number in range(40)
    ]
    trades = [fill(f"t{number}", 5, at=number, book="GONE") for number in range(40)]
    trades += [fill(f"u{number}", 5, at=number) for number in range(40)]
    books.book(*early)
    books.book(*trades)
    write_all(BookingsSink(questdb_side.settings), books.folder)
    assert books.position("B1").quantity == 280
    assert questdb_side.rows(COUNT) == [[160]]
    assert [(row[0], Decimal(row[2])) for row in questdb_side.rows(CURRENT)] == [("B1", 280)]


@pytest.mark.parametrize(
    "cut",
    [
        Cut(bytes_sent=20_000),
        Cut(text=b"POST /write"),
        Cut(text=b"bo_positions", answered=True),
        Cut(text=b"create+table"),
    ],
    ids=["in bytes", "in a batch", "before the answer", "on connecting"],
)
def test_a_connection_that_is_reset(questdb_side: QuestdbSide, cut: Cut):
    with proxied(lambda: questdb_side.server.port) as proxy:
        proxy.plan(cut)
        sink = BookingsSink(QuestdbSettings(f"http://127.0.0.1:{proxy.port}"))
        with following(sink, questdb_side.books.folder) as status:
            until(questdb_side, lambda: proxy.cuts)
            eventually(lambda: status.state == "running", 60)
            questdb_side.ties()
            assert status.refused == 0


def test_credentials_withdrawn_and_given_back(feeder: Feeder, tmp_path: Path):
    """QuestDB reads them when it starts."""

    def server_with(password: str, port: int = 0) -> LocalQuestdb:
        users = {"http.user": "pks", "http.password": password}
        return LocalQuestdb(tmp_path / "questdb", port=port, settings=users)

    with ready_questdb(server_with("first")) as server:
        side = QuestdbSide(feeder, server, "pks:first@")
        with following(side.sink(), feeder.books.folder) as status:
            feeder.until(lambda: status.written > 50)
            server.stop()
            with server_with("second", server.port):
                feeder.until(lambda: "401" in status.trouble)
                assert "first" not in status.trouble
            server.start()
            side.ties()
            assert status.refused == 0


def test_a_suspended_table_is_found_and_goes_on(questdb_side: QuestdbSide):
    """Found while rows come and while none do. QuestDB may let a table go on by itself, when it finishes what it was
    applying: so it is suspended again until the sink says that it found it."""
    sink = BookingsSink(questdb_side.settings, look_seconds=0.05)
    with following(sink, questdb_side.feeder.books.folder) as status:
        questdb_side.feeder.until(lambda: status.written > 50)
        for feeding in (True, False):
            before = sink.complaints["suspended"]

            def found(before: int = before, feeding: bool = feeding) -> bool:
                query(questdb_side.settings, "alter table bo_positions suspend wal")
                if feeding:
                    questdb_side.feeder.step()
                return sink.complaints["suspended"] > before

            eventually(found, 60)
        questdb_side.ties()
        # The last suspension of the loop may come after the look that ended it.
        eventually(lambda: query(questdb_side.settings, SUSPENDED) == [[False]])
        assert status.refused == 0


def test_between_two_writes_is_the_time_of_the_setting(books: Books, questdb_side: QuestdbSide):
    sink = BookingsSink(questdb_side.settings, flush_seconds=0.3)

    async def run() -> float:
        await sink.open()
        began = time.monotonic()
        for number in range(3):
            item = Item(topics.BOOKINGS.name, 0, number, 0, number, 0, booked(f"t{number}", at=number))
            await sink.write(Batch([item]))
        await sink.close()
        return time.monotonic() - began

    assert asyncio.run(run()) >= 0.6
    assert questdb_side.rows(COUNT) == [[3]]


def test_a_number_with_more_decimals_than_a_column_is_set_aside_alone(
    books: Books, questdb_side: QuestdbSide
):
    books.book(fill("t1", 1, 10), fill("t2", 1, "0." + "1" * 40, at=1), fill("t3", 1, 10, at=2))
    kept = KeptLetters()
    write_all(BookingsSink(questdb_side.settings), books.folder, kept)
    assert [item.event.trade_id for item, _ in kept.letters] == ["t2"]
    assert "loss of precision" in kept.letters[0][1]
    assert questdb_side.rows("select trade_id from bo_positions order by ts") == [["t1"], ["t3"]]


def test_a_row_says_when_and_what_exactly():
    event = booked("t1", "-0.000000000000000001", "37.63", account="A")
    row = row_of(Item(topics.BOOKINGS.name, 0, 7, 0, 42, 0, event))
    assert row is not None
    symbols, columns, at = row
    assert (symbols["book"], symbols["instrument"], symbols["account"]) == ("B1", "X", "A")
    assert (columns["quantity"], columns["price"]) == (Decimal("-1E-18"), Decimal("37.63"))
    assert (at, columns["place"], columns["executed_ns"]) == (event.executed_at, 42 << 20, event.executed_at)


def test_places_follow_the_order_of_the_log_within_a_record_and_beyond():
    def place(offset: int, sequence: int, number: int) -> int:
        row = row_of(Item(topics.BOOKINGS.name, 0, offset, number, sequence, 0, booked("t1")))
        assert row is not None
        return int(row[1]["place"])

    # Over a data folder by the sequence, over a cluster, which has none, by the offset.
    for sequences in ((42, 43), (0, 0)):
        placed = [
            place(7 + record, sequences[record], number) for record in (0, 1) for number in (0, 1, 1_999)
        ]
        assert placed == sorted(set(placed))
