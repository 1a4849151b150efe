"""The slow, obvious recomputation of a position from its list of trades: what lot matching is held against.

Nothing here is incremental, shared with `domain.lots.matching`, or clever: trades are sorted, each one is cut
into what closes and what opens, and every rule stands where it is used, in fractions, which are always exact.
Rounding is applied, half-even, exactly where PKS says that it rounds: 60 decimals for the value of an inverse
lot and for the share of an average pool's value, 36 for a realised P&L of an inverse contract, for a share of a fee
and for the price of a pool, 24 for an average price over several lots. With `rounded=False` nothing is rounded at all, which
shows how little the rounding matters.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from domain.lots.position import Position, Terms, Trade
from schemas.units import FeePolicy, LotMethod

_NOTHING = Fraction(0)


@dataclass(slots=True)
class ReferenceLot:
    """An open lot; quantity and value are signed, `fee` is what it holds of capitalised fees."""

    trade_id: str
    executed_at: int
    source_sequence: int
    quantity: Fraction
    price: Fraction
    value: Fraction
    fee: Fraction


@dataclass(frozen=True, slots=True)
class ReferenceMatch:
    """A close of one lot; `quantity` is positive."""

    opening_trade_id: str
    closing_trade_id: str
    quantity: Fraction
    open_price: Fraction
    close_price: Fraction
    realised_pnl: Fraction


@dataclass(slots=True)
class Figures:
    """A position, recomputed."""

    quantity: Fraction = _NOTHING
    average_price: Fraction | None = None
    cost_basis: Fraction = _NOTHING
    realised_pnl: Fraction = _NOTHING
    net_realised_pnl: Fraction = _NOTHING
    fees: Fraction = _NOTHING
    lots: list[ReferenceLot] = field(default_factory=list)
    matches: list[ReferenceMatch] = field(default_factory=list)


def position(
    trades: Sequence[Trade],
    terms: Terms,
    changes: Mapping[str, Terms] | None = None,
    *,
    rounded: bool = True,
) -> Figures:
    """The position that `trades` (in any order) make.

    `changes` gives the terms that begin with a trade, by its id, where others than `terms` did.
    """
    return _Recomputation(terms, rounded).run(trades, changes or {})


def position_in_order(trades: Iterable[tuple[Trade, Terms | None]], terms: Terms) -> Figures:
    """The same from trades that come in the order of matching, each with the terms that begin with it, if any.

    Matches are not kept, so that memory is bounded by the open lots.
    """
    recomputation = _Recomputation(terms, rounded=True)
    for trade, changed in trades:
        recomputation.terms = changed or recomputation.terms
        recomputation.apply(trade)
        recomputation.figures.matches.clear()
    recomputation.summarise()
    return recomputation.figures


class _Recomputation:
    def __init__(self, terms: Terms, rounded: bool) -> None:
        self.terms = terms
        self.rounded = rounded
        self.figures = Figures()
        self.lots: deque[ReferenceLot] = deque()

    def run(self, trades: Sequence[Trade], changes: Mapping[str, Terms]) -> Figures:
        in_order = sorted(
            trades, key=lambda trade: (trade.executed_at, trade.source_sequence, trade.trade_id)
        )
        for trade in in_order:
            self.terms = changes.get(trade.trade_id, self.terms)
            self.apply(trade)
        self.summarise()
        return self.figures

    def apply(self, trade: Trade) -> None:
        """Cut the trade into what closes lots of the other side, lot by lot, and what opens a new one."""
        price, fee = Fraction(trade.price), Fraction(trade.fee)
        left = whole = Fraction(trade.quantity)
        while left != 0 and self.lots and (self.lots[0].quantity > 0) != (left > 0):
            left -= self.close(trade, left, price)
        opening_fee = fee
        if left != whole:
            opening_fee = fee - self.round(fee * (whole - left) / whole, 36)
        closing_fee = fee - opening_fee if left != 0 else fee
        if left != 0:
            self.open(trade, left, price, opening_fee)
        self.figures.fees += fee
        policy = self.terms.fee_policy
        if policy == FeePolicy.EXPENSED:
            self.figures.net_realised_pnl -= fee
        elif policy == FeePolicy.CAPITALISED:
            self.figures.net_realised_pnl -= closing_fee

    def close(self, trade: Trade, left: Fraction, price: Fraction) -> Fraction:
        """Close the next lot, whole or in part; returns what of the trade's quantity it took."""
        terms = self.terms
        last_in = terms.lot_method == LotMethod.LIFO
        lot = self.lots[-1] if last_in else self.lots[0]
        closed = lot.quantity if abs(lot.quantity) <= abs(left) else -left
        if closed == lot.quantity:
            relieved, fee = lot.value, lot.fee
            if last_in:
                self.lots.pop()
            else:
                self.lots.popleft()
        else:
            fee = self.round(lot.fee * closed / lot.quantity, 36)
            if terms.lot_method == LotMethod.AVERAGE:
                relieved = self.round(lot.value * closed / lot.quantity, 60)
            else:
                relieved = lot.value - self.value(lot.quantity - closed, lot.price)
            lot.quantity -= closed
            lot.value -= relieved
            lot.fee -= fee
        multiplier = Fraction(terms.multiplier)
        if terms.inverse:
            realised = self.round(multiplier * (relieved - self.value(closed, price)), 36)
        else:
            realised = multiplier * (closed * price - relieved)
        self.figures.realised_pnl += realised
        self.figures.net_realised_pnl += realised
        if terms.fee_policy == FeePolicy.CAPITALISED:
            self.figures.net_realised_pnl -= fee
        self.figures.matches.append(
            ReferenceMatch(lot.trade_id, trade.trade_id, abs(closed), lot.price, price, realised)
        )
        return -closed

    def open(self, trade: Trade, quantity: Fraction, price: Fraction, fee: Fraction) -> None:
        """Open a lot, or put the quantity into the pool."""
        terms = self.terms
        held_fee = fee if terms.fee_policy == FeePolicy.CAPITALISED else _NOTHING
        value = self.value(quantity, price)
        if terms.lot_method == LotMethod.AVERAGE and self.lots:
            pool = self.lots[0]
            pool.quantity += quantity
            pool.value += value
            pool.fee += held_fee
            share = pool.quantity / pool.value if terms.inverse else pool.value / pool.quantity
            pool.price = self.round(share, 36)
            return
        self.lots.append(
            ReferenceLot(
                trade.trade_id, trade.executed_at, trade.source_sequence, quantity, price, value, held_fee
            )
        )

    def value(self, quantity: Fraction, price: Fraction) -> Fraction:
        """What a quantity is worth at a price, before the multiplier."""
        return self.round(quantity / price, 60) if self.terms.inverse else quantity * price

    def round(self, number: Fraction, decimals: int) -> Fraction:
        """Half-even at `decimals`."""
        return Fraction(round(number * 10**decimals), 10**decimals) if self.rounded else number

    def summarise(self) -> None:
        figures = self.figures
        figures.lots = list(self.lots)
        figures.quantity = sum((lot.quantity for lot in self.lots), _NOTHING)
        value = sum((lot.value for lot in self.lots), _NOTHING)
        held_fees = sum((lot.fee for lot in self.lots), _NOTHING)
        figures.cost_basis = value * Fraction(self.terms.multiplier) + held_fees
        if len(self.lots) == 1:
            figures.average_price = self.lots[0].price
        elif self.lots:
            share = figures.quantity / value if self.terms.inverse else value / figures.quantity
            figures.average_price = self.round(share, 24)


def residuals(kept: Position, figures: Figures) -> dict[str, Fraction]:
    """What `kept` has more than the recomputed figures, by name of figure; every value is 0 where they agree.

    `lots` counts the lots that differ in any way.
    """
    found: dict[str, Fraction] = {
        name: Fraction(getattr(kept, name)) - getattr(figures, name)
        for name in ("quantity", "cost_basis", "realised_pnl", "net_realised_pnl", "fees")
    }
    average = kept.average_price
    if average is None or figures.average_price is None:
        found["average_price"] = Fraction((average is None) != (figures.average_price is None))
    else:
        found["average_price"] = Fraction(average) - figures.average_price
    pairs = zip(kept.lots, figures.lots, strict=False)
    differing = sum(not _same_lot(lot, other) for lot, other in pairs)
    found["lots"] = Fraction(differing + abs(len(kept.lots) - len(figures.lots)))
    return found


def _same_lot(lot: Any, other: ReferenceLot) -> bool:
    names = ("trade_id", "executed_at", "source_sequence", "quantity", "price", "value", "fee")
    return all(getattr(lot, name) == getattr(other, name) for name in names)
