"""Is a piece of reference data valid by itself: what the edge checks as well, held again where it takes effect.

What reaches the log past the edge (another program at the control socket) must not make every fill of a book fail.
"""

from collections.abc import Callable, Mapping
from typing import Any

from domain.capture.business_date import time_zone_fault
from domain.capture.faults import Fault
from domain.capture.instruments import identifiers_fault
from schemas import money, reference
from schemas.frames import wire

_FOUND_MAX = 80


def _book_fault(book: Any) -> Fault | None:
    expected = time_zone_fault(book.time_zone)
    if expected is None:
        return None
    return Fault("time_zone is not valid", "time_zone", expected, repr(book.time_zone)[:_FOUND_MAX])


_CHECKS: Mapping[type, Callable[[Any], Fault | None]] = {
    wire(reference.Book): _book_fault,
    wire(reference.Instrument): lambda instrument: identifiers_fault(instrument.identifiers),
    wire(reference.RoutingRule): lambda rule: None,
    wire(money.PostingRules): lambda rules: None,
}


def definition_fault(definition: Any) -> Fault | None:
    """The first fault of a definition (a wire twin); None where it is valid."""
    invalid = reference.invalid_field(definition)
    if invalid is not None:
        field, expected, found = invalid
        return Fault(f"{field} is not valid", field, expected, found[:_FOUND_MAX])
    return _CHECKS[type(definition)](definition)
