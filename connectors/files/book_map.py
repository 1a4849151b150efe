"""`--books FILE`: which book takes a fill, by its instrument or account; `*` takes the others.

A JSON object or YAML mapping `{"SPY": "INDEX", "U123": "PRIVATE", "*": "REST"}`, or a CSV with two columns: the
first (any of `key`, `instrument`, `account`) and `book`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from connectors.files.faults import FaultCollector
from connectors.files.rows import describe, read_rows
from connectors.files.source import Source
from schemas.units import identifier_fault

BYTES_MAX = 64 * 1024**2
_KEYS = ("key", "instrument", "account")


def read_book_map(source: Source) -> Mapping[str, str]:
    """The mapping. Raises InputFaults with every fault of the file."""
    faults = FaultCollector(source.name)
    books: dict[str, str] = {}
    for place, key, book in _entries(source, faults):
        expected = "text" if not isinstance(book, str) else identifier_fault(book)
        if expected is not None:
            faults.add(place, "book", expected, describe(book))
        elif books.setdefault(key, book) != book:
            faults.add(place, "book", f"one book for {key!r:.80}", book)
    faults.raise_if_any()
    return books


def _entries(source: Source, faults: FaultCollector) -> list[tuple[str, str, Any]]:
    if source.suffix in (".json", ".yaml", ".yml"):
        return [("", key, book) for key, book in _mapping(source, faults).items()]
    found = []
    for row in read_rows(source, faults, input_format="csv", required=("book",)):
        key = next((row.values[name] for name in _KEYS if name in row.values), None)
        if key is None:
            faults.add(row.place, "key", f"a column of {', '.join(_KEYS)}", "none")
        elif "book" not in row.absent:
            found.append((row.place, str(key), row.values.get("book")))
    return found


def _mapping(source: Source, faults: FaultCollector) -> dict[str, Any]:
    with source.open() as stream:
        text = stream.read(BYTES_MAX + 1)
    if len(text) > BYTES_MAX:
        faults.add("", "", f"at most {BYTES_MAX} bytes", "more")
        return {}
    try:
        if source.suffix == ".json":
            document = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
        else:
            document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - every scalar is text
    except (msgspec.MsgspecError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        faults.add("", "", "a mapping of instruments or accounts to books", str(error))
        return {}
    if not isinstance(document, dict):
        faults.add("", "", "a mapping of instruments or accounts to books", type(document).__name__)
        return {}
    return {str(key): book for key, book in document.items()}
