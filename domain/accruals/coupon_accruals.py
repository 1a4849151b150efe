"""What a position in a bond earns day by day, and the coupons that it is paid.

Owns: which quantity earns (what is settled by the end of a day) and which is paid (what was settled before the bond went ex
coupon). A day's accrual is dated that day, and is what the bond earns until the next.
A coupon clears no accrual by key: what has accrued and what trades brought stand in one account, which it empties.
Guarantees: for a position held over a whole period, the accruals add up to the coupon; one that is bought or sold inside
it has the rest in the accrued interest of its trades.
"""

from collections.abc import Iterator
from datetime import date, timedelta

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.coupons import CouponBond, CouponPeriod, NotFixed, coupon, earned, ex_coupon_date
from domain.accruals.holdings import Holding
from schemas.units import MovementKind

_DAY = timedelta(days=1)


def coupon_accruals(
    holding: Holding, bond: CouponBond, currency: str, until: date
) -> Iterator[Accrued | Hole]:
    """Every accrual and coupon of a holding up to and including a day, oldest first."""
    if not holding.settled.at:
        return
    first = date.fromordinal(holding.settled.at[0])
    for period in bond.periods:
        if period.end <= first or period.start > until:
            continue
        try:
            yield from _of_period(holding, bond, period, currency, max(first, period.start), until)
        except NotFixed as unknown:
            yield Hole(
                _key("coupon", holding, ""), f"{holding.instrument}: its rate is not fixed", str(unknown)
            )


def _of_period(
    holding: Holding, bond: CouponBond, period: CouponPeriod, currency: str, first: date, until: date
) -> Iterator[Accrued]:
    day = first
    while day < period.end and day <= until:
        quantity = holding.settled.on(day.toordinal())
        if quantity:
            yield Accrued(
                key=_key("coupon_accrual", holding, day.isoformat()),
                kind=MovementKind.COUPON_ACCRUAL,
                day=day,
                amount=earned(bond, day) * quantity,
                currency=currency,
                entity=holding.entity,
                account=holding.account,
                book=holding.book,
                instrument=holding.instrument,
                reference=f"coupon of {period.end}",
            )
        day += _DAY
    if period.payment_date > until:
        return
    entitled = holding.settled.on((ex_coupon_date(bond, period) - _DAY).toordinal())
    if entitled:
        yield Accrued(
            key=_key("coupon", holding, period.end.isoformat()),
            kind=MovementKind.COUPON,
            day=period.payment_date,
            amount=coupon(bond, period) * entitled,
            currency=currency,
            entity=holding.entity,
            account=holding.account,
            book=holding.book,
            instrument=holding.instrument,
            payment_date=period.payment_date,
            reference=f"coupon of {period.end}",
        )


def _key(kind: str, holding: Holding, day: str) -> str:
    return f"{kind}/{holding.place}/{day}"
