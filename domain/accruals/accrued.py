"""One amount to be booked because time passed, and one that cannot be: what every kind of accrual gives."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from schemas.units import MovementKind


@dataclass(frozen=True, slots=True)
class Accrued:
    """An amount of one day (or of one payment), signed: positive is ours.

    `key` is what it is for, the same in every run. `cleared_by` is shared by accruals and the payment that clears them.
    """

    key: str
    kind: MovementKind
    day: date
    amount: Decimal
    currency: str
    entity: str = ""
    account: str = ""
    book: str = ""
    instrument: str = ""
    payment_date: date | None = None
    cleared_by: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Hole:
    """What cannot be reckoned, and why: it is booked by a later run, once that is there.

    `at` is the day or time that it is of. `keys_from` begins the keys of what is missing, so that nothing booked under them is taken back meanwhile.
    """

    keys_from: str
    reason: str
    at: str = ""
