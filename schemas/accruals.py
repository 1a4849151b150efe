"""What accrues on what: terms of coupons, of funding, of financing and of variation margin, and the rates that are fixed for them.

Owns: their fields and constraints. Rates are per 1.00 (0.08 is 8 %), a year unless something else is said; dates are
ISO 8601 days. Terms and fixings are reference data: what is booked of them carries its amount.
"""

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from schemas.events import Event, Identifier, Number
from schemas.numbers import ZERO
from schemas.times import Nanoseconds
from schemas.units import currency_code_fault

DECIMALS_MAX = 18
PERIODS_MAX = 2_000
"""Most periods of a bond: monthly over more than a century."""


def _day(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError("expected a day as YYYY-MM-DD")


def _currency(text: str) -> str:
    fault = currency_code_fault(text)
    if fault is not None:
        raise ValueError(f"expected {fault}")
    return text


Day = Annotated[str, AfterValidator(_day)]
Currency = Annotated[str, AfterValidator(_currency)]
Decimals = Annotated[int, Field(ge=0, le=DECIMALS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccrualPeriod:
    """A coupon period of one bond. One of: its `rate`; the whole `amount`; a `fixing` (the name of a rate, whose value in
    force on the first day holds, plus `margin`); or none, while it is not fixed. `face` is what is outstanding in it."""

    start: Day
    end: Day
    face: Number
    payment_date: str = ""
    rate: Number | None = None
    amount: Number | None = None
    fixing: str = ""
    margin: Number = ZERO
    redemption: Number = ZERO

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "AccrualPeriod":
        if self.end <= self.start:
            raise ValueError("expected an end after the start")
        if (self.rate is not None) + (self.amount is not None) + bool(self.fixing) > 1:
            raise ValueError("expected one of rate, amount and fixing")
        if self.payment_date:
            _day(self.payment_date)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponTerms(Event):
    """What a bond pays; topic `ref.accrual_terms.v1`. `decimals` are those of an amount per bond; `ex_coupon_days` are
    business days of `calendar` before the end of a period, from which on a buyer does not get its coupon."""

    instrument: Identifier
    currency: Currency
    day_count: str
    periods: Annotated[tuple[AccrualPeriod, ...], Field(max_length=PERIODS_MAX)]
    frequency: Annotated[int, Field(ge=1, le=12)] = 1
    decimals: Decimals = 2
    calendar: str = "null"
    ex_coupon_days: Annotated[int, Field(ge=0, le=30)] = 0

    @model_validator(mode="after")
    def _periods_follow_each_other(self) -> "CouponTerms":
        for before, after in zip(self.periods, self.periods[1:], strict=False):
            if after.start < before.end:
                raise ValueError(
                    f"expected periods that do not overlap, in order: {after.start} is before {before.end}"
                )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingTerms(Event):
    """How a perpetual is funded; topic `ref.accrual_terms.v1`. `rate` names its fixings, each of which is one payment;
    `interval_seconds` is how far apart the venue has them, so that one that is missing shows."""

    instrument: Identifier
    currency: Currency
    rate: Identifier
    interval_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = 28_800
    decimals: Decimals = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowTerms(Event):
    """What a short position in an instrument costs; topic `ref.accrual_terms.v1`. The fixing of `rate` in force, plus
    `spread`, on the market value, for every day."""

    instrument: Identifier
    currency: Currency
    rate: Identifier
    spread: Number = ZERO
    day_count: str = "Act/360"
    decimals: Decimals = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTerms(Event):
    """What an account's cash earns and costs; topic `ref.accrual_terms.v1`. A negative balance costs the fixing of `rate`
    plus `debit_spread`, a positive one above `free_balance` earns it less `credit_spread` (never below 0)."""

    account: str = ""
    currency: Currency
    rate: Identifier
    entity: str = ""
    debit_spread: Number = ZERO
    credit_spread: Number = ZERO
    free_balance: Number = ZERO
    day_count: str = "Act/360"
    decimals: Decimals = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationMarginTerms(Event):
    """How a future is settled day by day; topic `ref.accrual_terms.v1`. `rate` names its settlement prices: the last fixing
    of a day (in UTC) is that day's."""

    instrument: Identifier
    currency: Currency
    rate: Identifier
    decimals: Decimals = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RateFixed(Event):
    """A rate as it was fixed at a time; topic `md.rate.v1`. A later one of the same rate and time corrects it.

    `price` is what a funding payment is reckoned on, where the venue says so; else the mark at that time holds.
    """

    rate: Identifier
    fixed_at: Nanoseconds
    value: Number
    price: Number | None = None


def terms_key(terms: Any) -> str:
    """The key of terms in their topic: what they are, and of what."""
    kind = type(terms).__name__.removesuffix("Terms").lower()
    if kind == "variationmargin":
        return f"variation_margin/{terms.instrument}"
    if kind == "margin":
        return f"margin/{terms.entity}/{terms.account}/{terms.currency}"
    return f"{kind}/{terms.instrument}"


def rate_key(fixed: Any) -> str:
    """The key of a fixing in its topic: a correction replaces it."""
    return f"{fixed.rate}@{fixed.fixed_at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedBond:
    """What an exchange says of a bond's current coupon, and the accrued interest that it states; no event.

    `rate` is a year per 1.00, `amount` the whole coupon (0 where it is not known), both None where nothing is said.
    `accrued` is in the settlement currency, for `settlement_date`.
    """

    instrument: str
    board: str
    currency: str
    settlement_currency: str
    face: Number
    settlement_date: Day
    next_coupon: str = ""
    period_days: int = 0
    rate: Number | None = None
    amount: Number | None = None
    accrued: Number | None = None
