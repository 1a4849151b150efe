"""Reference data: instruments, books and routing rules, each an event in a compacted topic.

Capture reads them; no stage that keeps books does, since every trade carries its terms.
"""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from pydantic.dataclasses import dataclass

from schemas.events import Event, Identifier, PositiveNumber
from schemas.money import PostingRules
from schemas.numbers import ONE
from schemas.pricing_terms import canonical_pricing
from schemas.units import FeePolicy, LotMethod

ANY_CLASS = "*"
"""The key of `Book.lot_methods` that holds for classes not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument(Event):
    """What is traded. `identifiers` maps a scheme to its value: `isin`, `cusip`, `figi`, `ric`, or
    `symbol:VENUE` for a venue's own symbol.

    `pricing` is a JSON object with the `model` of `pks price` and the fields of it that do not change
    (`schemas.pricing_terms`); without one the instrument is valued by its mark alone.
    """

    instrument: Identifier
    instrument_class: str = ""
    currency: str = ""
    multiplier: PositiveNumber = ONE
    inverse: bool = False
    underlying: str = ""
    settlement_days: Annotated[int, Field(ge=0, le=30)] = 0
    identifiers: Mapping[str, str] = field(default_factory=dict)
    active: bool = True
    pricing: Annotated[str, AfterValidator(canonical_pricing)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book(Event):
    """A book: who owns it, how its lots are matched, and when its business day ends.

    `lot_methods` maps an instrument class (or `*`) to a method; FIFO where nothing is said.
    `cut_off` (HH:MM in `time_zone`): a later execution belongs to the next business day of `calendar`
    (`every_day`, or `weekdays`). `desk` is what its Greeks are summed under, beside the book itself.
    """

    book: Identifier
    entity: str = ""
    base_currency: str = ""
    lot_methods: Mapping[str, LotMethod] = field(default_factory=dict)
    fee_policy: FeePolicy = FeePolicy.EXCLUDED
    calendar: Annotated[str, Field(pattern="^(every_day|weekdays)$")] = "every_day"
    time_zone: str = "UTC"
    cut_off: Annotated[str, Field(pattern="^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")] = "24:00"
    active: bool = True
    desk: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRule(Event):
    """Sends fills that name no book to one. None matches anything; the lowest `priority` that matches wins,
    ties by `rule`. A rule that matches everything is the default."""

    rule: Identifier
    book: Identifier
    priority: int = 100
    venue: str | None = None
    account: str | None = None
    instrument_class: str | None = None
    strategy: str | None = None
    active: bool = True


_CLASSES: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (Instrument, Book, RoutingRule, PostingRules)
}


def invalid_field(definition: Any) -> tuple[str, str, str] | None:
    """Of a definition's wire twin, which is not validated: the first field that is not valid, what was expected,
    and what was found."""
    kind = _CLASSES[type(definition).__name__]
    try:
        kind(**{each.name: getattr(definition, each.name) for each in fields(kind)})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        expected = fault["msg"].removeprefix("Value error, expected ")
        return ".".join(str(part) for part in fault["loc"]), expected, repr(fault["input"])
    return None
