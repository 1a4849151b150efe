"""What a position earns for being held, told by the ledger to whoever makes its P&L.

Owns: the family `w` of the ledger's table (a position's key, 0, the event id): income of positions that are not known yet.
Assumes: a position that the ledger has posted is on its way to its partition of the valuation already, since both are told of
it in one commit. Which partition that is the ledger does not know: all are told, and the one that holds the position takes it.
Guarantees: what the ledger posts as income of a position is told once, after the position; what it takes back, once as well.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from agents.ledger_state import LedgerState
from agents.stage import Step
from domain.ledger.rules import Rules
from domain.pnl.income import BUCKET_OF_KIND, CARRY
from schemas import pnl, topics
from schemas.frames import encode_event, wire
from schemas.identity import derived_id, position_key
from schemas.numbers import ZERO
from schemas.units import MovementKind
from tables.partition import TablePartition

WAITING = b"w"

_PositionIncome = wire(pnl.PositionIncome)
_decode = msgspec.json.Decoder(_PositionIncome).decode


class Income(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The P&L of a position that a movement was."""

    book: str
    instrument: str
    kind: MovementKind
    currency: str
    business_date: str
    amount: Decimal

    def negative(self) -> "Income":
        """What takes it back, of the same day."""
        return msgspec.structs.replace(self, amount=-self.amount)


def income_of(event: Any, rules: Rules, cleared: Decimal) -> Income | None:
    """What of a movement is P&L of its position, `cleared` being what was so already when it accrued; None where nothing."""
    if not event.book or not event.instrument or event.kind not in BUCKET_OF_KIND:
        return None
    amount = rules.money(event.currency).round(event.amount) - cleared
    if not amount:
        return None
    return Income(event.book, event.instrument, event.kind, event.currency, event.trade_date, amount)


def tell_income(state: LedgerState, cause: Any, income: Income | None, step: Step) -> None:
    """Tell what `cause` has posted, or keep it until its position is known."""
    if income is None:
        return
    bucket = BUCKET_OF_KIND[income.kind]
    told = _PositionIncome(
        event_id=derived_id(cause.event_id, "income", 0),
        correlation_id=cause.correlation_id or cause.event_id,
        causation_id=cause.event_id,
        source=cause.source,
        book=income.book,
        instrument=income.instrument,
        kind=income.kind,
        currency=income.currency,
        business_date=income.business_date,
        event_time=cause.event_time,
        carry=income.amount if bucket == CARRY else ZERO,
        funding=ZERO if bucket == CARRY else income.amount,
    )
    position = state.positions.get((income.book, income.instrument)) or state.position(
        income.book, income.instrument
    )
    if position.posted.revision:
        _tell(encode_event(told), cause.event_time, step)
    else:
        key = WAITING + position_key(income.book, income.instrument) + b"\x00" + told.event_id.encode()
        state.table.put(key, encode_event(told))


def position_known(state: LedgerState, book: str, instrument: str, step: Step) -> None:
    """A position has its first posting: tell what it earned before."""
    prefix = WAITING + position_key(book, instrument) + b"\x00"
    for key, encoded in list(state.table.scan_prefix(prefix)):
        _tell(encoded, _decode(encoded).event_time, step)
        state.table.delete(key)


def waiting_income(table: TablePartition) -> Iterator[Any]:
    """The income of a table partition that waits for its position to be known."""
    for _, encoded in table.scan_prefix(WAITING):
        yield _decode(encoded)


def _tell(encoded: bytes, event_time: int, step: Step) -> None:
    for partition in range(step.partitions):
        step.bucket_at(topics.VALUATION_INPUT, partition).pass_on(encoded, (event_time, 0))
