"""The sink of money: the ledger, payment orders, balances of cash and open currency positions.

Guarantees: each transfer of the ledger, and each step of an order, is one row, whatever comes again (its event id, which is
a function of `trade_id`, `leg` and revision); nothing of them is overwritten. Balances and currency positions are the newest.
"""

from collections.abc import Sequence

import asyncpg

from connectors.postgres.copying import Target, Value, copy_line
from connectors.postgres.rows import Rows
from connectors.postgres.session import PostgresSink
from connectors.sink import Batch
from schemas import currency_position, money, topics
from schemas.frames import wire

_ROWS = {
    wire(money.CashLedgerEntry): Rows(
        "back_office",
        "ledger_entry",
        (
            *("event_id", "entity", "account", "book", "currency", "trade_id", "leg", "revision"),
            *("debit_account", "credit_account", "amount", "status", "executed_at", "trade_date"),
            *("settlement_date", "instrument", "value_date", "posting_date", "pending_id", "reverses"),
            *("cash_balance", "warning", "reference", "posting_rules", "source", "correlation_id"),
        ),
    ),
    wire(money.PaymentOrder): Rows(
        "back_office",
        "payment_order_step",
        (
            *("event_id", "order_id", "entity", "account", "currency", "amount", "state", "revision"),
            *("event_time", "settlement_date", "book", "counterparty", "obligation_id", "drafted_by"),
            *("approved_by", "changed_by", "reason"),
        ),
    ),
    wire(money.CashBalance): Rows(
        "back_office",
        "cash_balance",
        (
            *("entity", "account", "currency", "trade_date_balance", "settled_balance", "projected_balance"),
            *("business_date", "event_time", "overdrawn", "event_id"),
        ),
        key=("entity", "account", "currency"),
    ),
    wire(currency_position.CurrencyPositionUpdated): Rows(
        "back_office",
        "currency_position",
        (
            *("entity", "reporting_currency", "event_time", "sum_long", "sum_short", "net_open_position"),
            *("capital_charge", "settled_net_open_position", "event_id"),
        ),
        documents=("exposures", "unrated", "warnings"),
        key=("entity",),
    ),
}


class MoneySink(PostgresSink):
    """`back_office.ledger_entry`, `payment_order_step`, `cash_balance` and `currency_position`."""

    name = "postgres-money"
    topics: Sequence[str] = (
        topics.LEDGER_ENTRIES.name,
        topics.PAYMENT_ORDERS.name,
        topics.CASH_BALANCES.name,
        topics.CURRENCY_POSITIONS.name,
    )
    targets: Sequence[Target] = tuple(rows.target for rows in _ROWS.values())

    async def write_rows(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Write transfers and steps, and the last state of each balance and position."""
        found: dict[type, dict[object, list[Value]]] = {}
        for item in batch.items:
            rows = _ROWS.get(type(item.event))
            if rows is not None:
                found.setdefault(type(item.event), {})[rows.key(item.event)] = rows.row(item, item.event)
        for kind, lines in found.items():
            await _ROWS[kind].target.add(connection, [copy_line(row) for row in lines.values()])
