"""Movements of cash and payment orders in the ledger stage.

Owns: the layout of the families `m` (movements), `k` (what is accrued under a key) and `y` (payment orders).
Guarantees: a movement is known once, for ever; one that is taken back is taken back transfer by transfer, once. A payment is
approved by another user than the one who drafted it, and what it pays stays pending until it is settled.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from agents.ledger_accounts import Scope, names_key
from agents.ledger_entries import Cause, Dates, post, settled_entry
from agents.ledger_income import Income, income_of, tell_income
from agents.ledger_state import LedgerState, unknown_rules
from agents.stage import Refusal, Step
from domain.ledger.movements import movement_transfers
from domain.ledger.payments import TRANSITIONS, step_fault
from domain.ledger.posting import Transfer, note_residue, reversed_transfer
from domain.ledger.rules import CASH, BelowZero, Rules
from schemas import money, topics
from schemas.frames import wire
from schemas.identity import content_id
from schemas.numbers import ZERO, plain
from schemas.units import PaymentState, PaymentStep
from tables.partition import TablePartition

MOVEMENT, ACCRUED, PAYMENT = b"m", b"k", b"y"

_DUPLICATE = Refusal("known already, with the same content", kind="duplicate")
_order = wire(money.PaymentOrder)


class Movement(msgspec.Struct, array_like=True, gc=False):
    """A movement that was posted, so that it can be known again and taken back."""

    content: str
    amount: Decimal
    settlement_date: str
    value_date: str
    transfers: list[Transfer]
    residue: Decimal
    residue_account: str
    accrued: Decimal
    accrual_key: str
    reversed_by: str = ""
    income: Income | None = None


class Payment(msgspec.Struct, array_like=True, gc=False):
    """A payment order as it stands, with the transfers that wait for it; `of_trade` where a trade made them, no movement."""

    order: wire(money.PaymentOrder)  # type: ignore[valid-type]
    transfers: list[Transfer]
    value_date: str
    trade_date: str
    instrument: str
    posting_rules: int
    of_trade: bool = False


_encode = msgspec.json.Encoder().encode
_decode_movement = msgspec.json.Decoder(Movement).decode
_decode_payment = msgspec.json.Decoder(Payment).decode


def find_movement(table: TablePartition, movement_id: str) -> Movement | None:
    """A movement that the ledger has posted, in the table of its entity's partition; None where it has not."""
    stored = table.get(MOVEMENT + movement_id.encode())
    return None if stored is None else _decode_movement(stored)


def find_payment(table: TablePartition, order_id: str) -> Payment | None:
    """A payment order; None where there is none."""
    stored = table.get(PAYMENT + order_id.encode())
    return None if stored is None else _decode_payment(stored)


def scan_payments(table: TablePartition) -> list[Payment]:
    """All payment orders of a table partition."""
    return [_decode_payment(value) for _, value in table.scan_prefix(PAYMENT)]


def accrued_under(table: TablePartition, entity: str, currency: str, accrual_key: str) -> Decimal:
    """What is accrued under a key and not paid yet; positive is owed to us."""
    stored = table.get(names_key(ACCRUED, entity, currency, accrual_key))
    return ZERO if stored is None else Decimal(stored.decode())


def content_of(event: Any) -> str:
    """What a movement says but for its id: the same again is a duplicate."""
    named = (
        event.kind, event.currency, plain(event.amount), event.trade_date, event.entity, event.account, event.book,
        event.settlement_date, event.value_date, event.instrument, event.reverses, event.accrual_key,
    )  # fmt: skip
    return content_id(*named)


def is_posted(table: TablePartition, event: Any) -> bool:
    """Whether the ledger has posted a movement: by its id, with the content of this event."""
    known = find_movement(table, event.movement_id)
    return known is not None and known.content == content_of(event)


def move(state: LedgerState, event: Any, step: Step) -> Refusal | None:
    """Post a movement of cash."""
    table, movement_id = state.table, event.movement_id
    content = content_of(event)
    known = find_movement(table, movement_id)
    if known is not None:
        if known.content == content:
            return _DUPLICATE
        return _refused(event, "movement_id", "a new id, or the same content again", movement_id)
    rules = state.rules.get(event.posting_rules)
    if rules is None:
        return unknown_rules(event.posting_rules, state.rules)
    original = find_movement(table, event.reverses) if event.reverses else None
    record = _record(state, event, rules, content, original)
    if isinstance(record, Refusal):
        return record
    scope = state.accounts.scope(event.entity, event.account, event.book)
    by_payment = event.by_payment and original is None
    if by_payment and event.amount >= 0:
        return _refused(event, "amount", "a negative amount: what is paid goes out", plain(event.amount))
    at_once = record.settlement_date <= event.trade_date
    dates = state.dates(
        rules,
        event.entity,
        event.book,
        event.trade_date,
        record.settlement_date,
        record.value_date,
        at_once=at_once,
    )
    if isinstance(dates, Refusal):
        return dates
    refusal = _blocked(event, scope, rules, record.transfers)
    if refusal is not None:
        return refusal
    table.put(MOVEMENT + movement_id.encode(), _encode(record))
    if original is not None:
        original.reversed_by = movement_id
        table.put(MOVEMENT + event.reverses.encode(), _encode(original))
    _accrue(state, event.entity, event.currency, record.accrual_key, record.accrued)
    posted = list(record.transfers)
    if record.residue:
        unit = rules.money(event.currency)
        # An account of income falls where one of cash would rise.
        residues = state.accounts.residues(scope)
        left = note_residue(residues, record.residue_account, unit, event.currency, -record.residue)
        if left is not None:
            posted.append(left)
    if by_payment:
        dates = dates.until_paid()
        _draft(state, event, step, record, dates, rules)
    cause = Cause(event, movement_id, 0, event.event_time, event.instrument, rules)
    reverses = (event.reverses, 0) if original is not None else None
    post(state.accounts, step, cause, [(scope, dates, posted, reverses)])
    tell_income(state, event, record.income, step)
    return None


def _record(
    state: LedgerState, event: Any, rules: Rules, content: str, original: Movement | None
) -> Movement | Refusal:
    """What a movement posts, or why it cannot be posted."""
    if event.reverses:
        refusal = _cannot_reverse(event, original)
        if refusal is not None:
            return refusal
        assert original is not None, "a movement that can be taken back is known"
        return Movement(
            content,
            event.amount,
            event.settlement_date or max(original.settlement_date, event.trade_date),
            event.value_date or original.value_date or original.settlement_date,
            [reversed_transfer(each) for each in original.transfers],
            -original.residue,
            original.residue_account,
            -original.accrued,
            original.accrual_key,
            income=None if original.income is None else original.income.negative(),
        )
    rule = rules.movements.get(event.kind)
    if rule is None:
        return _refused(event, "kind", f"a kind that version {rules.version} has a rule for", event.kind)
    before = accrued_under(state.table, event.entity, event.currency, event.accrual_key)
    transfers, accrued, residue = movement_transfers(rules, rule, event, before)
    settlement_date = event.settlement_date or event.trade_date
    return Movement(
        content,
        event.amount,
        settlement_date,
        event.value_date,
        transfers,
        residue,
        rule.account,
        accrued if event.accrual_key else ZERO,
        event.accrual_key,
        income=income_of(event, rules, ZERO if rule.is_accrual else -accrued),
    )


def _accrue(state: LedgerState, entity: str, currency: str, accrual_key: str, change: Decimal) -> None:
    if change:
        accrued = accrued_under(state.table, entity, currency, accrual_key) + change
        state.table.put(names_key(ACCRUED, entity, currency, accrual_key), str(accrued).encode())


def _refused(event: Any, field: str, expected: str, found: str) -> Refusal:
    return Refusal("the movement cannot be posted", field, expected, found, getattr(event, "movement_id", ""))


def _cannot_reverse(event: Any, original: Movement | None) -> Refusal | None:
    if original is None:
        return _refused(event, "reverses", "a movement that this entity has posted", event.reverses)
    if original.reversed_by:
        return _refused(
            event, "reverses", "a movement that is not taken back yet", f"by {original.reversed_by}"
        )
    if event.amount != -original.amount:
        return _refused(event, "amount", plain(-original.amount), plain(event.amount))
    return None


def _blocked(event: Any, scope: Scope, rules: Rules, transfers: Sequence[Transfer]) -> Refusal | None:
    """Refuse what an account would not hold, where its rule is to block."""
    change: dict[str, Decimal] = {}
    for _, debit, credit, _, amount in transfers:
        change[debit] = change.get(debit, ZERO) + amount
        change[credit] = change.get(credit, ZERO) - amount
    for code, moved in change.items():
        if moved < 0 and rules.accounts[code].below_zero is BelowZero.BLOCK:
            left = scope.account(code, event.currency, rules).total + moved
            if left < 0:
                return _refused(event, "amount", f"at most what {code} holds", f"{plain(left)} after it")
    return None


def _draft(state: LedgerState, event: Any, step: Step, record: Movement, dates: Dates, rules: Rules) -> None:
    order = _order(
        event_id=f"{event.event_id}.y1",
        correlation_id=event.correlation_id,
        causation_id=event.event_id,
        source=event.source,
        order_id=event.movement_id,
        entity=event.entity,
        account=event.account,
        currency=event.currency,
        amount=-rules.money(event.currency).round(event.amount),
        state=PaymentState.DRAFT,
        revision=1,
        event_time=event.event_time,
        settlement_date=dates.settlement_date,
        book=event.book,
        counterparty=event.counterparty,
        obligation_id=event.movement_id,
        drafted_by=event.user,
        changed_by=event.user,
        reason=event.reference,
    )
    payment = Payment(
        order, record.transfers, record.value_date, event.trade_date, event.instrument, rules.version
    )
    keep_payment(state, payment, step)


def keep_payment(state: LedgerState, payment: Payment, step: Step) -> None:
    """Keep a payment order as it stands now, and tell it."""
    order = payment.order
    state.table.put(PAYMENT + order.order_id.encode(), _encode(payment))
    step.bucket(topics.PAYMENT_ORDERS, order.entity).append(order)


def pay(state: LedgerState, event: Any, step: Step) -> Refusal | None:
    """Do a step with a payment order."""
    payment = find_payment(state.table, event.order_id)
    if payment is None:
        return _no_step(event, "order_id", f"a payment order of entity {event.entity!r}", event.order_id)
    order = payment.order
    if order.event_id == f"{event.event_id}.y":
        return _DUPLICATE
    fault = step_fault(order, event.step, event.user)
    if fault is not None:
        return _no_step(event, *fault)
    after = TRANSITIONS[order.state, event.step]
    payment.order = msgspec.structs.replace(
        order,
        event_id=f"{event.event_id}.y",
        correlation_id=event.correlation_id,
        causation_id=event.event_id,
        state=after,
        revision=order.revision + 1,
        event_time=event.event_time,
        approved_by=event.user if event.step is PaymentStep.APPROVE else order.approved_by,
        changed_by=event.user,
        reason=event.reason,
    )
    keep_payment(state, payment, step)
    if after is PaymentState.SETTLED:
        _settle(state, event, payment, step)
    elif after is PaymentState.CANCELLED:
        _void(state, event, payment, step)
    return None


def _no_step(event: Any, field: str, expected: str, found: str) -> Refusal:
    return Refusal("the step is not possible", field, expected, found, event.order_id)


def _settle(state: LedgerState, event: Any, payment: Payment, step: Step) -> None:
    """What waited for the payment is settled."""
    order, accounts = payment.order, state.accounts
    rules = state.rules[payment.posting_rules]
    scope = accounts.scope(order.entity, order.account, order.book)
    for number, (_, debit, credit, currency, amount) in enumerate(payment.transfers):
        debited, credited = scope.account(debit, currency, rules), scope.account(credit, currency, rules)
        debited.settled += amount
        credited.settled -= amount
        accounts.touch(debited)
        accounts.touch(credited)
        cash = debited if debit == CASH else credited if credit == CASH else None
        step.bucket(topics.LEDGER_ENTRIES, scope.keys[currency]).append(
            settled_entry(
                event,
                scope,
                order.settlement_date,
                (debit, credit, currency, amount),
                cash,
                number,
                rules,
                (order.order_id, f"payment:{order.revision}:{number}"),
            )
        )


def _void(state: LedgerState, event: Any, payment: Payment, step: Step) -> None:
    """What waited for the payment is taken back; of a trade, it settles with the end of its day as that of any other."""
    order = payment.order
    if payment.of_trade:
        scope = state.accounts.scope(order.entity, order.account, order.book)
        state.accounts.hold_pending(scope, order.settlement_date, payment.transfers)
        return
    rules = state.rules[payment.posting_rules]
    scope = state.accounts.scope(order.entity, order.account, order.book)
    dates = Dates(
        payment.trade_date, order.settlement_date, payment.value_date, "", "", pending=True, by_payment=True
    )
    cause = Cause(event, order.order_id, order.revision, event.event_time, payment.instrument, rules)
    transfers = [reversed_transfer(each) for each in payment.transfers]
    post(state.accounts, step, cause, [(scope, dates, transfers, (order.obligation_id, 0))])
    movement = find_movement(state.table, order.obligation_id)
    if movement is not None:
        movement.reversed_by = order.order_id
        state.table.put(MOVEMENT + order.obligation_id.encode(), _encode(movement))
        _accrue(state, order.entity, order.currency, movement.accrual_key, -movement.accrued)
        if movement.income is not None:
            tell_income(state, event, movement.income.negative(), step)
