"""The rows of a frame of valuations as the rules of P&L need them."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from domain.pnl.day import Booking
from domain.pnl.observation import Change, Factors, Greeks, Observation, unit_value_of
from schemas.numbers import ONE, ZERO
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
    "multiplier",
    "inverse",
    "mark",
    "mark_quality",
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
    """A position as it was valued, and the bookings since its last frame."""

    book: str
    instrument: str
    revision: int
    currency: str
    book_currency: str
    observation: Observation
    bookings: tuple[Booking, ...]


def rows_of(frame: Any) -> Iterator[Row]:
    """The rows of a `PositionsValuated`, in their order."""
    bookings = _bookings(frame)
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
        multiplier,
        inverse,
        mark,
        quality,
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
            ),
            bookings.get(number, ()),
        )


def _bookings(frame: Any) -> Mapping[int, tuple[Booking, ...]]:
    found: dict[int, tuple[Booking, ...]] = {}
    for change in frame.changes:
        booking = Booking(
            Change(
                change.quantity_delta,
                change.cost_basis_delta - change.held_fees_delta,
                change.realised_pnl_delta,
                change.fees_delta,
            ),
            change.business_date,
            change.executed_at,
            change.kind not in _TRADES,
        )
        found[change.row] = (*found.get(change.row, ()), booking)
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
