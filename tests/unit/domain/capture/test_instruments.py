"""Resolution of identifiers, check digits, and the definitions behind them."""

from decimal import Decimal

import pytest

from domain.capture.faults import Fault
from domain.capture.instruments import CHECK_DIGITS, identifiers_fault, resolve
from domain.capture.reference import ReferenceData
from tests.support import Instrument, fill

GOOD = {
    "isin": ["US0378331005", "GB0002634946", "XS0000000009"],
    "cusip": ["037833100", "38259P508"],
    "figi": ["BBG000B9XRY4", "BBG000BLNQ16"],
    "ric": ["AAPL.O", "VOD.L", "EUR=", "CLc1", "ESZ5^2", ".SPX"],
}
BAD = {
    "isin": ["US0378331006", "US037833100", "ZZ0378331005", ""],
    "cusip": ["037833101", "03783310", "abc"],
    "figi": ["BBG000B9XRY5", "US0378331005", ""],
    "ric": ["", "A B.O", "AAPL.TOOLONG", "x" * 40],
}


@pytest.mark.parametrize(("scheme", "value"), [(s, v) for s, values in GOOD.items() for v in values])
def test_good_identifiers(scheme: str, value: str):
    assert CHECK_DIGITS[scheme](value)
    assert identifiers_fault({scheme: value}) is None


@pytest.mark.parametrize(("scheme", "value"), [(s, v) for s, values in BAD.items() for v in values])
def test_wrong_check_digits_and_forms(scheme: str, value: str):
    fault = identifiers_fault({scheme: value})
    assert fault is not None and fault.field == scheme


def test_schemes_of_a_definition():
    assert identifiers_fault({"symbol:XNAS": "AAPL"}) is None
    assert identifiers_fault({"symbol:XNAS": " "}) is not None
    fault = identifiers_fault({"sedol": "0263494"})
    assert fault is not None and "sedol" in fault.found


def instrument(name: str, **fields):
    return Instrument(event_id=name, instrument=name, **fields)


@pytest.fixture
def reference() -> ReferenceData:
    found = ReferenceData()
    found.define(
        [
            instrument(
                "APPLE",
                identifiers={
                    "isin": "US0378331005",
                    "cusip": "037833100",
                    "figi": "BBG000B9XRY4",
                    "ric": "AAPL.O",
                    "symbol:XNAS": "AAPL",
                },
            ),
            instrument("OTHER", identifiers={"symbol:XLON": "AAPL"}),
        ]
    )
    return found


@pytest.mark.parametrize(
    ("scheme", "name", "venue", "found"),
    [
        ("id", "APPLE", "", "APPLE"),
        ("id", "never defined", "", "never defined"),
        ("isin", "US0378331005", "", "APPLE"),
        ("cusip", "037833100", "", "APPLE"),
        ("figi", "BBG000B9XRY4", "", "APPLE"),
        ("ric", "AAPL.O", "", "APPLE"),
        ("symbol", "AAPL", "XNAS", "APPLE"),
        ("symbol", "AAPL", "XLON", "OTHER"),
    ],
)
def test_each_scheme_leads_to_the_instrument(reference, scheme: str, name: str, venue: str, found: str):
    assert resolve(fill(instrument=name, instrument_scheme=scheme, venue=venue), reference) == found


@pytest.mark.parametrize(
    ("scheme", "name", "field"),
    [
        ("isin", "US0378331006", "instrument"),
        ("isin", "GB0002634946", "instrument"),
        ("symbol", "MSFT", "instrument"),
        ("sedol", "0263494", "instrument_scheme"),
    ],
)
def test_what_leads_nowhere_is_a_fault(reference, scheme: str, name: str, field: str):
    fault = resolve(fill(instrument=name, instrument_scheme=scheme, venue="XNAS"), reference)
    assert isinstance(fault, Fault) and fault.field == field


def test_a_definition_again_forgets_the_identifiers_that_it_had(reference):
    reference.define([instrument("APPLE", identifiers={"ric": "AAPL.OQ"})])
    assert isinstance(resolve(fill(instrument="AAPL.O", instrument_scheme="ric"), reference), Fault)
    assert resolve(fill(instrument="AAPL.OQ", instrument_scheme="ric"), reference) == "APPLE"


def test_an_inactive_instrument_is_not_found(reference):
    reference.define([instrument("APPLE", active=False)])
    assert isinstance(resolve(fill(instrument="AAPL.O", instrument_scheme="ric"), reference), Fault)
    assert "APPLE" not in reference.instruments


def test_an_identifier_that_moves_to_another_instrument_stays_there(reference):
    reference.define([instrument("NEW", identifiers={"ric": "AAPL.O"})])
    reference.define([instrument("APPLE", multiplier=Decimal(2))])
    assert resolve(fill(instrument="AAPL.O", instrument_scheme="ric"), reference) == "NEW"


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_an_identifier_of_two_instruments_is_never_guessed(order: tuple[str, str]):
    reference = ReferenceData()
    reference.define(instrument(name, identifiers={"ric": "X.O"}) for name in order)
    fault = resolve(fill(instrument="X.O", instrument_scheme="ric"), reference)
    assert isinstance(fault, Fault)
    assert "A" in fault.found and "B" in fault.found
    reference.define([instrument("A", active=False)])
    assert resolve(fill(instrument="X.O", instrument_scheme="ric"), reference) == "B"
