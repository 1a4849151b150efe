"""Transfers as entries of the ledger: applied to accounts, and told to the topic `bo.cash.ledger.v1`.

Owns: which day a transfer settles and in whose period it counts, its id, and what it says of the balance of cash.
Guarantees: an entry's id is a pure function of its cause; an amount is a `Decimal`, never a float; the last entry of a cause
that moves a balance of cash says what that is then.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from agents.ledger_accounts import Accounts, LedgerAccount, Scope
from agents.stage import InvariantBroken, Step
from domain.ledger.posting import REVERSAL, Transfer
from domain.ledger.rules import CASH, Rules
from schemas import money, topics
from schemas.frames import positional
from schemas.units import EntryStatus

_entry = positional(money.CashLedgerEntry)
_ENTRIES = topics.LEDGER_ENTRIES
_PENDING, _POSTED = EntryStatus.PENDING, EntryStatus.POSTED
BELOW_ZERO = "below zero"


class Dates:
    """When transfers of one cause count, settle and bear interest; `reference` is the day that was closed already."""

    __slots__ = (
        "by_payment",
        "pending",
        "posting_date",
        "reference",
        "settlement_date",
        "trade_date",
        "value_date",
    )

    def __init__(
        self,
        trade_date: str,
        settlement_date: str,
        value_date: str,
        posting_date: str,
        reference: str,
        *,
        pending: bool,
        by_payment: bool = False,
    ) -> None:
        self.trade_date = trade_date
        self.settlement_date = settlement_date
        self.value_date = value_date
        self.posting_date = posting_date
        self.reference = reference
        self.pending = pending
        self.by_payment = by_payment

    def until_paid(self) -> "Dates":
        """The same, of what no end of a day settles but its payment."""
        return Dates(
            self.trade_date,
            self.settlement_date,
            self.value_date,
            self.posting_date,
            self.reference,
            pending=True,
            by_payment=True,
        )


class Cause:
    """What transfers come from."""

    __slots__ = ("event", "executed_at", "instrument", "revision", "rules", "trade_id", "warning")

    def __init__(
        self,
        event: Any,
        trade_id: str,
        revision: int,
        executed_at: int,
        instrument: str,
        rules: Rules,
        warning: str = "",
    ) -> None:
        self.event = event
        self.trade_id = trade_id
        self.revision = revision
        self.executed_at = executed_at
        self.instrument = instrument
        self.rules = rules
        self.warning = warning


Part = tuple[Scope, Dates, Sequence[Transfer], tuple[str, int] | None]
"""Transfers of one cause that share their dates; and, where they take others back, of which event those were, from which
number of its entries on."""


def post(accounts: Accounts, step: Step, cause: Cause, parts: Sequence[Part]) -> None:
    """Apply the transfers of a cause to the accounts, and emit an entry for each."""
    lines, last = _apply(accounts, cause, parts)
    if not step.silent:
        _tell(step, cause, parts, lines, last)


_Lines = list[tuple[LedgerAccount, LedgerAccount]]
"""The accounts that each transfer of a cause debits and credits."""

_Last = dict[LedgerAccount, int]
"""Which transfer is the last of a cause to move an account of cash."""


def _apply(accounts: Accounts, cause: Cause, parts: Sequence[Part]) -> tuple[_Lines, _Last]:
    last: _Last = {}
    lines: _Lines = []
    rules = cause.rules
    number = 0
    for scope, dates, transfers, _ in parts:
        settled = not dates.pending
        pending = None
        if not settled and transfers and not dates.by_payment:
            pending = accounts.pending(scope, dates.settlement_date)
        for _, debit, credit, currency, amount in transfers:
            if type(amount) is not Decimal:
                raise InvariantBroken(
                    f"expected a Decimal as the amount of {cause.trade_id}, found {amount!r}"
                )
            debited = scope.accounts.get((debit, currency)) or scope.account(debit, currency, rules)
            credited = scope.accounts.get((credit, currency)) or scope.account(credit, currency, rules)
            debited.total += amount
            credited.total -= amount
            if settled:
                debited.settled += amount
                credited.settled -= amount
            elif pending is None:
                pass
            elif debit < credit:
                pair = debit, credit, currency
                pending[pair] = pending[pair] + amount if pair in pending else amount
            else:
                pair = credit, debit, currency
                pending[pair] = pending[pair] - amount if pair in pending else -amount
            if not debited.dirty:
                accounts.touch(debited)
            if not credited.dirty:
                accounts.touch(credited)
            if debit == CASH:
                last[debited] = number
            elif credit == CASH:
                last[credited] = number
            lines.append((debited, credited))
            number += 1
    return lines, last


def _tell(step: Step, cause: Cause, parts: Sequence[Part], lines: _Lines, last: _Last) -> None:
    rules = cause.rules
    number = 0
    event = cause.event
    event_id = event.event_id
    for scope, dates, transfers, reversed_from in parts:
        status = _PENDING if dates.pending else _POSTED
        for leg, debit, credit, currency, amount in transfers:
            debited, credited = lines[number]
            cash = debited if debit == CASH else credited
            told = last.get(cash) == number
            warning, reverses = cause.warning, ""
            if reversed_from is not None:
                original, place = reversed_from
                if leg.startswith(REVERSAL):
                    reverses = f"{original}.l{place}"
                reversed_from = original, place + 1
            if credited.warns and credited.total < 0 and (told or credit != CASH):
                warning = BELOW_ZERO
            step.bucket(_ENTRIES, scope.keys[currency]).append(
                # In the order of the fields of `CashLedgerEntry`.
                _entry(
                    f"{event_id}.l{number}",
                    event.correlation_id,
                    event_id,
                    1,
                    event.source,
                    scope.entity,
                    scope.name,
                    scope.book,
                    currency,
                    cause.trade_id,
                    leg,
                    cause.revision,
                    debit,
                    credit,
                    amount,
                    status,
                    cause.executed_at,
                    dates.trade_date,
                    dates.settlement_date,
                    cause.instrument,
                    dates.value_date,
                    dates.posting_date,
                    "",
                    reverses,
                    cash.total if told else None,
                    warning,
                    dates.reference,
                    rules.version,
                )
            )
            number += 1


def settle(
    accounts: Accounts,
    step: Step,
    closed: Any,
    rules: Rules,
    book: str,
    number: int,
    of_entity: str | None = None,
) -> int:
    """Post what of a book (and of an entity, where one is named) was pending up to the day that is closed; returns the number of the next entry.

    The transfers of a settlement date between the same two accounts settle in one entry, netted.
    """
    for settlement_date, entity, name, sums in accounts.take_due(book, closed.business_date, of_entity):
        scope = accounts.scope(entity, name, book)
        for (first, second, currency), amount in sorted(sums.items()):
            debit, credit = (first, second) if amount > 0 else (second, first)
            debited = scope.account(debit, currency, rules)
            credited = scope.account(credit, currency, rules)
            size = abs(amount)
            debited.settled += size
            credited.settled -= size
            accounts.touch(debited)
            accounts.touch(credited)
            cash = debited if debit == CASH else credited if credit == CASH else None
            step.bucket(_ENTRIES, scope.keys[currency]).append(
                settled_entry(
                    closed,
                    scope,
                    settlement_date,
                    (debit, credit, currency, size),
                    cash,
                    number,
                    rules,
                    (f"{book}@{settlement_date}", f"settlement:{debit}:{credit}"),
                )
            )
            number += 1
    return number


def settled_entry(
    event: Any,
    scope: Scope,
    settlement_date: str,
    moved: tuple[str, str, str, Decimal],
    cash: LedgerAccount | None,
    number: int,
    rules: Rules,
    names: tuple[str, str],
) -> Any:
    """The entry that posts what was pending: debit, credit, currency and amount `moved`, under a trade id and leg."""
    debit, credit, currency, amount = moved
    trade_id, leg = names
    return _entry(
        f"{event.event_id}.{scope.entity}.l{number}",
        event.correlation_id,
        event.event_id,
        1,
        event.source,
        scope.entity,
        scope.name,
        scope.book,
        currency,
        trade_id,
        leg,
        0,
        debit,
        credit,
        amount,
        _POSTED,
        event.event_time,
        settlement_date,
        settlement_date,
        "",
        "",
        "",
        trade_id,
        "",
        None if cash is None else cash.total,
        "",
        "",
        rules.version,
    )
