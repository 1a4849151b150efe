"""What is held when: the quantity of a position at the end of a day, or at an instant, from its trades.

Assumes: `exact_arithmetic()` around it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from schemas.numbers import ZERO


@dataclass(slots=True)
class Quantities:
    """A quantity over time: `at` is what it is from a moment on (a day's ordinal, or nanoseconds), in order."""

    at: list[int] = field(default_factory=list)
    quantities: list[Decimal] = field(default_factory=list)

    @classmethod
    def of(cls, changes: Iterable[tuple[int, Decimal]]) -> "Quantities":
        """From changes in any order."""
        found = cls()
        quantity = ZERO
        for moment, change in sorted(changes, key=lambda pair: pair[0]):
            quantity += change
            if found.at and found.at[-1] == moment:
                found.quantities[-1] = quantity
            else:
                found.at.append(moment)
                found.quantities.append(quantity)
        return found

    def on(self, moment: int) -> Decimal:
        """The quantity after everything up to and including a moment."""
        place = bisect_right(self.at, moment)
        return self.quantities[place - 1] if place else ZERO


@dataclass(frozen=True, slots=True)
class Dealt:
    """A trade of a holding: its business date, signed quantity, price, and the P&L that it realised."""

    day: date
    quantity: Decimal
    price: Decimal
    realised: Decimal = ZERO


@dataclass(slots=True)
class Holding:
    """A position for what accrues on it: `settled` by day (ordinals), `executed` by nanosecond, with its terms and trades."""

    entity: str
    account: str
    book: str
    instrument: str
    settled: Quantities
    executed: Quantities
    multiplier: Decimal = Decimal(1)
    inverse: bool = False
    currency: str = ""
    instrument_class: str = ""
    dealt: Sequence[Dealt] = ()
    """Its trades, without those that redeem it."""

    @property
    def place(self) -> str:
        """Where it is held, as keys of accruals name it."""
        return f"{self.entity}/{self.account}/{self.book}/{self.instrument}"
