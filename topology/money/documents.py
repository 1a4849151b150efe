"""The ledger and cash as documents: what `pks ledger`, `pks cash` and `pks payments` print."""

from collections.abc import Iterable, Iterator
from typing import Any

from agents import cash, ledger
from agents.ledger_accounts import read_accounts
from agents.ledger_movements import find_payment, scan_payments
from domain.cash.balances import Balance, forget_settled, horizon, interest_balance, ladder, move
from domain.ledger.ledger_hash import account_digest, ledger_hash
from domain.ledger.rules import CASH
from domain.lots.documents import Document
from schemas import topics
from schemas.numbers import plain
from schemas.times import format_time
from tables.partition import TablePartition
from topology.log_reading import WholeLog, partition_count, read_events, table_partition


def tables_of(log: WholeLog, name: str) -> list[TablePartition]:
    """The table of a stage, partition by partition."""
    return [table_partition(log, name, partition) for partition in range(partition_count(log))]


def live_entries(log: WholeLog) -> Iterator[Any]:
    """Every entry of the ledger, partition by partition in the order in which it was posted."""
    for partition in range(partition_count(log)):
        for _, entry in read_events(log, topics.LEDGER_ENTRIES, partition):
            yield entry


def entry_document(entry: Any) -> Document:
    """An entry; amounts as text, what it has not as null."""
    return {
        "entry_id": entry.event_id,
        "entity": entry.entity,
        "account": entry.account,
        "book": entry.book,
        "trade_id": entry.trade_id,
        "leg": entry.leg,
        "revision": entry.revision,
        "debit_account": entry.debit_account,
        "credit_account": entry.credit_account,
        # With the decimals of the minor unit, which say what it is.
        "amount": format(entry.amount, "f"),
        "currency": entry.currency,
        "status": entry.status.value,
        "trade_date": entry.trade_date,
        "settlement_date": entry.settlement_date,
        "value_date": entry.value_date or entry.settlement_date,
        "posting_date": entry.posting_date or entry.trade_date,
        "executed_at": format_time(entry.executed_at),
        "instrument": entry.instrument,
        "pending_id": entry.pending_id or None,
        "reverses": entry.reverses or None,
        "cash_balance": None if entry.cash_balance is None else plain(entry.cash_balance),
        "warning": entry.warning or None,
        "reference": entry.reference or None,
        "posting_rules": entry.posting_rules,
        "causation_id": entry.causation_id,
    }


def balances_of(tables: Iterable[TablePartition]) -> list[tuple[cash.Names, Balance]]:
    """Every balance of cash, by entity, account and currency."""
    found = (each for table in tables for each in cash.scan_balances(table))
    return sorted(found, key=lambda each: each[0])


def parts_of_balances(
    entries: Iterable[Any], book: str | None, instrument: str | None
) -> list[tuple[cash.Names, Balance]]:
    """What the transfers of a book, of an instrument, or of one in the other, come to in each balance of cash."""
    found: dict[cash.Names, Balance] = {}
    for entry in entries:
        if book not in (None, entry.book) or instrument not in (None, entry.instrument):
            continue
        if CASH in (entry.debit_account, entry.credit_account):
            balance = found.setdefault((entry.entity, entry.account, entry.currency), Balance())
            move(balance, entry)
    for balance in found.values():
        forget_settled(balance)
    return sorted(found.items())


def balance_documents(
    balances: Iterable[tuple[cash.Names, Balance]], business_date: str, *, with_ladder: bool
) -> Iterator[Document]:
    """Every balance of cash, as seen on a business date."""
    for (entity, account, currency), balance in balances:
        yield _balance_document(entity, account, currency, balance, business_date, with_ladder=with_ladder)


def _balance_document(
    entity: str, account: str, currency: str, balance: Balance, business_date: str, *, with_ladder: bool
) -> Document:
    last = horizon(business_date)
    later = sum((amount for day, amount in balance.pending.items() if day > last), start=balance.total * 0)
    document: Document = {
        "entity": entity,
        "account": account,
        "currency": currency,
        "trade_date_balance": plain(balance.total),
        "settled_balance": plain(balance.settled),
        "pending": plain(balance.total - balance.settled),
        "projected_balance": plain(balance.total - later),
        "value_date_balance": plain(interest_balance(balance.values.items(), business_date)),
        "business_date": business_date,
        "entries": balance.entries,
    }
    if with_ladder:
        document["ladder"] = [
            {"settlement_date": day, "amount": plain(amount), "balance": plain(after)}
            for day, amount, after in ladder(balance.settled, sorted(balance.pending.items()), business_date)
        ]
    return document


def latest_day(balances: Iterable[tuple[cash.Names, Balance]]) -> str | None:
    """The last day on which something was booked to bear interest or settles; None where there is no cash."""
    return max((day for _, balance in balances for day in balance.values), default=None)


def hash_of(tables: Iterable[TablePartition]) -> tuple[str, int]:
    """The ledger hash, and how many accounts it is of."""
    digests = [
        account_digest(names, total, settled)
        for table in tables
        for names, total, settled in read_accounts(table)
        if total or settled
    ]
    return ledger_hash(digests), len(digests)


def payment_documents(log: WholeLog) -> Iterator[Document]:
    """Every payment order as it stands."""
    for table in tables_of(log, ledger.NAME):
        for payment in scan_payments(table):
            order = payment.order
            yield {
                "order_id": order.order_id,
                "state": order.state.value,
                "entity": order.entity,
                "account": order.account,
                "book": order.book,
                "amount": format(order.amount, "f"),
                "currency": order.currency,
                "counterparty": order.counterparty,
                "settlement_date": order.settlement_date,
                "drafted_by": order.drafted_by,
                "approved_by": order.approved_by or None,
                "changed_by": order.changed_by,
                "reason": order.reason or None,
                "revision": order.revision,
            }


def find_order(log: WholeLog, order_id: str) -> Any | None:
    """A payment order as it stands; None where there is none."""
    for table in tables_of(log, ledger.NAME):
        payment = find_payment(table, order_id)
        if payment is not None:
            return payment.order
    return None
