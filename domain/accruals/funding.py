"""Funding of perpetuals: at every fixing of its rate the longs pay the shorts, or the other way where it is negative.

Source: the venues' own rules: payment = position x price x rate, of an inverse contract position x multiplier / price x
rate in the coin.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.coupons import times
from domain.accruals.holdings import Holding
from domain.accruals.rates import Fixings
from schemas.times import NANOSECONDS_PER_SECOND, format_time
from schemas.units import MovementKind

PriceAt = Callable[[int], Decimal | None]
"""What an instrument was marked at, at a time (nanoseconds); None where that is not known."""


def funding_payment(
    quantity: Decimal, multiplier: Decimal, inverse: bool, price: Decimal, rate: Decimal, decimals: int
) -> Decimal:
    """What a position is paid for one fixing: negative where it pays. `price` is above 0 for an inverse contract."""
    held = quantity * multiplier
    return times(-held * rate, 1 / Fraction(price) if inverse else Fraction(price), decimals)


def day_of(at: int) -> date:
    """The day in UTC that a time is in."""
    return datetime.fromtimestamp(at // NANOSECONDS_PER_SECOND, UTC).date()


def funding_payments(
    holding: Holding,
    fixings: Fixings,
    price_at: PriceAt,
    until: int,
    currency: str,
    interval_seconds: int,
    decimals: int,
) -> Iterator[Accrued | Hole]:
    """The payments of a holding for every fixing while it was open, up to and including a time; oldest first.

    A fixing without a price takes the mark at its time; without any, and where fixings are missing, there is a hole.
    """
    if not holding.executed.at:
        return
    start = holding.executed.at[0]
    prefix = f"funding/{holding.place}/"
    for fixing in fixings.between(start, until):
        quantity = holding.executed.on(fixing.at)
        if not quantity:
            continue
        price = price_at(fixing.at) if fixing.price is None else fixing.price
        key = prefix + format_time(fixing.at)
        if price is None or (holding.inverse and price <= 0):
            yield Hole(key, f"{holding.instrument}: no price for its funding", format_time(fixing.at))
            continue
        yield Accrued(
            key=key,
            kind=MovementKind.FUNDING,
            day=day_of(fixing.at),
            amount=funding_payment(
                quantity, holding.multiplier, holding.inverse, price, fixing.value, decimals
            ),
            currency=currency,
            entity=holding.entity,
            account=holding.account,
            book=holding.book,
            instrument=holding.instrument,
            payment_date=day_of(fixing.at),
            reference=f"funding of {format_time(fixing.at)}",
        )
    for before, after in fixings.gaps(interval_seconds * NANOSECONDS_PER_SECOND):
        if before >= start and after <= until and holding.executed.on(before):
            yield Hole(
                prefix,
                f"{holding.instrument}: no funding rate between two that are there",
                f"{format_time(before)} to {format_time(after)}",
            )
