"""P&L as an event: the day of a position, split by cause, as it stands after a valuation; and the income that is a part of it.

Owns: the fields of `PnLAttributed`, of its buckets, and of `PositionIncome`. All amounts are exact decimals; `currency` is that of the
instrument, `book_currency` that of the book.
Guarantees (held at every event by the stage that emits it): `total` = `realised` + `unrealised` = `positional` +
`trading` = the sum of `buckets`; `book_total` = the sum of `book_buckets`. What is not known is None, with a reason,
and never zero.
"""

from dataclasses import fields
from decimal import Decimal

from pydantic.dataclasses import dataclass

from schemas.events import Event, Identifier
from schemas.numbers import ZERO
from schemas.times import Nanoseconds
from schemas.units import MovementKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PnLBuckets:
    """A P&L by cause; `unexplained` is what the others leave of the total, exactly."""

    delta: Decimal = ZERO
    gamma: Decimal = ZERO
    vega: Decimal = ZERO
    theta: Decimal = ZERO
    rho: Decimal = ZERO
    vanna: Decimal = ZERO
    volga: Decimal = ZERO
    carry: Decimal = ZERO
    fx: Decimal = ZERO
    funding: Decimal = ZERO
    new_trades: Decimal = ZERO
    fees: Decimal = ZERO
    corporate_actions: Decimal = ZERO
    unexplained: Decimal = ZERO


BUCKETS = tuple(each.name for each in fields(PnLBuckets))
"""The names of the buckets, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PnLAttributed(Event):
    """The P&L of a position in a business day up to a valuation; topic `bo.pnl.attributed.v1`, event time `event_time`.

    Amounts are of the day: from the start-of-day position, mark and FX rate on, net of fees; `realised` is net of
    `fees` as well, and has what was received for holding. `positional` is what the start-of-day position made, and carry
    and funding; `trading` what the trades of the day made. `total_to_date` is since the position was first opened. `business_date` is empty while the day has no date yet.
    A day that is `closed` comes again with a higher `restatement` where something late changed it.
    """

    book: Identifier
    instrument: Identifier
    event_time: Nanoseconds
    underlying: str = ""
    business_date: str = ""
    closed: bool = False
    restatement: int = 0
    currency: str = ""
    book_currency: str = ""
    quantity: Decimal = ZERO
    opening_quantity: Decimal = ZERO
    mark: Decimal | None = None
    quality: str = ""
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    unrealised: Decimal | None = None
    total: Decimal | None = None
    positional: Decimal | None = None
    trading: Decimal | None = None
    buckets: PnLBuckets | None = None
    total_to_date: Decimal | None = None
    fx: Decimal | None = None
    book_total: Decimal | None = None
    book_buckets: PnLBuckets | None = None
    book_total_to_date: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionIncome(Event):
    """What a position earned or paid for being held, as the ledger has posted it; goes into `bo.valuation.in.v1`.

    `kind` is that of the movement of cash, which is the event's cause: `carry` (coupons, dividends, interest, costs of
    borrowing) or `funding` is its amount less what was accrued for it before, in minor units of `currency`; one of them is
    0. `business_date` is the trade date of the movement. What takes a movement back has its date, and the negative.
    """

    book: Identifier
    instrument: Identifier
    kind: MovementKind
    currency: str
    business_date: str
    event_time: Nanoseconds
    carry: Decimal = ZERO
    funding: Decimal = ZERO


def pnl_key(event: PnLAttributed) -> str:
    """The key of a P&L: that of the valuation it follows, the underlying, or the instrument where it has none."""
    return event.underlying or event.instrument
