"""What is booked: the terms of instrument and book, or of the fill, and never a contradiction."""

from decimal import Decimal

import pytest

from domain.capture.booking import Booker
from domain.capture.faults import Fault
from domain.capture.reference import ReferenceData
from schemas.times import parse_time
from schemas.units import FeePolicy, LotMethod, Regime
from tests.support import Book, Fee, Instrument, RoutingRule, fill


def booker(*definitions) -> Booker:
    reference = ReferenceData()
    reference.define(definitions)
    return Booker(reference)


def book(of: Booker, event, **options):
    return of.book(event, "id", event.trade_id, event.source_sequence, **options)


PERPETUAL = Instrument(
    event_id="i", instrument="X", instrument_class="perpetual", currency="BTC", multiplier=Decimal(100),
    inverse=True, underlying="BTC", settlement_days=2,
)  # fmt: skip
DESK = Book(
    event_id="b", book="B1", entity="E1", lot_methods={"perpetual": LotMethod.AVERAGE, "*": LotMethod.LIFO},
    fee_policy=FeePolicy.CAPITALISED, calendar="weekdays", time_zone="America/New_York", cut_off="17:00",
)  # fmt: skip


def test_without_definitions_the_terms_are_the_fills():
    event = fill(
        "t1",
        -5,
        "10",
        multiplier=Decimal(10),
        inverse=False,
        currency="USD",
        instrument_class="future",
        underlying="U",
    )
    booked = book(booker(), event)
    assert (booked.quantity, booked.multiplier, booked.inverse) == (Decimal(-5), Decimal(10), False)
    assert (booked.settlement_currency, booked.instrument_class, booked.underlying) == ("USD", "future", "U")
    assert (booked.lot_method, booked.fee_policy, booked.business_date) == ("fifo", "excluded", "2026-01-05")
    assert booked.settlement_date is None


def test_nothing_said_is_one_linear_unit():
    booked = book(booker(), fill())
    assert (booked.multiplier, booked.inverse, booked.settlement_currency) == (Decimal(1), False, "")


def test_definitions_give_the_terms():
    booked = book(booker(PERPETUAL, DESK), fill("t1", 3, "50000"))
    assert (booked.multiplier, booked.inverse, booked.settlement_currency) == (Decimal(100), True, "BTC")
    assert (booked.instrument_class, booked.underlying, booked.entity) == ("perpetual", "BTC", "E1")
    assert (booked.lot_method, booked.fee_policy) == (LotMethod.AVERAGE, FeePolicy.CAPITALISED)
    assert (booked.business_date, booked.settlement_date) == ("2026-01-05", "2026-01-07")


def test_the_method_of_the_class_then_the_star_then_fifo():
    linear = Instrument(event_id="i", instrument="X", instrument_class="share")
    assert book(booker(linear, DESK), fill()).lot_method == LotMethod.LIFO
    assert book(booker(linear, Book(event_id="b", book="B1")), fill()).lot_method == LotMethod.FIFO


def test_what_the_fill_brings_is_copied():
    event = fill(
        "t1", 5, "10", account="A", strategy="S", trader="T", counterparty="C", venue="V", entity="E1", group_id="G",
        leg=3, recorded_at=7, source_sequence=9, fees=(Fee(amount=Decimal(1)),), accrued_interest=Decimal("2.5"),
        settlement_date="2026-02-01",
    )  # fmt: skip
    booked = book(booker(DESK), event)
    for name in (
        "account",
        "strategy",
        "trader",
        "counterparty",
        "venue",
        "entity",
        "group_id",
        "leg",
        "recorded_at",
    ):
        assert getattr(booked, name) == getattr(event, name)
    for name in ("executed_at", "source_sequence", "fees", "accrued_interest", "settlement_date", "source"):
        assert getattr(booked, name) == getattr(event, name)
    assert (booked.correlation_id, booked.causation_id) == (event.event_id, event.event_id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"multiplier": Decimal(10)}, "multiplier"),
        ({"inverse": False}, "inverse"),
        ({"currency": "USD"}, "currency"),
        ({"entity": "E9"}, "entity"),
    ],
)
def test_a_fill_may_not_contradict_its_instrument_or_its_book(fields: dict, field: str):
    fault = book(booker(PERPETUAL, DESK), fill(price="50000", **fields))
    assert isinstance(fault, Fault) and fault.field == field


def test_a_fill_may_repeat_its_instrument():
    event = fill(price="50000", multiplier=Decimal("100.0"), inverse=True, currency="BTC")
    assert not isinstance(book(booker(PERPETUAL), event), Fault)


@pytest.mark.parametrize("price", ["0", "-1"])
def test_an_inverse_contract_has_a_price_above_zero(price: str):
    for of, event in ((booker(PERPETUAL), fill(price=price)), (booker(), fill(price=price, inverse=True))):
        fault = book(of, event)
        assert isinstance(fault, Fault) and fault.field == "price"


def test_an_amend_that_names_no_book_stays_where_its_trade_is():
    of = booker(RoutingRule(event_id="r", rule="r", book="ROUTED"))
    assert book(of, fill(book=None), book_before="KEPT").book == "KEPT"
    assert book(of, fill(book="NAMED"), book_before="KEPT").book == "NAMED"
    assert book(of, fill(book=None)).book == "ROUTED"


def test_no_book_is_a_fault():
    fault = book(booker(), fill(book=None))
    assert isinstance(fault, Fault) and fault.field == "book"
    assert isinstance(book(booker(), fill(book=None, regime=Regime.OTC)), Fault)


def test_a_book_defined_again_has_its_new_days():
    of = booker()
    late = fill(executed_at=parse_time("2026-01-05T23:00:00Z"))
    assert book(of, late).business_date == "2026-01-05"
    of.reference.define([Book(event_id="b", book="B1", cut_off="22:00")])
    assert book(of, late).business_date == "2026-01-06"
    of.reference.define([Book(event_id="b", book="B1", active=False)])
    assert book(of, late).business_date == "2026-01-05"


def test_a_sell_is_negative():
    assert book(booker(), fill("t1", -4)).quantity == Decimal(-4)
    assert book(booker(), fill("t1", 4)).quantity == Decimal(4)


def test_a_booking_is_the_fill_as_it_is_booked():
    event = fill("c1", 3, "50000", correlation_id="c")
    booked = of_desk().book(event, "booking", "t1", 9)
    assert (booked.event_id, booked.trade_id, booked.source_sequence) == ("booking", "t1", 9)
    assert (booked.correlation_id, booked.causation_id, booked.schema_version) == ("c", event.event_id, 1)
    assert (booked.book, booked.instrument, booked.quantity, booked.price) == ("B1", "X", 3, 50_000)
    assert book(booker(), event).entity == ""


def of_desk() -> Booker:
    return booker(PERPETUAL, DESK)


def test_an_instrument_is_found_by_any_of_its_names_and_routes_by_its_class():
    of = booker(
        Instrument(event_id="i", instrument="APPLE", instrument_class="share", identifiers={"ric": "AAPL.O"}),
        RoutingRule(event_id="r", rule="r", book="SHARES", instrument_class="share"),
    )
    booked = book(of, fill(book=None, instrument="AAPL.O", instrument_scheme="ric"))
    assert (booked.instrument, booked.book) == ("APPLE", "SHARES")


def test_an_instrument_that_says_no_currency_takes_none_of_the_fill():
    of = booker(Instrument(event_id="i", instrument="X"))
    assert book(of, fill(currency="USD")).settlement_currency == ""
    assert isinstance(book(of, fill(multiplier=Decimal(2))), Fault)


def test_days_and_settlement_follow_the_calendar_of_the_book():
    friday_night = fill(executed_at=parse_time("2026-01-09T23:00:00Z"), price="50000")
    booked = book(of_desk(), friday_night)
    assert (booked.business_date, booked.settlement_date) == ("2026-01-12", "2026-01-14")
    friday = fill(executed_at=parse_time("2026-01-09T12:00:00Z"), price="50000")
    every_day = booker(PERPETUAL, Book(event_id="b", book="B1"))
    assert book(every_day, friday).settlement_date == "2026-01-11"
    # A book that is not defined settles on weekdays.
    assert book(booker(PERPETUAL), friday).settlement_date == "2026-01-13"


def test_the_days_of_a_book_are_kept():
    of = of_desk()
    book(of, fill(price="50000"))
    days = dict(of._days)
    book(of, fill("t2", price="50000"))
    assert list(days) == ["B1"] and of._days["B1"] is days["B1"]
