"""Identifiers, and the words of the field."""

import pytest

from schemas.units import Action, FeePolicy, LifecycleKind, LotMethod, Regime, Side, identifier_fault


@pytest.mark.parametrize("text", ["a", "x" * 128, "книга", "漢字", "a b", "a=b", "t-1", "_x", " a", "é"])
def test_identifiers(text: str):
    assert identifier_fault(text) is None


@pytest.mark.parametrize(
    "text", ["", " ", "   ", "x" * 129, "a\n", "\x00", "a\tb", "=1", "+1", "-1", "@x", "a\u200bb", "\ud800"]
)
def test_what_is_no_identifier(text: str):
    assert identifier_fault(text)


def test_words_on_the_wire_are_fixed():
    assert [*Side] == ["BUY", "SELL"]
    assert [*Action] == ["NEW", "AMEND", "CANCEL"]
    assert [*LotMethod] == ["fifo", "lifo", "average"]
    assert [*FeePolicy] == ["excluded", "expensed", "capitalised"]
    assert [*Regime] == ["exchange", "otc", "internal"]
    assert [*LifecycleKind] == ["amend", "cancel", "novation", "give_up", "interbook"]
