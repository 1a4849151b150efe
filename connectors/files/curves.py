"""Curves from a file: a JSON array of objects, or JSON Lines; each has its name, and is a curve as `pks price` takes one.

    [{"curve": "EUR-ESTR", "type": "zero", "reference_date": "2026-01-05", "dates": [...], "rates": [...]}]

`event_time` (ISO 8601) says for when it is quoted. All other fields are the curve.
Guarantees: numbers keep their digits; all faults of a file are raised together.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.files import fields
from connectors.files.faults import FaultCollector
from connectors.files.rows import JsonNumber, describe, read_rows, repeated_name
from connectors.files.source import Source

Check = Callable[[Mapping[str, Any]], tuple[str, str, str] | None]
"""Looks at a curve; gives field, expected and found of a fault, or None."""


@dataclass(frozen=True, slots=True)
class StatedCurve:
    """A curve of a file: its name, its form as JSON, and the time for which it holds (None: now)."""

    curve: str
    definition: str
    event_time: int | None


def read_curves(source: Source, check: Check, *, input_format: str | None = None) -> list[StatedCurve]:
    """The curves of a file. Raises InputFaults with every fault."""
    faults = FaultCollector(source.name)
    found: dict[str, StatedCurve] = {}
    for row in read_rows(source, faults, input_format=input_format):
        name = repeated_name(row.values)
        if name is not None:
            faults.add(row.place, name, "each field once", "the field twice")
            continue
        values = dict(row.values)
        whole = True
        read: dict[str, Any] = {"event_time": None}
        for field, reader in (("curve", fields.identifier), ("event_time", fields.time)):
            value = values.pop(field, None)
            if value is None:
                if field == "curve":
                    faults.add(row.place, field, "a name", "none")
                    whole = False
                continue
            try:
                read[field] = reader(value)
            except ValueError as error:
                faults.add(row.place, field, str(error), describe(value))
                whole = False
        fault = check(values)
        if fault is not None:
            faults.add(row.place, *fault)
        elif whole:
            stated = StatedCurve(read["curve"], _json(values), read["event_time"])
            if found.setdefault(stated.curve, stated) != stated:
                faults.add(row.place, "curve", "one curve of a name", stated.curve)
    faults.raise_if_any()
    return list(found.values())


def _json(value: Any) -> str:
    """A value as JSON, its numbers digit by digit."""
    if isinstance(value, JsonNumber):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_json(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_json(part) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False)
