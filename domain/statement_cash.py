"""A statement's ending cash beside ours: what is expected, what is found, and what explains a break, where something does.

Assumes: `exact_arithmetic()` around it. Guarantees: a break is shown to the last digit, whether it is explained or not; an
explanation changes no figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from schemas.numbers import divide_price, plain

_RATE_FORM = ".5f"


@dataclass(frozen=True, slots=True)
class CashLine:
    """One account and currency: what the statement expects, and what we found."""

    account: str
    currency: str
    expected: Decimal
    found: Decimal
    explanation: str = ""

    @property
    def difference(self) -> Decimal:
        """What is found beyond what is expected."""
        return self.found - self.expected


class Span(NamedTuple):
    """The lowest and the highest that something was."""

    low: Decimal
    high: Decimal


def explained(lines: Sequence[CashLine], rates: Mapping[str, Span]) -> list[CashLine]:
    """The lines, each break with what explains it. `rates` by currency are those to the base currency that the statement
    itself used in its days.

    Two breaks of an account with opposite signs, whose ratio is a rate of those days, are one conversion that the
    statement does not list.
    """
    found = []
    for line in lines:
        others = [
            other
            for other in lines
            if other.account == line.account and other is not line and other.difference
        ]
        text = ""
        if line.difference and len(others) == 1:
            text = _conversion(line, others[0], rates)
        found.append(CashLine(line.account, line.currency, line.expected, line.found, text))
    return found


def _conversion(one: CashLine, other: CashLine, rates: Mapping[str, Span]) -> str:
    if (one.difference > 0) == (other.difference > 0):
        return ""
    # What we have too much of was sold for what we have too little of.
    sold, bought = (one, other) if one.difference > 0 else (other, one)
    first, second = rates.get(sold.currency), rates.get(bought.currency)
    if first is None or second is None:
        return ""
    rate = divide_price(-bought.difference, sold.difference)
    if not divide_price(first.low, second.high) <= rate <= divide_price(first.high, second.low):
        return ""
    return (
        f"one conversion that the statement does not list: {plain(sold.difference)} {sold.currency} for "
        f"{plain(-bought.difference)} {bought.currency}, at {plain(Decimal(format(rate, _RATE_FORM)))}"
    )
