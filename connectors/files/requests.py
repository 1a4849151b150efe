"""Requests to the calculators: objects with an `id`, from JSON, JSON Lines or CSV.

Owns: what a file of requests must be, and the exact numbers and objects inside a request.
Guarantees: as `rows`; all faults of a file are raised together; a name that stands twice in an object is a fault, however
deep it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from connectors.files import fields
from connectors.files.faults import FaultCollector
from connectors.files.rows import JsonNumber, Row, describe, read_rows, repeated_name
from connectors.files.source import Source

OBJECT_NAMES_MAX = 10_000

NameFault = Callable[[str], str | None]
"""What is expected of a name inside an object, where it is not that; None where nothing is wrong."""


@dataclass(slots=True)
class Figures:
    """A request that was read: its id, its texts, its numbers, and its objects of numbers.

    Optional fields that the request does not have are not in the mappings.
    """

    id: str | int
    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, Decimal] = field(default_factory=dict)
    objects: dict[str, dict[str, Decimal]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """What the requests of a calculator have. Texts are required, numbers are not.

    `objects` are the names that are read of each object: those listed, of an object that may be left out; or all of an
    object that is required, where None stands, and then `name_fault` looks at each. `least` has the smallest value of a
    number, where there is one.
    """

    texts: Mapping[str, fields.Reader] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    objects: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    least: Mapping[str, Decimal] = field(default_factory=dict)
    name_fault: NameFault = lambda name: None


def read_requests(source: Source, *, input_format: str | None = None) -> list[Mapping[str, Any]]:
    """The requests of a file as they stand there, for a calculator that answers faults request by request.

    Raises InputFaults where the file has no such objects.
    """
    faults = FaultCollector(source.name)
    rows = read_rows(source, faults, input_format=input_format, required=("id", "model"))
    found: list[Mapping[str, Any]] = [row.values for row in rows if _once(row, faults)]
    faults.raise_if_any()
    return found


def read_figures(
    source: Source, form: Form, *, input_format: str | None = None
) -> tuple[list[Figures], dict[str, int]]:
    """The requests of a file, and which names of their objects were not read, with how often they stand there.

    Raises InputFaults with every fault of the file.
    """
    faults = FaultCollector(source.name)
    reader = _FiguresReader(form, faults)
    for row in read_rows(source, faults, input_format=input_format):
        if _once(row, faults):
            reader.read(row)
    faults.raise_if_any()
    return reader.found, reader.left_out


def _once(row: Row, faults: FaultCollector) -> bool:
    name = repeated_name(row.values)
    if name is not None:
        faults.add(row.place, name, "each field once", "the field twice")
    return name is None


class _FiguresReader:
    """Makes figures of rows, one by one."""

    def __init__(self, form: Form, faults: FaultCollector) -> None:
        self._form = form
        self._faults = faults
        self.found: list[Figures] = []
        self.left_out: dict[str, int] = {}

    def read(self, row: Row) -> None:
        """Take a row; what is wrong with it goes to the faults."""
        form = self._form
        figures = Figures(self._value(row, "id", row.values.get("id"), _identity) or "")
        for name, reader in form.texts.items():
            text = self._value(row, name, row.values.get(name), reader)
            if text is not None:
                figures.texts[name] = text
        for name in form.numbers:
            if name in row.values:
                number = self._number(row, name, row.values[name])
                if number is not None:
                    figures.numbers[name] = number
        for name, names in form.objects.items():
            figures.objects[name] = self._object(row, name, names)
        self.found.append(figures)

    def _value(self, row: Row, name: str, value: Any, reader: fields.Reader) -> Any:
        if value is None:
            self._faults.add(row.place, name, "a value", "nothing")
            return None
        try:
            return reader(value)
        except ValueError as error:
            self._faults.add(row.place, name, str(error), describe(value))
            return None

    def _number(self, row: Row, name: str, value: Any) -> Decimal | None:
        number: Decimal | None = self._value(row, name, value, fields.number)
        least = self._form.least.get(name)
        if number is not None and least is not None and number < least:
            self._faults.add(row.place, name, f"a number of at least {least}", describe(value))
            return None
        return number

    def _object(self, row: Row, name: str, names: tuple[str, ...] | None) -> dict[str, Decimal]:
        value = row.values.get(name)
        if value is None and names is not None:
            return {}
        if not isinstance(value, dict) or len(value) > OBJECT_NAMES_MAX:
            expected = f"an object of numbers, at most {OBJECT_NAMES_MAX}"
            self._faults.add(row.place, name, expected, "nothing" if value is None else describe(value))
            return {}
        found = {}
        for inner, item in value.items():
            where = f"{name}.{inner}"
            if names is not None and inner not in names:
                self.left_out[where] = self.left_out.get(where, 0) + 1
                continue
            expected_name = self._form.name_fault(inner) if names is None else None
            if expected_name is not None:
                self._faults.add(row.place, where, expected_name, inner)
            elif item is not None:
                number = self._number(row, where, item)
                if number is not None:
                    found[inner] = number
        return found


def _identity(value: Any) -> str | int:
    if isinstance(value, JsonNumber):
        return fields.integer(value)
    return fields.text(value)
