"""A day that is over, and how what comes late changes it.

Owns: what of a restatement falls to which cause.
Assumes: `exact_arithmetic()` around it.
Guarantees: the buckets of a day that had a P&L and still has one add up to its total as before, exactly.
"""

from decimal import Decimal

import msgspec

from domain.pnl.attribution import (
    CARRY,
    CORPORATE_ACTIONS,
    FEES,
    FUNDING,
    NEW_TRADES,
    Buckets,
    add,
    attribute,
    explain_market,
    made_by,
    no_buckets,
)
from domain.pnl.book_currency import BookDay, translated_shift
from domain.pnl.observation import Change, Observation
from schemas.numbers import ZERO


class ClosedDay(msgspec.Struct, array_like=True):
    """A day that is over. Buckets are None where the day has no P&L that is known."""

    business_date: str
    at: int
    opening: Observation
    closing: Observation
    buckets: Buckets | None = None
    book_buckets: Buckets | None = None
    restatement: int = 0


def shift_buckets(
    before: Observation, opening: Observation, former: Observation, now: Observation, change: Change
) -> Buckets:
    """What a change of the figures at the start of a day made of the day, by cause.

    The start was `before` and is `opening`, the end was `former` and is `now`.
    """
    buckets = no_buckets()
    buckets[CARRY] = accrued = now.accrued - former.accrued - opening.accrued + before.accrued
    made = now.total - former.total - opening.total + before.total - accrued
    greeks = before.greeks or former.greeks
    explain_market(buckets, made, change.quantity, greeks, before.factors, former.factors)
    return buckets


def restate_day(day: ClosedDay, carried: Change, booked: Change, actions: Change) -> None:
    """A closed day whose start has changed by `carried`, and to which `booked` belongs, a part of it `actions`."""
    opening, middle = day.opening.shifted(carried), day.closing.shifted(carried)
    closing = day.closing.shifted(carried.plus(booked))
    if day.buckets is None or not opening.priced or not closing.priced:
        day.buckets = day.book_buckets = None
    else:
        by = opening.total - day.opening.total
        step = no_buckets()
        accrued = closing.accrued
        if middle.priced:
            step = shift_buckets(day.opening, opening, day.closing, middle, carried)
            accrued -= middle.accrued
        step[FEES] = -booked.fees
        step[CARRY] += booked.carry + accrued
        step[FUNDING] = booked.funding
        step[CORPORATE_ACTIONS] = made_by(closing, actions) if actions else ZERO
        step[NEW_TRADES] = closing.total - day.closing.total - by - sum(step, ZERO)
        add(day.buckets, step)
        more = translated_shift(step, by, day.opening, day.closing)
        if day.book_buckets is None or more is None:
            day.book_buckets = None
        else:
            add(day.book_buckets, more)
    day.opening, day.closing = opening, closing
    day.restatement += 1


def remark_day(day: ClosedDay, opening: Observation | None, closing: Observation) -> None:
    """A closed day that ends, and where `opening` says so begins, at another price and with the same figures."""
    opening = day.opening if opening is None else opening
    if opening.priced and closing.priced:
        if day.buckets is None:
            day.buckets = attribute(opening, closing)
            book = BookDay.opened(opening)
            book.step(day.buckets, closing)
            day.book_buckets = book.buckets if book.known and closing.fx is not None else None
        else:
            ended, begun = attribute(day.closing, closing), attribute(day.opening, opening)
            _add_at(day.buckets, ended, begun, Decimal(1), Decimal(1))
            if day.book_buckets is not None:
                if (any(ended) and closing.fx is None) or (any(begun) and opening.fx is None):
                    day.book_buckets = None
                else:
                    _add_at(day.book_buckets, ended, begun, closing.fx or ZERO, opening.fx or ZERO)
    day.opening, day.closing = opening, closing
    day.restatement += 1


def _add_at(buckets: Buckets, ended: Buckets, begun: Buckets, fx: Decimal, opening_fx: Decimal) -> None:
    for place in range(len(buckets)):
        buckets[place] += ended[place] * fx - begun[place] * opening_fx
