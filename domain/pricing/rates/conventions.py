"""The words of the market for dates and rates, as QuantLib has them: day counts, calendars, conventions, frequencies.

Names are compared by their letters and digits, without case; each has the spellings that are in use.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import QuantLib as ql

from domain.pricing.fields import Fields, folded

_UNITS = {"D": "Days", "W": "Weeks", "M": "Months", "Y": "Years"}
_TENOR_MAX = {"D": 36_500, "W": 5_200, "M": 1_200, "Y": 100}


def _by_name(names: Mapping[str, Any]) -> dict[str, Any]:
    """Each value by every one of its names, which stand in the key with ` | ` between them."""
    return {folded(name): value for key, value in names.items() for name in key.split(" | ")}


def _main_names(names: Mapping[str, Any]) -> str:
    return ", ".join(key.split(" | ")[0] for key in names)


_DAY_COUNTS: dict[str, Callable[[], Any]] = {
    "Act/Act(ISMA) | Act/Act(ICMA) | Act/Act(Bond) | ActualActual(ISMA) | ActualActual(ICMA) | ActualActual(Bond)": (
        lambda: ql.ActualActual(ql.ActualActual.ISMA)
    ),
    "Act/Act(ISDA) | Act/Act | ActualActual(ISDA) | ActualActual": lambda: ql.ActualActual(
        ql.ActualActual.ISDA
    ),
    "Act/Act(AFB) | ActualActual(AFB)": lambda: ql.ActualActual(ql.ActualActual.AFB),
    "Act/360 | Actual/360 | A/360": ql.Actual360,
    "Act/365F | Act/365 | Act/365(Fixed) | Actual/365F | Actual/365 | Actual/365(Fixed) | A/365F | A/365": (
        ql.Actual365Fixed
    ),
    "NL/365 | Act/365(NoLeap) | Actual/365(NoLeap)": lambda: ql.Actual365Fixed(ql.Actual365Fixed.NoLeap),
    "Act/365(Canadian) | Actual/365(Canadian)": lambda: ql.Actual365Fixed(ql.Actual365Fixed.Canadian),
    "Act/364 | Actual/364": ql.Actual364,
    "Act/366 | Actual/366": ql.Actual366,
    "Act/365.25 | Actual/365.25": ql.Actual36525,
    "30/360 | 30/360(BondBasis) | 30/360(ISMA) | Thirty360 | Thirty360(BondBasis)": lambda: ql.Thirty360(
        ql.Thirty360.BondBasis
    ),
    "30/360(US) | 30/360(USA) | 30U/360": lambda: ql.Thirty360(ql.Thirty360.USA),
    "30/360(NASD)": lambda: ql.Thirty360(ql.Thirty360.NASD),
    "30E/360 | 30/360(European) | 30/360(EurobondBasis)": lambda: ql.Thirty360(ql.Thirty360.European),
    "30E+/360 | 30/360(Italian)": lambda: ql.Thirty360(ql.Thirty360.Italian),
    "30/360(German) | 30E/360(ISDA) | 30/360(ISDA)": lambda: ql.Thirty360(ql.Thirty360.German),
    "30/365": ql.Thirty365,
    "1/1": ql.OneDayCounter,
    "Bus/252 | Business/252": lambda: ql.Business252(ql.Brazil()),
    "Simple": ql.SimpleDayCounter,
}

_CALENDARS: dict[str, Callable[[], Any]] = {
    "null | none | NullCalendar": ql.NullCalendar,
    "weekends | WeekendsOnly": ql.WeekendsOnly,
    "TARGET | EUR | euro": ql.TARGET,
    "US | UnitedStates | US(GovernmentBond) | UnitedStates(GovernmentBond)": (
        lambda: ql.UnitedStates(ql.UnitedStates.GovernmentBond)
    ),
    "US(Settlement) | UnitedStates(Settlement)": lambda: ql.UnitedStates(ql.UnitedStates.Settlement),
    "US(NYSE) | UnitedStates(NYSE) | NYSE": lambda: ql.UnitedStates(ql.UnitedStates.NYSE),
    "US(FederalReserve) | UnitedStates(FederalReserve)": lambda: ql.UnitedStates(
        ql.UnitedStates.FederalReserve
    ),
    "US(SOFR) | UnitedStates(SOFR)": lambda: ql.UnitedStates(ql.UnitedStates.SOFR),
    "UK | UnitedKingdom | GB | UK(Settlement) | UnitedKingdom(Settlement)": ql.UnitedKingdom,
    "UK(Exchange) | UnitedKingdom(Exchange) | LSE": lambda: ql.UnitedKingdom(ql.UnitedKingdom.Exchange),
    "Russia | RU | Russia(Settlement)": ql.Russia,
    "MOEX | Russia(MOEX)": lambda: ql.Russia(ql.Russia.MOEX),
    "Germany | DE": ql.Germany,
    "Eurex | Germany(Eurex)": lambda: ql.Germany(ql.Germany.Eurex),
    "France | FR": ql.France,
    "Italy | IT": ql.Italy,
    "Switzerland | CH": ql.Switzerland,
    "Japan | JP": ql.Japan,
    "Australia | AU": ql.Australia,
    "Canada | CA": ql.Canada,
    "Brazil | BR": ql.Brazil,
    "China | CN": ql.China,
    "HongKong | HK": ql.HongKong,
    "India | IN": ql.India,
    "Poland | PL": ql.Poland,
    "Sweden | SE": ql.Sweden,
    "Norway | NO": ql.Norway,
    "Denmark | DK": ql.Denmark,
    "SouthAfrica | ZA": ql.SouthAfrica,
    "Turkey | TR": ql.Turkey,
}
"""`US` is the calendar of US government bonds, as SIFMA recommends it."""

_CONVENTIONS: dict[str, Any] = {
    "unadjusted | none": ql.Unadjusted,
    "following | F": ql.Following,
    "modified_following | MF": ql.ModifiedFollowing,
    "preceding | P": ql.Preceding,
    "modified_preceding | MP": ql.ModifiedPreceding,
    "half_month_modified_following": ql.HalfMonthModifiedFollowing,
    "nearest": ql.Nearest,
}

_FREQUENCIES: dict[str, Any] = {
    "annual": ql.Annual,
    "semiannual": ql.Semiannual,
    "quarterly": ql.Quarterly,
    "monthly": ql.Monthly,
}

_COMPOUNDINGS: dict[str, Any] = {
    "continuous": (ql.Continuous, ql.NoFrequency),
    **{name: (ql.Compounded, frequency) for name, frequency in _FREQUENCIES.items()},
    "simple": (ql.Simple, ql.Annual),
}

DAY_COUNTS, CALENDARS = _by_name(_DAY_COUNTS), _by_name(_CALENDARS)
CONVENTIONS, FREQUENCIES = _by_name(_CONVENTIONS), _by_name(_FREQUENCIES)
COMPOUNDINGS = _by_name(_COMPOUNDINGS)


def to_date(day: date) -> Any:
    """A date of QuantLib."""
    return ql.Date(day.day, day.month, day.year)


def from_date(day: Any) -> date:
    """A date of QuantLib as one of ours."""
    return date(day.year(), day.month(), day.dayOfMonth())


def day_count(fields: Fields, name: str, default: str | None = None) -> Any:
    """A day count by its name; required where there is no default."""
    return fields.choice(name, DAY_COUNTS, default, expected=_main_names(_DAY_COUNTS))()


def calendar(fields: Fields, name: str = "calendar", default: str | None = "null") -> Any:
    """A calendar by its name."""
    return fields.choice(name, CALENDARS, default, expected=_main_names(_CALENDARS))()


def convention(fields: Fields, name: str, default: str) -> Any:
    """A business-day convention by its name."""
    return fields.choice(name, CONVENTIONS, default, expected=_main_names(_CONVENTIONS))


def frequency(fields: Fields, name: str, default: str | None = None) -> Any:
    """How often a year; required where there is no default."""
    return fields.choice(name, FREQUENCIES, default, expected=_main_names(_FREQUENCIES))


def compounding(fields: Fields, default: str = "continuous") -> tuple[Any, Any]:
    """QuantLib's compounding and frequency of the field `compounding`."""
    found: tuple[Any, Any] = fields.choice(
        "compounding", COMPOUNDINGS, default, expected=_main_names(_COMPOUNDINGS)
    )
    return found


def tenor(fields: Fields, name: str = "tenor") -> Any:
    """A period as `10Y`, `6M`, `2W` or `1D`."""
    value = fields.values.get(name)
    text = value.upper() if isinstance(value, str) else ""
    count, unit = text[:-1], text[-1:]
    if not (count.isascii() and count.isdecimal() and len(count) <= 5 and unit in _UNITS):
        raise fields.fault(name, "a tenor as 10Y, 6M, 2W or 1D")
    if not 1 <= int(count) <= _TENOR_MAX[unit]:
        raise fields.fault(name, f"a tenor from 1{unit} to {_TENOR_MAX[unit]}{unit}")
    return ql.Period(int(count), getattr(ql, _UNITS[unit]))
