"""Rows of CSV, JSON (an array of objects) and JSON Lines, each with its place in the file.

Owns: telling the three apart, line and index numbers, what a header must be, and bounds on lines and rows.
Guarantees: faults are gathered, with their places, and reading goes on where it can; JSON numbers keep every
digit (`JsonNumber`, never a float); no line, row or document beyond its bound is held in memory.
"""

import csv
import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.files.faults import FaultCollector
from connectors.files.source import Source

FORMATS = ("csv", "json", "jsonl")

LINE_CHARACTERS_MAX = 1_000_000
"""Most characters of a line, and of a CSV row over all its lines."""

JSON_BYTES_MAX = 256 * 1024**2
"""Most bytes of a JSON array, which is read whole; JSON Lines and CSV are read row by row."""

_SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_ROW = "a row: an object of fields"
_JSON = "a row in JSON, well-formed"
_XML = "XML: use pks import FILE --format ibkr-flex --out - | pks lots -"


class JsonNumber(str):
    """The digits of a JSON number, as they stand in the file."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A row: `number` is its line or index, as `unit` says; values that are empty are left out.

    Values are strings (CSV), or what JSON has: str, JsonNumber, bool, list, dict; null is left out.
    `absent` are required columns that the header does not have: that was said once, at the header.
    """

    number: int
    unit: str
    values: dict[str, Any]
    absent: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.unit} {self.number}"


def detect_format(source: Source, start: bytes, input_format: str | None) -> str:
    """`csv`, `json` or `jsonl`: as told, by extension, or else by the first character."""
    if input_format is not None:
        return input_format
    by_suffix = _SUFFIXES.get(source.suffix)
    if by_suffix is not None:
        return by_suffix
    head = start.removeprefix(_BOM).lstrip()[:1]
    return {b"[": "json", b"{": "jsonl"}.get(head, "csv")


def first_stray_line(start: bytes) -> tuple[int, str] | None:
    """The number and text of the first line, where a file's start shows that it has not one JSON object a line.

    That is where neither of its first two lines is an object by its looks (behind a local time, or not): a CSV, or JSON
    over several lines. Each of its lines would be a fault.
    """
    lines = [
        (number, line.strip())
        for number, line in enumerate(start.removeprefix(_BOM).splitlines(), start=1)
        if line.strip()
    ]
    first_two = [line.lstrip(b"0123456789 ") for _, line in lines[:2]]
    if len(lines) < 2 or any(line[:1] == b"{" and line[-1:] == b"}" for line in first_two):
        return None
    if len(lines) == 2 and first_two[1][:1] == b"{":
        # It may go on beyond what is seen here.
        return None
    return lines[0][0], lines[0][1].decode(errors="backslashreplace")


def read_rows(
    source: Source,
    faults: FaultCollector,
    *,
    input_format: str | None = None,
    known: Collection[str] = (),
    required: Collection[str] = (),
) -> Iterator[Row]:
    """The rows of a file; what is wrong with it goes to `faults`.

    `known` are the columns to read (all where it is empty); `required` must stand in a CSV header.
    """
    with source.open() as stream:
        start = stream.peek(4096)
        if start[:2] in _UTF16:
            faults.add("", "", "UTF-8", "UTF-16; save the file as UTF-8")
            return
        if start.removeprefix(_BOM).lstrip().startswith(b"<"):
            faults.add("", "", "CSV, JSON or JSON Lines", _XML)
            return
        kind = detect_format(source, start, input_format)
        if start.startswith(_BOM):
            stream.read(len(_BOM))
        if kind == "json":
            yield from _json_rows(stream, faults)
            return
        lines = _Lines(stream, faults)
        if kind == "csv":
            yield from _csv_rows(lines, faults, known, required)
        else:
            yield from _json_line_rows(lines, faults)
        if not lines.number:
            faults.add("", "", "a file with rows", "an empty file")


class _TooLong(Exception):
    """A line or row beyond its bound."""


class _Lines:
    """Lines with any ending (kept), counted from 1; those that are no text are noted as faults and left empty."""

    def __init__(self, stream: io.BufferedReader, faults: FaultCollector) -> None:
        self._text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
        self._faults = faults
        self.number = 0
        self.row_characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LINE_CHARACTERS_MAX + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.row_characters += len(line)
        if self.row_characters > LINE_CHARACTERS_MAX:
            raise _TooLong
        if "\0" in line or not (line.isascii() or _is_text(line)):
            expected = "text without NUL characters" if "\0" in line else "UTF-8"
            self._faults.add(f"line {self.number}", "", expected, line.rstrip("\r\n"))
            return "\n"
        return line

    def refuse_long(self, number: int) -> None:
        """Note a row that is too long; nothing after it is read."""
        expected = f"at most {LINE_CHARACTERS_MAX} characters in a row"
        self._faults.add(f"line {number}", "", expected, "more; nothing after it was read")


def _is_text(line: str) -> bool:
    """Whether every byte was UTF-8: others were read as lone surrogates, which cannot be written."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv_rows(
    lines: _Lines, faults: FaultCollector, known: Collection[str], required: Collection[str]
) -> Iterator[Row]:
    records = _csv_records(lines, faults)
    header_line, header = next(records, (1, None))
    if header is None:
        if lines.number and not faults:
            faults.add("", "", "a header and rows", "blank lines")
        return
    columns = _header(header, f"line {header_line}", faults, known, required)
    if columns is None:
        return
    width, absent = len(header), frozenset(required).difference(header)
    for number, cells in records:
        if len(cells) != width:
            found = f"{len(cells)}: {','.join(cells)}"
            faults.add(f"line {number}", "", f"{width} values, as the header has", found)
            continue
        values = {name: cells[index] for index, name in columns if cells[index]}
        yield Row(number, "line", values, absent)


def _csv_records(lines: _Lines, faults: FaultCollector) -> Iterator[tuple[int, list[str]]]:
    """The records with the number of their first line; blank lines are none."""
    reader = csv.reader(lines, strict=True)
    while True:
        lines.row_characters = 0
        number = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _TooLong:
            lines.refuse_long(number)
            return
        except csv.Error as error:
            faults.add(f"line {number}", "", "a CSV row (quotes closed, and doubled inside)", str(error))
            continue
        if cells:
            yield number, cells


def _header(
    header: list[str],
    place: str,
    faults: FaultCollector,
    known: Collection[str],
    required: Collection[str],
) -> list[tuple[int, str]] | None:
    """The columns to read, by index; None where the rows cannot be read at all."""
    if len(header) == 1 and required:
        for separator in (";", "\t", "|"):
            if separator in header[0]:
                faults.add(place, "", "columns separated by commas", header[0])
                return None
    seen: set[str] = set()
    for name in header:
        if name in seen:
            faults.add(place, name, "each column once", "the column twice")
        seen.add(name)
    for name in required:
        if name not in seen:
            expected = "a column of this name (the first line must name the columns)"
            faults.add(place, name, expected, "columns " + ", ".join(header))
    return [(index, name) for index, name in enumerate(header) if not known or name in known]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        return _Repeated(values, twice)
    return values


class _Repeated(dict[str, Any]):
    """An object in which a name stands twice."""

    def __init__(self, values: dict[str, Any], name: str) -> None:
        super().__init__(values)
        self.name = name


def repeated_name(value: Any) -> str | None:
    """A name that stands twice in an object of a value, however deep; None where none does."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item, _Repeated):
                return item.name
            waiting += [inner for inner in item.values() if isinstance(inner, (dict, list))]
        elif isinstance(item, list):
            waiting += [inner for inner in item if isinstance(inner, (dict, list))]
    return None


def _constant(text: str) -> Any:
    return JsonNumber(text)


_DECODER = json.JSONDecoder(
    parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=_constant, object_pairs_hook=_pairs
)


class NotAnObject(ValueError):
    """Text that is no JSON object: what was expected of which field of it, and what was found."""

    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(f"{field + ': ' if field else ''}expected {expected}, found {found}")
        self.field = field
        self.expected = expected
        self.found = found


def parse_object(text: str) -> dict[str, Any]:
    """One JSON object, as a row of a file has it: numbers as their digits, null and empty texts left out.

    Raises NotAnObject.
    """
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotAnObject("", "a JSON object", _syntax(error, text)) from None
    if not isinstance(value, dict):
        raise NotAnObject("", "a JSON object", describe(value))
    name = repeated_name(value)
    if name is not None:
        raise NotAnObject(name, "each field once", "the field twice")
    return {name: item for name, item in value.items() if item is not None and item != ""}


def _json_row(value: Any, number: int, unit: str, faults: FaultCollector) -> Row | None:
    if not isinstance(value, dict):
        faults.add(f"{unit} {number}", "", _ROW, describe(value))
        return None
    if isinstance(value, _Repeated):
        faults.add(f"{unit} {number}", value.name, "each field once", "the field twice")
        return None
    return Row(number, unit, {name: item for name, item in value.items() if item is not None and item != ""})


def _json_line_rows(lines: _Lines, faults: FaultCollector) -> Iterator[Row]:
    blank = True
    while True:
        lines.row_characters = 0
        try:
            line = next(lines)
        except StopIteration:
            break
        except _TooLong:
            lines.refuse_long(lines.number)
            return
        text = line.strip(" \t\r\n")
        if not text:
            continue
        blank = False
        number, place = lines.number, f"line {lines.number}"
        try:
            value = _DECODER.decode(text)
        except (ValueError, RecursionError) as error:
            faults.add(place, "", _JSON, _syntax(error, text))
            continue
        row = _json_row(value, number, "line", faults)
        if row is not None:
            yield row
    if blank and lines.number and not faults:
        faults.add("", "", "a file with rows", "blank lines")


def _json_rows(stream: io.BufferedReader, faults: FaultCollector) -> Iterator[Row]:
    text = _json_text(stream, faults)
    if text is None:
        return
    position = _skip_blanks(text, 0)
    if position == len(text):
        faults.add("", "", "a file with rows", "an empty file")
        return
    if text[position] != "[":
        faults.add("", "", "a JSON array of rows", text[position : position + 100])
        return
    position, index = _skip_blanks(text, position + 1), 0
    if text[position : position + 1] == "]":
        position = _skip_blanks(text, position + 1)
    else:
        while True:
            place = f"index {index}"
            try:
                value, position = _DECODER.raw_decode(text, position)
            except (ValueError, RecursionError) as error:
                faults.add(place, "", _JSON, _syntax(error, text))
                return
            row = _json_row(value, index, "index", faults)
            if row is not None:
                yield row
            position = _skip_blanks(text, position)
            separator = text[position : position + 1]
            if separator == "]":
                position = _skip_blanks(text, position + 1)
                break
            if separator != ",":
                faults.add(
                    place, "", "`,` or `]` after the row", text[position : position + 100] or "the end"
                )
                return
            position, index = _skip_blanks(text, position + 1), index + 1
    if position != len(text):
        faults.add("", "", "nothing after the array", text[position : position + 100])


def _json_text(stream: io.BufferedReader, faults: FaultCollector) -> str | None:
    content = stream.read(JSON_BYTES_MAX + 1)
    if len(content) > JSON_BYTES_MAX:
        faults.add("", "", f"a JSON array of at most {JSON_BYTES_MAX} bytes", "more; use JSON Lines or CSV")
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[max(0, error.start - 20) : error.start + 20].decode(errors="backslashreplace")
        faults.add(f"line {line}", "", "UTF-8", found)
        return None


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _syntax(error: Exception, text: str) -> str:
    if isinstance(error, json.JSONDecodeError):
        near = text[error.pos : error.pos + 40] or "the end"
        return f"{error.msg} at {near}"
    return "values nested too deeply"


def describe(value: Any) -> str:
    """A value of a row as a fault shows it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a list" if isinstance(value, list) else "an object"
