"""What a log says of accruals: terms, fixings, what the ledger was told already.

Guarantees: the newest terms of an instrument or account, the last fixing of a rate and time; nothing is changed.
"""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from domain.accruals.accrued import Accrued
from domain.accruals.booking import Booked, movement_id
from domain.accruals.coupons import CouponBond, CouponPeriod
from domain.accruals.rates import Fixing, Fixings
from schemas import accruals, money, topics
from schemas.frames import wire
from schemas.numbers import ZERO
from schemas.times import NANOSECONDS_PER_SECOND, parse_time
from schemas.units import MovementKind
from topology.log_reading import WholeLog, events_of, partition_count, read_events, read_records

SOURCE = "accruals"
"""What movements that accrue come from."""

_Coupon: Any = wire(accruals.CouponTerms)
_Funding: Any = wire(accruals.FundingTerms)
_Borrow: Any = wire(accruals.BorrowTerms)
_VariationMargin: Any = wire(accruals.VariationMarginTerms)
_Movement: Any = wire(money.CashMovement)
_MOVEMENT = b'"CashMovement"'
_DAY_NANOSECONDS = 86_400 * NANOSECONDS_PER_SECOND


@dataclass(slots=True)
class Terms:
    """The terms of a log, by instrument, and those of accounts' cash."""

    coupons: dict[str, Any] = field(default_factory=dict)
    funding: dict[str, Any] = field(default_factory=dict)
    borrow: dict[str, Any] = field(default_factory=dict)
    variation_margin: dict[str, Any] = field(default_factory=dict)
    margin: list[Any] = field(default_factory=list)

    @property
    def instruments(self) -> set[str]:
        """The instruments on which anything accrues."""
        return {*self.coupons, *self.funding, *self.borrow, *self.variation_margin}


def read_terms(log: WholeLog) -> Terms:
    """The newest terms."""
    found: dict[str, Any] = {}
    for _, terms in read_events(log, topics.ACCRUAL_TERMS, 0):
        found[accruals.terms_key(terms)] = terms
    by_kind = Terms()
    for terms in found.values():
        if type(terms) is _Coupon:
            by_kind.coupons[terms.instrument] = terms
        elif type(terms) is _Funding:
            by_kind.funding[terms.instrument] = terms
        elif type(terms) is _Borrow:
            by_kind.borrow[terms.instrument] = terms
        elif type(terms) is _VariationMargin:
            by_kind.variation_margin[terms.instrument] = terms
        else:
            by_kind.margin.append(terms)
    return by_kind


def read_fixings_of(log: WholeLog) -> dict[str, Fixings]:
    """The fixings by the name of their rate."""
    found: dict[str, list[Fixing]] = {}
    for _, fixed in read_events(log, topics.RATES, 0):
        found.setdefault(fixed.rate, []).append(Fixing(fixed.fixed_at, fixed.value, fixed.price))
    return {rate: Fixings(fixings) for rate, fixings in found.items()}


def end_of(day: date) -> int:
    """The last nanosecond of a day in UTC."""
    return parse_time(f"{day}T00:00:00Z") + _DAY_NANOSECONDS - 1


def bond_of(terms: Any, fixings: dict[str, Fixings]) -> CouponBond:
    """A bond with the rates that are fixed for it. Call it inside `exact_arithmetic()`."""
    periods = []
    for period in terms.periods:
        rate = period.rate
        if period.fixing:
            known = fixings.get(period.fixing)
            fixed = None if known is None else known.in_force(end_of(date.fromisoformat(period.start)))
            rate = None if fixed is None else fixed.value + period.margin
        end = date.fromisoformat(period.end)
        paid = date.fromisoformat(period.payment_date) if period.payment_date else end
        periods.append(
            CouponPeriod(
                date.fromisoformat(period.start),
                end,
                paid,
                period.face,
                rate,
                period.amount,
                period.redemption,
            )
        )
    return CouponBond(
        terms.day_count,
        tuple(periods),
        terms.frequency,
        terms.decimals,
        terms.calendar,
        terms.ex_coupon_days,
    )


def read_booked(log: WholeLog) -> dict[str, Booked]:
    """What earlier runs booked, by key: the last revision, with amount 0 where it was taken back."""
    found: dict[str, Booked] = {}
    seen: set[str] = set()
    for partition in range(partition_count(log)):
        for record in read_records(log, topics.LEDGER_INPUT.name, partition):
            value = record.value or b""
            if _MOVEMENT not in value:
                continue
            for event in events_of(topics.LEDGER_INPUT, value):
                if type(event) is _Movement and event.source == SOURCE and event.movement_id not in seen:
                    seen.add(event.movement_id)
                    _note(found, event)
    return found


def _note(found: dict[str, Booked], movement: Any) -> None:
    key = movement.correlation_id
    known = found.get(key)
    if movement.reverses:
        if known is not None:
            found[key] = Booked(known.revision, replace(known.accrued, amount=ZERO))
        return
    revision = 0 if known is None else known.revision + 1
    assert movement.movement_id == movement_id(key, revision), f"movements of {key} are in order"
    found[key] = Booked(revision, accrued_of(movement))


def accrued_of(movement: Any) -> Accrued:
    """What a movement of a run booked."""
    settled = date.fromisoformat(movement.settlement_date or movement.trade_date)
    return Accrued(
        key=movement.correlation_id,
        kind=MovementKind(movement.kind),
        day=date.fromisoformat(movement.trade_date),
        amount=movement.amount,
        currency=movement.currency,
        entity=movement.entity,
        account=movement.account,
        book=movement.book,
        instrument=movement.instrument,
        payment_date=settled,
        cleared_by=movement.accrual_key,
        reference=movement.reference,
    )
