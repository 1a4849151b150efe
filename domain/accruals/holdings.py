"""What is held when: the quantity of a position at the end of a day, or at an instant, from its trades.

Assumes: `exact_arithmetic()` around it.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Holding:
    """A position for what accrues on it: `settled` by day (ordinals), `executed` by nanosecond, with its terms."""

    entity: str
    account: str
    book: str
    instrument: str
    settled: Quantities
    executed: Quantities
    multiplier: Decimal = Decimal(1)
    inverse: bool = False
    currency: str = ""

    @property
    def place(self) -> str:
        """Where it is held, as keys of accruals name it."""
        return f"{self.entity}/{self.account}/{self.book}/{self.instrument}"
