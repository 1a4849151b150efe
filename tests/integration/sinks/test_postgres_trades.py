"""Trades in Postgres tie to the log: every booking once, corrections beside them, what cannot be held set aside."""

import asyncio
from decimal import Decimal

import pytest

from connectors.postgres.trades import TradesSink
from connectors.sink import Batch, Item, Unavailable
from schemas import topics
from schemas.units import Action
from tests.postgres_support import fetch, value
from tests.sink_support import KeptLetters, write_all
from tests.support import MONDAY, Books, Fee, Instrument, booked, fill


def test_every_booking_is_a_row_with_its_exact_numbers(books: Books, postgres: str):
    books.book(
        fill(
            "t1",
            "0.000000000000000000000000000001",
            "-12345678901234567890.5",
            fees=(Fee(amount=Decimal("-0.1")),),
        ),
        fill("t2", -5, 7, book="B2", venue="tab\there \\ and ünïcode", at=3),
    )
    status = write_all(TradesSink(postgres), books.folder)
    rows = fetch(postgres, "select * from trade.trade order by trade_id")
    assert [row["trade_id"] for row in rows] == ["t1", "t2"]
    assert rows[0]["quantity"] == Decimal("0.000000000000000000000000000001")
    assert rows[0]["price"] == Decimal("-12345678901234567890.5")
    assert rows[0]["fees"] == '[{"amount": "-0.1"}]'
    assert (rows[1]["quantity"], rows[1]["book"], rows[1]["venue"]) == (-5, "B2", "tab\there \\ and ünïcode")
    assert rows[1]["executed_at_ns"] == MONDAY + 3_000_000_000
    assert (status.state, status.refused, status.lag_records) == ("stopped", 0, 0)


def test_written_again_changes_nothing(books: Books, postgres: str):
    books.book(*(fill(f"t{number}", number + 1, 10, at=number) for number in range(50)))
    write_all(TradesSink(postgres), books.folder)
    before = fetch(postgres, "select * from trade.trade order by trade_id")
    # As after a restored backup of the offsets: everything comes again, in other batches.
    fetch(postgres, "delete from back_office.sink_offset returning topic")
    status = write_all(TradesSink(postgres), books.folder, events_max=7)
    assert status.written >= 50
    assert fetch(postgres, "select * from trade.trade order by trade_id") == before
    assert value(postgres, "select count(*) from back_office.rejected") == 0


def test_a_booking_whose_id_stands_is_noted_not_lost(books: Books, postgres: str):
    books.bookings(booked("t1", 10), booked("t1", 11))
    books.run()
    write_all(TradesSink(postgres), books.folder)
    assert value(postgres, "select quantity from trade.trade where trade_id = 't1'") == 10
    assert (
        value(postgres, "select reason from back_office.rejected")
        == "the trade id stands with another booking"
    )


def test_rejections_and_definitions_are_there(books: Books, postgres: str):
    books.define(Instrument(event_id="i1", instrument="X", currency="USD"))
    books.book(fill("c1", 10, action=Action.CANCEL, original_trade_id="nothing"))
    books.tick(at=60, times=5)
    books.run()
    write_all(TradesSink(postgres), books.folder)
    assert value(postgres, "select trade_id from back_office.rejected") == "c1"
    audit = fetch(postgres, "select action, subject, content->>'currency' as currency from back_office.audit")
    assert [tuple(row) for row in audit] == [("defined", "instrument X", "USD")]


def test_life_cycle_and_both_times(books: Books, postgres: str):
    books.book(fill("t1", 10, 100), fill("t2", 5, 100, at=10))
    first = books.log.appended_at
    books.book(fill("a1", 12, 101, action=Action.AMEND, original_trade_id="t1", at=1))
    second = books.log.appended_at
    books.book(fill("c1", 5, 100, action=Action.CANCEL, original_trade_id="t2", at=10))
    write_all(TradesSink(postgres), books.folder)

    def at(**times: int) -> dict[str, Decimal]:
        named = ", ".join(f"{name} => {time}" for name, time in times.items())
        return {
            row["trade_id"]: row["quantity"] for row in fetch(postgres, f"select * from trade.at({named})")
        }

    assert at() == {"t1": 12}
    assert at(known_at_ns=first) == {"t1": 10, "t2": 5}
    assert at(known_at_ns=second) == {"t1": 12, "t2": 5}
    assert at(known_at_ns=first - 1) == {}
    assert at(known_at_ns=second, as_of_ns=MONDAY + 5_000_000_000) == {"t1": 12}
    assert value(postgres, "select count(*) from trade.history where trade_id = 't1'") == 2
    assert value(postgres, "select count(*) from trade.current") == 1


@pytest.mark.parametrize("events_max", [1, 3, 100])
def test_what_postgres_cannot_hold_is_set_aside_alone(books: Books, postgres: str, events_max: int):
    found = [
        fill(f"t{number}", 1, 10, at=number, trader="nul\x00" if number == 13 else "") for number in range(20)
    ]
    books.book(*found)
    letters = KeptLetters()
    status = write_all(TradesSink(postgres), books.folder, letters, events_max)
    assert [item.event.trade_id for item, _ in letters.letters] == ["t13"]
    assert status.refused == 1
    assert value(postgres, "select count(*) from trade.trade") == 19


def test_of_two_processes_with_one_sink_neither_undoes_what_the_other_wrote(postgres: str):
    """As when one was taken for dead, and wakes up after another has gone on in its place."""

    def batch(number: int) -> Batch:
        item = Item(topics.BOOKINGS.name, 0, number, 0, number, 1, booked(f"t{number}"))
        return Batch([item], {(topics.BOOKINGS.name, 0): number + 1})

    async def run() -> None:
        sleeper, other = TradesSink(postgres), TradesSink(postgres)
        await sleeper.open()
        await sleeper.write(batch(0))
        await other.open()
        await other.write(batch(1))
        await other.write(batch(2))
        with pytest.raises(Unavailable, match="another process has this sink"):
            await sleeper.write(batch(1))
        await sleeper.close()
        assert await sleeper.open() == {(topics.BOOKINGS.name, 0): 3}
        await sleeper.close()
        await other.write(batch(3))
        await other.close()

    asyncio.run(run())
    assert value(postgres, "select count(*) from trade.trade") == 4
    assert value(postgres, "select next_offset from back_office.sink_offset") == 4
