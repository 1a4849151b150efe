"""Documents of positions, trades and books, from the tables alone."""

from pathlib import Path

import pytest

from domain.lots.calculate import LotsOptions, calculate
from schemas.numbers import exact_arithmetic
from schemas.units import Action, FeePolicy, LotMethod
from tests.support import MONDAY, SECOND, Book, Books, Fee, booked, fill
from topology.documents.queries import (
    books_document,
    position_document,
    positions_document,
    trade_document,
)
from topology.documents.views import view_of
from topology.log_reading import applied_offsets, partition_count, records_behind


@pytest.fixture
def held(tmp_path: Path):
    with Books(tmp_path / "data", partitions=3) as books:
        books.book(
            fill("t1", 100, 10, at=1),
            fill("t2", 50, "10.2", at=2),
            fill("t3", -120, "10.25", at=3),
            fill("t4", 5, 7, book="B2", at=4),
            fill("t5", -5, 8, book="B2", at=5),
            fill("c4", 5, 7, book="B2", at=4, action=Action.CANCEL, original_trade_id="t4"),
            fill("a2", 60, "10.2", at=2, action=Action.AMEND, original_trade_id="t2"),
        )
        yield books


def test_fields_are_those_of_the_calculator(held: Books):
    found = positions_document(held.log, 3, lots=True)
    assert [(position["book"], position["instrument"]) for position in found] == [("B1", "X"), ("B2", "X")]
    fills = [fill("t1", 100, 10, at=1), fill("t2", 60, "10.2", at=2), fill("t3", -120, "10.25", at=3)]
    with exact_arithmetic():
        [expected] = calculate(fills, range(1, 4), LotsOptions()).document()["positions"]
    matched = position_document(held.log, 3, "B1", "X", matched=True)
    assert matched is not None
    assert {name: matched[name] for name in expected} == expected
    assert "lots" not in positions_document(held.log, 3)[0]
    assert found[1]["quantity"] == "-5" and found[0]["lots_open"] == 1


def test_filters(held: Books):
    assert [one["book"] for one in positions_document(held.log, 3, "B2")] == ["B2"]
    assert len(positions_document(held.log, 3, instrument="X")) == 2
    assert positions_document(held.log, 3, "B1", "Y") == []
    assert positions_document(held.log, 3, "none") == []
    assert position_document(held.log, 3, "B1", "none") is None


def test_matches_use_the_terms_of_their_time(books: Books):
    books.bookings(
        booked("t1", 10, 100, at=1),
        booked("t2", -10, 101, at=2),
        booked("t3", 10, 100, at=3, multiplier=5),
        booked("t4", -10, 101, at=4, multiplier=5),
    )
    books.run()
    document = position_document(books.log, 1, "B1", "X", matched=True)
    assert document is not None
    assert [match["realised_pnl"] for match in document["matches"]] == ["10", "50"]


@pytest.mark.parametrize(
    ("trade_id", "expected"),
    [
        ("t1", {"state": "live", "quantity": "100", "realised_pnl": "0", "quantity_opened": "100"}),
        ("t2", {"state": "amended", "quantity": "60", "price": "10.2"}),
        ("t3", {"state": "live", "realised_pnl": "26", "lots_closed": ["t1", "t2"], "quantity_opened": "0"}),
        ("t4", {"state": "cancelled", "book": "B2", "quantity": "5"}),
        ("t5", {"state": "live", "quantity_opened": "-5"}),
        ("a2", {"state": "applied"}),
    ],
)
def test_one_trade(held: Books, trade_id: str, expected: dict):
    found = trade_document(held.log, 3, trade_id)
    assert found is not None and found["trade_id"] == trade_id
    assert {name: found[name] for name in expected} == expected


def test_trades_that_wait_or_came_past_capture_or_not_at_all(held: Books):
    held.book(fill("c9", 1, action=Action.CANCEL, original_trade_id="t9"))
    held.bookings(booked("b1", 3, 4, book="B7"))
    held.run()
    assert trade_document(held.log, 3, "c9") == {"trade_id": "c9", "state": "waiting"}
    found = trade_document(held.log, 3, "b1")
    assert found is not None and (found["book"], found["state"]) == ("B7", "live")
    assert trade_document(held.log, 3, "none") is None


def test_a_trade_that_joins_a_pool_opens_its_own_quantity(books: Books):
    average = Book(event_id="d1", book="B1", lot_methods={"*": LotMethod.AVERAGE})
    books.define(average)
    books.book(fill("t1", 10, 1, at=1), fill("t2", 20, 2, at=2), fill("t3", -40, 2, at=3))
    opened = [trade_document(books.log, 1, trade_id) for trade_id in ("t1", "t2", "t3")]
    assert [document and document["quantity_opened"] for document in opened] == ["10", "20", "-10"]


def test_books(held: Books):
    held.define(Book(event_id="d1", book="B2", entity="E", fee_policy=FeePolicy.EXPENSED))
    held.define(Book(event_id="d2", book="B8"))
    found = {one["book"]: one for one in books_document(held.log, 3)}
    assert {book: (one["positions"], one["defined"]) for book, one in found.items()} == {
        "B1": (1, False),
        "B2": (1, True),
        "B8": (0, True),
    }
    assert (found["B2"]["entity"], found["B2"]["fee_policy"]) == ("E", "expensed")


def test_offsets_say_what_is_applied(held: Books):
    assert partition_count(held.log) == 3
    assert records_behind(held.log, 3) == 0
    before = applied_offsets(held.log, 3)
    held.fills(fill("t7", 1, fees=(Fee(amount=1),)))
    assert records_behind(held.log, 3) == 1
    assert applied_offsets(held.log, 3) == before


def test_a_position_goes_back_to_the_terms_of_its_time(books: Books):
    books.bookings(
        booked("t1", 10, 100, at=1),
        booked("t2", -10, 101, at=2),
        booked("t3", 10, 100, at=3, multiplier=5, lot_method=LotMethod.LIFO),
        booked("t4", 10, 101, at=4, multiplier=5, lot_method=LotMethod.LIFO),
    )
    books.run()
    found = {}
    for second in (0, 1, 2, 3, 4):
        with view_of(books.log, as_of=MONDAY + second * SECOND) as view:
            documents = view.positions_documents(lots=True)
        found[second] = [
            (one["lot_method"], one["multiplier"], one["quantity"], one["realised_pnl"], one["lots_open"])
            for one in documents
        ]
    assert found == {
        0: [],
        1: [("fifo", "1", "10", "0", 1)],
        2: [("fifo", "1", "0", "10", 0)],
        3: [("lifo", "5", "10", "10", 1)],
        4: [("lifo", "5", "20", "10", 2)],
    }


@pytest.mark.parametrize("instant", [-(10**30), 10**30])
def test_times_before_and_after_everything(held: Books, instant: int):
    with view_of(held.log, as_of=instant) as view:
        documents = view.positions_documents()
    assert len(documents) == (0 if instant < 0 else 2)
