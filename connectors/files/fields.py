"""What one value of a row says: each reader returns it, or raises ValueError with what was expected.

Guarantees: strict and exact. Numbers are read digit by digit, times to the nanosecond; nothing is trimmed,
guessed or rounded.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from connectors.files.faults import FaultCollector
from connectors.files.rows import JsonNumber, Row, describe
from schemas import events
from schemas.frames import wire
from schemas.numbers import parse_decimal
from schemas.times import parse_time
from schemas.units import currency_code_fault, identifier_fault

Reader = Callable[[Any], Any]
Choice = TypeVar("Choice", bound=Enum)

TEXT_CHARACTERS_MAX = 256
FEES_MAX = 100

_Fee = wire(events.Fee)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = "a plain decimal number (optional sign, ASCII digits, optional point)"


def number(value: Any) -> Decimal:
    """An exact number: text, or a JSON number digit by digit."""
    if not isinstance(value, str):
        raise ValueError(_NUMBER)
    return parse_decimal(value)


def positive(value: Any) -> Decimal:
    """An exact number above 0."""
    found = number(value)
    if found <= 0:
        raise ValueError("a number above 0")
    return found


def integer(value: Any) -> int:
    """A whole number of at most 18 digits."""
    if not isinstance(value, str) or _INTEGER.fullmatch(value) is None:
        raise ValueError("a whole number of at most 18 digits")
    return int(value)


def identifier(value: Any) -> str:
    """An identifier (`schemas.units.identifier_fault`)."""
    if type(value) is not str:
        raise ValueError("text")
    fault = identifier_fault(value)
    if fault is not None:
        raise ValueError(fault)
    return value


def text(value: Any) -> str:
    """Printable text of at most 256 characters."""
    if type(value) is not str:
        raise ValueError("text")
    if len(value) > TEXT_CHARACTERS_MAX or not value.isprintable():
        raise ValueError(f"at most {TEXT_CHARACTERS_MAX} printable characters")
    return value


def currency(value: Any) -> str:
    """A currency's code (`schemas.units.currency_code_fault`)."""
    if type(value) is not str:
        raise ValueError("text")
    fault = currency_code_fault(value)
    if fault is not None:
        raise ValueError(fault)
    return value


def time(value: Any) -> int:
    """Nanoseconds of an ISO 8601 time with an offset."""
    if type(value) is not str:
        raise ValueError("an ISO 8601 time with its time zone, as text: 2026-01-05T09:30:00Z")
    return parse_time(value)


def day(value: Any) -> str:
    """A calendar date, `2026-01-05`."""
    try:
        if type(value) is not str or len(value) != 10:
            raise ValueError
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError("a date that exists, as YYYY-MM-DD") from None


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def boolean(value: Any) -> bool:
    """`true` or `false` in any case, 1 or 0, or a JSON boolean."""
    if isinstance(value, bool):
        return value
    found = _BOOLEANS.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("true or false")
    return found


def choice(kind: type[Choice]) -> Callable[[Any], Choice]:
    """A reader of one of an enumeration's values, as written."""
    members = {str(member.value): member for member in kind}
    expected = " or ".join(members)

    def read(value: Any) -> Choice:
        found = members.get(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(expected)
        return found

    return read


_FEE_READERS: dict[str, Reader] = {"amount": number, "kind": text, "currency": text}


def fees(value: Any) -> tuple[events.Fee, ...]:
    """A list of `{"kind", "amount", "currency"}`; in a CSV cell the same as JSON text."""
    expected = "a list of {kind, amount, currency}"
    if type(value) is str:
        try:
            value = json.loads(value, parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=JsonNumber)
        except (ValueError, RecursionError):
            raise ValueError(expected) from None
    if not isinstance(value, list) or len(value) > FEES_MAX:
        raise ValueError(f"{expected}, at most {FEES_MAX}")
    found = []
    for item in value:
        if not isinstance(item, dict) or "amount" not in item or not item.keys() <= _FEE_READERS.keys():
            raise ValueError(expected)
        try:
            found.append(_Fee(**{name: _FEE_READERS[name](part) for name, part in item.items()}))
        except ValueError as error:
            raise ValueError(f"{expected}, with {error}") from None
    return tuple(found)


def read_row(
    row: Row,
    readers: Mapping[str, Reader],
    required: Collection[str],
    faults: FaultCollector,
    given: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], bool]:
    """What a row says by field, and whether it is whole; each value that is not is a fault. `given` stands in for what
    the row leaves out."""
    values: dict[str, Any] = {}
    whole = not row.absent
    for name, read in readers.items():
        value = row.values.get(name, None if given is None else given.get(name))
        if value is None:
            if name in required and name not in row.absent:
                faults.add(row.place, name, "a value", "none")
                whole = False
            continue
        try:
            values[name] = read(value)
        except ValueError as error:
            faults.add(row.place, name, str(error), describe(value))
            whole = False
    return values, whole
