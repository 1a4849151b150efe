"""A business refusal, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a fill cannot be booked: which field, what was expected, what was found."""

    reason: str
    field: str
    expected: str
    found: str
