"""Money as events: movements of cash, transfers of the ledger, balances, payment orders, and the rules of posting.

Owns: their fields and constraints.
Guarantees: an amount is an exact decimal; that of a transfer is positive and has exactly the decimals of its currency's
minor unit, so its sign is told by which account is debited. Dates are ISO 8601 days.
"""

import json
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from schemas.events import Event, Identifier, Number
from schemas.times import Nanoseconds
from schemas.units import EntryStatus, MovementKind, PaymentState, PaymentStep, currency_code_fault


def _day(text: str) -> str:
    try:
        if text and date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError("expected a day as YYYY-MM-DD")


def _optional_day(text: str) -> str:
    return _day(text) if text else text


def _currency(text: str) -> str:
    fault = currency_code_fault(text)
    if fault is not None:
        raise ValueError(f"expected {fault}")
    return text


def _definition(text: str) -> str:
    try:
        document = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError("expected a JSON object")
    return text


Day = Annotated[str, AfterValidator(_day)]
OptionalDay = Annotated[str, AfterValidator(_optional_day)]
Currency = Annotated[str, AfterValidator(_currency)]
RulesVersion = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CashMovement(Event):
    """Cash that moves without a trade, or is accrued; goes into `bo.ledger.in.v1`, event time `event_time`.

    `amount` is signed: positive comes in, or is accrued as income. `movement_id` is known once, for ever; the event id is
    the same. `reverses` names a movement that this one takes back. What is accrued under an `accrual_key` is cleared
    by the payment of the same key. With `by_payment` it stays pending until its payment order is settled; `user` is then
    who drafted that. An empty `settlement_date` is the trade date, an empty `value_date` the settlement date.
    """

    movement_id: Identifier
    kind: MovementKind
    currency: Currency
    amount: Number
    trade_date: Day
    event_time: Nanoseconds = Nanoseconds(0)
    entity: str = ""
    account: str = ""
    book: str = ""
    settlement_date: OptionalDay = ""
    value_date: OptionalDay = ""
    instrument: str = ""
    counterparty: str = ""
    reference: str = ""
    reverses: str = ""
    accrual_key: str = ""
    by_payment: bool = False
    user: str = ""
    posting_rules: RulesVersion = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CashLedgerEntry(Event):
    """One transfer between two accounts of the ledger; topic `bo.cash.ledger.v1`, event time `executed_at`.

    `trade_id` is the trade or movement that caused it, `leg` what of it this is, `revision` the position's event that
    posted it. A transfer is first pending, and posted by a second entry with `pending_id` on the day that it settles; or
    posted at once. `reverses` is the event id of the entry that it takes back. `posting_date` is the day in whose
    period it counts, the trade date unless that was closed; `value_date` the day from which it bears interest.
    The last entry of a cause that moves cash has `cash_balance`, what the account then holds, pending included.
    `warning` says what a rule about balances found.
    """

    entity: str
    account: str
    book: str
    currency: str
    trade_id: str
    leg: str
    revision: int
    debit_account: str
    credit_account: str
    amount: Decimal
    status: EntryStatus
    executed_at: Nanoseconds
    trade_date: str
    settlement_date: str
    instrument: str = ""
    value_date: str = ""
    posting_date: str = ""
    pending_id: str = ""
    reverses: str = ""
    cash_balance: Decimal | None = None
    warning: str = ""
    reference: str = ""
    posting_rules: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CashBalance(Event):
    """Cash of an entity's account in one currency after an event; topic `bo.cash.balance.v1`, event time `event_time`.

    `trade_date_balance` has all that is booked, `settled_balance` what is posted; `projected_balance` is the settled one
    with what settles within ten business days of `business_date`.
    """

    entity: str
    account: str
    currency: str
    trade_date_balance: Decimal
    settled_balance: Decimal
    projected_balance: Decimal
    business_date: str
    event_time: Nanoseconds
    overdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOrder(Event):
    """A payment that settles an obligation, after each step; topic `bo.cash.payment_order.v1`.

    `amount` is positive and is paid to `counterparty`; `obligation_id` is the movement or trade. `revision` counts its steps.
    """

    order_id: str
    entity: str
    account: str
    currency: str
    amount: Decimal
    state: PaymentState
    revision: int
    event_time: Nanoseconds
    settlement_date: str
    book: str = ""
    counterparty: str = ""
    obligation_id: str = ""
    drafted_by: str = ""
    approved_by: str = ""
    changed_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDue(Event):
    """What a trade owes in one currency is to be paid to its counterparty; goes into `bo.ledger.in.v1`, and drafts a payment
    order. `user` is who drafts it, `book` and `instrument` those of the trade."""

    order_id: Identifier
    trade_id: Identifier
    book: Identifier
    instrument: Identifier
    currency: Currency
    counterparty: str
    user: Identifier
    entity: str = ""
    event_time: Nanoseconds = Nanoseconds(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentInstruction(Event):
    """What somebody does with a payment order; goes into `bo.ledger.in.v1`."""

    order_id: Identifier
    step: PaymentStep
    user: Identifier
    entity: str = ""
    reason: str = ""
    event_time: Nanoseconds = Nanoseconds(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodLocked(Event):
    """An entity's books are closed up to and including a day; goes into `bo.ledger.in.v1`."""

    through: Day
    user: Identifier
    entity: str = ""
    event_time: Nanoseconds = Nanoseconds(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingRules(Event):
    """A version of the chart of accounts and the posting rules; topic `ref.posting_rules.v1`. It never changes again.

    `definition` is a JSON object as `pks posting-rules-define` takes one. Version 0 is built in.
    """

    version: Annotated[int, Field(ge=1)]
    definition: Annotated[str, AfterValidator(_definition)]
    event_time: Nanoseconds = Nanoseconds(0)
