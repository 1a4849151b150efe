"""Why a mark cannot be taken in. What passes the edge is held again wherever it takes effect: a log may have marks that did
not come through one."""

from typing import Any

from agents.stage import Refusal
from schemas.events import number_fault
from schemas.numbers import ZERO
from schemas.units import MarkQuality

_NUMBERS = ("price", "bid", "ask", "accrued_interest")


def mark_fault(mark: Any) -> Refusal | None:
    """What is wrong with a mark by itself; None where nothing is."""
    price = mark.price
    if (price is None) != (mark.quality is MarkQuality.MISSING):
        return Refusal(
            "a mark has a price or is missing", "price", "a price, or the quality missing", str(price)
        )
    for name in _NUMBERS:
        number = getattr(mark, name)
        fault = None if number is None or number is ZERO else number_fault(number)
        if fault is not None:
            return Refusal(f"{name} is no number", name, fault, str(number)[:80])
    return None
