"""Lots in a foreign currency: what of a realised P&L in the functional currency is price, and what is the exchange rate.

A lot keeps the rate of the day on which it was opened. What a close realises is, in the functional currency, what it brings at
today's rate less what it cost at that rate; of this

    price part = realised P&L in the foreign currency x rate at the close
    FX part    = cost that is relieved x (rate at the close - rate at the opening)

and the two add up exactly, whatever is long, short, inverse or in a pool. Of a contract that is margined no money was laid out
in the foreign currency, so its FX part is 0: only its P&L is foreign, from the moment it is realised. Cash in a foreign currency
is a position like another, whose price is the rate: what comes in opens lots, what goes out closes them.

Owns: the functional cost of each lot, by the rules of `domain.lots.matching`.
Assumes: `exact_arithmetic()` around it; trades in the order of matching; rates above 0, units of the functional currency for one.
Guarantees: what is relieved and what is kept add up to the functional cost that was there; nothing is left when flat. Rounding
happens only where shares of an average pool, or values of inverse lots, do not end (60 decimals).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from domain.lots.matching import Applied, apply
from domain.lots.position import OrderKey, Position, Terms, Trade
from schemas.numbers import ZERO, divide_value
from schemas.units import LotMethod


@dataclass(frozen=True, slots=True)
class Split:
    """What a trade realised: in the foreign currency, and in the functional one by its two parts."""

    trade_id: str
    realised_pnl: Decimal
    price_part: Decimal
    fx_part: Decimal

    @property
    def functional_pnl(self) -> Decimal:
        """The realised P&L in the functional currency."""
        return self.price_part + self.fx_part


@dataclass(slots=True)
class ForeignPosition:
    """A position with what its lots cost in the functional currency. `margined` where nothing is laid out for them."""

    terms: Terms
    margined: bool = False
    position: Position = field(init=False)
    price_part: Decimal = ZERO
    fx_part: Decimal = ZERO
    _costs: dict[OrderKey, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.position = Position(self.terms)

    @property
    def functional_cost(self) -> Decimal:
        """What the open lots cost in the functional currency, signed as the quantity; 0 of what is margined."""
        return sum(self._costs.values(), ZERO)

    def apply(self, trade: Trade, rate: Decimal) -> Split:
        """Match a trade that is later than all before, at the exchange rate of its day."""
        applied = apply(self.position, trade)
        if self.margined:
            split = Split(trade.trade_id, applied.realised_pnl, applied.realised_pnl * rate, ZERO)
        else:
            split = self._split(trade, applied, rate)
        self.price_part += split.price_part
        self.fx_part += split.fx_part
        return split

    def _split(self, trade: Trade, applied: Applied, rate: Decimal) -> Split:
        closes = bool(applied.consumed) and (applied.consumed[0].quantity > 0) != (trade.quantity > 0)
        if not closes:
            self._open(trade, applied, rate)
            return Split(trade.trade_id, ZERO, ZERO, ZERO)
        relieved = relieved_value = ZERO
        for place, lot in enumerate(applied.consumed):
            rest = applied.rest if place == len(applied.consumed) - 1 else None
            cost = self._costs.pop(lot.order)
            if rest is not None:
                # By quantity: the value of a lot may be 0, and of one lot they are the same share.
                kept = divide_value(cost * rest.quantity, lot.quantity)
                self._costs[rest.order] = kept
                cost -= kept
            relieved += cost
            relieved_value += lot.value - (rest.value if rest is not None else ZERO)
        if applied.opened is not None:
            self._costs[applied.opened.order] = applied.opened.value * self.terms.multiplier * rate
        fx_part = relieved_value * self.terms.multiplier * rate - relieved
        return Split(trade.trade_id, applied.realised_pnl, applied.realised_pnl * rate, fx_part)

    def _open(self, trade: Trade, applied: Applied, rate: Decimal) -> None:
        opened = applied.opened
        assert opened is not None, "what does not close opens"
        before = sum((self._costs.pop(lot.order) for lot in applied.consumed), ZERO)
        added = opened.value - sum((lot.value for lot in applied.consumed), ZERO)
        self._costs[opened.order] = before + added * self.terms.multiplier * rate


def cash_position(
    movements: Iterable[tuple[str, int, Decimal, Decimal]], method: LotMethod = LotMethod.FIFO
) -> Position:
    """Cash in a foreign currency as a position in the functional one: from movements (id, time, signed amount, rate) in order.

    Its realised P&L is what the exchange rate made of what came in and went out again; an overdraft is a short position.
    """
    position = Position(Terms(lot_method=method))
    for number, (movement_id, moment, amount, rate) in enumerate(movements):
        if amount:
            apply(position, Trade(movement_id, moment, number, amount, rate))
    return position
