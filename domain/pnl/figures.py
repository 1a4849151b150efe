"""The figures of a P&L day, and the identities that they must fulfil.

Owns: how realised, unrealised, positional and trading P&L are told apart.
Assumes: `exact_arithmetic()` around it.
Guarantees: `residuals` are all zero, or the day is wrong.
"""

from decimal import Decimal

import msgspec

from domain.pnl.attribution import Buckets
from domain.pnl.observation import Observation
from domain.pnl.restating import ClosedDay
from domain.pnl.running import NO_OPENING_PRICE, OpenDay
from schemas.numbers import ZERO


class Figures(msgspec.Struct, frozen=True, gc=False):
    """A day's P&L, in the instrument's currency but for what `book` begins; None where it is not known.

    `realised` and `total` are net of `fees`; `income` is the part of `realised` that was received for holding (carry and
    funding), and the change of `accrued` interest is a part of `unrealised`. `positional` is what the position at the start
    made at the price of now, and all carry and funding; `trading` is the rest: what the day's trades made against that
    price, less fees.
    """

    opening_quantity: Decimal
    realised: Decimal
    fees: Decimal
    income: Decimal = ZERO
    accrued: Decimal = ZERO
    unrealised: Decimal | None = None
    total: Decimal | None = None
    positional: Decimal | None = None
    trading: Decimal | None = None
    buckets: Buckets | None = None
    total_to_date: Decimal | None = None
    book_total: Decimal | None = None
    book_buckets: Buckets | None = None
    book_total_to_date: Decimal | None = None
    reason: str = ""


def open_figures(day: OpenDay) -> Figures:
    """The running day up to its last valuation."""
    known = day.known and day.now.priced
    return figures(
        day.opening,
        day.now,
        day.buckets if known else None,
        day.book.buckets if known and day.book.known and day.now.fx is not None else None,
    )


def closed_figures(day: ClosedDay) -> Figures:
    """A day that is over."""
    return figures(day.opening, day.closing, day.buckets, day.book_buckets)


def figures(
    opening: Observation, now: Observation, buckets: Buckets | None, book_buckets: Buckets | None
) -> Figures:
    """The day between two moments; `buckets` None where it has no P&L that is known."""
    fees = now.fees - opening.fees
    income = now.carry - opening.carry + now.funding - opening.funding
    realised = now.realised - opening.realised + income - fees
    to_date = now.total if now.priced else None
    book_to_date = None if to_date is None or now.fx is None else to_date * now.fx
    if buckets is None:
        reason = now.reason if not now.priced else NO_OPENING_PRICE
        return Figures(
            opening.quantity,
            realised,
            fees,
            income,
            now.accrued - opening.accrued,
            total_to_date=to_date,
            book_total_to_date=book_to_date,
            reason=reason or "no price",
        )
    assert now.unrealised is not None and opening.unrealised is not None, "known days are priced"
    accrued = now.accrued - opening.accrued
    unrealised = now.unrealised - opening.unrealised + accrued
    total = realised + unrealised
    held = now.value_of(opening.quantity)
    positional = income + accrued + (ZERO if held is None else now.gain(opening.value, held))
    book_total = None
    if book_buckets is not None and book_to_date is not None:
        before = opening.total * opening.fx if opening.fx is not None else ZERO
        book_total = book_to_date - before
    return Figures(
        opening.quantity,
        realised,
        fees,
        income,
        accrued,
        unrealised,
        total,
        positional,
        total - positional,
        buckets,
        to_date,
        book_total,
        book_buckets,
        book_to_date,
        now.reason,
    )


def residuals(day: Figures, opening: Observation, now: Observation) -> dict[str, Decimal]:
    """What is left of each identity; all zero where the day is right. Empty where it has no P&L that is known."""
    if day.buckets is None or day.total is None:
        return {}
    assert day.positional is not None and day.trading is not None and day.unrealised is not None, "known"
    found = {
        "change of the total to date": day.total - (now.total - opening.total),
        "realised + unrealised": day.total - day.realised - day.unrealised,
        "positional + trading": day.total - day.positional - day.trading,
        "sum of buckets": day.total - sum(day.buckets, ZERO),
    }
    if day.book_total is not None and day.book_buckets is not None:
        found["sum of buckets in the book's currency"] = day.book_total - sum(day.book_buckets, ZERO)
    return found
