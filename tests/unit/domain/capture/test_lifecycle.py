"""The life cycle: every pair of state and change, every verdict, and what counts as the same content."""

from decimal import Decimal

import msgspec
import pytest

from domain.capture.lifecycle import (
    TRANSITIONS,
    Change,
    State,
    TradeRecord,
    Verdict,
    advance,
    content_digest,
    decide,
)
from schemas.units import Action, Side
from tests.support import Fee, fill

WANTED = {
    (State.RECEIVED, Change.BOOK): State.BOOKED,
    (State.RECEIVED, Change.WAIT): State.WAITING,
    (State.RECEIVED, Change.APPLY): State.APPLIED,
    (State.RECEIVED, Change.REFUSE): State.REJECTED,
    (State.WAITING, Change.APPLY): State.APPLIED,
    (State.WAITING, Change.REFUSE): State.REJECTED,
    (State.BOOKED, Change.AMEND): State.BOOKED,
    (State.BOOKED, Change.CANCEL): State.CANCELLED,
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("change", Change)
def test_every_pair(state: State, change: Change):
    if (state, change) in WANTED:
        assert advance(state, change) is WANTED[state, change]
    else:
        assert (state, change) not in TRANSITIONS
        with pytest.raises(KeyError):
            advance(state, change)


def test_ends_are_ends():
    left = {state for state, _ in TRANSITIONS}
    assert left & {State.CANCELLED, State.APPLIED, State.REJECTED} == set()


NEW = fill("t1")
AMEND = fill("a1", action=Action.AMEND, original_trade_id="t1")
CANCEL = fill("c1", action=Action.CANCEL, original_trade_id="t1")


@pytest.mark.parametrize("state", [State.BOOKED, State.CANCELLED, State.WAITING, State.APPLIED])
@pytest.mark.parametrize("event", [NEW, AMEND, CANCEL])
def test_a_known_id_is_a_duplicate_or_other_content(state: State, event):
    content = content_digest(event)
    assert decide(event, content, TradeRecord(state, content), None) is Verdict.DUPLICATE
    assert decide(event, content, TradeRecord(state, b"other"), None) is Verdict.OTHER_CONTENT


@pytest.mark.parametrize(
    ("state", "of_amend", "of_cancel"),
    [
        (None, Verdict.WAIT, Verdict.WAIT),
        (State.BOOKED, Verdict.CORRECT, Verdict.CORRECT),
        (State.CANCELLED, Verdict.CANCELLED_ALREADY, Verdict.CANCELLED_ALREADY),
        (State.WAITING, Verdict.NAMES_NO_TRADE, Verdict.NAMES_NO_TRADE),
        (State.APPLIED, Verdict.NAMES_NO_TRADE, Verdict.NAMES_NO_TRADE),
    ],
)
def test_corrections_by_the_state_of_their_trade(state: State | None, of_amend: Verdict, of_cancel: Verdict):
    original = None if state is None else TradeRecord(state, b"x", "B1")
    assert decide(AMEND, b"", None, original) is of_amend
    assert decide(CANCEL, b"", None, original) is of_cancel


def test_a_new_trade_of_a_new_id_is_booked():
    assert decide(NEW, b"", None, None) is Verdict.BOOK


def changed(**fields):
    return msgspec.structs.replace(
        fill("t1", "10", "100", accrued_interest=Decimal("1.5"), fees=(Fee(amount=Decimal(1)),)), **fields
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": Decimal("10.00")},
        {"quantity": Decimal("1E+1")},
        {"price": Decimal("100.0")},
        {"accrued_interest": Decimal("1.50")},
        {"fees": (Fee(amount=Decimal("1.00")),)},
        {"event_id": "another"},
        {"source": "another file"},
        {"source_sequence": 99},
        {"recorded_at": 99},
        {"correlation_id": "x"},
        {"idempotency_hash": "x"},
    ],
)
def test_the_same_content(fields: dict, exact):
    assert content_digest(changed(**fields)) == content_digest(changed())


@pytest.mark.parametrize(
    "fields",
    [
        {"trade_id": "t2"},
        {"quantity": Decimal(11)},
        {"price": Decimal(101)},
        {"side": Side.SELL},
        {"instrument": "Y"},
        {"instrument_scheme": "ric"},
        {"book": "B2"},
        {"book": None},
        {"executed_at": 1},
        {"action": Action.AMEND},
        {"original_trade_id": "t0"},
        {"multiplier": Decimal(2)},
        {"inverse": True},
        {"currency": "USD"},
        {"accrued_interest": Decimal(2)},
        {"settlement_date": "2026-01-09"},
        {"fees": ()},
        {"fees": (Fee(amount=Decimal(1), currency="EUR"),)},
        {"fees": (Fee(amount=Decimal(1), kind="tax"),)},
        {"venue": "V"},
        {"account": "A"},
        {"strategy": "S"},
        {"counterparty": "C"},
    ],
)
def test_other_content(fields: dict, exact):
    assert content_digest(changed(**fields)) != content_digest(changed())


@pytest.mark.parametrize(
    ("event", "digest"),
    [
        (fill("t1"), "af8f0f65b58032183b4b32bc5b727653"),
        (
            fill(
                "a1",
                action=Action.AMEND,
                original_trade_id="t1",
                fees=(Fee(amount=Decimal("1.5"), kind="tax", currency="EUR"), Fee(amount=Decimal(2))),
                multiplier=Decimal(10),
                inverse=True,
                currency="USD",
                accrued_interest=Decimal("0.5"),
                settlement_date="2026-01-07",
                venue="V",
                account="A",
                strategy="S",
                counterparty="C",
            ),
            "69644a5772717cb02931e58fe0fcf826",
        ),
        (fill("t1", book=None, inverse=False), "a16f10f0b91a746c5ec79cee9a5cf160"),
    ],
)
def test_the_digest_of_known_content_never_changes(event, digest: str):
    """It is stored with every id: another digest would make duplicates of old fills other content."""
    assert content_digest(event).hex() == digest


def test_only_a_cancel_ends_a_trade():
    booked, cancelled = TradeRecord(State.BOOKED, b""), TradeRecord(State.CANCELLED, b"")
    for event in (AMEND, CANCEL):
        assert decide(event, b"new", None, booked) is Verdict.CORRECT
        assert decide(event, b"new", None, cancelled) is Verdict.CANCELLED_ALREADY
