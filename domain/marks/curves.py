"""Whether a curve can be built: from what it states, or bootstrapped from its instruments.

Owns: the check of a curve before it is published, and the search for the one quote that spoils it.
Guarantees: a curve that passes is built by whoever prices with it; one that does not names a field, what was expected and
what was found.
"""

from collections.abc import Mapping
from typing import Any

from domain.pricing.fields import Fields, Unpriceable
from domain.pricing.rates.curves import read_curve
from domain.pricing.rates.session import run

_WITH_DATES = ("zero", "discount")
_CURVE = "curve."


def curve_fault(definition: Mapping[str, Any]) -> Unpriceable | None:
    """What is wrong with a curve in the form of `pks price`; None where nothing is.

    It must say its `reference_date`, or the dates that it begins with: a curve that is kept must not move with the day on
    which somebody prices with it.
    """
    try:
        _build(definition)
    except Unpriceable as fault:
        return _of_one_instrument(definition, fault)
    return None


def _build(definition: Mapping[str, Any]) -> None:
    fields = Fields(definition)
    if "reference_date" in fields or definition.get("type") not in _WITH_DATES:
        reference = fields.date("reference_date")
    else:
        reference = fields.dates("dates")[0]
    request = Fields({"evaluation_date": reference.isoformat(), "curve": definition})
    try:
        run(_built, request)
    except Unpriceable as fault:
        raise Unpriceable(fault.field.removeprefix(_CURVE), fault.expected, fault.found) from None


def _built(request: Fields) -> dict[str, Any]:
    curve = read_curve(request)
    if curve.last_date is not None:
        # Builds all of it: a bootstrap that has no solution says so now.
        curve.structure.discount(curve.structure.maxDate())
    return {}


def _of_one_instrument(definition: Mapping[str, Any], fault: Unpriceable) -> Unpriceable:
    """The same fault, with the instrument named without which there would be none, where it is one alone."""
    instruments = definition.get("instruments")
    if fault.field != "instruments" or not isinstance(instruments, list) or len(instruments) < 2:
        return fault
    suspects = []
    for index in range(len(instruments)):
        others = [*instruments[:index], *instruments[index + 1 :]]
        try:
            _build({**definition, "instruments": others})
        except Unpriceable:
            continue
        suspects.append(index)
    if len(suspects) != 1:
        return fault
    quote = instruments[suspects[0]]
    name = "price" if "price" in quote else "rate"
    found = f"{quote.get(name)} ({fault.found})"
    return Unpriceable(
        f"instruments[{suspects[0]}].{name}", "a quote that a curve with the others reprices", found
    )
