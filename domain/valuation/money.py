"""Market value and unrealised P&L of one position: exact, in the settlement currency.

Assumes: `exact_arithmetic()` around it; quantities are signed; `cost` is the gross cost basis (without held fees).
Guarantees: value and P&L of a linear instrument are products and differences, so never rounded; those of an inverse
contract need one division, whose quotient is rounded as the cost basis of a lot is (60 decimals). A flat position is
worth 0 whatever its mark; without a mark nothing is worth anything, and that is no zero.
"""

from decimal import Decimal
from typing import NamedTuple

from schemas.numbers import ZERO, divide_value

MODEL_PRICE_DECIMALS = 12
"""Decimals to which a model's price is rounded, half-even in binary as printing does, before it becomes money."""


class Worth(NamedTuple):
    """What a position is worth: `market_value` with the accrued interest in it, and gross, clean P&L."""

    market_value: Decimal
    accrued_interest: Decimal
    unrealised_pnl: Decimal


FLAT = Worth(ZERO, ZERO, ZERO)


def worth(
    quantity: Decimal,
    multiplier: Decimal,
    inverse: bool,
    cost: Decimal,
    mark: Decimal | None,
    accrued_per_unit: Decimal | None = None,
) -> Worth | None:
    """What `quantity` is worth at `mark`; None where there is no mark, or one at which an inverse contract has no value.

    Linear: quantity x multiplier x mark; P&L is that less the cost. Inverse: quantity x multiplier / mark, in coin; P&L is
    the cost less that, since what rises is paid with less coin. `accrued_per_unit` is added to the value of a bond.
    """
    if not quantity:
        return FLAT
    if mark is None:
        return None
    if inverse:
        if mark <= 0:
            return None
        value = divide_value(quantity * multiplier, mark)
        return Worth(value, ZERO, cost - value)
    value = quantity * multiplier * mark
    pnl = value - cost
    if accrued_per_unit is None:
        return Worth(value, ZERO, pnl)
    accrued = quantity * accrued_per_unit
    return Worth(value + accrued, accrued, pnl)


def model_price(price: float) -> Decimal:
    """A model's price as a decimal of `MODEL_PRICE_DECIMALS`."""
    return Decimal(f"{price:.{MODEL_PRICE_DECIMALS}f}")
