"""Payment orders of trades: what a trade owes its counterparty, drafted, and taken out of what the end of a day settles.

Owns: the family `q` (the orders of a trade), and which of a trade's transfers wait for a payment.
Assumes: who asks for an order knows that the trade settles by payment: the ledger is not told of counterparties.
Guarantees: a transfer waits for one thing, its payment or the end of its day, never for both; an order of a trade that is
amended or cancelled before it was sent is cancelled, and another one may be drafted. One that was sent stands: the ledger then
takes the old content back beside it.
"""

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from agents.ledger_movements import Payment, find_payment, keep_payment
from agents.ledger_state import TRADE, LedgerState
from agents.stage import Refusal, Step
from domain.ledger.posting import Content, Transfer
from domain.ledger.rules import CASH
from schemas import money
from schemas.frames import wire
from schemas.identity import position_key
from schemas.numbers import ZERO
from schemas.units import PaymentState

ORDERS = b"q"

_DUPLICATE = Refusal("known already", kind="duplicate")
_BEFORE_SENT = (PaymentState.DRAFT, PaymentState.APPROVED, PaymentState.FAILED)
_order = wire(money.PaymentOrder)
_encode = msgspec.json.Encoder().encode
_decode_orders = msgspec.json.Decoder(list[str]).decode


class Obligation(NamedTuple):
    """What of a trade in one currency is paid to its counterparty and still pending; `orders` are those that it has had."""

    entity: str
    content: Content
    currency: str
    amount: Decimal
    transfers: list[Transfer]
    posting_rules: int
    orders: list[str]


def trade_key(book: str, instrument: str, trade_id: str) -> bytes:
    """The key of what a trade moved."""
    return TRADE + position_key(book, instrument) + b"\x00" + trade_id.encode()


def obligations(state: LedgerState, book: str, instrument: str, trade_id: str) -> list[Obligation]:
    """What a trade owes by currency: none where it is settled, settles at once, or comes in. Call it inside
    `exact_arithmetic()`."""
    key = trade_key(book, instrument, trade_id)
    content = state.content(key)
    if content is None or content.settlement_date <= state.book(book)[0]:
        return []
    posted = (state.positions.get((book, instrument)) or state.position(book, instrument)).posted
    rule = state.rules[posted.posting_rules].trade_class(posted.instrument_class)
    if rule.cycle is None and content.settlement_date == content.trade_date:
        return []
    found = []
    for currency in dict.fromkeys(currency for *_, currency, _ in content.transfers):
        moves = [each for each in content.transfers if each[3] == currency and CASH in (each[1], each[2])]
        amount = sum((size if credit == CASH else -size for _, _, credit, _, size in moves), ZERO)
        if amount > ZERO:
            orders = _orders_of(state, key)
            found.append(
                Obligation(posted.entity, content, currency, amount, moves, posted.posting_rules, orders)
            )
    return found


def _orders_of(state: LedgerState, key: bytes) -> list[str]:
    stored = state.table.get(ORDERS + key[1:])
    return [] if stored is None else _decode_orders(stored)


def under_way(state: LedgerState, obligation: Obligation) -> Any | None:
    """The order of an obligation that is not cancelled; None where there is none."""
    for order_id in obligation.orders:
        payment = find_payment(state.table, order_id)
        if payment is not None and payment.order.currency == obligation.currency:
            order = payment.order
            if order.state is not PaymentState.CANCELLED:
                return order
    return None


def draft(state: LedgerState, event: Any, step: Step) -> Refusal | None:
    """Draft the payment order of what a trade owes."""
    known = find_payment(state.table, event.order_id)
    if known is not None:
        if (known.of_trade, known.order.obligation_id) == (True, event.trade_id):
            return _DUPLICATE
        return _refused(event, "order_id", "a new id", event.order_id)
    owed = next(
        (
            each
            for each in obligations(state, event.book, event.instrument, event.trade_id)
            if each.currency == event.currency
        ),
        None,
    )
    if owed is None:
        expected = f"a trade of entity {event.entity!r} that owes {event.currency} and is not settled"
        return _refused(event, "trade_id", expected, event.trade_id)
    order = under_way(state, owed)
    if order is not None:
        return _refused(
            event, "trade_id", "a trade without a payment order", f"{order.order_id}, {order.state}"
        )
    content = owed.content
    scope = state.accounts.scope(owed.entity, content.account, event.book)
    state.accounts.hold_pending(scope, content.settlement_date, owed.transfers, release=True)
    order = _order(
        event_id=f"{event.event_id}.y1",
        correlation_id=event.correlation_id,
        causation_id=event.event_id,
        source=event.source,
        order_id=event.order_id,
        entity=owed.entity,
        account=content.account,
        currency=owed.currency,
        amount=owed.amount,
        state=PaymentState.DRAFT,
        revision=1,
        event_time=event.event_time,
        settlement_date=content.settlement_date,
        book=event.book,
        counterparty=event.counterparty,
        obligation_id=event.trade_id,
        drafted_by=event.user,
        changed_by=event.user,
    )
    payment = Payment(
        order, owed.transfers, "", content.trade_date, event.instrument, owed.posting_rules, of_trade=True
    )
    keep_payment(state, payment, step)
    key = trade_key(event.book, event.instrument, event.trade_id)
    state.table.put(ORDERS + key[1:], _encode([*owed.orders, event.order_id]))
    return None


def cancel_orders(state: LedgerState, key: bytes, event: Any, step: Step) -> None:
    """A trade is corrected: its orders that were not sent are cancelled, and what waited for them settles with its day, as what
    takes it back does."""
    for number, order_id in enumerate(_orders_of(state, key)):
        payment = find_payment(state.table, order_id)
        if payment is None or payment.order.state not in _BEFORE_SENT:
            continue
        order = payment.order
        scope = state.accounts.scope(order.entity, order.account, order.book)
        state.accounts.hold_pending(scope, order.settlement_date, payment.transfers)
        payment.order = msgspec.structs.replace(
            order,
            event_id=f"{event.event_id}.y{number}",
            correlation_id=event.correlation_id,
            causation_id=event.event_id,
            state=PaymentState.CANCELLED,
            revision=order.revision + 1,
            event_time=event.executed_at,
            changed_by="",
            reason="its trade was amended or cancelled",
        )
        keep_payment(state, payment, step)


def _refused(event: Any, field: str, expected: str, found: str) -> Refusal:
    return Refusal("the payment cannot be drafted", field, expected, found, event.trade_id)
