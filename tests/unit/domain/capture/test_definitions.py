"""Reference data by itself: what is not valid is refused, with the field and what was expected."""

from decimal import Decimal

import pytest

from domain.capture.definitions import definition_fault
from domain.capture.faults import Fault
from domain.capture.reference import ReferenceData
from tests.support import Book, Instrument, RoutingRule


@pytest.mark.parametrize(
    "good",
    [
        Book(event_id="b", book="B1", time_zone="Europe/London", cut_off="17:30", calendar="weekdays"),
        Instrument(event_id="i", instrument="X", identifiers={"symbol:XNAS": "AAPL", "ric": "AAPL.O"}),
        RoutingRule(event_id="r", rule="r", book="B1", venue="XNAS"),
    ],
)
def test_good_definitions(good):
    assert definition_fault(good) is None


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (
            Book(event_id="b", book="B1", time_zone="Mars/Olympus"),
            Fault(
                "time_zone is not valid",
                "time_zone",
                "a time zone of the IANA database, such as Europe/London",
                "'Mars/Olympus'",
            ),
        ),
        (
            Book(event_id="b", book="B1", time_zone="Mars/" + "x" * 200),
            Fault(
                "time_zone is not valid",
                "time_zone",
                "a time zone of the IANA database, such as Europe/London",
                "'Mars/" + "x" * 74,
            ),
        ),
        (
            Instrument(event_id="i", instrument="X", identifiers={"ric": "A B"}),
            Fault("ric is not valid", "ric", "a RIC in its form", "'A B'"),
        ),
        (
            RoutingRule(event_id="r", rule="=r", book="B1"),
            Fault("rule is not valid", "rule", "a first character other than = + - @", "'=r'"),
        ),
        (
            RoutingRule(event_id="r", rule="x" * 200, book="B1"),
            Fault("rule is not valid", "rule", "1 to 128 characters", "'" + "x" * 79),
        ),
    ],
)
def test_what_is_wrong_with_a_definition(bad, fault: Fault):
    assert definition_fault(bad) == fault


def test_numbers_of_a_definition():
    fault = definition_fault(Instrument(event_id="i", instrument="X", multiplier=Decimal(0)))
    assert fault is not None and fault.field == "multiplier" and "0" in fault.found


def test_what_is_not_there_may_become_inactive():
    reference = ReferenceData()
    reference.define(
        [
            Book(event_id="b", book="B1", active=False),
            Instrument(event_id="i", instrument="X", identifiers={"ric": "AAPL.O"}, active=False),
            RoutingRule(event_id="r", rule="r", book="B1", active=False),
        ]
    )
    assert (reference.books, reference.instruments, reference.by_identifier, reference.rules) == (
        {},
        {},
        {},
        [],
    )
