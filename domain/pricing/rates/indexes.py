"""Reference rates by name: term rates (`Euribor6M`) and overnight rates (`ESTR`, `SOFR`), with their fixings."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import QuantLib as ql

from domain.pricing.fields import Fields, folded
from domain.pricing.rates.conventions import day_count, to_date

_TERM_RATES: dict[str, Callable[[Any, Any], Any]] = {
    "euribor": ql.Euribor,
    "usdlibor": ql.USDLibor,
    "gbplibor": ql.GBPLibor,
    "chflibor": ql.CHFLibor,
    "jpylibor": ql.JPYLibor,
    "mosprime": ql.Mosprime,
    "wibor": ql.Wibor,
    "tibor": ql.Tibor,
}
_OVERNIGHT_RATES: dict[str, Callable[[Any], Any]] = {
    "estr": ql.Estr,
    "eonia": ql.Eonia,
    "sofr": ql.Sofr,
    "fedfunds": ql.FedFunds,
    "sonia": ql.Sonia,
    "saron": ql.Saron,
    "tonar": ql.Tonar,
    "corra": ql.Corra,
    "ruonia": lambda handle: ql.OvernightIndex(
        "RUONIA", 0, ql.RUBCurrency(), ql.Russia(), ql.Actual365Fixed(), handle
    ),
}
_ALIASES: Mapping[str, str] = {"ester": "estr", "tona": "tonar", "effr": "fedfunds"}
_TERM_NAME = re.compile(r"([a-z]+?)([0-9]{1,2})([dwmy])", re.ASCII)
_TERM_EXPECTED = "a term rate and its tenor, as Euribor6M: Euribor, USDLibor, GBPLibor, CHFLibor, JPYLibor, Mosprime, Wibor, Tibor"
_OVERNIGHT_EXPECTED = "ESTR, EONIA, SOFR, FedFunds, SONIA, SARON, TONAR, CORRA, RUONIA"


def term_index(fields: Fields, name: str, handle: Any, default: str | None = None) -> Any:
    """A term rate that is forecast with a curve."""
    value = fields.values.get(name, default)
    match = _TERM_NAME.fullmatch(folded(value)) if isinstance(value, str) else None
    make = _TERM_RATES.get(match[1]) if match is not None else None
    if match is None or make is None:
        raise fields.fault(name, _TERM_EXPECTED)
    try:
        return make(ql.Period(f"{match[2]}{match[3].upper()}"), handle)
    except RuntimeError:
        raise fields.fault(name, f"a tenor that {match[1]} has") from None


def overnight_index(fields: Fields, name: str, handle: Any, default: str | None = None) -> Any:
    """An overnight rate that is forecast with a curve; `float_day_count` replaces its day count."""
    value = fields.values.get(name, default)
    key = folded(value) if isinstance(value, str) else ""
    make = _OVERNIGHT_RATES.get(_ALIASES.get(key, key))
    if make is None:
        raise fields.fault(name, _OVERNIGHT_EXPECTED)
    index = make(handle)
    if "float_day_count" not in fields:
        return index
    chosen = day_count(fields, "float_day_count")
    return ql.OvernightIndex(
        index.familyName(), index.fixingDays(), index.currency(), index.fixingCalendar(), chosen, handle
    )


def add_fixings(fields: Fields, index: Any) -> None:
    """Give an index its past fixings: `fixings` is a list of `{"date", "rate"}`. They last for this request."""
    if "fixings" not in fields:
        return
    for fixing in fields.parts("fixings"):
        day = to_date(fixing.date("date"))
        if not index.isValidFixingDate(day):
            raise fixing.fault("date", f"a day on which {index.name()} is fixed")
        index.addFixing(day, fixing.rate("rate"), True)


def require_fixings(fields: Fields, index: Any, leg: Any) -> None:
    """Refuse a leg that needs past fixings which the request does not have; says the first of them."""
    today = ql.Settings.instance().evaluationDate
    given = {fixing.date("date") for fixing in fields.parts("fixings")} if "fixings" in fields else set()
    for flow in leg:
        coupon = ql.as_floating_rate_coupon(flow)
        if coupon is None or flow.hasOccurred(today):
            continue
        for day in _fixing_dates(coupon):
            if day < today and day.to_date() not in given:
                raise fields.fault("fixings", f"the fixing of {index.name()} on {day.to_date()}", "none")


def _fixing_dates(coupon: Any) -> list[Any]:
    overnight = ql.as_overnight_indexed_coupon(coupon)
    return [coupon.fixingDate()] if overnight is None else list(overnight.fixingDates())
