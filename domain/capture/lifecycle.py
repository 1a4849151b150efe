"""The life cycle of a trade id in capture, as a state machine in data.

A trade id is booked once, for ever. An amend or a cancel has its own id and names its trade. A cancel wins over
every amend, the last amend holds; an amend keeps the place of its trade in the order of matching where times
are equal. A correction that comes before its trade waits for it. `TRANSITIONS` is the whole machine: what is
not in it is refused, and a test walks every pair.
"""

from collections.abc import Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import msgspec

from schemas.units import Action


class State(StrEnum):
    """Where an id stands. `received` and `rejected` are not kept: a refused id may come again."""

    RECEIVED = "received"
    BOOKED = "booked"
    CANCELLED = "cancelled"
    WAITING = "waiting"
    APPLIED = "applied"
    REJECTED = "rejected"


class Change(StrEnum):
    """What happens to an id: to a trade (book, amend, cancel), to a correction (wait, apply), to any (refuse)."""

    BOOK = "book"
    AMEND = "amend"
    CANCEL = "cancel"
    WAIT = "wait"
    APPLY = "apply"
    REFUSE = "refuse"


TRANSITIONS: Mapping[tuple[State, Change], State] = {
    (State.RECEIVED, Change.BOOK): State.BOOKED,
    (State.RECEIVED, Change.WAIT): State.WAITING,
    (State.RECEIVED, Change.APPLY): State.APPLIED,
    (State.RECEIVED, Change.REFUSE): State.REJECTED,
    (State.WAITING, Change.APPLY): State.APPLIED,
    (State.WAITING, Change.REFUSE): State.REJECTED,
    (State.BOOKED, Change.AMEND): State.BOOKED,
    (State.BOOKED, Change.CANCEL): State.CANCELLED,
}


def advance(state: State, change: Change) -> State:
    """The next state. Raises KeyError for a pair that the table does not have."""
    return TRANSITIONS[state, change]


class TradeRecord(msgspec.Struct, array_like=True, gc=False):
    """What capture keeps of a trade id, for ever: where it is booked and what it first said.

    `content` is the digest of its first content; of a correction, `book` is empty.
    """

    state: State
    content: bytes
    book: str = ""
    source_sequence: int = 0


class Verdict(StrEnum):
    """What becomes of a valid fill."""

    BOOK = "book"
    CORRECT = "correct"
    WAIT = "wait"
    DUPLICATE = "duplicate"
    OTHER_CONTENT = "other content"
    CANCELLED_ALREADY = "cancelled already"
    NAMES_NO_TRADE = "names no trade"


_BOOK = Verdict.BOOK
_NEW = Action.NEW
_normalized = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN).normalize
_empty_digest = blake2b(digest_size=16)


def content_digest(fill: Any) -> bytes:
    """16 bytes that are equal for equal business content.

    Numbers count by value; when and through whom the fill came here does not count.
    """
    fees = ""
    if fill.fees:
        fees = ";".join(f"{fee.kind},{fee.amount.normalize()},{fee.currency}" for fee in fill.fees)
    multiplier, accrued = fill.multiplier, fill.accrued_interest
    text = "\x00".join(
        (
            fill.trade_id,
            fill.action,
            fill.original_trade_id or "",
            fill.book or "",
            fill.instrument_scheme,
            fill.instrument,
            fill.side,
            str(_normalized(fill.quantity)),
            str(_normalized(fill.price)),
            fees,
            str(fill.executed_at),
            "" if multiplier is None else str(multiplier.normalize()),
            "" if fill.inverse is None else str(fill.inverse),
            "-" if fill.currency is None else "=" + fill.currency,
            str(accrued.normalize()) if accrued else "0",
            fill.settlement_date or "",
            fill.venue,
            fill.account,
            fill.strategy,
            fill.counterparty,
        )
    )
    digest = _empty_digest.copy()
    digest.update(text.encode())
    return digest.digest()


def decide(fill: Any, content: bytes, known: TradeRecord | None, original: TradeRecord | None) -> Verdict:
    """What becomes of a fill, given what is known of its id and (for a correction) of the trade it names."""
    if known is not None:
        return Verdict.DUPLICATE if known.content == content else Verdict.OTHER_CONTENT
    if fill.action is _NEW:
        return _BOOK
    if original is None:
        return Verdict.WAIT
    change = Change.CANCEL if fill.action is Action.CANCEL else Change.AMEND
    if (original.state, change) not in TRANSITIONS:
        cancelled = original.state is State.CANCELLED
        return Verdict.CANCELLED_ALREADY if cancelled else Verdict.NAMES_NO_TRADE
    return Verdict.CORRECT
