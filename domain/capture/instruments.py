"""Which instrument a fill names: by id, venue symbol, ISIN, CUSIP, FIGI or RIC.

Check digits are the library's (python-stdnum); a RIC has none, so only its form is checked.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from stdnum import cusip, figi, isin

from domain.capture.faults import Fault
from domain.capture.reference import ReferenceData
from schemas.units import identifier_fault

_RIC = re.compile(r"\.?[A-Za-z0-9^=/_-]{1,26}(?:\.[A-Za-z]{1,4})?(?:\^[A-Z][0-9]{2})?", re.ASCII)

CHECK_DIGITS: Mapping[str, Callable[[str], bool]] = {
    "isin": isin.is_valid,
    "cusip": cusip.is_valid,
    "figi": figi.is_valid,
    "ric": lambda text: _RIC.fullmatch(text) is not None,
}


def identifiers_fault(identifiers: Mapping[str, str]) -> Fault | None:
    """What is wrong with an instrument's identifiers: an unknown scheme or a wrong check digit."""
    for scheme, value in identifiers.items():
        check = CHECK_DIGITS.get(scheme)
        if check is not None:
            if not check(value):
                return Fault(f"{scheme} is not valid", scheme, _expected(scheme), repr(value))
        elif not scheme.startswith("symbol:"):
            schemes = ", ".join([*CHECK_DIGITS, "symbol:VENUE"])
            return Fault("unknown identifier scheme", "identifiers", f"one of {schemes}", repr(scheme))
        elif identifier_fault(value) is not None:
            return Fault("symbol is not valid", scheme, str(identifier_fault(value)), repr(value))
    return None


def _expected(scheme: str) -> str:
    return f"a {scheme.upper()} " + ("in its form" if scheme == "ric" else "with its right check digit")


def resolve(fill: Any, reference: ReferenceData) -> str | Fault:
    """The instrument that a fill names.

    An id that is not defined is taken as it is (the fill's own terms hold then); every other scheme must lead
    to exactly one defined instrument.
    """
    scheme, name = fill.instrument_scheme, fill.instrument
    if scheme == "id":
        return str(name)
    if scheme == "symbol":
        scheme = f"symbol:{fill.venue}"
    else:
        check = CHECK_DIGITS.get(scheme)
        if check is None:
            schemes = ", ".join(["id", "symbol", *CHECK_DIGITS])
            return Fault("unknown identifier scheme", "instrument_scheme", f"one of {schemes}", repr(scheme))
        if not check(name):
            return Fault(f"{scheme} is not valid", "instrument", _expected(scheme), repr(name))
    found = reference.by_identifier.get((scheme, name), ())
    if len(found) == 1:
        return found[0]
    expected = f"a defined instrument with this {scheme}"
    if not found:
        return Fault("unknown instrument", "instrument", expected, repr(name))
    several = ", ".join(sorted(found))
    return Fault("instrument is not certain", "instrument", f"one {expected[2:]}", f"{name!r} of {several}")
