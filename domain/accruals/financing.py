"""Interest by the day: what a short position in a security costs, what an account's cash earns or costs.

Owns: on what it is reckoned (the market value of what is short and settled; the value-date balance at the end of the day) and
when it is paid: what accrues in a month on the first weekday of the next.
Guarantees: every calendar day accrues by itself, so that a Friday's balance bears interest for the weekend, and 29 February
is a day like others; each day is rounded half up, so a month is the sum of its days.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.coupons import times
from domain.accruals.day_counts import year_share
from domain.accruals.holdings import Holding, Quantities
from schemas.numbers import ZERO
from schemas.units import MovementKind

_DAY = timedelta(days=1)
_SATURDAY = 5

OfDay = Callable[[date], Decimal | None]
"""A rate or a price that is in force at the end of a day; None where none is known."""


@dataclass(frozen=True, slots=True)
class Financing:
    """How days bear interest: rates a year per 1.00. `free_balance` earns nothing."""

    currency: str
    day_count: str
    decimals: int = 2
    debit_spread: Decimal = ZERO
    credit_spread: Decimal = ZERO
    free_balance: Decimal = ZERO


def interest_of_day(amount: Decimal, rate: Decimal, day_count: str, day: date, decimals: int) -> Decimal:
    """What an amount bears from a day to the next."""
    return times(amount * rate, year_share(day_count, day, day + _DAY), decimals)


def payment_day(day: date) -> date:
    """When what accrued in the month of a day is paid: the first weekday of the month after."""
    first = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    while first.weekday() >= _SATURDAY:
        first += _DAY
    return first


def borrow_fees(
    holding: Holding, financing: Financing, rate_of: OfDay, price_of: OfDay, until: date
) -> Iterator[Accrued | Hole]:
    """What a holding costs for every day on which it is short, up to and including a day, and the payments of it."""
    days = _days(holding.settled, until)
    prefix = f"/{holding.place}/"

    def of_day(day: date) -> Decimal | Hole | None:
        quantity = holding.settled.on(day.toordinal())
        if quantity >= 0:
            return None
        rate, price = rate_of(day), price_of(day)
        key = f"borrow_fee_accrual{prefix}{day}"
        if rate is None:
            return Hole(key, f"{holding.instrument}: no borrowing rate", str(day))
        if price is None:
            return Hole(
                key, f"{holding.instrument}: no mark on {day}, which the borrowing fee is reckoned on"
            )
        value = quantity * holding.multiplier * price
        return interest_of_day(
            value, rate + financing.debit_spread, financing.day_count, day, financing.decimals
        )

    base = Accrued(
        key=prefix,
        kind=MovementKind.BORROW_FEE,
        day=until,
        amount=ZERO,
        currency=financing.currency,
        entity=holding.entity,
        account=holding.account,
        book=holding.book,
        instrument=holding.instrument,
        reference="borrowing fee",
    )
    yield from _by_month(base, MovementKind.BORROW_FEE_ACCRUAL, days, of_day, until)


def margin_interest(
    entity: str,
    account: str,
    balances: Quantities,
    financing: Financing,
    rate_of: OfDay,
    until: date,
) -> Iterator[Accrued | Hole]:
    """What an account's cash in one currency costs or earns, by its balance by value date, and the payments of it.

    `balances` are without those payments: each is added to the balance from its day on, so that what is booked already and
    what is booked now give the same.
    """
    prefix = f"/{entity}/{account}/{financing.currency}/"
    months: dict[date, Decimal] = {}
    paid = ZERO

    def of_day(day: date) -> Decimal | Hole | None:
        nonlocal paid
        paid += months.pop(day, ZERO)
        balance = balances.on(day.toordinal()) + paid
        if 0 <= balance <= financing.free_balance:
            return None
        rate = rate_of(day)
        if rate is None:
            return Hole(
                f"margin_interest_accrual{prefix}{day}",
                f"{account or entity or 'cash'}: no interest rate for {financing.currency}",
                str(day),
            )
        if balance < 0:
            amount, rate = balance, rate + financing.debit_spread
        else:
            amount, rate = balance - financing.free_balance, max(ZERO, rate - financing.credit_spread)
        interest = interest_of_day(amount, rate, financing.day_count, day, financing.decimals)
        due = payment_day(day)
        months[due] = months.get(due, ZERO) + interest
        return interest

    base = Accrued(
        key=prefix,
        kind=MovementKind.MARGIN_INTEREST,
        day=until,
        amount=ZERO,
        currency=financing.currency,
        entity=entity,
        account=account,
        reference=f"interest on {financing.currency} cash",
    )
    yield from _by_month(base, MovementKind.MARGIN_INTEREST_ACCRUAL, _days(balances, until), of_day, until)


def _days(quantities: Quantities, until: date) -> Iterator[date]:
    if not quantities.at:
        return
    for ordinal in range(quantities.at[0], until.toordinal() + 1):
        yield date.fromordinal(ordinal)


def _by_month(
    base: Accrued,
    accrual: MovementKind,
    days: Iterator[date],
    of_day: Callable[[date], Decimal | Hole | None],
    until: date,
) -> Iterator[Accrued | Hole]:
    """Accruals day by day, and after each month that is over the payment of their sum."""
    months: dict[date, Decimal] = {}
    for day in days:
        found = of_day(day)
        if isinstance(found, Hole):
            yield found
        elif found:
            paid = payment_day(day)
            months[paid] = months.get(paid, ZERO) + found
            yield _dated(base, accrual, day, found, None, f"{day:%Y-%m}")
    for paid, amount in months.items():
        if paid <= until and amount:
            month = f"{paid.replace(day=1) - _DAY:%Y-%m}"
            yield _dated(base, base.kind, paid, amount, paid, month)


def _dated(
    base: Accrued, kind: MovementKind, day: date, amount: Decimal, paid: date | None, month: str
) -> Accrued:
    return Accrued(
        key=f"{kind}{base.key}{month if paid else day}",
        kind=kind,
        day=day,
        amount=amount,
        currency=base.currency,
        entity=base.entity,
        account=base.account,
        book=base.book,
        instrument=base.instrument,
        payment_date=paid,
        cleared_by=f"{base.kind}{base.key}{month}",
        reference=f"{base.reference} {month}",
    )
