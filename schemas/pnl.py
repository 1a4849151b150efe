"""P&L as an event: the day of a position, split by cause, as it stands after a valuation.

Owns: the fields of `PnLAttributed` and of its buckets. All amounts are exact decimals; `currency` is that of the
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
    `fees` as well. `positional` is what the start-of-day position made, `trading` what the trades of the day made.
    `total_to_date` is since the position was first opened. `business_date` is empty while the day has no date yet.
    A day that is `closed` comes again with a higher `restatement` where a late, amended or cancelled trade changed it.
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


def pnl_key(event: PnLAttributed) -> str:
    """The key of a P&L: that of the valuation it follows, the underlying, or the instrument where it has none."""
    return event.underlying or event.instrument
