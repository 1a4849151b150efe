"""Terms of accruals and fixings of rates, from CSV, JSON, JSON Lines or YAML.

Owns: the fields of such files. `kind` says which terms a row has:

- `coupon`: `instrument`, `currency`, `day_count`, and either `periods` (a list: `start`, `end`, `face`, `payment_date`, and
  `rate`, `amount` or `fixing` with `margin`, `redemption`) or a schedule (`start_date`, `maturity_date`, `frequency`, `face`,
  `rate` or a list `rates`, `convention`, `end_of_month`, `amortisation` by date); `decimals`, `calendar`, `ex_coupon_days`;
- `funding`: `instrument`, `currency`, `rate`, `interval_seconds`, `decimals`;
- `borrow`: `instrument`, `currency`, `rate`, `spread`, `day_count`, `decimals`;
- `margin`: `account`, `entity`, `currency`, `rate`, `debit_spread`, `credit_spread`, `free_balance`, `day_count`, `decimals`;
- `variation_margin`: `instrument`, `currency`, `rate` (the name of its settlement prices), `decimals`.

A fixing has `rate` (its name), `fixed_at`, `value` and, where it has one, `price`.
Guarantees: all faults of a file are raised together; a definition has the same event id at every import.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from typing import Any, Protocol

from pydantic import ValidationError

from connectors.files import fields
from connectors.files.definitions import definition_rows, source_name
from connectors.files.faults import FaultCollector
from connectors.files.rows import JsonNumber, describe, read_rows
from connectors.files.source import Source
from connectors.files.validation import expected_of
from schemas import accruals
from schemas.frames import encode_event, to_wire, wire
from schemas.identity import content_id

_KINDS: Mapping[str, type[Any]] = {
    "coupon": accruals.CouponTerms,
    "funding": accruals.FundingTerms,
    "borrow": accruals.BorrowTerms,
    "margin": accruals.MarginTerms,
    "variation_margin": accruals.VariationMarginTerms,
}
_NUMBERS = {
    "face",
    "amount",
    "margin",
    "redemption",
    "spread",
    "debit_spread",
    "credit_spread",
    "free_balance",
}
"""The fields that hold a number; so does `rate` of a bond, which names its fixings elsewhere."""

_FIXING: Mapping[str, fields.Reader] = {
    "rate": fields.identifier,
    "fixed_at": fields.time,
    "value": fields.number,
    "price": fields.number,
}
_RateFixed: Any = wire(accruals.RateFixed)


class MakePeriods(Protocol):
    """Makes the periods of a schedule, which a row has in place of them; raises ValueError with what is wrong."""

    def __call__(self, values: Mapping[str, Any]) -> list[Mapping[str, Any]]: ...


class CheckTerms(Protocol):
    """Says what is wrong with terms beyond their types: field, expected, found; None where nothing is."""

    def __call__(self, terms: Any) -> tuple[str, str, str] | None: ...


def read_accrual_terms(
    source: Source, make_periods: MakePeriods, check: CheckTerms, *, input_format: str | None = None
) -> list[Any]:
    """The terms of a file (wire twins). Raises InputFaults with every fault of the file."""
    faults = FaultCollector(source.name)
    found: dict[str, Any] = {}
    for row in definition_rows(source, faults, input_format, "kind"):
        values = {name: _plain(value) for name, value in row.values.items()}
        said = values.pop("kind", None)
        kind = _KINDS.get(str(said))
        if kind is None:
            faults.add(row.place, "kind", f"one of {', '.join(_KINDS)}", describe(said))
            continue
        terms = _terms(kind, values, make_periods, row.place, faults)
        if terms is None:
            continue
        fault = check(terms)
        if fault is not None:
            faults.add(row.place, *fault)
        key = accruals.terms_key(terms)
        if found.setdefault(key, terms) != terms:
            faults.add(row.place, "kind", "terms of each instrument or account once", key)
    faults.raise_if_any()
    return list(found.values())


def _terms(
    kind: type[Any], values: dict[str, Any], make_periods: MakePeriods, place: str, faults: FaultCollector
) -> Any | None:
    if kind is accruals.CouponTerms and "periods" not in values:
        try:
            values["periods"] = make_periods(values)
        except (ValueError, KeyError, TypeError) as error:
            expected = (
                str(error)
                if type(error) is ValueError
                else "periods, or a schedule with its dates, face and rate"
            )
            faults.add(place, "periods", expected, describe(values.get("maturity_date")))
            return None
    misspelled = list(_number_faults(kind, values))
    for field_name, expected, value in misspelled:
        faults.add(place, field_name, expected, describe(value))
    if misspelled:
        return None
    known = {field.name for field in dataclass_fields(kind)}
    given = {name: value for name, value in values.items() if name in known}
    try:
        bare = to_wire(kind(event_id="", source=f"definition:{source_name(faults.file)}", **given))
    except (ValidationError, TypeError) as error:
        if isinstance(error, TypeError):
            faults.add(place, "", "every required field", str(error))
            return None
        for fault in error.errors(include_url=False):
            found = "nothing" if fault["type"] == "missing" else describe(fault["input"])
            faults.add(place, ".".join(map(str, fault["loc"])), expected_of(fault), found)
        return None
    identity = content_id("definition", kind.__name__, encode_event(bare).decode())
    return to_wire(kind(event_id=identity, source=bare.source, **given))


def _number_faults(
    kind: type[Any], values: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, str, Any]]:
    """Field, expected and value of each number that is not spelled plainly; numbers inside periods, too."""
    names = _NUMBERS | {"rate"} if kind is accruals.CouponTerms else _NUMBERS
    for name, value in values.items():
        if isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _number_faults(kind, item, f"{path}{name}.{place}.")
        elif name in names and value is not None:
            try:
                fields.number(value)
            except ValueError as error:
                yield f"{path}{name}", str(error), value


def _plain(value: Any) -> Any:
    """A value with its numbers as texts, however deep: no number passes through a float."""
    if isinstance(value, JsonNumber):
        return str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items() if item is not None}
    return value


def read_fixings(source: Source, *, input_format: str | None = None) -> list[Any]:
    """The fixings of a file (wire twins), one of a rate and time: the last. Raises InputFaults with every fault."""
    faults = FaultCollector(source.name)
    found: dict[str, Any] = {}
    required = ("rate", "fixed_at", "value")
    for row in read_rows(source, faults, input_format=input_format, known=_FIXING, required=required):
        values: dict[str, Any] = {}
        for name, read in _FIXING.items():
            value = row.values.get(name)
            if value is None:
                if name in required and name not in row.absent:
                    faults.add(row.place, name, "a value", "nothing")
                continue
            try:
                values[name] = read(value)
            except ValueError as error:
                faults.add(row.place, name, str(error), describe(value))
        if set(required) <= values.keys():
            fixed = rate_fixed(source=f"rates:{source_name(faults.file)}", **values)
            found[accruals.rate_key(fixed)] = fixed
    faults.raise_if_any()
    return list(found.values())


def rate_fixed(
    *, rate: str, fixed_at: int, value: Decimal, price: Decimal | None = None, source: str = ""
) -> Any:
    """A fixing, whose id is that of its content."""
    identity = content_id("rate", rate, str(fixed_at), str(value), str(price))
    return _RateFixed(
        event_id=identity, source=source, rate=rate, fixed_at=fixed_at, value=value, price=price
    )
