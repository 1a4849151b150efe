"""A broker's statement of cash beside the ledger: expected, found, the break, and what explains it.

Owns: what the ledger had of an account at the end of a statement's last day, summed from its transfers.
Guarantees: exact numbers are text in plain notation; a break is never left out.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.venues.ibkr_cash import StatedCash, StatementCash
from domain.ledger.rules import CASH
from domain.statement_cash import CashLine, Span, explained
from schemas import topics
from schemas.numbers import ONE, ZERO, exact_arithmetic, plain
from schemas.times import NANOSECONDS_PER_SECOND
from topology.log_reading import WholeLog, partition_count, read_events

_NEW_YORK = ZoneInfo("America/New_York")


def statement_document(log: WholeLog, statement: StatementCash) -> list[dict[str, Any]]:
    """Each account and currency of a statement, by account and currency."""
    stated = sorted(statement.stated, key=lambda each: (each.account, each.currency))
    spans: dict[str, Span] = {currency: Span(*rates) for currency, rates in statement.rates.items()}
    if statement.base_currency:
        spans[statement.base_currency] = Span(ONE, ONE)
    with exact_arithmetic():
        found = balances_then(log, stated)
        lines = [
            CashLine(each.account, each.currency, each.ended, found.get((each.account, each.currency), ZERO))
            for each in stated
        ]
        return [
            {
                "account": line.account,
                "currency": line.currency,
                "date": each.days[1],
                "expected": plain(line.expected),
                "found": plain(line.found),
                "break": plain(line.difference),
                "explanation": line.explanation,
            }
            for each, line in zip(stated, explained(lines, spans), strict=True)
        ]


def balances_then(log: WholeLog, stated: Sequence[StatedCash]) -> Mapping[tuple[str, str], Decimal]:
    """What the ledger had of accounts and currencies when their statement ended, pending transfers included."""
    ends = {(each.account, each.currency): _end_of(each.days[1]) for each in stated}
    found: dict[tuple[str, str], Decimal] = {}
    for partition in range(partition_count(log)):
        for _, entry in read_events(log, topics.LEDGER_ENTRIES, partition):
            place = (entry.account, entry.currency)
            # The second entry of a transfer only says that the first has settled.
            if place not in ends or entry.pending_id or entry.executed_at >= ends[place]:
                continue
            change = (entry.debit_account == CASH) - (entry.credit_account == CASH)
            found[place] = found.get(place, ZERO) + change * entry.amount
    return found


def _end_of(day: str) -> int:
    """The instant at which a day of a statement is over: midnight in New York."""
    after = date.fromisoformat(day) + timedelta(days=1)
    return int(datetime.combine(after, time(), _NEW_YORK).timestamp()) * NANOSECONDS_PER_SECOND
