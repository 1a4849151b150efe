"""A balance of cash from the transfers of the ledger.

Owns: how a transfer changes a balance, the ladder of what settles when, and the balance that bears interest.
Assumes: `exact_arithmetic`; the transfers of one entity, account and currency, in the order in which they were posted.
Guarantees: what is held by trade date is always what has settled plus what is pending, and the sum of the amounts by value
date; whoever calls `apply` is told where the ledger says otherwise.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from domain.ledger.calendars import WEEKDAYS, Calendar, add_business_days
from domain.ledger.rules import CASH
from schemas.numbers import ZERO
from schemas.units import EntryStatus

LADDER_DAYS = 10
"""Business days that a ladder shows."""

_PENDING = EntryStatus.PENDING


class Balance:
    """What an account of an entity holds in one currency; `changed` are the days of `pending` and `values` to be written.

    `pending` has what settles on each day to come; `values` what bears interest from each day on.
    """

    __slots__ = ("changed_pending", "changed_values", "entries", "pending", "settled", "total", "values")

    def __init__(
        self,
        total: Decimal = ZERO,
        settled: Decimal = ZERO,
        entries: int = 0,
        pending: Mapping[str, Decimal] | None = None,
        values: Mapping[str, Decimal] | None = None,
    ) -> None:
        self.total = total
        self.settled = settled
        self.entries = entries
        self.pending = dict(pending or {})
        self.values = dict(values or {})
        self.changed_pending: set[str] = set()
        self.changed_values: set[str] = set()


def move(balance: Balance, entry: Any) -> None:
    """Take in a transfer of cash."""
    amount = entry.amount
    if entry.credit_account == CASH:
        amount = -amount
    day = entry.settlement_date
    balance.entries += 1
    if entry.pending_id:
        balance.settled += amount
        _add(balance.pending, day, -amount)
        balance.changed_pending.add(day)
    else:
        balance.total += amount
        value_date = entry.value_date or day
        _add(balance.values, value_date, amount)
        balance.changed_values.add(value_date)
        if entry.status is _PENDING:
            _add(balance.pending, day, amount)
            balance.changed_pending.add(day)
        else:
            balance.settled += amount


def apply(balance: Balance, entry: Any) -> str | None:
    """Take in a transfer of cash; what does not add up, in words, where something does not."""
    move(balance, entry)
    return None if entry.cash_balance is None else fault(balance, entry.cash_balance)


def fault(balance: Balance, told: Decimal) -> str | None:
    """What of a balance does not add up to what the ledger tells of it, in words; None where all does."""
    if told != balance.total:
        return f"expected the sum of its ledger, {told}, found {balance.total}"
    pending = sum(balance.pending.values(), ZERO)
    if balance.settled + pending != balance.total:
        return f"expected settled and pending to be {balance.total}, found {balance.settled} and {pending}"
    return None


def _add(amounts: dict[str, Decimal], day: str, amount: Decimal) -> None:
    left = amounts[day] + amount if day in amounts else amount
    amounts[day] = left


def forget_settled(balance: Balance) -> None:
    """Drop the days on which nothing is pending any more."""
    for day in balance.changed_pending:
        if not balance.pending.get(day, ZERO):
            balance.pending.pop(day, None)


_horizons: dict[str, str] = {}
_HORIZONS_MAX = 4_096


def horizon(business_date: str) -> str:
    """The last day of a ladder that begins on a day, in weekdays."""
    found = _horizons.get(business_date)
    if found is None:
        if len(_horizons) >= _HORIZONS_MAX:
            _horizons.clear()
        last = add_business_days(WEEKDAYS, date.fromisoformat(business_date), LADDER_DAYS)
        found = _horizons[business_date] = last.isoformat()
    return found


def projected(balance: Balance, business_date: str) -> Decimal:
    """What will have settled at the end of a ladder that begins on a day."""
    last = horizon(business_date)
    later = [amount for day, amount in balance.pending.items() if day > last]
    return balance.total - sum(later, ZERO) if later else balance.total


def ladder(
    settled: Decimal,
    pending: Iterable[tuple[str, Decimal]],
    business_date: str,
    calendar: Calendar = WEEKDAYS,
) -> list[tuple[str, Decimal, Decimal]]:
    """What settles on a day and the next ten business days, each with the balance after it.

    What was due earlier and is still pending stands in the first row; what settles on no business day in the next one.
    """
    days = [add_business_days(calendar, date.fromisoformat(business_date), 0)]
    while len(days) <= LADDER_DAYS:
        days.append(add_business_days(calendar, days[-1] + timedelta(1), 0))
    names = [day.isoformat() for day in days]
    sums = dict.fromkeys(names, ZERO)
    for day, amount in pending:
        due = next((name for name in names if day <= name), None)
        if due is not None:
            sums[due] += amount
    rows = []
    balance = settled
    for name in names:
        balance += sums[name]
        rows.append((name, sums[name], balance))
    return rows


def interest_balance(values: Iterable[tuple[str, Decimal]], day: str) -> Decimal:
    """What bears interest on a day: all amounts whose value date is not after it."""
    return sum((amount for value_date, amount in values if value_date <= day), ZERO)
