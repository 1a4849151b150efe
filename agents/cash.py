"""The cash stage: balances of cash from the transfers of the ledger.

Reads the ledger in its order, by entity, account and currency; keeps what each balance is by trade date, settled, and by the
days on which it settles and bears interest; says what it is after each cause that moved it.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

import native
from agents.counters import Counters
from agents.stage import Frame, InvariantBroken, Stage, Step, TableDeclaration
from domain.cash.balances import Balance, apply, fault, forget_settled, projected
from domain.ledger.rules import CASH
from schemas import money, topics
from schemas.frames import positional
from schemas.numbers import ZERO
from schemas.passing import PartialCodec
from tables.partition import TablePartition

NAME = "cash"

BALANCE, PENDING, VALUE = b"a", b"d", b"v"
"""Families: `a names` a balance, `d names 0 day` what settles on a day, `v names 0 day` what bears interest from it on."""

Names = tuple[str, str, str]
"""Entity, account, currency."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Decimal, Decimal, int]).decode
_balance = positional(money.CashBalance)
_COUNTED = money.CashLedgerEntry.__name__
_CODEC = PartialCodec(
    {
        money.CashLedgerEntry: (
            "event_id", "correlation_id", "entity", "account", "currency", "debit_account", "credit_account",
            "amount", "status", "executed_at", "trade_date", "settlement_date", "value_date", "posting_date",
            "pending_id", "cash_balance",
        )
    }
)  # fmt: skip
ENTRY = _CODEC.head(money.CashLedgerEntry)
"""A transfer, as far as this stage reads it."""


def _key(family: bytes, names: Names, *more: str) -> bytes:
    return family + "\x00".join((*names, *more)).encode()


class CashState:
    """The balances of one partition."""

    def __init__(self, table: TablePartition) -> None:
        self.table = table
        self.counters = Counters(table)
        self.balances: dict[Names, Balance] = {}
        self.dirty: dict[Names, Balance] = {}

    def balance(self, names: Names) -> Balance:
        """A balance, 0 where there was none."""
        found = self.balances[names] = read_balance(self.table, names)
        return found

    def before_commit(self) -> None:
        """Write what changed, and hold it against its identity."""
        for names, balance in self.dirty.items():
            for family, amounts, changed in (
                (PENDING, balance.pending, balance.changed_pending),
                (VALUE, balance.values, balance.changed_values),
            ):
                for day in sorted(changed):
                    key = _key(family, names, day)
                    amount = amounts.get(day, ZERO)
                    self.table.put(key, str(amount).encode()) if amount else self.table.delete(key)
            if sum(balance.values.values(), ZERO) != balance.total:
                raise InvariantBroken(f"expected the amounts by value date of {names} to be {balance.total}")
            forget_settled(balance)
            figures = balance.total, balance.settled, balance.entries
            self.table.put(_key(BALANCE, names), _encode(figures))
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed."""
        for balance in self.dirty.values():
            balance.changed_pending.clear()
            balance.changed_values.clear()
        self.dirty.clear()
        self.counters.committed()

    def rollback(self) -> None:
        """Forget all that is in memory: it is read again from the table."""
        self.balances.clear()
        self.dirty.clear()
        self.counters.rollback()


def read_balance(table: TablePartition, names: Names) -> Balance:
    """A balance as a table partition has it."""
    stored = table.get(_key(BALANCE, names))
    if stored is None:
        return Balance()
    total, settled, entries = _decode(stored)
    return Balance(
        total, settled, entries, dict(_days(table, PENDING, names)), dict(_days(table, VALUE, names))
    )


def _days(table: TablePartition, family: bytes, names: Names) -> Iterator[tuple[str, Decimal]]:
    prefix = _key(family, names, "")
    for key, value in table.scan_prefix(prefix):
        yield key[len(prefix) :].decode(), Decimal(value.decode())


def scan_balances(table: TablePartition) -> Iterator[tuple[Names, Balance]]:
    """Every balance of a table partition."""
    for key, _ in table.scan_prefix(BALANCE):
        entity, account, currency = key[1:].decode().split("\x00")
        yield (entity, account, currency), read_balance(table, (entity, account, currency))


def handle(state: CashState, frames: Iterable[Frame], step: Step) -> None:
    """Take in transfers."""
    compiled = native.cash()
    counts = None
    for frame in frames:
        if counts is None:
            counts = state.counters.of(_COUNTED)
        events = frame.events
        place, end = 0, len(events)
        counts.read += end
        counts.applied += end
        while place < end:
            taken = place if compiled is None else compiled.take(state, events, place, step)
            if taken == place:
                _take(state, events[place], step)
                taken += 1
            place = taken


def _take(state: CashState, entry: Any, step: Step) -> None:
    if entry.debit_account != CASH and entry.credit_account != CASH:
        return
    names = entry.entity, entry.account, entry.currency
    balance = state.balances.get(names) or state.balance(names)
    state.dirty[names] = balance
    _refuse(names, entry, apply(balance, entry))
    if entry.cash_balance is not None and not step.silent:
        _tell(entry, balance, step)


def check(names: Names, balance: Balance, entry: Any) -> None:
    """Raise InvariantBroken where a balance is not what a transfer tells of it."""
    _refuse(names, entry, fault(balance, entry.cash_balance))


def _refuse(names: Names, entry: Any, found: str | None) -> None:
    if found is not None:
        raise InvariantBroken(f"balance of {names}: {found} at {entry.event_id}")


def _tell(entry: Any, balance: Balance, step: Step) -> None:
    business_date = entry.posting_date or entry.trade_date
    step.bucket(topics.CASH_BALANCES, entry.entity).append(
        # In the order of the fields of `CashBalance`.
        _balance(
            f"{entry.event_id}.b",
            entry.correlation_id,
            entry.event_id,
            1,
            entry.source,
            entry.entity,
            entry.account,
            entry.currency,
            balance.total,
            balance.settled,
            projected(balance, business_date),
            business_date,
            entry.executed_at,
            balance.total < ZERO,
        )
    )


def stage() -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.LEDGER_ENTRIES,
        outputs=(topics.CASH_BALANCES,),
        table=TableDeclaration(NAME),
        open_state=CashState,
        handler=handle,
        codec=_CODEC,
        description="keeps balances of cash, settled and to come",
    )
