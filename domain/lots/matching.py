"""Lot matching: one trade onto a position, and one trade back off it.

`apply` matches a trade that stands after every trade already in the position. What it returns holds the lots
that the trade consumed, as they were before: so `undo` takes the last trade back exactly. A late, amended or
cancelled trade is put in its place by undoing the trades after it and applying them again
(`domain.lots.rematch`): the cost is how late it is, not how long the position's history or how many lots are
open, for every lot method. A fill costs the lots that it touches.

Exactness: sums and products are exact (callers run inside `exact_arithmetic()`). Rounding happens only where a
division does not end: values of inverse lots and shares of an average pool (60 decimals), realised P&L of
inverse contracts, and shares of capitalised fees (36 decimals). What is released and what is kept always add up
to what was there, so nothing is left when flat, of the cost or (not inverse) of the P&L.
"""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from domain.lots.position import Lot, OrderKey, Position, Terms, Trade
from schemas.numbers import ZERO, divide_money, divide_value, round_money
from schemas.units import FeePolicy, LotMethod

_FIFO = LotMethod.FIFO
_AVERAGE = LotMethod.AVERAGE
_EXCLUDED = FeePolicy.EXCLUDED
_CAPITALISED = FeePolicy.CAPITALISED


class Applied(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a trade did: enough to take it back, and to name its matches.

    `consumed` are the lots that it touched as they were before, in the order of consumption; `rest` is what
    it left of the last of them; `opened` is the lot that it opened (or, for `average`, the pool that it made).
    The figures are its changes to the position.
    """

    realised_pnl: Decimal
    net_realised_pnl: Decimal
    value: Decimal
    held_fees: Decimal
    consumed: tuple[Lot, ...] = ()
    rest: Lot | None = None
    opened: Lot | None = None


class Match(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A closing trade against a lot; `quantity` is positive, `realised_pnl` before fees."""

    opening_trade_id: str
    closing_trade_id: str
    quantity: Decimal
    open_price: Decimal
    close_price: Decimal
    realised_pnl: Decimal


def lot_value(quantity: Decimal, price: Decimal, inverse: bool) -> Decimal:
    """What a quantity is worth at a price, before the multiplier; signed as the quantity."""
    return divide_value(quantity, price) if inverse else quantity * price


def apply(position: Position, trade: Trade) -> Applied:
    """Match a trade that is later than all others of the position. Changes the position."""
    quantity = trade.quantity
    held = position.quantity
    if not held or (held > ZERO) == (quantity > ZERO):
        applied = _open(position, trade)
    elif position.terms.lot_method is _AVERAGE:
        applied = _close_pool(position, trade)
    else:
        applied = _close_lots(position, trade)
    position.quantity = held + quantity
    position.value += applied.value
    # Most trades have no fee, and many no P&L: what is zero need not be added.
    realised, net = applied.realised_pnl, applied.net_realised_pnl
    if realised is not ZERO or net is not ZERO:
        same = net is realised and position.net_realised_pnl is position.realised_pnl
        position.realised_pnl += realised
        position.net_realised_pnl = position.realised_pnl if same else position.net_realised_pnl + net
    if trade.fee is not ZERO:
        position.fees += trade.fee
    if applied.held_fees is not ZERO:
        position.held_fees += applied.held_fees
    return applied


def undo(position: Position, trade: Trade, applied: Applied) -> None:
    """Take back the last applied trade: the exact inverse of `apply`."""
    lots = position.lots
    if applied.opened is not None:
        lots.pop()
    consumed = applied.consumed
    if consumed:
        if position.terms.lot_method is _FIFO:
            if applied.rest is not None:
                lots.popleft()
            lots.extendleft(reversed(consumed))
        else:
            if applied.rest is not None:
                lots.pop()
            lots.extend(reversed(consumed))
    position.quantity -= trade.quantity
    position.value -= applied.value
    position.realised_pnl -= applied.realised_pnl
    position.net_realised_pnl -= applied.net_realised_pnl
    position.fees -= trade.fee
    position.held_fees -= applied.held_fees


def _open(position: Position, trade: Trade) -> Applied:
    terms = position.terms
    quantity = trade.quantity
    fee = trade.fee
    value = divide_value(quantity, trade.price) if terms.inverse else quantity * trade.price
    policy = terms.fee_policy
    if policy is _CAPITALISED:
        held_fee, net = fee, ZERO
    else:
        held_fee, net = ZERO, ZERO if policy is _EXCLUDED else -fee
    lots = position.lots
    if lots and terms.lot_method is _AVERAGE:
        before = lots.pop()
        total_quantity, total_value = before.quantity + quantity, before.value + value
        price = (
            divide_money(total_quantity, total_value)
            if terms.inverse
            else divide_money(total_value, total_quantity)
        )
        pool = Lot(
            before.trade_id,
            before.executed_at,
            before.source_sequence,
            total_quantity,
            price,
            total_value,
            before.fee + held_fee,
        )
        lots.append(pool)
        return Applied(ZERO, net, value, held_fee, (before,), None, pool)
    lot = Lot(
        trade.trade_id, trade.executed_at, trade.source_sequence, quantity, trade.price, value, held_fee
    )
    lots.append(lot)
    return Applied(ZERO, net, value, held_fee, (), None, lot)


def _close_lots(position: Position, trade: Trade) -> Applied:
    terms = position.terms
    lots = position.lots
    first_in = terms.lot_method is _FIFO
    inverse = terms.inverse
    capitalised = terms.fee_policy is _CAPITALISED
    price = trade.price
    long = position.quantity > ZERO
    remaining = -trade.quantity
    realised = released_fees = relieved_value = ZERO
    consumed: list[Lot] = []
    rest: Lot | None = None
    while lots and remaining:
        lot = lots.popleft() if first_in else lots.pop()
        consumed.append(lot)
        closed = lot.quantity
        if closed <= remaining if long else closed >= remaining:
            remaining -= closed
            relieved, fee = lot.value, lot.fee
        else:
            rest = _reduced(lot, remaining, terms)
            if first_in:
                lots.appendleft(rest)
            else:
                lots.append(rest)
            closed, remaining = remaining, ZERO
            relieved, fee = lot.value - rest.value, lot.fee - rest.fee
        relieved_value += relieved
        realised += _realised(closed, price, relieved, terms.multiplier, inverse)
        if capitalised:
            released_fees += fee
    return _closed(position, trade, remaining, realised, relieved_value, released_fees, consumed, rest)


def _reduced(lot: Lot, closed: Decimal, terms: Terms) -> Lot:
    """What is left of a lot after `closed` of it is gone."""
    left = lot.quantity - closed
    value = divide_value(left, lot.price) if terms.inverse else left * lot.price
    fee = lot.fee
    if fee:
        fee -= divide_money(fee * closed, lot.quantity)
    return Lot(lot.trade_id, lot.executed_at, lot.source_sequence, left, lot.price, value, fee)


def _close_pool(position: Position, trade: Trade) -> Applied:
    terms = position.terms
    pool = position.lots.pop()
    wanted = -trade.quantity
    long = pool.quantity > 0
    rest: Lot | None = None
    if pool.quantity <= wanted if long else pool.quantity >= wanted:
        closed, relieved, fee = pool.quantity, pool.value, pool.fee
    else:
        closed = wanted
        relieved = divide_value(pool.value * closed, pool.quantity)
        fee = divide_money(pool.fee * closed, pool.quantity) if pool.fee else ZERO
        rest = Lot(
            pool.trade_id,
            pool.executed_at,
            pool.source_sequence,
            pool.quantity - closed,
            pool.price,
            pool.value - relieved,
            pool.fee - fee,
        )
        position.lots.append(rest)
    realised = _realised(closed, trade.price, relieved, terms.multiplier, terms.inverse)
    return _closed(position, trade, wanted - closed, realised, relieved, fee, [pool], rest)


def _realised(
    closed: Decimal, price: Decimal, relieved: Decimal, multiplier: Decimal, inverse: bool
) -> Decimal:
    """P&L of closing `closed` (signed as the lot) at `price`, against the value relieved from the lot."""
    if inverse:
        return round_money(multiplier * (relieved - divide_value(closed, price)))
    return multiplier * (closed * price - relieved)


def _closed(
    position: Position,
    trade: Trade,
    remaining: Decimal,
    realised: Decimal,
    relieved: Decimal,
    released_fees: Decimal,
    consumed: list[Lot],
    rest: Lot | None,
) -> Applied:
    """The outcome of a close; what remains of the trade (signed as the closed lots) opens the other side."""
    terms = position.terms
    fee = trade.fee
    policy = terms.fee_policy
    net, held_fees, value = realised, ZERO, -relieved
    opened: Lot | None = None
    opened_fee = ZERO
    if remaining:
        quantity = -remaining
        if policy is _CAPITALISED:
            opened_fee = fee - divide_money(fee * (trade.quantity - quantity), trade.quantity)
        opened_value = lot_value(quantity, trade.price, terms.inverse)
        opened = Lot(
            trade.trade_id,
            trade.executed_at,
            trade.source_sequence,
            quantity,
            trade.price,
            opened_value,
            opened_fee,
        )
        position.lots.append(opened)
        value += opened_value
    if policy is _CAPITALISED:
        net -= released_fees + fee - opened_fee
        held_fees = opened_fee - released_fees
    elif policy is not _EXCLUDED:
        net -= fee
    return Applied(realised, net, value, held_fees, tuple(consumed), rest, opened)


def matches(trade: Trade, applied: Applied, terms: Terms) -> Iterator[Match]:
    """The matches of an applied trade, in the order of matching; their P&L sums to `applied.realised_pnl`."""
    for index, lot in enumerate(applied.consumed):
        if (lot.quantity > 0) == (trade.quantity > 0):
            return
        closed, relieved = lot.quantity, lot.value
        if applied.rest is not None and index == len(applied.consumed) - 1:
            closed, relieved = closed - applied.rest.quantity, relieved - applied.rest.value
        realised = _realised(closed, trade.price, relieved, terms.multiplier, terms.inverse)
        yield Match(lot.trade_id, trade.trade_id, abs(closed), lot.price, trade.price, realised)


def lot_changes(applied: Applied, changes: dict[OrderKey, Lot | None], *, undone: bool = False) -> None:
    """Record in `changes` which lots the trade leaves (or, undone, brings back): by order, None for gone."""
    if undone:
        for lot in (applied.opened, applied.rest):
            if lot is not None:
                changes[lot.order] = None
        for lot in applied.consumed:
            changes[lot.order] = lot
        return
    for lot in applied.consumed:
        changes[lot.order] = None
    for lot in (applied.rest, applied.opened):
        if lot is not None:
            changes[lot.order] = lot
