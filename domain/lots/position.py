"""What lot matching reads and keeps: terms, trades, lots, and the position that they make.

Quantities are signed (positive is long). `value` is what a lot's remaining quantity is worth at its own price,
before the multiplier: quantity x price, or quantity / price of an inverse contract. Times are nanoseconds.
"""

from collections import deque
from decimal import Decimal, getcontext

import msgspec

from schemas.numbers import DIGITS_MAX, ONE, ZERO, divide_price, plain
from schemas.units import FeePolicy, LotMethod

OrderKey = tuple[int, int, str]
"""The place of a trade in the order of matching: executed_at, source_sequence, trade_id."""


class Terms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a position is matched and valued; fixed while it is open."""

    lot_method: LotMethod = LotMethod.FIFO
    fee_policy: FeePolicy = FeePolicy.EXCLUDED
    multiplier: Decimal = ONE
    inverse: bool = False
    currency: str = ""


class TermsFault(msgspec.Struct, frozen=True, gc=False):
    """Which of a trade's terms does not fit its position."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"expected {self.field} {self.expected}, found {self.found}"


def terms_difference(kept: Terms, terms: Terms, why: str) -> TermsFault | None:
    """The first of `terms` that is not as it is `kept`, and why it should be; None where all are."""
    for name in Terms.__struct_fields__:
        expected, found = getattr(kept, name), getattr(terms, name)
        if expected != found:
            return TermsFault(name, f"{_in_words(expected)}, {why}", _in_words(found))
    return None


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return plain(value) if isinstance(value, Decimal) else str(value) or "none"


class Trade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What matching needs of a trade. `fee` is in the settlement currency, negative for a rebate."""

    trade_id: str
    executed_at: int
    source_sequence: int
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO

    @property
    def order(self) -> OrderKey:
        """Its place in the order of matching."""
        return (self.executed_at, self.source_sequence, self.trade_id)


class Lot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is left of an opening trade. `fee` is the opening fee still held (under `capitalised`, else 0)."""

    trade_id: str
    executed_at: int
    source_sequence: int
    quantity: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal = ZERO

    @property
    def order(self) -> OrderKey:
        """Its place among the lots."""
        return (self.executed_at, self.source_sequence, self.trade_id)


def average_price(quantity: Decimal, value: Decimal, inverse: bool) -> Decimal:
    """The price at which a quantity that is worth a value was opened, over several lots."""
    return divide_price(quantity, value) if inverse else divide_price(value, quantity)


class Position:
    """A position and its open lots, in the order of matching. Changed by `domain.lots.matching` only."""

    __slots__ = (
        "fees",
        "held_fees",
        "lots",
        "net_realised_pnl",
        "quantity",
        "realised_pnl",
        "terms",
        "value",
    )

    def __init__(self, terms: Terms) -> None:
        if getcontext().prec < 4 * DIGITS_MAX:
            raise RuntimeError("expected exact_arithmetic() around lot matching, found a rounding context")
        self.terms = terms
        self.quantity = ZERO
        self.value = ZERO
        self.realised_pnl = ZERO
        self.net_realised_pnl = ZERO
        self.fees = ZERO
        self.held_fees = ZERO
        self.lots: deque[Lot] = deque()

    @property
    def average_price(self) -> Decimal | None:
        """The price at which the open quantity was opened, without fees; None when flat."""
        lots = self.lots
        if len(lots) == 1:
            return lots[0].price
        if not lots:
            return None
        return average_price(self.quantity, self.value, self.terms.inverse)

    @property
    def cost_basis(self) -> Decimal:
        """Value x multiplier, signed as the quantity, with the fees still held in lots when capitalised."""
        value, multiplier = self.value, self.terms.multiplier
        if multiplier is not ONE:
            value *= multiplier
        return value if self.held_fees is ZERO else value + self.held_fees

    def terms_fault(self, terms: Terms) -> TermsFault | None:
        """Why a trade of `terms` cannot be matched here.

        A position's terms are fixed while it is open, and its currency while it has P&L or fees in it.
        """
        if terms == self.terms:
            return None
        if self.lots:
            return terms_difference(self.terms, terms, "as the open position has it")
        if self.realised_pnl or self.fees:
            kept = msgspec.structs.replace(terms, currency=self.terms.currency)
            return terms_difference(kept, terms, "in which the position has its P&L")
        return None
