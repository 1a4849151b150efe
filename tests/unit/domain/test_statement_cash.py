"""Breaks between a statement's cash and ours."""

from decimal import Decimal

from domain.statement_cash import CashLine, Span, explained
from schemas.numbers import exact_arithmetic

D = Decimal
RATES = {"USD": Span(D("0.79"), D("0.92")), "CHF": Span(D(1), D(1)), "EUR": Span(D("0.92"), D("0.93"))}


def told(*lines: tuple[str, str, str]) -> list[str]:
    with exact_arithmetic():
        found = explained([CashLine("A", *line[:1], D(line[1]), D(line[2])) for line in lines], RATES)
    return [line.explanation for line in found]


def test_one_conversion_that_is_not_listed_explains_both_breaks():
    texts = told(("USD", "0", "21.82"), ("CHF", "100", "81.13"), ("EUR", "5", "5"))
    assert (
        texts[0]
        == texts[1]
        == ("one conversion that the statement does not list: 21.82 USD for 18.87 CHF, at 0.8648")
    )
    assert texts[2] == ""


def test_what_is_no_conversion_is_not_explained():
    assert told(("USD", "0", "21.82"), ("CHF", "100", "118.87")) == ["", ""]
    assert told(("USD", "0", "21.82"), ("CHF", "100", "71.13")) == ["", ""]
    assert told(("USD", "0", "21.82"), ("GBP", "100", "81.13")) == ["", ""]
    assert told(("USD", "0", "1"), ("CHF", "0", "-1"), ("EUR", "0", "0.1")) == ["", "", ""]
    assert told(("USD", "1", "1"), ("CHF", "0", "0")) == ["", ""]
