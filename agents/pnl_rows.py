"""The rows of a frame of valuations as the rules of P&L need them."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from domain.pnl.observation import Change, Factors, Greeks, Observation, unit_value_of
from domain.pnl.running import Booking
from schemas.numbers import ONE, ZERO, divide_value
from schemas.pnl import BUCKETS
from schemas.units import LifecycleKind, MarkQuality
from schemas.valuation import column

_COLUMNS = (
    "book",
    "instrument",
    "revision",
    "currency",
    "book_currency",
    "quantity",
    "cost_basis",
    "held_fees",
    "realised_pnl",
    "fees",
    "unrealised_pnl",
    "accrued_interest",
    "multiplier",
    "inverse",
    "mark",
    "mark_quality",
    "mark_time",
    "fx_rate",
    "reason",
    "spot",
    "volatility",
    "rate",
    "time_to_expiry",
)
_GREEKS = BUCKETS[:7]
_TRADES = frozenset((None, *LifecycleKind))
"""What a booking of a trade may be; anything else is a corporate action."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """A position as it was valued, and the bookings since its last frame; `left_out` is income in other currencies."""

    book: str
    instrument: str
    revision: int
    currency: str
    book_currency: str
    observation: Observation
    bookings: tuple[Booking, ...]
    left_out: tuple[tuple[str, Decimal], ...] = ()


Interest = Callable[[str, str, Any], Decimal]
"""What a change of a position (by book and instrument) changed of the interest that was bought and sold with its trades:
positive where it was received."""


def rows_of(frame: Any, interest: Interest) -> Iterator[Row]:
    """The rows of a `PositionsValuated`, in their order."""
    bookings = _bookings(frame, interest)
    left_out = _left_out(frame)
    columns = [column(frame, name) for name in _COLUMNS]
    greeks = [column(frame, name) for name in _GREEKS]
    at = frame.event_time
    for number, (
        book,
        instrument,
        revision,
        currency,
        book_currency,
        quantity,
        cost_basis,
        held_fees,
        realised,
        fees,
        unrealised,
        accrued,
        multiplier,
        inverse,
        mark,
        quality,
        marked_at,
        fx,
        reason,
        *factors,
    ) in enumerate(zip(*columns, strict=True)):
        cost = cost_basis - held_fees if held_fees else cost_basis
        if not quantity:
            unrealised = ZERO
        yield Row(
            book,
            instrument,
            revision,
            currency,
            book_currency,
            Observation(
                at,
                quantity,
                cost,
                realised,
                fees,
                unrealised,
                _unit_value(quantity, cost, unrealised, multiplier, mark, inverse),
                inverse,
                None if quality is MarkQuality.MISSING else mark,
                str(quality),
                ONE if book_currency and book_currency == currency else fx,
                Factors(*factors),
                _unit_greeks([each[number] for each in greeks], quantity),
                reason,
                divide_value(accrued, quantity) if accrued and quantity else ZERO,
                marked_at=marked_at,
            ),
            bookings.get(number, ()),
            left_out.get(number, ()),
        )


def _bookings(frame: Any, interest: Interest) -> Mapping[int, tuple[Booking, ...]]:
    found: dict[int, tuple[Booking, ...]] = {}
    for change in frame.changes:
        if change.income_currency:
            continue
        row = change.row
        booking = Booking(
            Change(
                change.quantity_delta,
                change.cost_basis_delta - change.held_fees_delta,
                change.realised_pnl_delta,
                change.fees_delta,
                change.carry_delta + interest(frame.book[row], frame.instrument[row], change),
                change.funding_delta,
            ),
            change.business_date,
            change.executed_at,
            change.kind not in _TRADES,
            tuple((move.executed_at, move.realised_pnl_delta) for move in change.realised_moves),
        )
        found[change.row] = (*found.get(change.row, ()), booking)
    return found


def _left_out(frame: Any) -> Mapping[int, tuple[tuple[str, Decimal], ...]]:
    found: dict[int, tuple[tuple[str, Decimal], ...]] = {}
    for change in frame.changes:
        if change.income_currency:
            amount = (change.income_currency, change.carry_delta + change.funding_delta)
            found[change.row] = (*found.get(change.row, ()), amount)
    return found


def _unit_value(
    quantity: Decimal,
    cost: Decimal,
    unrealised: Decimal | None,
    multiplier: Decimal,
    mark: Decimal | None,
    inverse: bool,
) -> Decimal | None:
    if unrealised is None or not quantity:
        return None
    value = cost - unrealised if inverse else cost + unrealised
    if mark is not None and not inverse:
        unit = multiplier * mark
        if quantity * unit == value:
            return unit
    return unit_value_of(value, quantity)


def _unit_greeks(greeks: list[float | None], quantity: Decimal) -> Greeks | None:
    if not quantity or greeks[0] is None:
        return None
    units = float(quantity)
    delta, gamma, vega, theta, rho, vanna, volga = (0.0 if one is None else one / units for one in greeks)
    return delta, gamma, vega, theta, rho, vanna, volga
