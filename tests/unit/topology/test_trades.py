"""Trades as documents: every field of the booking, and what became of it."""

from pathlib import Path

import pytest

from schemas.units import Action
from tests.support import MONDAY, SECOND, Books, Fee, TradeBooked, booked, fill
from topology.trades import trades_documents


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
