"""Positions in Postgres are those of the books, now, as of an execution time and as they were known, digit for digit."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from connectors.postgres.changelog_sink import CHANGELOG
from connectors.postgres.positions import PositionsSink
from schemas.numbers import plain
from schemas.times import format_time
from schemas.units import Action, FeePolicy, LotMethod
from tests.postgres_support import execute, fetch, value
from tests.sink_support import write_all
from tests.support import MONDAY, SECOND, Book, Books, Fee, Instrument, fill
from topology.cli.application import run
from topology.documents.queries import positions_document
from topology.sinks.position_steps import steps_of

FIGURES = ("quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl", "fees")


def sink(url: str) -> PositionsSink:
    return PositionsSink(url, steps_of)


def figures(row: Any) -> tuple[str | None, ...]:
    return tuple(None if row[name] is None else plain(Decimal(row[name])) for name in FIGURES)


def in_postgres(url: str, query: str = "select * from position.position") -> dict[tuple[str, str], Any]:
    return {(row["book"], row["instrument"]): figures(row) for row in fetch(url, query)}


def of_books(documents: Sequence[Any]) -> dict[tuple[str, str], Any]:
    return {(row["book"], row["instrument"]): figures(row) for row in documents}


def ties(books: Books, url: str) -> None:
    """Positions and lots are those of the books."""
    documents = positions_document(books.log, books.partitions, lots=True)
    assert in_postgres(url) == of_books(documents)
    rows = fetch(
        url,
        "select * from position.open_lot order by book, instrument, executed_at_ns, source_sequence, trade_id",
    )
    lots = [
        (
            document["book"],
            document["instrument"],
            lot["trade_id"],
            lot["quantity"],
            lot["price"],
            lot["held_fee"],
        )
        for document in documents
        for lot in document["lots"]
    ]
    found = [
        (
            row["book"],
            row["instrument"],
            row["trade_id"],
            plain(row["quantity"]),
            plain(row["price"]),
            plain(row["held_fee"]),
        )
        for row in rows
    ]
    assert found == lots
    # What each trade did sums to the same, by the other way.
    assert in_postgres(url, "select * from position.at()") == of_books(documents)


def story(number: int) -> list[list[Any]]:
    """Some commits: trades in order, late ones, amendments and cancellations, over three positions."""
    commits: list[list[Any]] = []
    for step in range(number):
        at, book = step * 10, f"B{step % 3}"
        common = {"book": book, "fees": (Fee(amount=Decimal("0.13")),)}
        commits.append(
            [
                fill(f"t{step}.1", 7 + step % 4, f"10.{step % 10}", at=at, **common),
                fill(f"t{step}.2", -(3 + step % 6), f"11.{step % 7}", at=at + 1, **common),
            ]
        )
        if step % 4 == 2:
            commits.append([fill(f"l{step}", -4, "10.55", at=at - 25, **common)])
        if step % 5 == 3:
            amended = {"action": Action.AMEND, "original_trade_id": f"t{step - 1}.1"}
            of_book = {**common, "book": f"B{(step - 1) % 3}"}
            commits.append([fill(f"a{step}", 9, "10.01", at=at - 10, **of_book, **amended)])
        if step % 6 == 5:
            cancelled = {"action": Action.CANCEL, "original_trade_id": f"t{step - 2}.2"}
            of_book = {**common, "book": f"B{(step - 2) % 3}"}
            commits.append([fill(f"c{step}", -3, "10", at=at - 19, **of_book, **cancelled)])
    return commits


def define(books: Books) -> None:
    books.define(
        Book(event_id="b0", book="B0", lot_methods={"*": LotMethod.FIFO}, fee_policy=FeePolicy.CAPITALISED),
        Book(event_id="b1", book="B1", lot_methods={"*": LotMethod.LIFO}, fee_policy=FeePolicy.EXPENSED),
        Book(event_id="b2", book="B2", lot_methods={"*": LotMethod.AVERAGE}),
        Instrument(event_id="i", instrument="X", multiplier=Decimal("2.5"), currency="USD"),
    )


@pytest.mark.parametrize("events_max", [1, 5_000])
def test_positions_and_lots_tie_at_every_moment(books: Books, postgres: str, events_max: int):
    define(books)
    for number, commit in enumerate(story(18)):
        books.book(*commit)
        if events_max == 1 and number % 4 == 0:
            write_all(sink(postgres), books.folder, events_max=events_max)
            ties(books, postgres)
    write_all(sink(postgres), books.folder, events_max=events_max)
    ties(books, postgres)


def test_both_times_are_those_of_the_command(books: Books, postgres: str, capsys: pytest.CaptureFixture[str]):
    define(books)
    moments = []
    for commit in story(12):
        books.book(*commit)
        moments.append(books.log.appended_at)
    write_all(sink(postgres), books.folder)
    books.close()

    def command(*options: str) -> dict[tuple[str, str], Any]:
        assert run(["positions", "--data", str(books.folder), "--json", *options]) == 0
        return of_books(json.loads(capsys.readouterr().out)["positions"])

    executed = [MONDAY + second * SECOND for second in (-30, 5, 11, 42, 77, 200)]
    compared = 0
    for known in [None, *moments[::3], moments[-1]]:
        for as_of in [None, *executed]:
            options = [] if known is None else ["--known-at", format_time(known)]
            options += [] if as_of is None else ["--as-of", format_time(as_of)]
            given = [f"known_at_ns => {known}"] if known is not None else []
            given += [f"as_of_ns => {as_of}"] if as_of is not None else []
            there = in_postgres(postgres, f"select * from position.at({', '.join(given)})")
            assert there == command(*options), (known, as_of)
            compared += len(there)
    assert compared > 50
    books.open()


def test_a_late_trade_closes_what_it_changed_and_nothing_else(books: Books, postgres: str):
    books.book(*(fill(f"t{number}", 10, 100 + number, at=number) for number in range(4)))
    books.book(fill("close", -15, 120, at=10))
    write_all(sink(postgres), books.folder)
    books.book(fill("late", 10, 50, at=-5))
    write_all(sink(postgres), books.folder)
    closed = fetch(postgres, "select trade_id from position.effect where known_to_ns < 9223372036854775807")
    assert [row[0] for row in closed] == ["close"], "the openings are what they were"
    assert value(postgres, "select count(*) from position.effect where trade_id = 'close'") == 2
    ties(books, postgres)


def test_without_a_noted_place_it_is_made_anew(books: Books, postgres: str):
    define(books)
    for commit in story(8):
        books.book(*commit)
    write_all(sink(postgres), books.folder)
    before = fetch(postgres, "select * from position.effect order by trade_id, log_partition, log_offset")
    execute(
        postgres,
        "update position.position set quantity = 0",
        f"delete from back_office.sink_offset where topic = '{CHANGELOG}'",
        "delete from back_office.sink_offset",
    )
    write_all(sink(postgres), books.folder, events_max=1)
    assert (
        fetch(postgres, "select * from position.effect order by trade_id, log_partition, log_offset")
        == before
    )
    ties(books, postgres)
