"""Variation margin: what a future pays for a day by its settlement price, beside the P&L that closing it realises.

Owns: how much of a day's settlement is still to be moved. By the end of a day a position has been paid, in all, what it has
made at the settlement price; of that the ledger moves what its trades realised by itself, so what is moved here is the change
of what is not realised yet. When the position is closed, what was paid ahead goes back, and the realised P&L stands alone.
Assumes: `exact_arithmetic()` around it; trades with what each realised, as the position has it now.
Guarantees: cash is never counted twice: realised P&L and variation margin up to a day with a price add up to quantity x
(settlement price - price) over all trades up to it, and so they do however lots are matched; what is moved is the difference of
two rounded figures, so nothing creeps. A day without a price moves nothing, the next one moves both days; when the price comes
later, both are booked anew.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.coupons import rounded
from domain.accruals.holdings import Holding
from domain.ledger.calendars import WEEKDAYS, Calendar
from schemas.numbers import ZERO, divide_price, plain
from schemas.units import MovementKind

SettlementPrice = Callable[[date], Decimal | None]
"""The settlement price of a day; None where there is none."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DailySettlement:
    """How a future settles: in which currency, to which decimals; `settles_on` is when what moves for a day is paid."""

    currency: str
    decimals: int
    settles_on: Callable[[date], date]
    calendar: Calendar = WEEKDAYS


def variation_margins(
    holding: Holding, terms: DailySettlement, price_of: SettlementPrice, until: date
) -> Iterator[Accrued | Hole]:
    """What a holding is paid for each day up to and including one, oldest first; a hole for each business day of its market on
    which it was open and has no settlement price."""
    running = _Running(holding)
    if not running.left:
        return
    prefix = f"variation_margin/{holding.place}/"
    paid = ZERO
    day = running.left[-1].day
    while day <= until:
        running.take(day)
        price = price_of(day)
        if price is not None and price <= ZERO and holding.inverse:
            price = None
        key = f"{prefix}{day}"
        if running.quantity and price is None:
            if terms.calendar.is_business_day(day):
                yield Hole(key, f"{holding.instrument}: no settlement price", str(day))
        elif running.quantity or paid:
            ahead = running.unrealised(price, terms.decimals)
            if ahead != paid:
                yield Accrued(
                    key=key,
                    kind=MovementKind.VARIATION_MARGIN,
                    day=day,
                    amount=ahead - paid,
                    currency=terms.currency,
                    entity=holding.entity,
                    account=holding.account,
                    book=holding.book,
                    instrument=holding.instrument,
                    payment_date=terms.settles_on(day),
                    reference="closed"
                    if not running.quantity
                    else f"settlement price {plain(price or ZERO)}",
                )
                paid = ahead
        elif not running.left:
            return
        day += _DAY


class _Running:
    """A position as its trades make it, day by day."""

    def __init__(self, holding: Holding) -> None:
        self.left = sorted(holding.dealt, key=lambda dealt: dealt.day, reverse=True)
        self._inverse = holding.inverse
        self._multiplier = holding.multiplier
        self.quantity = ZERO
        # Quantity x price of all trades so far; of an inverse contract quantity / price.
        self._value = ZERO
        self._realised = ZERO

    def take(self, day: date) -> None:
        """Take in the trades up to and including a day."""
        while self.left and self.left[-1].day <= day:
            dealt = self.left.pop()
            self.quantity += dealt.quantity
            self._value += self._valued(dealt.quantity, dealt.price)
            self._realised += dealt.realised

    def _valued(self, quantity: Decimal, price: Decimal) -> Decimal:
        return divide_price(quantity, price) if self._inverse else quantity * price

    def unrealised(self, price: Decimal | None, decimals: int) -> Decimal:
        """What the open position has made at a price that is not realised: nothing of one that is closed."""
        if not self.quantity or price is None:
            return ZERO
        made = self._valued(self.quantity, price) - self._value
        return rounded((-made if self._inverse else made) * self._multiplier - self._realised, decimals)
