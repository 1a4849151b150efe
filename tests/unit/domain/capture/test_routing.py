"""Which book takes a fill."""

import pytest

from domain.capture.faults import Fault
from domain.capture.reference import ReferenceData
from domain.capture.routing import route
from schemas.units import Regime
from tests.support import RoutingRule, fill


def rules(*found) -> ReferenceData:
    reference = ReferenceData()
    reference.define(RoutingRule(event_id=rule["rule"], **rule) for rule in found)
    return reference


RULES = rules(
    {"rule": "default", "book": "REST", "priority": 1_000},
    {"rule": "venue", "book": "VENUE", "venue": "XNAS", "priority": 50},
    {"rule": "both", "book": "BOTH", "venue": "XNAS", "account": "A1", "priority": 10},
    {"rule": "class", "book": "OPTIONS", "instrument_class": "option", "priority": 20},
    {"rule": "strategy", "book": "ARB", "strategy": "arb", "priority": 30},
)


@pytest.mark.parametrize(
    ("fields", "instrument_class", "book"),
    [
        ({}, "", "REST"),
        ({"venue": "XNAS"}, "", "VENUE"),
        ({"venue": "XNAS", "account": "A1"}, "option", "BOTH"),
        ({"venue": "XNAS", "account": "A2"}, "option", "OPTIONS"),
        ({"strategy": "arb", "venue": "XNAS"}, "", "ARB"),
        ({"venue": "xnas"}, "", "REST"),
    ],
)
def test_the_first_rule_that_matches_wins(fields: dict, instrument_class: str, book: str):
    assert route(fill(book=None, **fields), instrument_class, RULES) == book


def test_a_named_book_is_taken_as_it_is():
    assert route(fill(book="B9", venue="XNAS"), "", RULES) == "B9"


def test_ties_of_priority_go_by_name_whatever_the_order_of_definition():
    first = {"rule": "a", "book": "A"}
    second = {"rule": "b", "book": "B"}
    for order in ((first, second), (second, first)):
        assert route(fill(book=None), "", rules(*order)) == "A"


def test_a_rule_defined_again_replaces_itself_and_an_inactive_one_is_gone():
    reference = rules({"rule": "a", "book": "A"}, {"rule": "a", "book": "B"})
    assert route(fill(book=None), "", reference) == "B"
    reference.define([RoutingRule(event_id="x", rule="a", book="B", active=False)])
    assert isinstance(route(fill(book=None), "", reference), Fault)


def test_no_match_says_what_was_looked_for():
    fault = route(fill(book=None, venue="XLON"), "bond", rules({"rule": "a", "book": "A", "venue": "XNAS"}))
    assert isinstance(fault, Fault)
    assert fault.field == "book" and "XLON" in fault.found and "bond" in fault.found


@pytest.mark.parametrize("regime", [Regime.OTC, Regime.INTERNAL])
def test_only_exchange_fills_are_routed(regime: Regime):
    assert isinstance(route(fill(book=None, regime=regime), "", RULES), Fault)
