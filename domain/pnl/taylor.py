"""P&L attribution by a second-order Taylor expansion, in exact decimals.

Owns: the formula of each bucket. For one unit of position, with S the spot, v the volatility, r the rate, t the time:

    delta  delta x dS              gamma  1/2 x gamma x dS^2
    vega   vega x dv               volga  1/2 x volga x dv^2
    theta  theta x dt              vanna  vanna x dS x dv
    rho    rho x dr

Assumes: `exact_arithmetic()` around it; vega, rho, vanna and volga per 1.00, theta per year, as `pks price` gives them.
Guarantees: nothing is rounded; the buckets add up to `explained`, and `explained + unexplained` is `total`, to the last
digit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.numbers import ZERO, plain

GREEKS = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga")
MOVES = ("spot", "volatility", "rate", "time")
GIVEN_BUCKETS = ("carry", "fx", "funding", "new_trades")
"""Buckets that come with the input; they are added as they are."""

Numbers = Mapping[str, Decimal]

_HALF = Decimal("0.5")
_FORMULAS: Mapping[str, Callable[[Decimal, Decimal, Decimal, Decimal, Decimal], Decimal]] = {
    "delta": lambda greek, spot, volatility, rate, time: greek * spot,
    "gamma": lambda greek, spot, volatility, rate, time: _HALF * greek * spot * spot,
    "vega": lambda greek, spot, volatility, rate, time: greek * volatility,
    "theta": lambda greek, spot, volatility, rate, time: greek * time,
    "rho": lambda greek, spot, volatility, rate, time: greek * rate,
    "vanna": lambda greek, spot, volatility, rate, time: greek * spot * volatility,
    "volga": lambda greek, spot, volatility, rate, time: _HALF * greek * volatility * volatility,
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """P&L by bucket; `total` and `unexplained` are None where no total was given."""

    buckets: Numbers
    explained: Decimal
    total: Decimal | None
    unexplained: Decimal | None

    def document(self) -> dict[str, Any]:
        """As JSON has it: money as text in plain notation."""
        return {
            "buckets": {name: plain(amount) for name, amount in self.buckets.items()},
            "explained": plain(self.explained),
            "total": None if self.total is None else plain(self.total),
            "unexplained": None if self.unexplained is None else plain(self.unexplained),
        }


def explain(greeks: Numbers, moves: Numbers, given: Numbers, total: Decimal | None) -> Explanation:
    """Split a P&L. Greeks, moves and given buckets that are not there are 0."""
    changes = [moves.get(name, ZERO) for name in MOVES]
    buckets = {name: _FORMULAS[name](greeks.get(name, ZERO), *changes) for name in GREEKS}
    buckets |= {name: given.get(name, ZERO) for name in GIVEN_BUCKETS}
    explained = sum(buckets.values(), ZERO)
    return Explanation(buckets, explained, total, None if total is None else total - explained)
