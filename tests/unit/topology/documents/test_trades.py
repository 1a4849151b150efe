"""Trades as documents: every field of the booking, and what became of it."""

from decimal import Decimal
from pathlib import Path

import pytest

from schemas.units import Action
from tests.support import MONDAY, SECOND, Books, Fee, TradeBooked, booked, fill
from topology.documents.dead_letters import dead_letters_document, find_dead_letter, retry_records
from topology.documents.trades import trades_documents
from topology.documents.views import view_of
from topology.history.points import Point


@pytest.fixture
def held(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(
            fill("t1", 100, 10, at=1, fees=(Fee(amount=1),), venue="XNAS"),
            fill("t2", 50, 11, at=2),
            fill("t3", -100, 12, at=3),
            fill("t4", 5, 7, at=4),
            fill("c4", 5, 7, at=4, action=Action.CANCEL, original_trade_id="t4"),
            fill("a2", 60, 11, at=2, action=Action.AMEND, original_trade_id="t2"),
            fill("t5", 5, 7, at=5),
            fill("a5", 6, 7, at=5, book="B2", action=Action.AMEND, original_trade_id="t5"),
        )
        yield books


def _states(books: Books, **filters) -> list[tuple[str, str, str]]:
    found = trades_documents(books.log, 2, **filters)
    return sorted((one["trade_id"], one["book"], one["state"]) for one in found)


def test_each_trade_once_in_its_book_and_once_where_it_left(held: Books):
    assert _states(held) == [
        ("t1", "B1", "live"),
        ("t2", "B1", "amended"),
        ("t3", "B1", "live"),
        ("t4", "B1", "cancelled"),
        ("t5", "B1", "moved"),
        ("t5", "B2", "amended"),
    ]


def test_every_field_of_the_booking_is_there(held: Books):
    [found] = trades_documents(held.log, 2, trade_id="t1")
    assert set(TradeBooked.__struct_fields__) <= set(found)
    assert (found["quantity"], found["executed_at"], found["venue"]) == (
        "100",
        "2026-01-05T00:00:01Z",
        "XNAS",
    )
    assert found["fees"] == [{"kind": "commission", "amount": "1", "currency": ""}]
    [amended] = trades_documents(held.log, 2, trade_id="t2")
    assert (amended["quantity"], amended["corrected_by"]) == ("60", "a2")
    [closing] = trades_documents(held.log, 2, trade_id="t3")
    assert (closing["realised_pnl"], closing["lots_closed"]) == ("200", ["t1"])


def test_filters(held: Books):
    assert [one[0] for one in _states(held, book="B2")] == ["t5"]
    assert _states(held, instrument="none") == []
    assert [one[0] for one in _states(held, executed_until=MONDAY + 2 * SECOND)] == ["t1", "t2"]
    assert _states(held, trade_id="t") == []


def test_duplicates_and_refused_bookings_do_not_stand_twice(held: Books):
    again = booked("t1", 100, 10, at=1, fees=(Fee(amount=1),))
    held.bookings(again, booked("t1", 7, 10, at=1), booked("t3", -100, 12, at=3))
    held.run()
    assert [one[0] for one in _states(held)].count("t1") == 1
    assert [one[0] for one in _states(held)].count("t3") == 1


def test_bookings_that_are_not_applied_yet_are_not_shown(held: Books):
    held.bookings(booked("t8", 1, 1, at=9))
    assert _states(held, trade_id="t8") == []
    held.run()
    assert _states(held, trade_id="t8") == [("t8", "B1", "live")]


def test_ids_of_any_script_are_found(held: Books):
    odd = 'ü"\\ 交易'
    held.book(fill(odd, 1, 1, at=9))
    assert _states(held, trade_id=odd) == [(odd, "B1", "live")]


def test_a_trade_that_positions_refused_is_shown_until_an_amend_brings_it_in(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(fill("t1", 10, 5, currency="USD"), fill("t2", 10, 5, at=1, currency="EUR"))

        def seen(**filters) -> list[tuple[str, str, str]]:
            with view_of(books.log, **filters.pop("view", {})) as view:
                found = view.trades_documents(trade_id="t2", **filters)
                return [(one["trade_id"], one["state"], one.get("found", "")) for one in found]

        refused = [("t2", "refused", "EUR")]
        assert seen() == seen(book="B1", instrument="X") == seen(view={"as_of": MONDAY + SECOND}) == refused
        assert seen(book="B2") == seen(instrument="Y") == seen(view={"as_of": MONDAY}) == []
        assert seen(view={"known_at": Point(sequence=books.log.sequence)}) == []
        with view_of(books.log) as view:
            assert [one["trade_id"] for one in view.trades_documents()] == ["t1"]
        # The id is capture's for ever: other content is refused, and the same content changes nothing.
        books.book(fill("t2", 10, 5, at=1, currency="USD"), fill("t2", 10, 5, at=1, currency="EUR"))
        assert seen() == refused
        [letter] = dead_letters_document(books.log, 2, stage="trade_capture")
        assert (letter["reason"], letter["expected"]) == (
            "the trade id is known with other content",
            "a new id, the same content again, or an AMEND that names it",
        )
        books.book(fill("a2", 10, 5, at=1, currency="USD", action=Action.AMEND, original_trade_id="t2"))
        assert seen() == [("t2", "amended", "")]
        assert books.position().quantity == 20


def test_a_refused_trade_sent_again_is_booked_once_its_terms_fit(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(fill("t1", 10, 5), fill("t2", 10, 5, at=1, multiplier=Decimal(3)))
        [document] = dead_letters_document(books.log, 2, stage="positions")
        letter = find_dead_letter(books.log, 2, document["id"])
        assert letter is not None and document["field"] == "multiplier"
        books.book(fill("t3", -10, 5, at=0.5))
        transaction = books.log.transaction()
        for record in retry_records([letter], 2, lambda: MONDAY):
            transaction.append(record.topic, record.partition, record.key, record.value)
        transaction.commit()
        books.run()
        with view_of(books.log) as view:
            assert [one["state"] for one in view.trades_documents(trade_id="t2")] == ["live"]
        assert books.position().quantity == 10


def test_what_the_documents_say_of_corrections_that_positions_refuses(tmp_path: Path):
    """A cancel of a refused trade ends it; an amend into a book that refuses it waits for one that fits."""
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(fill("t1", currency="USD"), fill("t2", at=1, currency="EUR"))
        books.book(fill("c2", at=1, action=Action.CANCEL, original_trade_id="t2"))
        books.book(fill("a2", at=1, currency="USD", action=Action.AMEND, original_trade_id="t2"))
        reasons = [letter["reason"] for letter in dead_letters_document(books.log, 2)]
        assert reasons[-2:] == ["names no live trade of this book", "its trade is cancelled already"]
        amend = {"action": Action.AMEND, "original_trade_id": "t4", "book": "B1", "at": 3}
        books.book(fill("t4", at=3, currency="EUR", book="B2"), fill("a4", currency="EUR", **amend))
        assert books.position("B2").quantity == 0
        books.book(fill("a5", currency="USD", **amend))
        assert books.position("B1").quantity == 20
        assert _states(books, trade_id="t4") == [("t4", "B1", "amended"), ("t4", "B2", "moved")]
