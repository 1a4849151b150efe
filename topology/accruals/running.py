"""A run of accruals: what is due by a day and was not booked, as movements of cash in the ledger's input, and bonds that
have matured, as fills.

Guarantees: a run that is repeated books nothing; one that died halfway is completed by the next, since movements are appended in
the order in which a run plans them and have ids of their own; a run after others were missed books their days as well.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.booking import Booking, bookings
from domain.accruals.redemption import RedemptionTrade
from schemas import events, money
from schemas.frames import wire
from schemas.numbers import ONE, ZERO, exact_arithmetic
from schemas.times import parse_time
from schemas.units import MovementKind, Side
from topology.accruals.due import due_on_cash, due_on_positions, value_date_balances
from topology.accruals.reference import SOURCE, read_booked, read_fixings_of, read_terms
from topology.catching_up import caught_up
from topology.control.entry import open_entry
from topology.importing.movements import enter, read_places
from topology.money.rules import latest_rules
from topology.settings import Settings

CHUNK_MOVEMENTS = 2_000
"""Movements that are appended together."""

MARGIN = (MovementKind.MARGIN_INTEREST, MovementKind.MARGIN_INTEREST_ACCRUAL)
ON_POSITIONS = (
    MovementKind.COUPON,
    MovementKind.COUPON_ACCRUAL,
    MovementKind.FUNDING,
    MovementKind.BORROW_FEE,
    MovementKind.BORROW_FEE_ACCRUAL,
    MovementKind.VARIATION_MARGIN,
    MovementKind.REDEMPTION,
)
"""The kinds of movements that each half of a run plans: it takes nothing of the other half back."""

_movement = wire(money.CashMovement)
_FillEvent = wire(events.FillEvent)


@dataclass(slots=True)
class Run:
    """What a run booked, the trades by which it redeemed bonds, what it could not reckon, and whether there were no terms to
    reckon by."""

    booked: list[Booking] = field(default_factory=list)
    redeemed: list[RedemptionTrade] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    nothing_defined: bool = False


def run_accruals(settings: Settings, until: date, say: Callable[[str], None]) -> Run:
    """Book what is due up to and including a day."""
    run = Run()
    with caught_up(settings, ["positions"], say) as log, exact_arithmetic():
        terms, rules = read_terms(log), read_places(log).posting_rules
        run.nothing_defined = not (terms.instruments or terms.margin)
        found = due_on_positions(log, terms, read_fixings_of(log), latest_rules(log)[0], until)
        planned = _planned(run, found, log, ON_POSITIONS)
    _book(run, settings, planned, rules)
    _redeem(settings, run.redeemed)
    if terms.margin:
        # What was booked just now bears interest, too.
        with caught_up(settings, ["cash"], say) as log, exact_arithmetic():
            booked, fixings = read_booked(log), read_fixings_of(log)
            interest = [
                each
                for margin in terms.margin
                for each in due_on_cash(margin, value_date_balances(log, margin, booked), fixings, until)
            ]
            planned = _planned(run, interest, log, MARGIN)
        _book(run, settings, planned, rules)
    return run


def _planned(
    run: Run, found: Iterable[Accrued | RedemptionTrade | Hole], log: Any, kinds: Collection[MovementKind]
) -> list[Booking]:
    due: list[Accrued] = []
    for each in found:
        if isinstance(each, Hole):
            run.holes.append(each)
        elif isinstance(each, RedemptionTrade):
            run.redeemed.append(each)
        else:
            due.append(each)
    booked = {key: known for key, known in read_booked(log).items() if known.accrued.kind in kinds}
    planned = bookings(due, booked, run.holes)
    first: dict[str, date] = {}
    for booking in planned:
        key, day = booking.accrued.key, booking.accrued.day
        first[key] = min(first.get(key, day), day)
    # By day, and of one key in the order of its revisions.
    return sorted(_with_rules(run, planned, log), key=lambda booking: first[booking.accrued.key])


def _with_rules(run: Run, planned: Sequence[Booking], log: Any) -> list[Booking]:
    """What the posting rules in force have a rule for: the ledger would refuse the rest, and no later run book it."""
    rules = latest_rules(log)[0]
    for kind in sorted({booking.accrued.kind for booking in planned} - rules.movements.keys()):
        defined = "pks posting-rules has it, pks posting-rules-define takes it"
        run.holes.append(
            Hole(
                f"{kind}/", f"version {rules.version} of the posting rules has no movement {kind}: {defined}"
            )
        )
    return [booking for booking in planned if booking.accrued.kind in rules.movements]


def _book(run: Run, settings: Settings, planned: Sequence[Booking], posting_rules: int) -> None:
    if not planned:
        return
    movements = [movement_of(booking, posting_rules) for booking in planned]
    with open_entry(settings) as entry:
        for start in range(0, len(movements), CHUNK_MOVEMENTS):
            enter(entry, movements[start : start + CHUNK_MOVEMENTS])
    run.booked += planned


def _redeem(settings: Settings, redeemed: Sequence[RedemptionTrade]) -> None:
    if redeemed:
        with open_entry(settings) as entry:
            entry.submit([fill_of(each) for each in redeemed])


def fill_of(trade: RedemptionTrade) -> Any:
    """The fill (wire twin) by which a bond is redeemed: at noon, in UTC, of the day on which it matures."""
    redeemed = trade.redeemed
    holding = redeemed.holding
    return _FillEvent(
        event_id=trade.trade_id,
        source=SOURCE,
        trade_id=trade.trade_id,
        action=trade.action,
        original_trade_id=trade.original_trade_id,
        instrument=holding.instrument,
        side=Side.SELL if redeemed.quantity < ZERO else Side.BUY,
        # One that is cancelled is named alone, and its fill has a quantity all the same.
        quantity=abs(redeemed.quantity) or ONE,
        price=redeemed.price,
        executed_at=parse_time(f"{redeemed.day}T12:00:00Z"),
        settlement_date=redeemed.payment_date.isoformat(),
        entity=holding.entity,
        account=holding.account,
        book=holding.book,
        instrument_class=holding.instrument_class,
        multiplier=holding.multiplier,
        inverse=holding.inverse,
        currency=holding.currency or None,
    )


def movement_of(booking: Booking, posting_rules: int) -> Any:
    """The movement (wire twin) that a booking is."""
    accrued = booking.accrued
    day = accrued.day.isoformat()
    return _movement(
        event_id=booking.movement_id,
        correlation_id=accrued.key,
        source=SOURCE,
        movement_id=booking.movement_id,
        kind=accrued.kind,
        currency=accrued.currency,
        amount=accrued.amount,
        trade_date=day,
        event_time=parse_time(f"{day}T00:00:00Z"),
        entity=accrued.entity,
        account=accrued.account,
        book=accrued.book,
        settlement_date=(accrued.payment_date or accrued.day).isoformat(),
        instrument=accrued.instrument,
        reference=accrued.reference,
        reverses=booking.reverses,
        accrual_key=accrued.cleared_by,
        posting_rules=posting_rules,
    )
