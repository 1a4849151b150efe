"""The P&L between two moments by full revaluation: one factor stepped at a time, each from where the last one stopped.

Beside the Taylor explanation of `domain.pnl.attribution`: it needs a price function, and in return has no error of
higher order; what two factors made together falls to the one that is stepped later.
Assumes: `exact_arithmetic()` around it.
Guarantees: the parts and `unexplained` add up to the total, exactly.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from domain.pnl.attribution import rounded
from domain.pnl.observation import Factors
from schemas.numbers import ZERO

ORDER = ("time", "rate", "volatility", "spot")
"""The order in which factors are stepped, where nobody says another: what is certain first, what moves most last."""


def revalue(
    price: Callable[[Factors], float],
    before: Factors,
    after: Factors,
    quantity: Decimal,
    total: Decimal,
    order: Sequence[str] = ORDER,
) -> dict[str, Decimal]:
    """What each factor made of `total`, the P&L of `quantity` units, and what is `unexplained`.

    A factor that is None before or after is not stepped. Parts are 64-bit floats rounded to decimals at 1e-12.
    """
    parts: dict[str, Decimal] = {}
    here, value = before, price(before)
    for name in order:
        moved = getattr(after, name)
        if moved is None or getattr(before, name) is None:
            parts[name] = ZERO
            continue
        here = msgspec.structs.replace(here, **{name: moved})
        stepped = price(here)
        parts[name] = rounded(float(quantity) * (stepped - value))
        value = stepped
    parts["unexplained"] = total - sum(parts.values(), ZERO)
    return parts
