"""Interest rate swaps and overnight index swaps: value, fair rate and sensitivity.

Source: QuantLib's vanilla and overnight-indexed swaps with its discounting engine; forward rates are par rates of their
own period.

`price` is the value at the curve's `reference_date` for the `side` that pays (`payer`) or receives the fixed rate.
`dv01` is what the value gains when every zero rate of the curves rises by one basis point (half the difference between a
basis point up and one down); `fixed_leg_bps` what it gains when the fixed rate does.
"""

from datetime import date
from typing import Any

import QuantLib as ql

from domain.pricing.fields import LAST_DATE, Fields
from domain.pricing.rates import conventions
from domain.pricing.rates.conventions import from_date, to_date
from domain.pricing.rates.curves import Curve, read_curve
from domain.pricing.rates.indexes import add_fixings, overnight_index, require_fixings, term_index

BASIS_POINT = 1e-4
SETTLEMENT_DAYS_MAX = 365

_SIDES = {"payer": ql.Swap.Payer, "receiver": ql.Swap.Receiver}


class _Shifted:
    """A curve whose zero rates can all be moved at once."""

    def __init__(self, curve: Curve) -> None:
        self.spread = ql.SimpleQuote(0.0)
        structure = ql.ZeroSpreadedTermStructure(
            curve.handle, ql.QuoteHandle(self.spread), ql.Continuous, ql.NoFrequency
        )
        structure.enableExtrapolation()
        self.handle = ql.YieldTermStructureHandle(structure)


def interest_rate_swap(fields: Fields) -> dict[str, Any]:
    """A fixed rate against a term rate."""
    curve, forecast = _curves(fields)
    shifted, shifted_forecast = _shifted(curve, forecast)
    swap = build_swap(fields, shifted_forecast.handle)
    return _valued(fields, swap, (curve, forecast), (shifted, shifted_forecast))


def build_swap(fields: Fields, forecast: Any) -> Any:
    """A fixed rate against a term rate that the curve of a handle forecasts, with its past fixings."""
    index = term_index(fields, "float_index", forecast)
    calendar = _calendar(fields, index)
    start, maturity = _period(fields, calendar)
    fixed_convention = conventions.convention(fields, "fixed_convention", "modified_following")
    float_convention = (
        conventions.convention(fields, "float_convention", "modified_following")
        if "float_convention" in fields
        else index.businessDayConvention()
    )
    fixed_tenor = ql.Period(conventions.frequency(fields, "fixed_frequency", "annual"))
    float_tenor = (
        ql.Period(conventions.frequency(fields, "float_frequency"))
        if "float_frequency" in fields
        else index.tenor()
    )
    end_of_month = fields.flag("end_of_month", False)
    swap = ql.VanillaSwap(
        fields.choice("side", _SIDES),
        _notional(fields),
        _schedule(start, maturity, fixed_tenor, calendar, fixed_convention, end_of_month),
        fields.rate("fixed_rate"),
        conventions.day_count(fields, "fixed_day_count", "30/360"),
        _schedule(start, maturity, float_tenor, calendar, float_convention, end_of_month),
        index,
        fields.rate("float_spread", 0.0),
        conventions.day_count(fields, "float_day_count")
        if "float_day_count" in fields
        else index.dayCounter(),
    )
    add_fixings(fields, index)
    require_fixings(fields, index, swap.floatingLeg())
    return swap


def overnight_swap(fields: Fields) -> dict[str, Any]:
    """A fixed rate against an overnight rate, compounded daily."""
    curve, forecast = _curves(fields)
    shifted, shifted_forecast = _shifted(curve, forecast)
    index = overnight_index(fields, "float_index", shifted_forecast.handle)
    calendar = _calendar(fields, index)
    start, maturity = _period(fields, calendar)
    convention = conventions.convention(fields, "fixed_convention", "modified_following")
    tenor = ql.Period(conventions.frequency(fields, "fixed_frequency", "annual"))
    end_of_month = fields.flag("end_of_month", False)
    schedule = _schedule(start, maturity, tenor, calendar, convention, end_of_month)
    fixed_day_count = (
        conventions.day_count(fields, "fixed_day_count")
        if "fixed_day_count" in fields
        else index.dayCounter()
    )
    notionals = [_notional(fields)]
    swap = ql.OvernightIndexedSwap(
        fields.choice("side", _SIDES),
        notionals,
        schedule,
        fields.rate("fixed_rate"),
        fixed_day_count,
        notionals,
        _overnight_schedule(fields, schedule, start, maturity, calendar, end_of_month),
        index,
        fields.rate("float_spread", 0.0),
        fields.whole("payment_lag", 0, most=30),
        conventions.convention(fields, "payment_convention", "following"),
        calendar,
    )
    add_fixings(fields, index)
    require_fixings(fields, index, swap.overnightLeg())
    return _valued(fields, swap, (curve, forecast), (shifted, shifted_forecast))


def _overnight_schedule(
    fields: Fields, fixed: Any, start: date, maturity: date, calendar: Any, end_of_month: bool
) -> Any:
    """As the fixed leg's, but for what the request says of the floating leg."""
    if "float_convention" not in fields and "float_frequency" not in fields:
        return fixed
    tenor = (
        ql.Period(conventions.frequency(fields, "float_frequency"))
        if "float_frequency" in fields
        else fixed.tenor()
    )
    convention = conventions.convention(fields, "float_convention", "modified_following")
    return _schedule(start, maturity, tenor, calendar, convention, end_of_month)


def _curves(fields: Fields) -> tuple[Curve, Curve]:
    """The curve that discounts and the one that forecasts."""
    curve = read_curve(fields)
    return curve, read_curve(fields, "forecast_curve") if "forecast_curve" in fields else curve


def _shifted(curve: Curve, forecast: Curve) -> tuple[_Shifted, _Shifted]:
    shifted = _Shifted(curve)
    return shifted, shifted if forecast is curve else _Shifted(forecast)


def _notional(fields: Fields) -> float:
    return fields.number("notional", above=0.0)


def _calendar(fields: Fields, index: Any) -> Any:
    return conventions.calendar(fields) if "calendar" in fields else index.fixingCalendar()


def _period(fields: Fields, calendar: Any) -> tuple[date, date]:
    """Start and maturity, as agreed: the schedules move them to business days."""
    if fields.one_of("start_date", "settlement_days") == "start_date":
        start = fields.date("start_date")
    else:
        today = calendar.adjust(to_date(fields.date("evaluation_date")))
        days = fields.whole("settlement_days", most=SETTLEMENT_DAYS_MAX)
        start = from_date(calendar.advance(today, days, ql.Days))
    name = fields.one_of("maturity_date", "tenor")
    if name == "tenor":
        maturity = _after(fields, start)
    else:
        maturity = fields.date("maturity_date")
    if maturity <= start:
        raise fields.fault(name, f"a date after the start {start}", str(maturity))
    if maturity <= fields.date("evaluation_date"):
        raise fields.fault(name, "a maturity after the evaluation_date", str(maturity))
    return start, maturity


def _after(fields: Fields, start: date) -> date:
    """The start plus the tenor."""
    tenor = conventions.tenor(fields)
    try:
        return from_date(to_date(start) + tenor)
    except RuntimeError:
        raise fields.fault("tenor", f"one that ends by {LAST_DATE}") from None


def _schedule(
    start: date, maturity: date, tenor: Any, calendar: Any, convention: Any, end_of_month: bool
) -> Any:
    return ql.Schedule(
        to_date(start),
        to_date(maturity),
        tenor,
        calendar,
        convention,
        convention,
        ql.DateGeneration.Backward,
        end_of_month,
    )


def _valued(
    fields: Fields, swap: Any, curves: tuple[Curve, Curve], shifted: tuple[_Shifted, _Shifted]
) -> dict[str, Any]:
    remark = check_curves(swap, *curves)
    swap.setPricingEngine(ql.DiscountingSwapEngine(shifted[0].handle))
    price, fair_rate, per_basis_point = swap.NPV(), swap.fairRate(), swap.legBPS(0)
    return {
        "price": price,
        "fair_rate": fair_rate,
        "dv01": 0.5 * (_moved(swap, shifted, BASIS_POINT) - _moved(swap, shifted, -BASIS_POINT)),
        "fixed_leg_bps": per_basis_point,
        **remark,
    }


def check_curves(swap: Any, curve: Curve, forecast: Curve) -> dict[str, str]:
    """Refuse curves that begin after the first payment, or after the first day whose rate is to be forecast.

    Returns a remark where a curve ends before the swap does.
    """
    remark: dict[str, str] = {}
    for each in (curve, forecast):
        remark |= each.extrapolated(from_date(swap.maturityDate()))
    today = ql.Settings.instance().evaluationDate
    unpaid = [flow for leg in (swap.leg(0), swap.leg(1)) for flow in leg if not flow.hasOccurred()]
    curve.require_by(from_date(min(flow.date() for flow in unpaid)))
    for flow in unpaid:
        coupon = ql.as_floating_rate_coupon(flow)
        if coupon is None:
            continue
        if coupon.fixingDate() >= today:
            forecast.require_by(from_date(max(coupon.accrualStartDate(), today)))
    return remark


def _moved(swap: Any, shifted: tuple[_Shifted, _Shifted], shift: float) -> float:
    """The value with all zero rates moved."""
    for curve in shifted:
        curve.spread.setValue(shift)
    value = float(swap.NPV())
    for curve in shifted:
        curve.spread.setValue(0.0)
    return value
