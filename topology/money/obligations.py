"""Trades that are settled by payment, and the payment orders that they lack.

Owns: which trades those are: the ones that name a counterparty and no venue. What a venue or its clearer settles has its
venue; the counterparty of an internal trade is the book on its other side, and nothing leaves the house.
Assumes: `exact_arithmetic()` around it; that the ledger has applied what stands in the log.
Guarantees: an order's id is that of the trade, the currency and how many orders the trade has had, so that the same is never
drafted twice; nothing is changed here.
"""

from collections.abc import Iterator
from typing import Any

from agents import ledger
from agents.ledger_payments import Obligation, obligations, under_way
from agents.ledger_state import LedgerState
from schemas import money
from schemas.frames import wire
from schemas.identity import content_id
from schemas.times import Nanoseconds
from schemas.units import IDENTIFIER_CHARACTERS_MAX
from topology.documents.trades import trades_documents
from topology.importing.movements import read_places
from topology.log_reading import WholeLog, partition_count, table_partition
from topology.money.rules import standard_rules

SOURCE = "pks payments draft"

_STANDING = ("live", "amended")
_PaymentDue = wire(money.PaymentDue)


def payments_due(log: WholeLog, until: str, user: str, now: int, book: str | None = None) -> Iterator[Any]:
    """The payments (wire twins) that trades settling by a day owe and have no order for, by settlement date."""
    found: list[tuple[str, str, Any]] = []
    tables = [table_partition(log, ledger.NAME, partition) for partition in range(partition_count(log))]
    states = [LedgerState(table, standard_rules()) for table in tables]
    for trade in _by_payment(log, book):
        for state in states:
            for owed in obligations(state, trade["book"], trade["instrument"], trade["trade_id"]):
                if owed.content.settlement_date <= until and under_way(state, owed) is None:
                    due = _due(trade, owed, user, now)
                    found.append((owed.content.settlement_date, due.order_id, due))
    for *_, due in sorted(found, key=lambda each: each[:2]):
        yield due


def _by_payment(log: WholeLog, book: str | None) -> list[dict[str, Any]]:
    between = [
        trade
        for trade in trades_documents(log, partition_count(log))
        if trade["state"] in _STANDING and trade["counterparty"] and not trade["venue"]
    ]
    books = {*read_places(log).entities, *(trade["book"] for trade in between)}
    return [
        trade for trade in between if trade["counterparty"] not in books and book in (None, trade["book"])
    ]


def _due(trade: dict[str, Any], owed: Obligation, user: str, now: int) -> Any:
    number = str(len(owed.orders) + 1)
    order_id = f"{trade['trade_id']}/{owed.currency}/{number}"
    if len(order_id) > IDENTIFIER_CHARACTERS_MAX:
        order_id = content_id("payment order", trade["trade_id"], owed.currency, number)
    return _PaymentDue(
        event_id=content_id("payment due", order_id, owed.content.event_id),
        correlation_id=trade["correlation_id"],
        source=SOURCE,
        order_id=order_id,
        trade_id=trade["trade_id"],
        book=trade["book"],
        instrument=trade["instrument"],
        currency=owed.currency,
        counterparty=trade["counterparty"],
        user=user,
        entity=owed.entity,
        event_time=Nanoseconds(now),
    )
