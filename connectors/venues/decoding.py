"""What every decoder hands back: fills in batches, and an account of every record that it read.

Owns: the options of a decode, the counts with their identity, the bound on what is kept of refusals.
Guarantees: fills come lazily, so a file of any length needs memory for one batch (and, where a format has trade
ids, for the ids); read = fills + duplicates + rejected + skipped, checked when the last batch is out; where any
record is malformed no batch follows, the rest of the input is still checked, and `InputFaults` says all of it
at the end. So a caller that applies nothing before the last batch applies whole files or nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from pathlib import PurePath
from typing import Any

from connectors.files.faults import FaultCollector, InputFault, InputFaults
from schemas.events import FillEvent, number_fault
from schemas.numbers import parse_decimal, plain
from schemas.units import identifier_fault

BATCH_FILLS = 2_000
"""Fills of a batch: as many as a frame holds."""

REJECTIONS_KEPT = 1_000
"""Most refusals that are kept word by word; all are counted."""

KINDS_MAX = 200
"""Most kinds of skipped records that are named; what comes after counts as `other`."""

_KIND_CHARACTERS_MAX = 60
_NUMBERS_KEPT = 100_000

EXECUTED_AT_MIN = -2_208_988_800_000_000_000
"""1900-01-01T00:00:00Z in nanoseconds: an earlier execution is a misread field."""

EXECUTED_AT_MAX = 7_258_118_400_000_000_000
"""2200-01-01T00:00:00Z in nanoseconds."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How fills are placed: `books` maps an instrument, an account or `*` to a book; `book` takes the others.

    Where neither says a book, each format has its own (the account of a broker, the name of a venue).
    `input_format` (csv, json, jsonl) is how to read a canonical file whose name does not say.
    """

    book: str | None = None
    books: Mapping[str, str] = field(default_factory=dict)
    input_format: str | None = None

    def book_of(self, instrument: str, account: str, default: str) -> str:
        """The book of a fill: by instrument, by account, `*`, the one book, the format's own."""
        for key in (instrument, account, "*"):
            if key and key in self.books:
                return self.books[key]
        return default if self.book is None else self.book


@dataclass(slots=True)
class Counts:
    """What became of the records of an input."""

    read: int = 0
    fills: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, kind: str, records: int = 1) -> None:
        """Count records that are no fills, by what they are."""
        shown = kind[:_KIND_CHARACTERS_MAX]
        if not shown.isprintable() or (shown not in self.skipped and len(self.skipped) >= KINDS_MAX):
            shown = "other"
        self.skipped[shown] = self.skipped.get(shown, 0) + records

    def ties(self) -> bool:
        """Whether every record that was read is accounted for."""
        return self.read == self.fills + self.duplicates + self.rejected + sum(self.skipped.values())

    def document(self) -> dict[str, Any]:
        """The counts as `pks import` prints them."""
        return {
            "read": self.read,
            "fills": self.fills,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "skipped": dict(self.skipped),
        }


class Decoded:
    """One pass over an input: iterate it for batches of fills; `counts` and `rejections` grow meanwhile.

    `rejections` names records that are well formed and still cannot be a fill (an id that came before with
    other content). Iterating raises `InputFaults`, after the last record, where any was malformed.
    """

    def __init__(self, decode: Callable[["Decoded"], Iterator[list[FillEvent]]]) -> None:
        self.counts = Counts()
        self.rejections: list[InputFault] = []
        self._collectors: list[FaultCollector] = []
        self._batches = self._checked(decode)

    def __iter__(self) -> Iterator[list[FillEvent]]:
        return self._batches

    def fills(self) -> list[FillEvent]:
        """All fills at once, for inputs that are known to be small."""
        return [fill for batch in self for fill in batch]

    @contextmanager
    def reading(self, file: str) -> Iterator[FaultCollector]:
        """For decoders: read one file; its faults go to the collector, also those that are raised inside."""
        collector = FaultCollector(file)
        self._collectors.append(collector)
        try:
            yield collector
        except InputFaults as error:
            for fault in error.faults:
                collector.add(fault.place, fault.field, fault.expected, fault.found)

    def reject(self, file: str, place: str, field_name: str, expected: str, found: str) -> None:
        """For decoders: count a well-formed record that cannot be a fill, and keep why."""
        self.counts.rejected += 1
        if len(self.rejections) < REJECTIONS_KEPT:
            self.rejections.append(InputFault(file, place, field_name, expected, found))

    def _checked(self, decode: Callable[["Decoded"], Iterator[list[FillEvent]]]) -> Iterator[list[FillEvent]]:
        for batch in decode(self):
            if not any(self._collectors):
                self.counts.fills += len(batch)
                yield batch
        faults = [fault for collector in self._collectors for fault in collector.sorted()]
        if faults:
            raise InputFaults(faults)
        assert self.counts.ties(), f"records read and accounted for differ: {self.counts}"


class Known(Enum):
    """What is known of a trade id."""

    NEW = auto()
    SAME = auto()
    OTHER = auto()


class KnownTrades:
    """Trade ids of one decode: tells a repeat from a second trade under the same id."""

    def __init__(self) -> None:
        # The hash of the content, not the content: ids of a long tape are many, and two contents of one id
        # that share their 64-bit hash are not to be expected.
        self._contents: dict[object, int] = {}

    def see(self, trade: object, content: str) -> Known:
        """Remember a trade; says whether it came before, with this content or another."""
        found = hash(content)
        before = self._contents.get(trade)
        if before is None:
            self._contents[trade] = found
            return Known.NEW
        return Known.SAME if before == found else Known.OTHER


class Numbers(dict[str, Decimal]):
    """Decimals by their text, read once: prices and quantities of a tape repeat. Kept without needless zeros."""

    def __missing__(self, text: str) -> Decimal:
        number = self.read(text)
        fault = number_fault(number)
        if fault is not None:
            raise ValueError(fault)
        if len(self) < _NUMBERS_KEPT:
            self[text] = number
        return number

    def read(self, text: str) -> Decimal:
        """The number that a text means. Raises ValueError."""
        return Decimal(plain(parse_decimal(text)))


def shifted(number: Decimal, places: int) -> Decimal:
    """`number` times ten to the power of `places`, exact in every decimal context."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "finite numbers only"
    return Decimal((sign, digits, exponent + places))


def source_of(format_name: str, path: str) -> str:
    """The `source` of fills of a file: the format and the name without its folder."""
    name = PurePath(path).name if path != "-" else path
    return f"{format_name}:{name}"


def checked_identifier(faults: FaultCollector, place: str, field_name: str, text: str) -> bool:
    """Whether `text` is an identifier; notes the fault where it is none."""
    expected = identifier_fault(text)
    if expected is not None:
        faults.add(place, field_name, expected, text)
    return expected is None
