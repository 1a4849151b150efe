"""What a run books: what is due and was not booked, and what was booked with another amount taken back and booked again.

Guarantees: ids are pure functions of what is accrued and how often it was corrected, so that a run that is repeated, or
that died halfway, books nothing twice; after it the sum of all that was booked under a key is what is due for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.accruals.accrued import Accrued, Hole
from schemas.identity import content_id
from schemas.numbers import ZERO


@dataclass(frozen=True, slots=True)
class Booked:
    """What stands under a key: the last `revision`, and its content; `accrued` has amount 0 where it was taken back."""

    revision: int
    accrued: Accrued


@dataclass(frozen=True, slots=True)
class Booking:
    """A movement to be booked: what accrued (or, taking it back, its negative), its id, and the id that it reverses."""

    movement_id: str
    accrued: Accrued
    revision: int
    reverses: str = ""


def movement_id(key: str, revision: int, *, reversal: bool = False) -> str:
    """The id of the movement that books a key the `revision`-th time, from 0; or of the one that takes that back."""
    return content_id("accrual", key, str(revision), "reversal" if reversal else "")


def bookings(
    due: Iterable[Accrued], booked: Mapping[str, Booked], holes: Sequence[Hole] = ()
) -> list[Booking]:
    """What is to be booked so that all that is due is, and nothing else. What a hole may hide stays as it is."""
    wanted = {accrued.key: accrued for accrued in due}
    found: list[Booking] = []
    for key, accrued in wanted.items():
        before = booked.get(key)
        if before is None:
            if accrued.amount:
                found.append(Booking(movement_id(key, 0), accrued, 0))
        elif before.accrued.amount != accrued.amount or (
            before.accrued.amount and before.accrued.currency != accrued.currency
        ):
            found += _corrected(key, before, accrued)
    hidden = tuple(hole.keys_from for hole in holes)
    for key, before in booked.items():
        if key not in wanted and before.accrued.amount and not key.startswith(hidden):
            found += _corrected(key, before, replace(before.accrued, amount=ZERO))
    return found


def _corrected(key: str, before: Booked, accrued: Accrued) -> list[Booking]:
    found = []
    if before.accrued.amount:
        standing = movement_id(key, before.revision)
        back = replace(before.accrued, amount=-before.accrued.amount)
        found.append(
            Booking(movement_id(key, before.revision, reversal=True), back, before.revision, standing)
        )
    if accrued.amount:
        found.append(Booking(movement_id(key, before.revision + 1), accrued, before.revision + 1))
    return found


def total(found: Iterable[Booking]) -> dict[str, Decimal]:
    """The sum of bookings by currency."""
    sums: dict[str, Decimal] = {}
    for booking in found:
        currency = booking.accrued.currency
        sums[currency] = sums.get(currency, ZERO) + booking.accrued.amount
    return sums
