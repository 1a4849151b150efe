"""What a bond pays back: at its maturity by a trade that closes the position, before it by movements of cash.

Owns: how much is paid back when, and which trade, amend or cancel brings what was booked of it to what is due.
A maturity is the end of a period that pays back all that is outstanding: the position is sold at that price, so its lots are
closed and its P&L is realised as any other. What is paid back before (an amortisation) closes no lot: as many bonds are held
after it as before; its cash is income of its own, and what the bonds cost is realised with them.
Assumes: `exact_arithmetic()` around it.
Guarantees: the ids of trades are functions of what is paid back and of what was booked of it before, so that a run that is
repeated, or that died halfway, books nothing twice; a late, amended or cancelled trade of the bond amends or cancels its
redemption in the next run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.coupons import CouponBond, CouponPeriod, ex_coupon_date
from domain.accruals.holdings import Holding
from schemas.identity import content_id
from schemas.numbers import ZERO, divide_price
from schemas.units import Action, MovementKind

TRADE = "redemption:"
"""What the id of a trade that redeems begins with."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a holding is paid back at maturity: the signed quantity of the trade that closes it, and its price."""

    holding: Holding
    day: date
    payment_date: date
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """A trade that redeems, as the books have it; `changed_by` is the id that corrected it last, or its own."""

    trade_id: str
    changed_by: str
    quantity: Decimal
    price: Decimal
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class RedemptionTrade:
    """A trade to be booked, or a correction of one."""

    trade_id: str
    action: Action
    original_trade_id: str | None
    redeemed: Redeemed


def redemptions(
    holding: Holding, bond: CouponBond, currency: str, until: date
) -> Iterator[Accrued | Redeemed | Hole]:
    """What a holding is paid back up to and including a day, oldest first."""
    for period in bond.periods:
        if period.end > until or period.payment_date > until:
            return
        if ZERO < period.redemption < period.face:
            yield from _paid_back(holding, bond, period, currency)
        elif period.redemption:
            yield _closed(holding, period, currency)
            return
    if bond.periods and _held(holding, bond.periods[-1].end):
        yield Hole(
            _key(holding, ""),
            f"{holding.instrument}: its terms end, and no period pays back what is outstanding (redemption)",
            str(bond.periods[-1].end),
        )


def _key(holding: Holding, day: str) -> str:
    return f"redemption/{holding.place}/{day}"


def _held(holding: Holding, day: date) -> Decimal:
    return sum((dealt.quantity for dealt in holding.dealt if dealt.day <= day), ZERO)


def _paid_back(holding: Holding, bond: CouponBond, period: CouponPeriod, currency: str) -> Iterator[Accrued]:
    entitled = holding.settled.on((ex_coupon_date(bond, period) - _DAY).toordinal())
    if entitled:
        yield Accrued(
            key=_key(holding, str(period.end)),
            kind=MovementKind.REDEMPTION,
            day=period.payment_date,
            amount=period.redemption * entitled,
            currency=currency,
            entity=holding.entity,
            account=holding.account,
            book=holding.book,
            instrument=holding.instrument,
            payment_date=period.payment_date,
            reference=f"amortisation of {period.end}",
        )


def _closed(holding: Holding, period: CouponPeriod, currency: str) -> Redeemed | Hole:
    if holding.currency not in ("", currency):
        return Hole(
            _key(holding, ""),
            f"{holding.instrument}: redeemed in {currency}, and traded in {holding.currency}",
            str(period.end),
        )
    price = divide_price(period.redemption, holding.multiplier)
    return Redeemed(holding, period.end, period.payment_date, -_held(holding, period.end), price)


def redemption_trades(redeemed: Redeemed, standing: Sequence[Standing]) -> Iterator[RedemptionTrade]:
    """What brings the trades that stand for a redemption (in the order of their ids) to what is due: at most one trade."""
    last = standing[-1] if standing else None
    if last is None or last.cancelled:
        if redeemed.quantity:
            number = len(standing) + 1
            yield RedemptionTrade(f"{trade_prefix(redeemed)}{number}", Action.NEW, None, redeemed)
    elif (last.quantity, last.price) != (redeemed.quantity, redeemed.price):
        action = Action.AMEND if redeemed.quantity else Action.CANCEL
        # Each correction is named by the one before it: the same content may come back.
        name = TRADE + content_id("redemption corrected", last.changed_by)
        yield RedemptionTrade(name, action, last.trade_id, redeemed)


def trade_prefix(redeemed: Redeemed) -> str:
    """What the ids of the trades that redeem a holding begin with."""
    return f"{TRADE}{content_id('redemption', redeemed.holding.place, str(redeemed.day))}:"
