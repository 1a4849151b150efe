"""Terms of accruals from files: schedules made into periods, and what is wrong with terms beyond their types."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.files import fields
from domain.accruals.coupons import coupon_periods
from domain.accruals.day_counts import day_count_fault
from domain.pricing.fields import folded
from domain.pricing.rates.conventions import CALENDARS, CONVENTIONS
from schemas.numbers import exact_arithmetic, plain

_FREQUENCIES = {"annual": 1, "semiannual": 2, "quarterly": 4, "monthly": 12, "1": 1, "2": 2, "4": 4, "12": 12}


def make_periods(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The periods of a schedule: its dates, frequency, face and rate. Raises ValueError, KeyError."""
    frequency = _FREQUENCIES.get(str(values.get("frequency", "annual")))
    if frequency is None:
        raise ValueError(f"a frequency of {', '.join(list(_FREQUENCIES)[:4])}")
    calendar, convention = str(values.get("calendar", "null")), str(values.get("convention", "following"))
    if folded(convention) not in CONVENTIONS:
        raise ValueError("a convention as following or modified_following")
    if folded(calendar) not in CALENDARS:
        raise ValueError("a calendar as TARGET, US, UK or Russia")
    rates = values["rates"] if "rates" in values else [values.get("rate")]
    if not isinstance(rates, Sequence) or isinstance(rates, str):
        raise ValueError("a list of rates")
    back = values.get("amortisation") or {}
    if not isinstance(back, Mapping):
        raise ValueError("amortisation as amounts by date")
    with exact_arithmetic():
        periods = coupon_periods(
            _day(values["start_date"]),
            _day(values["maturity_date"]),
            frequency,
            _number(values["face"]),
            [None if rate is None else _number(rate) for rate in rates],
            calendar=calendar,
            convention=convention,
            end_of_month=str(values.get("end_of_month", "false")).lower() == "true",
            amortisation={_day(day): _number(amount) for day, amount in back.items()},
        )
    if isinstance(values, dict):
        values["frequency"] = frequency
    return [
        {
            "start": period.start.isoformat(),
            "end": period.end.isoformat(),
            "payment_date": period.payment_date.isoformat(),
            "face": plain(period.face),
            **({} if period.rate is None else {"rate": plain(period.rate)}),
            "redemption": plain(period.redemption),
        }
        for period in periods
    ]


def check_terms(terms: Any) -> tuple[str, str, str] | None:
    """Field, expected and found of the first thing that is wrong with terms; None where nothing is."""
    day_count = getattr(terms, "day_count", None)
    if day_count is not None:
        fault = day_count_fault(day_count)
        if fault is not None:
            return "day_count", fault, day_count
    calendar = getattr(terms, "calendar", None)
    if calendar is not None and folded(calendar) not in CALENDARS:
        return "calendar", "a calendar as null, TARGET, US, UK or Russia", calendar
    return None


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"days as YYYY-MM-DD, found {value!r:.40}") from None


def _number(value: Any) -> Decimal:
    return fields.number(value)
