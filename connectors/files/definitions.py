"""Definitions of books, instruments and routing rules from CSV, JSON, JSON Lines or YAML.

Owns: the columns of such files. A book: `book`, `entity`, `base_currency`, `lot_method` (for every class) or
`lot_methods` (by class: a mapping, or `equity=fifo;option=lifo;*=average`), `fee_policy`, `calendar`,
`time_zone`, `cut_off`, `desk`, `active`. An instrument: `instrument`, `instrument_class` (or `class`), `currency`,
`multiplier`, `inverse`, `underlying`, `settlement_days`, `isin`, `cusip`, `figi`, `ric`, `symbol:VENUE` (or all
of those as `identifiers`), `active`, and how it is priced: `model`, `option_type`, `strike`, `expiry` and so on (or all of
those as `pricing`, a JSON object). A routing rule: `rule`, `book`, `priority`, `venue`, `account`,
`instrument_class`, `strategy`, `active`. A policy of currency positions: `entity`, `reporting_currency`, `capital_rate`,
`limits` (by currency, and `*`: a mapping, or `USD=1000000;*=5000000`).
Guarantees: all faults of a file are raised together; a definition has the same event id at every import.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from connectors.files.faults import FaultCollector
from connectors.files.fields import number, positive
from connectors.files.rows import JsonNumber, Row, describe, read_rows
from connectors.files.source import Source
from connectors.files.validation import expected_of
from schemas import currency_position, reference
from schemas.frames import encode_event, to_wire
from schemas.identity import content_id
from schemas.pricing_terms import COLUMNS, PricingFault, canonical_pricing

YAML_SUFFIXES = (".yaml", ".yml")
YAML_BYTES_MAX = 64 * 1024**2
_ANY_METHOD = f"lot_methods.{reference.ANY_CLASS}"
_IDENTIFIERS = ("isin", "cusip", "figi", "ric")

Check = Callable[[Any], tuple[str, str, str] | None]
"""Looks at a definition; gives field, expected and found of a fault, or None."""


def _pairs(text: Any, faults: FaultCollector, place: str, field: str) -> Mapping[str, Any] | None:
    """A mapping as it stands in a cell: `name=value;name=value`."""
    if isinstance(text, dict):
        return {str(name): value for name, value in text.items()}
    found = {}
    for part in str(text).split(";"):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            faults.add(place, field, "name=value pairs with ; between them", describe(text))
            return None
        found[name.strip()] = value.strip()
    return found


def _book(values: dict[str, Any], faults: FaultCollector, place: str) -> dict[str, Any] | None:
    methods = values.pop("lot_methods", None)
    method = values.pop("lot_method", None)
    if methods is not None:
        pairs = _pairs(methods, faults, place, "lot_methods")
        if pairs is None:
            return None
        values["lot_methods"] = dict(pairs)
    if method is not None:
        values.setdefault("lot_methods", {})[reference.ANY_CLASS] = method
    return values


def _instrument(values: dict[str, Any], faults: FaultCollector, place: str) -> dict[str, Any] | None:
    identifiers = values.pop("identifiers", None)
    found: dict[str, Any] = {}
    if identifiers is not None:
        pairs = _pairs(identifiers, faults, place, "identifiers")
        if pairs is None:
            return None
        found.update(pairs)
    for name in [name for name in values if name in _IDENTIFIERS or name.startswith("symbol:")]:
        found[name] = values.pop(name)
    if found:
        values["identifiers"] = found
    if not _pricing(values, faults, place):
        return None
    if "class" in values:
        values["instrument_class"] = values.pop("class")
    if "multiplier" in values:
        try:
            values["multiplier"] = positive(values["multiplier"])
        except ValueError as error:
            faults.add(place, "multiplier", str(error), describe(values["multiplier"]))
            return None
    return values


def _pricing(values: dict[str, Any], faults: FaultCollector, place: str) -> bool:
    """Gather what is said of an instrument's pricing, in columns or as an object, into its canonical text."""
    given = values.pop("pricing", None)
    if given is None or isinstance(given, dict):
        terms: Any = dict(given or {})
    else:
        try:
            terms = json.loads(str(given), parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError):
            terms = None
    if not isinstance(terms, dict):
        faults.add(place, "pricing", "a JSON object with a model", describe(given))
        return False
    for name in [name for name in values if name in COLUMNS]:
        terms[name] = values.pop(name)
    if not terms:
        return True
    try:
        values["pricing"] = canonical_pricing(json.dumps(terms))
    except PricingFault as fault:
        # The column as the file has it.
        field = fault.field if given is not None else fault.field.removeprefix("pricing.")
        faults.add(place, field, fault.expected, describe(fault.found))
        return False
    return True


def _rule(values: dict[str, Any], _faults: FaultCollector, _place: str) -> dict[str, Any]:
    return values


def _policy(values: dict[str, Any], faults: FaultCollector, place: str) -> dict[str, Any] | None:
    limits = values.pop("limits", None)
    if limits is not None:
        pairs = _pairs(limits, faults, place, "limits")
        if pairs is None:
            return None
        found = {}
        for name, value in pairs.items():
            try:
                found[name] = number(str(value) if isinstance(value, JsonNumber) else value)
            except ValueError as error:
                faults.add(place, f"limits.{name}", str(error), describe(value))
                return None
        values["limits"] = found
    return values


_SHAPES: Mapping[type, tuple[str, Callable[..., dict[str, Any] | None]]] = {
    reference.Book: ("book", _book),
    reference.Instrument: ("instrument", _instrument),
    reference.RoutingRule: ("rule", _rule),
    currency_position.CurrencyPolicy: ("entity", _policy),
}


def read_definitions(
    source: Source,
    kind: type,
    *,
    input_format: str | None = None,
    check: Check | None = None,
    unknown: Counter[str] | None = None,
) -> list[Any]:
    """The definitions of a file, as wire twins of `kind` (Book, Instrument or RoutingRule).

    `check` looks at each beyond its types; `unknown` counts the fields that are none of a definition, and are left out.
    Raises InputFaults with every fault of the file.
    """
    key, shape = _SHAPES[kind]
    faults = FaultCollector(source.name)
    found: dict[str, Any] = {}
    for row in definition_rows(source, faults, input_format, key):
        definition = _definition(row, kind, shape, faults, Counter() if unknown is None else unknown)
        if definition is None:
            continue
        fault = None if check is None else check(definition)
        if fault is not None:
            faults.add(row.place, *fault)
        name = getattr(definition, key)
        if name in found and found[name] != definition:
            faults.add(row.place, key, f"one definition of each {key}", name)
        found[name] = definition
    faults.raise_if_any()
    return list(found.values())


def definition_rows(
    source: Source, faults: FaultCollector, input_format: str | None, key: str
) -> Iterator[Row]:
    """The rows of a file of definitions, whose `key` is required: CSV, JSON, JSON Lines, or YAML."""
    if input_format == "yaml" or (input_format is None and source.suffix in YAML_SUFFIXES):
        yield from _yaml_rows(source, faults)
    else:
        yield from read_rows(source, faults, input_format=input_format, required=(key,))


def _yaml_rows(source: Source, faults: FaultCollector) -> Iterator[Row]:
    with source.open() as stream:
        text = stream.read(YAML_BYTES_MAX + 1)
    if len(text) > YAML_BYTES_MAX:
        faults.add("", "", f"at most {YAML_BYTES_MAX} bytes of YAML", "more")
        return
    try:
        # The base loader reads every scalar as text, so no number passes through a float.
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        faults.add("", "", "YAML", str(error))
        return
    if not isinstance(document, list):
        faults.add("", "", "a list of definitions", type(document).__name__)
        return
    for index, item in enumerate(document):
        if isinstance(item, dict):
            yield Row(index, "index", {name: value for name, value in item.items() if value != ""})
        else:
            faults.add(f"index {index}", "", "a mapping of fields", describe(item))


def _definition(
    row: Row,
    kind: type,
    shape: Callable[..., dict[str, Any] | None],
    faults: FaultCollector,
    unknown: Counter[str],
) -> Any | None:
    values: dict[str, Any] = {
        name: str(value) if isinstance(value, JsonNumber) else value for name, value in row.values.items()
    }
    shaped = shape(values, faults, row.place)
    if shaped is None or row.absent:
        return None
    known = {name: value for name, value in shaped.items() if name in kind.__dataclass_fields__}  # type: ignore[attr-defined]
    unknown.update(name for name in shaped if name not in known)
    try:
        bare = to_wire(kind(event_id="", source=f"definition:{source_name(faults.file)}", **known))
    except (ValidationError, TypeError) as error:
        for field, expected, found in _validation_faults(error):
            # The column as the file has it.
            in_file = "lot_method" if field == _ANY_METHOD and "lot_method" in row.values else field
            faults.add(row.place, in_file, expected, found)
        return None
    content = encode_event(bare).decode()
    return to_wire(
        kind(
            event_id=content_id("definition", kind.__name__, content),
            source=f"definition:{source_name(faults.file)}",
            **known,
        )
    )


def source_name(path: str) -> str:
    """A file's name without its folder."""
    return path.replace("\\", "/").rpartition("/")[2]


def _validation_faults(error: ValidationError | TypeError) -> Iterator[tuple[str, str, str]]:
    if isinstance(error, TypeError):
        yield "", "every required field", str(error)
        return
    for fault in error.errors(include_url=False):
        field = ".".join(str(part) for part in fault["loc"])
        found = "nothing" if fault["type"] == "missing" else describe(fault["input"])
        yield field, expected_of(fault), found
