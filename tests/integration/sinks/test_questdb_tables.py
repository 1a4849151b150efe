"""Bars and reported positions in a real QuestDB: the last state of each, each once, whatever is written again."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents import bars
from connectors.questdb.bars import BarsSink
from connectors.questdb.reported import LATEST, ReportedPositionsSink
from connectors.questdb.server import QuestdbSettings
from connectors.servers.questdb import LocalQuestdb
from schemas import market_data, topics
from schemas.frames import wire
from schemas.units import BarInterval
from tests.faults.up_support import pks
from tests.questdb_support import drop_tables, rows, running_questdb
from tests.redis_support import append, mark
from tests.sink_support import write_all
from tests.support import MONDAY, SECOND, Books

Bar: Any = wire(market_data.Bar)
STATEMENT = """venue,account,instrument,reported_at,quantity,average_price,currency
MOEX,L01,SBER,2026-01-05T18:45:00+03:00,-12.50,271.000000000000000001,RUB
MOEX,L01,GAZP,2026-01-05T18:45:00+03:00,100,,RUB
MOEX,,SBER,2026-01-05T18:45:00+03:00,7,,
"""
LATER = """venue,account,instrument,reported_at,quantity
MOEX,L01,SBER,2026-01-06T18:45:00+03:00,0
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalQuestdb]:
    with running_questdb(tmp_path_factory.mktemp("questdb") / "server") as running:
        yield running


@pytest.fixture
def settings(started: LocalQuestdb) -> QuestdbSettings:
    found = QuestdbSettings(f"http://{started.address}")
    drop_tables(found)
    return found


def bar(number: int, close: str, revision: int = 1, interval: BarInterval = BarInterval.MINUTE) -> Any:
    return Bar(
        event_id=f"b{number}.{interval}.{revision}",
        source="test",
        instrument="X",
        interval=interval,
        opened_at=MONDAY + number * 60 * SECOND,
        open=Decimal(10),
        high=Decimal(20),
        low=Decimal("-0.000000000000000001"),
        close=Decimal(close),
        volume=Decimal("1234.5"),
        trades=number,
        revision=revision,
    )


def again(books: Books, sink: Any) -> None:
    """Write everything once more, as after a note that was lost."""
    for file in (books.folder / "sinks").glob("*.offsets"):
        file.unlink()
    write_all(sink, books.folder)


def test_a_corrected_bar_replaces_itself_and_a_replay_changes_nothing(
    books: Books, settings: QuestdbSettings
):
    found = [bar(number, f"{number}.25") for number in range(10)]
    found += [bar(0, "3", interval=BarInterval.DAY), bar(4, "19.5", revision=2)]
    append(books, *found, topic=topics.BARS)
    query = "select interval, ts, close, revision, low from bo_ohlc order by interval, ts"
    write_all(BarsSink(settings), books.folder)
    stored = rows(settings, query, "bo_ohlc")
    assert len(stored) == 11
    assert [(row[0], Decimal(row[2]), row[3]) for row in stored if row[3] == 2] == [
        ("1m", Decimal("19.5"), 2)
    ]
    assert {Decimal(row[4]) for row in stored} == {Decimal("-0.000000000000000001")}
    # Later and in another batch as well.
    append(books, bar(5, "12", revision=2), topic=topics.BARS)
    write_all(BarsSink(settings), books.folder)
    corrected = rows(settings, query, "bo_ohlc")
    assert len(corrected) == 11 and corrected != stored
    again(books, BarsSink(settings))
    assert rows(settings, query, "bo_ohlc") == corrected


def test_bars_that_the_stage_makes_of_marks_stand_there_as_their_last_revision(
    tmp_path: Path, settings: QuestdbSettings
):
    with Books(tmp_path / "data", stages=(bars.stage(),), partitions=2) as books:
        # In time, late by a minute, and again; over midnight.
        for start in range(86_380, 86_420, 4):
            marks = [
                mark(instrument, f"{100 + (at * 7) % 11}.25", at=at - 60 * (at % 3 == 0))
                for at in range(start, start + 6)
                for instrument in ("X", "Y")
            ]
            append(books, *marks)
            books.run()
        last = {(bar.instrument, bar.interval, bar.opened_at): bar for bar in books.events(topics.BARS)}
        write_all(BarsSink(settings), books.folder)
    query = (
        "select instrument, interval, cast(ts as long) * 1000, open, high, low, close, revision from bo_ohlc"
    )
    stored = {
        (row[0], row[1], row[2]): (*(Decimal(price) for price in row[3:7]), row[7])
        for row in rows(settings, query, "bo_ohlc")
    }
    assert len(stored) > 60 and max(figures[-1] for figures in stored.values()) > 3
    assert stored == {
        (name, str(interval), opened): (bar.open, bar.high, bar.low, bar.close, bar.revision)
        for (name, interval, opened), bar in last.items()
    }


def test_a_statement_is_entered_and_again_changes_nothing(tmp_path: Path, settings: QuestdbSettings):
    folder = tmp_path / "data"
    (tmp_path / "statement.csv").write_text(STATEMENT)
    (tmp_path / "later.csv").write_text(LATER)
    with Books(folder):
        pass
    counts = "select count() from pd_positions"
    for expected in (3, 3):
        entered = pks(folder, "exchange-positions", str(tmp_path / "statement.csv"), "--json")
        assert (entered.returncode, entered.stdout) == (0, '{"stated": 3, "venues": ["MOEX"]}\n'), (
            entered.stderr
        )
        write_all(ReportedPositionsSink(settings), folder)
        assert rows(settings, counts, "pd_positions") == [[expected]]
    assert pks(folder, "exchange-positions", str(tmp_path / "later.csv")).returncode == 0
    write_all(ReportedPositionsSink(settings), folder)
    assert rows(settings, counts, "pd_positions") == [[4]]
    stored = rows(
        settings, f"select account, instrument, quantity, average_price from ({LATEST})", "pd_positions"
    )
    assert {(row[0] or "", row[1]): (Decimal(row[2]), row[3] and Decimal(row[3])) for row in stored} == {
        ("L01", "SBER"): (Decimal(0), None),
        ("L01", "GAZP"): (Decimal(100), None),
        ("", "SBER"): (Decimal(7), None),
    }
    exact = rows(
        settings,
        "select average_price, reported_ns from pd_positions where average_price is not null",
        "pd_positions",
    )
    assert [(Decimal(price), at) for price, at in exact] == [
        (Decimal("271.000000000000000001"), 1_767_627_900_000_000_000)
    ]
