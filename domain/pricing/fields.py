"""What a pricing request says, field by field: typed, within bounds, or refused with what was expected and found.

Assumes: values as a JSON document has them (text, numbers as their digits, booleans, lists, objects); int and float are
taken too, for callers in the same process.
Guarantees: every refusal is an `Unpriceable` that names the field (`curve.rate`, `profile[2].date`), what was expected
and what was found; nothing is guessed.
"""

import datetime
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeVar

from schemas.numbers import parse_decimal

FOUND_CHARACTERS_MAX = 80
ITEMS_MAX = 10_000
"""Most entries of a list in a request."""

AMOUNT_MAX = 1e18
RATE_MAX = 100.0
"""Largest rate, yield or coupon: 10,000 %."""

FIRST_DATE, LAST_DATE = datetime.date(1901, 1, 1), datetime.date(2199, 12, 31)
"""The dates that QuantLib knows."""

_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_Choice = TypeVar("_Choice")


class Unpriceable(Exception):
    """A request cannot be priced: `field` is wrong there, with what was `expected` and what was `found`."""

    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(f"{field}: expected {expected}, found {found}")
        self.field = field
        self.expected = expected
        self.found = found


def shown(value: Any) -> str:
    """A value as an error shows it: one line, at most 80 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = "an object" if isinstance(value, Mapping) else str(value) or "an empty text"
    line = "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text[: FOUND_CHARACTERS_MAX + 1]
    )
    return line if len(line) <= FOUND_CHARACTERS_MAX else line[: FOUND_CHARACTERS_MAX - 1] + "…"


def folded(name: str) -> str:
    """A name as choices compare it, in its letters and digits: `Act/Act (ISMA)` and `actact_isma` are one."""
    return "".join(character for character in name.casefold() if character.isalnum() or character == "+")


class Fields:
    """The fields of a request, or of an object inside one; `path` is where that stands."""

    __slots__ = ("_path", "values")

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self.values = values
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def fault(self, name: str, expected: str, found: str | None = None) -> Unpriceable:
        """The refusal of a field; `found` is its value where it is not said."""
        where = f"{self._path}.{name}" if self._path and name else self._path or name
        return Unpriceable(where, expected, shown(self.values.get(name)) if found is None else found)

    def number(
        self,
        name: str,
        default: float | None = None,
        *,
        above: float | None = None,
        least: float = -AMOUNT_MAX,
        most: float = AMOUNT_MAX,
    ) -> float:
        """A number above `above`, or from `least` to `most`; `default` where there is none, else it is required."""
        value = self.values.get(name)
        if value is None:
            if default is None:
                raise self.fault(name, "a number")
            return default
        found = self._float(name, value)
        if above is not None and found <= above:
            raise self.fault(name, f"a number above {above:g}")
        if not least <= found <= most:
            raise self.fault(name, _range(least, most))
        return found

    def _float(self, name: str, value: Any) -> float:
        if isinstance(value, str):
            try:
                return float(parse_decimal(value))
            except ValueError as error:
                raise self.fault(name, str(error), shown(value)) from None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
            return float(value)
        raise self.fault(name, "a number", shown(value))

    def rate(self, name: str, default: float | None = None) -> float:
        """A rate per 1.00."""
        return self.number(name, default, least=-RATE_MAX, most=RATE_MAX)

    def numbers(self, name: str, *, least: float = -RATE_MAX, most: float = RATE_MAX) -> list[float]:
        """A list of numbers (at least one), or one number."""
        value = self.values.get(name)
        if not isinstance(value, list):
            return [self.number(name, least=least, most=most)]
        found = []
        for index, item in enumerate(self._bounded(name, value)):
            number = self._float(f"{name}[{index}]", item)
            if not least <= number <= most:
                raise self.fault(f"{name}[{index}]", _range(least, most), shown(item))
            found.append(number)
        return found

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = 10_000) -> int:
        """A whole number from `least` to `most`."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        text = str(value) if not isinstance(value, bool) else ""
        if _WHOLE.fullmatch(text) is None or not least <= int(text) <= most:
            raise self.fault(name, f"a whole number from {least} to {most}")
        return int(text)

    def date(self, name: str, default: datetime.date | None = None) -> datetime.date:
        """A calendar date, `2026-01-05`."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        return self._date(name, value)

    def dates(self, name: str) -> list[datetime.date]:
        """A list of dates, each after the one before it."""
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self.fault(name, "a list of dates as YYYY-MM-DD")
        found: list[datetime.date] = []
        for index, item in enumerate(self._bounded(name, value)):
            day = self._date(f"{name}[{index}]", item)
            if found and day <= found[-1]:
                raise self.fault(f"{name}[{index}]", f"a date after {found[-1]}", shown(item))
            found.append(day)
        return found

    def _date(self, name: str, value: Any) -> datetime.date:
        try:
            if not isinstance(value, str) or len(value) != 10:
                raise ValueError
            day = datetime.date.fromisoformat(value)
        except ValueError:
            raise self.fault(name, "a date that exists, as YYYY-MM-DD", shown(value)) from None
        if not FIRST_DATE <= day <= LAST_DATE:
            raise self.fault(name, f"a date from {FIRST_DATE} to {LAST_DATE}", shown(value))
        return day

    def choice(
        self, name: str, choices: Mapping[str, _Choice], default: str | None = None, *, expected: str = ""
    ) -> _Choice:
        """What a name stands for; `choices` has it by its folded name, `expected` says which names there are."""
        value = self.values.get(name)
        if value is None and default is not None:
            value = default
        found = choices.get(folded(value)) if isinstance(value, str) else None
        if found is None:
            raise self.fault(name, expected or " or ".join(choices), shown(value))
        return found

    def flag(self, name: str, default: bool) -> bool:
        """`true` or `false`."""
        value = self.values.get(name)
        if value is None:
            return default
        found = value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())
        if found is None:
            raise self.fault(name, "true or false")
        return found

    def extended(self, more: Mapping[str, Any]) -> "Fields":
        """These fields, and more of the same place."""
        return Fields({**self.values, **more}, self._path)

    def part(self, name: str) -> "Fields":
        """An object inside."""
        value = self.values.get(name)
        if not isinstance(value, Mapping):
            raise self.fault(name, "an object")
        return Fields(value, self._inside(name))

    def parts(self, name: str) -> "list[Fields]":
        """A list of objects inside, at least one."""
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self.fault(name, "a list of objects")
        found = []
        for index, item in enumerate(self._bounded(name, value)):
            if not isinstance(item, Mapping):
                raise self.fault(f"{name}[{index}]", "an object", shown(item))
            found.append(Fields(item, self._inside(f"{name}[{index}]")))
        return found

    def one_of(self, *names: str) -> str:
        """Which one of some fields is there; none, and more than one, is a fault."""
        given = [name for name in names if name in self]
        expected = f"one of {', '.join(names)}"
        if not given:
            raise self.fault(names[0], expected, "none of them")
        if len(given) > 1:
            raise self.fault(given[1], expected, " and ".join(given))
        return given[0]

    def _bounded(self, name: str, value: list[Any]) -> list[Any]:
        if not 1 <= len(value) <= ITEMS_MAX:
            raise self.fault(name, f"1 to {ITEMS_MAX} entries", str(len(value)))
        return value

    def _inside(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _range(least: float, most: float) -> str:
    if most >= AMOUNT_MAX and least > -AMOUNT_MAX:
        return f"a number of at least {least:g}"
    return f"a number from {least:g} to {most:g}"
