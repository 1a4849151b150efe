"""An independent model of lots: what a list of trades comes to, in fractions, without any rounding.

It shares no code and no algorithm with `domain.lots`: every close takes the same share of a lot's quantity, value
and fee. What PKS rounds, it rounds far below `TOLERANCE`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from domain.lots.position import Terms, Trade
from schemas.units import FeePolicy, LotMethod

TOLERANCE = Fraction(1, 10**22)
"""Beyond what roundings add up to: the coarsest is that of an average price, at 24 decimals."""


class Conflict(Exception):
    """A trade of other terms meets an open position."""


@dataclass
class ModelLot:
    """An open lot; `price` is its own, or that of the pool."""

    trade_id: str
    quantity: Fraction
    price: Fraction
    value: Fraction
    fee: Fraction


@dataclass
class Figures:
    """What the trades come to."""

    quantity: Fraction
    cost_basis: Fraction
    realised_pnl: Fraction
    net_realised_pnl: Fraction
    fees: Fraction
    average_price: Fraction | None
    lots: list[ModelLot]


def figures(trades: Iterable[tuple[Trade, Terms]]) -> Figures:
    """The position that trades make, each under its own terms. Raises Conflict."""
    lots: list[ModelLot] = []
    terms = Terms()
    realised = fees = charged = Fraction(0)
    for trade, own in sorted(trades, key=lambda item: item[0].order):
        if lots and own != terms:
            raise Conflict
        terms = own
        quantity, price, fee = Fraction(trade.quantity), Fraction(trade.price), Fraction(trade.fee)
        unit = 1 / price if terms.inverse else price
        direction = -1 if terms.inverse else 1
        left = quantity
        while left and lots and (lots[0].quantity > 0) != (left > 0):
            lot = lots[-1 if terms.lot_method is LotMethod.LIFO else 0]
            share = min(Fraction(1), -left / lot.quantity)
            closed, relieved, released = lot.quantity * share, lot.value * share, lot.fee * share
            realised += direction * Fraction(terms.multiplier) * (closed * unit - relieved)
            charged += released
            left += closed
            lot.quantity, lot.value, lot.fee = lot.quantity - closed, lot.value - relieved, lot.fee - released
            lots = [kept for kept in lots if kept.quantity]
        capitalised = fee * left / quantity if terms.fee_policy is FeePolicy.CAPITALISED else Fraction(0)
        if left and lots and terms.lot_method is LotMethod.AVERAGE:
            pool = lots[0]
            pool.quantity, pool.value = pool.quantity + left, pool.value + left * unit
            pool.fee += capitalised
            pool.price = pool.quantity / pool.value if terms.inverse else pool.value / pool.quantity
        elif left:
            lots.append(ModelLot(trade.trade_id, left, price, left * unit, capitalised))
        fees += fee
        charged += 0 if terms.fee_policy is FeePolicy.EXCLUDED else fee - capitalised
    held, value = (sum((getattr(lot, name) for lot in lots), Fraction(0)) for name in ("quantity", "value"))
    average = (held / value if terms.inverse else value / held) if lots else None
    cost = value * Fraction(terms.multiplier) + sum(lot.fee for lot in lots)
    return Figures(held, cost, realised, realised - charged, fees, average, lots)


def differences(position: Any, expected: Figures) -> list[str]:
    """Where a position says something else than the model; empty where they agree."""
    pairs = [
        (name, getattr(position, name), getattr(expected, name))
        for name in ("quantity", "fees", "cost_basis", "realised_pnl", "net_realised_pnl", "average_price")
    ]
    pairs.append(("lots", [lot.trade_id for lot in position.lots], [lot.trade_id for lot in expected.lots]))
    for number, (lot, model) in enumerate(zip(position.lots, expected.lots, strict=False)):
        for name in ("quantity", "price", "value", "fee"):
            pairs.append((f"lots[{number}].{name}", getattr(lot, name), getattr(model, name)))
    return [
        f"{name}: expected {wanted}, found {found}"
        for name, found, wanted in pairs
        if found != wanted and not (isinstance(wanted, Fraction) and _close(name, found, wanted, expected))
    ]


def _close(name: str, found: Any, wanted: Fraction, expected: Figures) -> bool:
    """Whether a figure that PKS may round is near enough. Nothing of a flat position's cost may be left."""
    exact = name.endswith(("quantity", "fees")) or (name == "cost_basis" and not expected.lots)
    return found is not None and not exact and abs(Fraction(found) - wanted) <= TOLERANCE
