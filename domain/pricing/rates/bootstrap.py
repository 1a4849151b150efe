"""A curve through market quotes: deposits, forward rate agreements, futures, interest rate swaps, overnight swaps.

Each instrument is an object with a `type`, its quote (`rate` per 1.00; a future has a `price` of 100 - 100 x rate), and
terms that have the market's defaults. The curve reprices every one of them.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import QuantLib as ql

from domain.pricing.fields import RATE_MAX, Fields, shown
from domain.pricing.rates.conventions import calendar, convention, day_count, frequency, tenor, to_date
from domain.pricing.rates.indexes import overnight_index, term_index

INSTRUMENTS_MAX = 500

_NO_CURVE = ql.YieldTermStructureHandle()
_ACCURACY = 1e-13

Helper = Callable[[Fields, Any], Any]


def _deposit(fields: Fields, _discounting: Any) -> Any:
    return ql.DepositRateHelper(
        fields.rate("rate"),
        tenor(fields),
        fields.whole("settlement_days", 2, most=30),
        calendar(fields, default="TARGET"),
        convention(fields, "convention", "modified_following"),
        fields.flag("end_of_month", False),
        day_count(fields, "day_count", "Act/360"),
    )


def _forward_rate_agreement(fields: Fields, _discounting: Any) -> Any:
    start = fields.whole("start_months", least=0, most=600)
    end = fields.whole("end_months", least=0, most=600)
    if end <= start:
        raise fields.fault("end_months", f"more than start_months {start}")
    return ql.FraRateHelper(
        fields.rate("rate"),
        start,
        end,
        fields.whole("settlement_days", 2, most=30),
        calendar(fields, default="TARGET"),
        convention(fields, "convention", "modified_following"),
        fields.flag("end_of_month", False),
        day_count(fields, "day_count", "Act/360"),
    )


def _future(fields: Fields, _discounting: Any) -> Any:
    start = fields.date("start_date")
    if not ql.IMM.isIMMdate(to_date(start), False):
        raise fields.fault("start_date", "the third Wednesday of a month")
    return ql.FuturesRateHelper(
        fields.number("price", least=0.0, most=200.0),
        to_date(start),
        fields.whole("months", 3, least=1, most=12),
        calendar(fields, default="TARGET"),
        convention(fields, "convention", "modified_following"),
        fields.flag("end_of_month", False),
        day_count(fields, "day_count", "Act/360"),
        fields.number("convexity_adjustment", 0.0, least=-RATE_MAX, most=RATE_MAX),
    )


def _swap(fields: Fields, discounting: Any) -> Any:
    return ql.SwapRateHelper(
        fields.rate("rate"),
        tenor(fields),
        calendar(fields, default="TARGET"),
        frequency(fields, "fixed_frequency", "annual"),
        convention(fields, "fixed_convention", "modified_following"),
        day_count(fields, "fixed_day_count", "30/360"),
        term_index(fields, "float_index", _NO_CURVE, "Euribor6M"),
        ql.QuoteHandle(ql.SimpleQuote(fields.rate("float_spread", 0.0))),
        ql.Period(0, ql.Days),
        discounting or _NO_CURVE,
        fields.whole("settlement_days", 2, most=30),
    )


def _overnight_swap(fields: Fields, discounting: Any) -> Any:
    index = overnight_index(fields, "float_index", _NO_CURVE, "ESTR")
    return ql.OISRateHelper(
        fields.whole("settlement_days", 2, most=30),
        tenor(fields),
        ql.QuoteHandle(ql.SimpleQuote(fields.rate("rate"))),
        index,
        discounting or _NO_CURVE,
        True,  # daily compounding without a spread needs the ends of a period only
        fields.whole("payment_lag", 0, most=30),
        convention(fields, "payment_convention", "following"),
        frequency(fields, "fixed_frequency", "annual"),
    )


_HELPERS: Mapping[str, Helper] = {
    "deposit": _deposit,
    "fra": _forward_rate_agreement,
    "future": _future,
    "swap": _swap,
    "ois": _overnight_swap,
}
_CURVES: Mapping[str, Callable[..., Any]] = {
    "logdiscount": ql.PiecewiseLogLinearDiscount,
    "linearzero": ql.PiecewiseLinearZero,
    "flatforward": ql.PiecewiseFlatForward,
}


def bootstrapped(fields: Fields, reference_date: date, discounting: Any) -> Any:
    """The curve that reprices `instruments`, as QuantLib has it. `discounting` is the curve of swaps, or None."""
    kind = fields.choice(
        "interpolation", _CURVES, "log_discount", expected="log_discount, linear_zero, flat_forward"
    )
    count = day_count(fields, "day_count", "Act/365F")
    instruments = fields.parts("instruments")
    if len(instruments) > INSTRUMENTS_MAX:
        raise fields.fault("instruments", f"at most {INSTRUMENTS_MAX} instruments", str(len(instruments)))
    helpers = []
    for part in instruments:
        make = part.choice("type", _HELPERS, expected=", ".join(_HELPERS))
        try:
            helpers.append(make(part, discounting))
        except RuntimeError as error:
            raise part.fault("", "an instrument with dates", shown(str(error))) from None
    _check_pillars(instruments, helpers)
    structure = kind(to_date(reference_date), helpers, count, ql.IterativeBootstrap(_ACCURACY))
    try:
        structure.nodes()
    except RuntimeError as error:
        raise fields.fault("instruments", "quotes that one curve reprices", shown(str(error))) from None
    return structure


def _check_pillars(instruments: list[Fields], helpers: list[Any]) -> None:
    """Two instruments that end on one day leave a curve undetermined there."""
    ends: dict[int, int] = {}
    for index, helper in enumerate(helpers):
        other = ends.setdefault(helper.pillarDate().serialNumber(), index)
        if other != index:
            day = helper.pillarDate().to_date()
            raise instruments[index].fault("", "an end of its own", f"{day}, where instruments[{other}] ends")
