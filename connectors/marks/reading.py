"""What every reader of quotes hands back: quotes one by one, and an account of every record that it read.

Owns: the options of a reading, and the counts with their identity.
Guarantees: read = quotes + rejected + skipped once a stream is at its end; a malformed record does not end the reading,
so that all of them are said together (`faults`): who applies nothing before the last quote applies whole files or
nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.files.faults import FaultCollector, InputFault, InputFaults
from connectors.venues.decoding import REJECTIONS_KEPT, Counts
from schemas.events import number_fault
from schemas.quotes import Quote

CONFLATED, LATE = "conflated", "late"
"""What a source itself passed over is skipped as: older than another of its instrument, that came after or before it."""


@dataclass(frozen=True, slots=True)
class QuoteOptions:
    """`boards` are preferred before the usual ones, for MOEX; `input_format` (csv, json, jsonl) is for `csv-marks`."""

    boards: tuple[str, ...] = ()
    input_format: str | None = None


class Reading:
    """The account of one stream: for readers, who count and complain here."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.counts = Counts()
        self.rejections: list[InputFault] = []
        self.faults = FaultCollector(file)

    def reject(self, kind: str, place: str, field: str, expected: str, found: str) -> None:
        """Count a well-formed record that is no quote, and keep why."""
        self.counts.rejected += 1
        if len(self.rejections) < REJECTIONS_KEPT:
            self.rejections.append(InputFault(self.file, place, field, expected, found))


Read = Callable[[Reading], Iterator[Quote]]


class QuoteStream:
    """One pass over the quotes of one file; `reading` grows meanwhile."""

    def __init__(self, file: str, read: Read) -> None:
        self.reading = Reading(file)
        self._read = read

    def __iter__(self) -> Iterator[Quote]:
        reading = self.reading
        try:
            for quote in self._read(reading):
                reading.counts.fills += 1
                yield quote
        except InputFaults as error:
            for fault in error.faults:
                reading.faults.add(fault.place, fault.field, fault.expected, fault.found)
        if not reading.faults:
            assert reading.counts.ties(), f"records read and accounted for differ: {reading.counts}"


def faults_of(streams: Sequence[QuoteStream]) -> list[InputFault]:
    """What is wrong with the files, after the streams are read."""
    return [fault for stream in streams for fault in stream.reading.faults.sorted()]


def decimal_of(value: Any) -> Decimal | None:
    """The number that a value of a venue's JSON spells (digits kept as text, an exponent allowed); None for null.

    Raises ValueError for anything else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError("a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError("a number") from None
    fault = number_fault(number)
    if fault is not None:
        raise ValueError(fault)
    return number
