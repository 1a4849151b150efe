"""The capture stage: what becomes of every fill, and that nothing vanishes."""

import contextlib
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from domain.capture.booking import Booker
from domain.capture.reference import ReferenceData
from schemas import topics
from schemas.frames import encode_event
from schemas.units import Action, LifecycleKind, Regime, Side
from tests.support import (
    MONDAY,
    SECOND,
    Book,
    Books,
    Fee,
    Instrument,
    LifecycleEventApplied,
    RoutingRule,
    TradeBooked,
    fill,
    plain_code,
)
from topology.verifying.verify import verify

HOUR = 3_600


def amend(trade_id: str, original: str, quantity: str | int = 10, price: str | int = 100, **fields):
    return fill(trade_id, quantity, price, action=Action.AMEND, original_trade_id=original, **fields)


def cancel(trade_id: str, original: str, **fields):
    return fill(trade_id, action=Action.CANCEL, original_trade_id=original, **fields)


def bookings(books: Books) -> list:
    return books.events(topics.BOOKINGS)


def outcomes(books: Books) -> tuple[int, int, int, int, int]:
    counts = books.counts()
    assert counts.read == counts.applied + counts.duplicates + counts.refused + counts.waiting
    return counts.read, counts.applied, counts.duplicates, counts.refused, counts.waiting


# -- new trades -----------------------------------------------------------------------------------------------------


def test_a_fill_is_booked_once_with_its_terms(books: Books):
    books.define(
        Instrument(event_id="i", instrument="X", currency="USD", multiplier=Decimal(10)),
        Book(event_id="b", book="B1", entity="E"),
    )
    event = fill("t1", -3, "10.5", fees=(Fee(amount=Decimal("0.5")),), source_sequence=7, recorded_at=9)
    books.book(event)
    (booked,) = bookings(books)
    assert type(booked) is TradeBooked
    assert (booked.trade_id, booked.book, booked.quantity, booked.price) == (
        "t1",
        "B1",
        Decimal(-3),
        Decimal("10.5"),
    )
    assert (booked.multiplier, booked.settlement_currency, booked.entity) == (Decimal(10), "USD", "E")
    assert (booked.causation_id, booked.correlation_id) == (event.event_id, event.event_id)
    assert booked.event_id.startswith(event.event_id) and booked.event_id != event.event_id
    assert outcomes(books) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_book_belongs_to_the_entity_of_its_definition(books: Books, compiled: bool):
    books.define(Book(event_id="b", book="B1", entity="E"), Book(event_id="b2", book="B2"))
    with contextlib.nullcontext() if compiled else plain_code():
        books.book(
            fill("t1", entity="E"),
            fill("t2"),
            fill("t3", entity="F"),
            fill("t4", entity="F", book="B2"),
        )
    assert {(booked.trade_id, booked.entity) for booked in bookings(books)} == {
        ("t1", "E"),
        ("t2", "E"),
        ("t4", "F"),
    }
    assert outcomes(books) == (4, 3, 0, 1, 0)
    (letter,) = books.dead_letters()
    assert (letter.trade_id, letter.field, letter.found) == ("t3", "entity", "F")
    assert letter.expected == "E, to which book B1 belongs, or none"


def test_the_same_fill_again_is_a_duplicate_for_ever(books: Books):
    books.book(fill("t1"))
    books.book(fill("t1"), fill("t1", "10.0", "100.00", source="elsewhere", source_sequence=9))
    books.reopen()
    books.tick(at=365 * 24 * HOUR, times=10)
    books.book(fill("t1"))
    assert len(bookings(books)) == 1
    assert outcomes(books) == (4, 1, 3, 0, 0)
    assert books.dead_letters() == []


def test_the_same_id_with_other_content_is_refused_with_its_bytes(books: Books):
    other = fill("t1", 11)
    books.book(fill("t1"), other)
    (letter,) = books.dead_letters()
    assert letter.original == encode_event(other)
    assert (letter.trade_id, letter.field, letter.kind, letter.stage) == (
        "t1",
        "trade_id",
        "rejected",
        "trade_capture",
    )
    assert (letter.topic, letter.partition, letter.offset, letter.index) == ("pd.canonical", 0, 0, 1)
    (rejected,) = books.events(topics.REJECTIONS)
    assert (rejected.trade_id, rejected.reason, rejected.causation_id) == (
        "t1",
        letter.reason,
        other.event_id,
    )
    assert outcomes(books) == (2, 1, 0, 1, 0)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (fill("t1", price="NaN"), "price"),
        (fill("t1", quantity=0), "quantity"),
        (fill(""), "trade_id"),
        (fill("t1", book=None), "book"),
        (fill("t1", regime=Regime.OTC), "counterparty"),
        (fill("t1", instrument="US0378331006", instrument_scheme="isin"), "instrument"),
        (fill("t1", inverse=True, price="0"), "price"),
        *((fill("t1", kind=kind), "kind") for kind in LifecycleKind),
    ],
)
def test_what_is_not_valid_goes_to_the_dead_letters_and_the_next_is_booked(books: Books, bad, field: str):
    books.book(bad, fill("t2"))
    (letter,) = books.dead_letters()
    assert (
        letter.field == field and letter.original == encode_event(bad) and letter.reason and letter.expected
    )
    assert [booked.trade_id for booked in bookings(books)] == ["t2"]
    assert outcomes(books) == (2, 1, 0, 1, 0)


def test_a_refused_id_may_come_again(books: Books):
    books.book(fill("t1", book=None))
    books.define(RoutingRule(event_id="r", rule="r", book="ROUTED"))
    books.book(fill("t1", book=None))
    assert [booked.book for booked in bookings(books)] == ["ROUTED"]
    assert outcomes(books) == (2, 1, 0, 1, 0)


def test_however_large_what_is_refused_the_partition_moves_on(books: Books):
    huge = [
        fill("x" * 400_000),
        fill("t1", trader="y" * 400_000),
        fill("t2", event_id="z" * 400_000),
        fill("t3", instrument_scheme="s" * 400_000),
        fill("t4", fees=tuple(Fee(amount=Decimal(n)) for n in range(10_000))),
        fill("v" * 300_000, book="w" * 200_000),
    ]
    for event in huge:
        books.append(topics.FILLS, None, [b"[" + encode_event(event) + b"]"])
    books.book(fill("good"))
    assert [booked.trade_id for booked in bookings(books)] == ["good"]
    assert [letter.original for letter in books.dead_letters()] == [encode_event(event) for event in huge]
    assert len(books.events(topics.REJECTIONS)) == len(huge)


# -- idempotency hashes ---------------------------------------------------------------------------------------------


def hashed(trade_id: str, hours: float = 0, **fields):
    return fill(trade_id, idempotency_hash="h", recorded_at=MONDAY + int(hours * HOUR * SECOND), **fields)


def test_a_clients_hash_counts_for_24_hours_of_recorded_time(books: Books):
    books.book(hashed("t1"), hashed("t2", 23.999), hashed("t3", 24), hashed("t4", 25), hashed("t5", 48))
    assert [booked.trade_id for booked in bookings(books)] == ["t1", "t3", "t5"]
    assert outcomes(books) == (5, 3, 2, 0, 0)


def test_a_hash_is_remembered_over_a_restart_and_forgotten_by_ticks(books: Books):
    books.book(hashed("t1"))
    books.reopen()
    books.book(hashed("t2", 1))
    assert len(bookings(books)) == 1
    books.tick(at=25 * HOUR)
    books.run()
    left = [key for (_, key) in books.table("trade_capture") if key[:1] in (b"i", b"x")]
    assert left == []


def test_the_hash_of_a_refused_fill_does_not_eat_its_retry(books: Books):
    books.book(hashed("t1", book=None))
    books.define(RoutingRule(event_id="r", rule="r", book="ROUTED"))
    books.book(hashed("t1", 1, book=None))
    assert [booked.book for booked in bookings(books)] == ["ROUTED"]
    assert outcomes(books) == (2, 1, 0, 1, 0)


def test_the_hash_of_a_correction_that_waited_in_vain_does_not_eat_its_retry(books: Books):
    late = amend("a1", "t1", 20, idempotency_hash="h", recorded_at=MONDAY)
    books.book(late)
    books.tick(times=3)
    books.run()
    assert len(books.dead_letters()) == 1
    books.book(fill("t1"), late)
    assert books.position().quantity == 20
    assert outcomes(books) == (3, 2, 0, 1, 0)


# -- corrections ----------------------------------------------------------------------------------------------------


def test_an_amend_becomes_one_life_cycle_event_of_its_book_and_keeps_its_trades_place(books: Books):
    books.book(fill("t1", source_sequence=5), amend("a1", "t1", 20, 101, book=None, source_sequence=99))
    _, event = bookings(books)
    assert type(event) is LifecycleEventApplied
    assert (event.kind, event.trade_id, event.original_trade_id, event.book) == (
        LifecycleKind.AMEND,
        "a1",
        "t1",
        "B1",
    )
    assert (event.trade.trade_id, event.trade.quantity, event.trade.price) == (
        "t1",
        Decimal(20),
        Decimal(101),
    )
    assert event.trade.source_sequence == 5
    assert (event.group_id, event.leg) == (None, 0)
    assert outcomes(books) == (2, 2, 0, 0, 0)


def test_an_amend_that_moves_the_book_is_two_linked_events(books: Books):
    move = amend("a1", "t1", 20, book="B2")
    books.book(fill("t1"), move)
    _, out, into = bookings(books)
    assert (out.book, out.trade, out.leg) == ("B1", None, 0)
    assert (into.book, into.trade.book, into.trade.quantity, into.leg) == ("B2", "B2", Decimal(20), 1)
    assert out.group_id == into.group_id == move.event_id
    assert out.event_id != into.event_id
    assert books.position("B1").quantity == 0 and books.position("B2").quantity == 20


def test_after_a_move_corrections_go_to_the_new_book_and_it_may_come_back(books: Books):
    books.book(
        fill("t1"),
        amend("a1", "t1", 20, book="B2"),
        amend("a2", "t1", 30, book=None),
        amend("a3", "t1", 40, book="B1"),
    )
    assert books.position("B1").quantity == 40 and books.position("B2").quantity == 0
    books.book(cancel("c1", "t1", book=None))
    assert books.position("B1").quantity == 0 and books.position("B2").quantity == 0
    assert outcomes(books) == (5, 5, 0, 0, 0)
    assert books.dead_letters(topics.BOOKING_DEAD_LETTERS) == []


def test_a_cancel_takes_the_trade_out_and_ends_it(books: Books):
    books.book(fill("t1"), cancel("c1", "t1"))
    assert books.position().quantity == 0
    books.book(amend("a1", "t1", 5), cancel("c2", "t1"), cancel("c1", "t1"))
    assert outcomes(books) == (5, 2, 1, 2, 0)
    assert [letter.trade_id for letter in books.dead_letters()] == ["a1", "c2"]
    assert books.position().quantity == 0


def test_the_last_amend_holds(books: Books):
    books.book(fill("t1"), amend("a1", "t1", 20), amend("a2", "t1", 30, 90))
    assert (books.position().quantity, books.position().value) == (30, 2700)


def test_a_correction_of_a_correction_names_no_trade(books: Books):
    books.book(fill("t1"), amend("a1", "t1", 20), cancel("c1", "a1"))
    (letter,) = books.dead_letters()
    assert (letter.trade_id, letter.field) == ("c1", "original_trade_id")
    assert books.position().quantity == 20


def test_a_correction_that_names_itself_does_not_block_the_trade(books: Books):
    books.book(amend("t1", "t1", 20), fill("t1"))
    assert len(books.dead_letters()) == 1
    assert books.position().quantity == 10


def test_the_same_correction_again_is_a_duplicate_and_other_content_is_refused(books: Books):
    books.book(fill("t1"), amend("a1", "t1", 20), amend("a1", "t1", 20), amend("a1", "t1", 30))
    assert outcomes(books) == (4, 2, 1, 1, 0)
    assert books.position().quantity == 20


def test_an_amend_that_cannot_be_booked_is_refused_and_may_come_again(books: Books):
    books.book(fill("t1"), amend("a1", "t1", 20, instrument="none", instrument_scheme="ric"))
    assert outcomes(books) == (2, 1, 0, 1, 0)
    books.book(amend("a1", "t1", 20))
    assert books.position().quantity == 20


# -- waiting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True])
def test_a_correction_waits_for_its_trade(books: Books, restart: bool):
    books.book(amend("a1", "t1", 20), amend("a2", "t2", 20), cancel("c2", "t2"))
    assert bookings(books) == [] and outcomes(books) == (3, 0, 0, 0, 3)
    if restart:
        books.reopen()
    books.book(fill("t1"), fill("t2"))
    assert books.position().quantity == 20
    assert outcomes(books) == (5, 5, 0, 0, 0)
    assert books.dead_letters() == []


def test_what_waits_is_applied_in_the_order_in_which_it_came(books: Books):
    books.book(amend("a1", "t1", 20), amend("a2", "t1", 30), fill("t1"))
    assert [event.trade_id for event in bookings(books)] == ["t1", "a1", "a2"]
    assert books.position().quantity == 30


def test_a_cancel_wins_over_an_amend_that_came_after_it(books: Books):
    late = amend("a1", "t1", 20)
    books.book(cancel("c1", "t1"), late, fill("t1"))
    assert books.position().quantity == 0
    (letter,) = books.dead_letters()
    assert letter.trade_id == "a1" and msgspec.json.decode(letter.original)["trade_id"] == "a1"
    assert outcomes(books) == (3, 2, 0, 1, 0)


def test_a_correction_that_waits_is_known(books: Books):
    books.book(amend("a1", "t1", 20), amend("a1", "t1", 20), amend("a1", "t1", 30), fill("a1", 1))
    assert outcomes(books) == (4, 0, 1, 2, 1)


def test_waiting_is_bounded_by_ticks(books: Books):
    books.tick()
    books.book(amend("a1", "t1", 20))
    books.tick(times=2)
    books.run()
    assert outcomes(books) == (1, 0, 0, 0, 1)
    books.reopen()
    books.book(cancel("c2", "t2"))
    books.tick()
    books.run()
    (letter,) = books.dead_letters()
    assert (letter.trade_id, letter.kind, letter.field) == ("a1", "rejected", "original_trade_id")
    assert letter.original == encode_event(amend("a1", "t1", 20))
    assert (letter.offset, letter.index) == (1, 0)
    assert outcomes(books) == (2, 0, 0, 1, 1)
    books.book(fill("t1"), amend("a1", "t1", 20))
    assert books.position().quantity == 20


def test_waiting_is_bounded_by_count(tmp_path: Path):
    with Books(tmp_path / "data", waiting_max=2) as books:
        books.book(*(amend(f"a{number}", f"t{number}", 20) for number in range(4)))
        assert outcomes(books) == (4, 0, 0, 2, 2)
        assert [letter.trade_id for letter in books.dead_letters()] == ["a2", "a3"]
        books.book(fill("t0"), amend("a4", "t4", 20))
        assert outcomes(books) == (6, 2, 0, 2, 2)
        books.reopen()
        books.book(amend("a5", "t5", 20))
        assert outcomes(books) == (7, 2, 0, 3, 2)


def test_a_trade_that_is_refused_leaves_its_corrections_waiting(books: Books):
    books.book(amend("a1", "t1", 20), fill("t1", book=None))
    assert outcomes(books) == (2, 0, 0, 1, 1)
    books.book(fill("t1"))
    assert books.position().quantity == 20


# -- reference data -------------------------------------------------------------------------------------------------


def test_reference_data_reaches_every_partition_before_the_fills_after_it(tmp_path: Path):
    with Books(tmp_path / "data", partitions=4) as books:
        books.define(Instrument(event_id="i", instrument="X", multiplier=Decimal(7)))
        books.book(*(fill(f"t{number}") for number in range(40)))
        assert {booked.multiplier for booked in bookings(books)} == {Decimal(7)}
        books.reopen()
        books.book(*(fill(f"u{number}") for number in range(40)))
        assert {booked.multiplier for booked in bookings(books)} == {Decimal(7)}
        assert len(bookings(books)) == 80


def test_the_last_definition_holds_also_after_a_restart(books: Books):
    for number in (2, 3):
        books.define(Instrument(event_id=f"i{number}", instrument="X", multiplier=Decimal(number)))
    books.book(fill("t1", book="B1"))
    books.reopen()
    books.book(fill("t2", book="B2"))
    assert [booked.multiplier for booked in bookings(books)] == [3, 3]


def test_a_failing_fill_does_not_lose_the_reference_data_of_its_step(books: Books, monkeypatch):
    def business_date(self, book, executed_at):
        if book == "ODD":
            raise ZeroDivisionError("a defect")
        return "2026-01-05"

    monkeypatch.setattr(Booker, "business_date", business_date)
    books.book(fill("t0"))
    books.define(Instrument(event_id="i", instrument="X", multiplier=Decimal(7)))
    books.book(fill("t1", book="ODD"), fill("t2", book="B2"))
    (letter,) = books.dead_letters()
    assert (letter.kind, letter.original) == ("failed", encode_event(fill("t1", book="ODD")))
    assert bookings(books)[-1].multiplier == 7
    books.reopen()
    books.book(fill("t3", book="B3"))
    assert bookings(books)[-1].multiplier == 7


BAD_DEFINITIONS = {
    "no JSON": (topics.INSTRUMENTS, b"\xff garbage", ("unreadable", "")),
    "another event": (
        topics.BOOKS,
        b'[{"type":"Instrument","event_id":"i","instrument":"X"}]',
        ("unreadable", ""),
    ),
    "a number that is none": (
        topics.INSTRUMENTS,
        b'[{"type":"Instrument","event_id":"i","instrument":"X","multiplier":"NaN"}]',
        ("rejected", "multiplier"),
    ),
    "a time zone that is none": (
        topics.BOOKS,
        b'[{"type":"Book","event_id":"b","book":"B1","time_zone":"Nowhere/At_All"}]',
        ("rejected", "time_zone"),
    ),
    "a wrong check digit": (
        topics.INSTRUMENTS,
        b'[{"type":"Instrument","event_id":"i","instrument":"X","identifiers":{"isin":"US0378331006"}}]',
        ("rejected", "isin"),
    ),
}


@pytest.mark.parametrize("name", BAD_DEFINITIONS)
def test_a_definition_that_cannot_be_taken_in_is_one_dead_letter_with_its_bytes(tmp_path: Path, name: str):
    topic, value, said = BAD_DEFINITIONS[name]
    with Books(tmp_path / "data", partitions=4) as books:
        books.append(topic, "X", [value])
        books.define(Instrument(event_id="j", instrument="Y", multiplier=Decimal(7)))
        books.book(*(fill(f"t{number}", instrument="Y") for number in range(40)))
        (letter,) = books.dead_letters()
        assert (letter.kind, letter.field) == said
        assert letter.original in (value, value[1:-1])
        assert (letter.topic, letter.partition, letter.offset) == (topic.name, 0, 0)
        assert {booked.multiplier for booked in bookings(books)} == {Decimal(7)}
        assert (books.counts().applied, books.counts().refused) == (40, 1)
        books.reopen()
        books.book(*(fill(f"u{number}", instrument="Y") for number in range(40)))
        assert len(books.dead_letters()) == 1
        assert not [check.name for check in verify(books.log) if not check.ok]


def test_a_definition_that_the_code_fails_on_holds_up_neither_the_others_nor_the_fills(
    books: Books, monkeypatch
):
    real = ReferenceData.define

    def define(self, definitions):
        found = list(definitions)
        if any(getattr(each, "currency", "") == "BAD" for each in found):
            raise ZeroDivisionError("a defect")
        real(self, found)

    monkeypatch.setattr(ReferenceData, "define", define)
    for name, currency in (("X", "USD"), ("Y", "BAD"), ("Z", "EUR")):
        books.define(Instrument(event_id=name, instrument=name, currency=currency))
    books.book(*(fill(f"t{name}", instrument=name, book=name) for name in "XYZ"))
    (letter,) = books.dead_letters()
    assert letter.kind == "failed" and b"BAD" in letter.original
    assert [booked.settlement_currency for booked in bookings(books)] == ["USD", "", "EUR"]


def test_a_fill_refused_twice_is_two_dead_letters_and_one_rejection_told_twice(books: Books):
    bad = fill("t1", settlement_date="never")
    books.book(bad)
    books.book(bad)
    letters, rejections = books.dead_letters(), books.events(topics.REJECTIONS)
    assert len({letter.event_id for letter in letters}) == len(letters) == 2
    assert [rejection.event_id for rejection in rejections] == [f"{bad.event_id}.cr0"] * 2
    assert books.counts().refused == 2


def test_rejections_of_fills_without_an_event_id_have_ids_of_their_own(tmp_path: Path):
    with Books(tmp_path / "data", partitions=4) as books:
        for number in range(40):  # each at offset 0, 1, ... of its partition
            books.fills(fill(f"t{number}", event_id="", settlement_date="never"))
        books.run()
        ids = [rejection.event_id for rejection in books.events(topics.REJECTIONS)]
        assert len(set(ids)) == len(ids) == 40


def test_sides_are_signs(books: Books):
    books.book(fill("t1", 10), fill("t2", -3, side=Side.SELL))
    assert books.position().quantity == 7
