"""Faults in words: what an operator reads of a fill that cannot be booked, of a definition and of rows, whole."""

from decimal import Decimal

import msgspec
import pytest

from domain.capture.booking import Booker
from domain.capture.business_date import time_zone_fault
from domain.capture.faults import Fault
from domain.capture.instruments import identifiers_fault, resolve
from domain.capture.reference import ReferenceData
from domain.capture.routing import route
from domain.capture.validation import validate
from domain.lots.calculate import LotsFaults, LotsOptions, RowFault, calculate
from schemas.units import Action, FeePolicy, LifecycleKind, Regime
from tests.support import Fee, Instrument, RoutingRule, fill


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (
            fill("=cmd"),
            Fault("trade_id is not valid", "trade_id", "a first character other than = + - @", "'=cmd'"),
        ),
        (
            fill("x" * 129),
            Fault(
                "trade_id is not valid",
                "trade_id",
                "1 to 128 characters",
                "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
            ),
        ),
        (
            fill(instrument="a b\n"),
            Fault("instrument is not valid", "instrument", "printable characters only", "'a b\\n'"),
        ),
        (fill(book=""), Fault("book is not valid", "book", "1 to 128 characters", "''")),
        (
            fill(action=Action.CANCEL, original_trade_id=" "),
            Fault(
                "original_trade_id is not valid",
                "original_trade_id",
                "at least one character that is not blank",
                "' '",
            ),
        ),
        (
            fill(trader="x" * 1_001),
            Fault("trader is not valid", "trader", "at most 1000 characters", "1001 characters"),
        ),
        (
            fill(instrument_scheme="x" * 1_001),
            Fault(
                "instrument_scheme is not valid",
                "instrument_scheme",
                "at most 1000 characters",
                "1001 characters",
            ),
        ),
        (
            fill(quantity="1E+999999"),
            Fault("quantity is not valid", "quantity", "a number of at most 60 digits", "1E+999999"),
        ),
        (fill(price="NaN"), Fault("price is not valid", "price", "a finite number", "NaN")),
        (
            fill(price=Decimal("1" * 61)),
            Fault("price is not valid", "price", "a number of at most 60 digits", "1" * 61),
        ),
        (
            fill(multiplier=Decimal("Infinity")),
            Fault("multiplier is not valid", "multiplier", "a finite number", "Infinity"),
        ),
        (
            fill(accrued_interest=Decimal("1E-61")),
            Fault(
                "accrued_interest is not valid", "accrued_interest", "a number of at most 60 digits", "1E-61"
            ),
        ),
        (
            fill(fees=(Fee(amount=Decimal(1)),) * 101),
            Fault("too many fees", "fees", "at most 100 fees", "101"),
        ),
        (
            fill(fees=(Fee(amount=Decimal(1), kind="x" * 1_001),)),
            Fault("a fee is not valid", "fees", "a kind and a currency of at most 1000 characters", "more"),
        ),
        (
            fill(fees=(Fee(amount=Decimal(1)), Fee(amount=Decimal(1), currency="x" * 1_001))),
            Fault("a fee is not valid", "fees", "a kind and a currency of at most 1000 characters", "more"),
        ),
        (
            fill(fees=(Fee(amount=Decimal(1)), Fee(amount=Decimal("-Infinity")))),
            Fault("a fee is not valid", "fees", "a finite number", "-Infinity"),
        ),
        (fill(quantity="0"), Fault("quantity is not valid", "quantity", "a number above 0", "0")),
        (fill(quantity="-0.0"), Fault("quantity is not valid", "quantity", "a number above 0", "0.0")),
        (
            fill(multiplier=Decimal("-2")),
            Fault("multiplier is not valid", "multiplier", "a number above 0", "-2"),
        ),
        (
            fill(executed_at=-2_208_988_800_000_000_001),
            Fault(
                "executed_at is not valid", "executed_at", "a time from 1900 to 2200", "-2208988800000000001"
            ),
        ),
        (
            fill(executed_at=7_258_118_400_000_000_000),
            Fault(
                "executed_at is not valid", "executed_at", "a time from 1900 to 2200", "7258118400000000000"
            ),
        ),
        (
            fill(recorded_at=-1),
            Fault("recorded_at is not valid", "recorded_at", "a time from 1970 to 2200", "-1"),
        ),
        (
            fill(recorded_at=7_258_118_400_000_000_000),
            Fault(
                "recorded_at is not valid", "recorded_at", "a time from 1970 to 2200", "7258118400000000000"
            ),
        ),
        (
            fill(source_sequence=2**63),
            Fault(
                "source_sequence is not valid",
                "source_sequence",
                "a whole number of 64 bits",
                "9223372036854775808",
            ),
        ),
        (
            fill(source_sequence=-(2**63) - 1),
            Fault(
                "source_sequence is not valid",
                "source_sequence",
                "a whole number of 64 bits",
                "-9223372036854775809",
            ),
        ),
        (
            fill(settlement_date="2026-02-30"),
            Fault(
                "settlement_date is not valid",
                "settlement_date",
                "a date that exists, as YYYY-MM-DD",
                "'2026-02-30'",
            ),
        ),
        (
            fill(settlement_date="2026-01-1"),
            Fault(
                "settlement_date is not valid",
                "settlement_date",
                "a date that exists, as YYYY-MM-DD",
                "'2026-01-1'",
            ),
        ),
        (
            fill(action=Action.AMEND, original_trade_id="t1"),
            Fault(
                "original_trade_id is not valid",
                "original_trade_id",
                "the id of another trade: a correction has its own",
                "'t1'",
            ),
        ),
        (
            fill(original_trade_id="t0"),
            Fault("original_trade_id is not valid", "original_trade_id", "none for a new trade", "'t0'"),
        ),
        (
            fill(action=Action.AMEND),
            Fault(
                "original_trade_id is not valid",
                "original_trade_id",
                "the id of the trade to correct",
                "None",
            ),
        ),
        (
            fill(kind=LifecycleKind.NOVATION),
            Fault(
                "the life-cycle kind novation is not available yet",
                "kind",
                "an amend or a cancel",
                "novation",
            ),
        ),
        (
            fill(regime=Regime.OTC),
            Fault("counterparty is missing", "counterparty", "a value, as regime otc requires", "none"),
        ),
        (
            fill(regime=Regime.OTC, counterparty="CP", settlement_date="2026-01-07", book=None),
            Fault("book is missing", "book", "a value, as regime otc requires", "none"),
        ),
        (
            fill(regime=Regime.INTERNAL),
            Fault("counterparty is missing", "counterparty", "a value, as regime internal requires", "none"),
        ),
    ],
)
def test_a_fill_by_itself(bad, fault: Fault):
    assert validate(bad) == fault


def test_what_is_shown_of_a_long_value_is_its_beginning():
    fault = validate(fill(price=Decimal("1" * 61 + "." + "2" * 40)))
    assert fault is not None and fault.found == "1" * 61 + "." + "2" * 18
    fault = validate(fill(source_sequence=10**90))
    assert fault is not None and fault.found == "1" + "0" * 79
    fault = validate(fill(fees=(Fee(amount=Decimal("3" * 90)),)))
    assert fault is not None and fault.found == "3" * 80


def defined(*definitions) -> ReferenceData:
    reference = ReferenceData()
    reference.define(definitions)
    return reference


TWICE = defined(
    Instrument(event_id="1", instrument="B", identifiers={"ric": "AAPL.O"}),
    Instrument(event_id="2", instrument="A", identifiers={"ric": "AAPL.O"}),
)


@pytest.mark.parametrize(
    ("scheme", "name", "fault"),
    [
        (
            "sedol",
            "0263494",
            Fault(
                "unknown identifier scheme",
                "instrument_scheme",
                "one of id, symbol, isin, cusip, figi, ric",
                "'sedol'",
            ),
        ),
        (
            "isin",
            "US0378331006",
            Fault("isin is not valid", "instrument", "a ISIN with its right check digit", "'US0378331006'"),
        ),
        ("ric", "A B", Fault("ric is not valid", "instrument", "a RIC in its form", "'A B'")),
        (
            "ric",
            "VOD.L",
            Fault("unknown instrument", "instrument", "a defined instrument with this ric", "'VOD.L'"),
        ),
        (
            "symbol",
            "AAPL",
            Fault("unknown instrument", "instrument", "a defined instrument with this symbol:V1", "'AAPL'"),
        ),
        (
            "ric",
            "AAPL.O",
            Fault(
                "instrument is not certain",
                "instrument",
                "one defined instrument with this ric",
                "'AAPL.O' of A, B",
            ),
        ),
    ],
)
def test_what_names_no_instrument(scheme: str, name: str, fault: Fault):
    assert resolve(fill(instrument_scheme=scheme, instrument=name, venue="V1"), TWICE) == fault


@pytest.mark.parametrize(
    ("identifiers", "fault"),
    [
        (
            {"cusip": "037833101"},
            Fault("cusip is not valid", "cusip", "a CUSIP with its right check digit", "'037833101'"),
        ),
        ({"ric": ""}, Fault("ric is not valid", "ric", "a RIC in its form", "''")),
        (
            {"symbol:V1": "AAPL", "sedol": "0263494"},
            Fault(
                "unknown identifier scheme",
                "identifiers",
                "one of isin, cusip, figi, ric, symbol:VENUE",
                "'sedol'",
            ),
        ),
        (
            {"symbol:V1": " "},
            Fault("symbol is not valid", "symbol:V1", "at least one character that is not blank", "' '"),
        ),
    ],
)
def test_identifiers_of_a_definition(identifiers: dict[str, str], fault: Fault):
    assert identifiers_fault(identifiers) == fault


def test_a_time_zone():
    assert time_zone_fault("Mars/Olympus") == "a time zone of the IANA database, such as Europe/London"


def test_what_names_no_book():
    reference = defined(RoutingRule(event_id="r", rule="r", book="B", venue="V2"))
    unrouted = fill(book=None, venue="V1", account="A", strategy="S")
    assert route(unrouted, "option", reference) == Fault(
        "no routing rule matches",
        "book",
        "a book, or a routing rule for this fill",
        "venue 'V1', account 'A', class 'option', strategy 'S'",
    )
    assert route(msgspec.structs.replace(unrouted, regime=Regime.OTC), "", reference) == Fault(
        "the fill names no book", "book", "a book, as regime otc requires", "none"
    )


def test_terms_that_contradict_the_instrument():
    booker = Booker(defined(Instrument(event_id="i", instrument="X", multiplier=Decimal(10), inverse=True)))

    def booked(**fields):
        return booker.book(fill(**fields), "id", "t1", 0)

    assert booked(multiplier=Decimal(5)) == Fault(
        "multiplier contradicts the instrument's definition", "multiplier", "10, as defined", "5"
    )
    assert booked(inverse=False) == Fault(
        "inverse contradicts the instrument's definition", "inverse", "True, as defined", "False"
    )
    assert booked(price="-0.5") == Fault(
        "price is not valid", "price", "a number above 0 for an inverse contract", "-0.5"
    )
    assert booked(price="0.5", currency="USD").price == Decimal("0.5")


def rows(*fills, **options) -> list[RowFault]:
    with pytest.raises(LotsFaults) as raised:
        calculate(fills, range(1, len(fills) + 1), LotsOptions(**options))
    return raised.value.faults


@pytest.mark.usefixtures("exact")
def test_rows_that_do_not_fit_together():
    first = fill("t1")
    faults = rows(
        first,
        msgspec.structs.replace(first, price=Decimal(7)),
        fill("a1", action=Action.AMEND, original_trade_id="t9"),
        fill("t2", price="-1", inverse=True, instrument="I"),
        fill("t3", at=1, multiplier=Decimal(5)),
        fill("t4", at=2, fees=(Fee(amount=Decimal(1), currency="USD"),), currency="EUR", instrument="Z"),
        fee_policy=FeePolicy.CAPITALISED,
    )
    assert faults == [
        RowFault(2, "trade_id", "an id of its own, or the same content as row 1", "t1"),
        RowFault(3, "original_trade_id", "the id of a NEW row of the file", "t9"),
        RowFault(4, "price", "a price above 0 for an inverse contract", "-1"),
        RowFault(5, "multiplier", "1, as the open position has it", "5"),
        RowFault(6, "fees", "fees in the settlement currency 'EUR' to capitalise", "USD"),
    ]
    assert str(LotsFaults(faults)) == f"5 faults, the first: {faults[0]}"


@pytest.mark.usefixtures("exact")
def test_an_inverse_contract_may_cost_less_than_one():
    result = calculate([fill("t1", price="0.5", inverse=True)], [1], LotsOptions())
    assert result.positions[0].position.value == 20
