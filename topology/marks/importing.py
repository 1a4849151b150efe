"""Importing quotes: read wholly, judge, then enter the marks into the log in the order of their times over all files.

Owns: the account of an import, and conflation by a grid of event times.
Guarantees: nothing of a malformed input is applied; read = marks + conflated + rejected + skipped; marks wait in spools
(memory, then temporary files), so that an input of any size, in any number of files, needs bounded memory; what is
conflated depends on the quotes alone. Of more than `SPOOLS_MAX` files, those that follow each other share a spool, and
their marks are in the order of the files there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

from connectors.files.faults import InputFault, InputFaults
from connectors.marks.reading import QuoteStream, faults_of
from connectors.venues.decoding import REJECTIONS_KEPT
from domain.marks.classes import ClassRules
from domain.marks.judging import MarkRefusal, judge, order_of
from schemas import topics
from schemas.numbers import exact_arithmetic
from schemas.quotes import Quote
from topology.control.entry import CHUNK_EVENTS, Entry
from topology.importing.importing import Spool

BATCH_MARKS_MIN, BATCH_MARKS_MAX = 20, 2_000
MERGED_MARKS_MAX = 40_000
"""Marks that are in memory while spools are merged: a batch of each."""

SPOOLS_MAX = 256
SPOOLS_MEMORY_BYTES = 64 * 1024**2
"""Bytes of all spools that are kept in memory; the rest is in temporary files."""

SKIPPED_KIND = "one side"
"""Refusals of this kind are no fault of a quote: the book had one side only."""

Progress = Callable[[int], None]


@dataclass(slots=True)
class MarkCounts:
    """What became of the records of an import."""

    read: int = 0
    marks: int = 0
    conflated: int = 0
    rejected: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    qualities: dict[str, int] = field(default_factory=dict)
    instruments: set[str] = field(default_factory=set)
    rejections: list[InputFault] = field(default_factory=list)

    def note(self, marks: Sequence[Any]) -> None:
        """Count marks that are in the log."""
        self.marks += len(marks)
        for mark in marks:
            self.qualities[mark.quality] = self.qualities.get(mark.quality, 0) + 1
            self.instruments.add(mark.instrument)

    def document(self) -> dict[str, Any]:
        """The counts as `pks import` prints them."""
        return {
            "read": self.read,
            "marks": self.marks,
            "conflated": self.conflated,
            "rejected": self.rejected,
            "skipped": dict(self.skipped),
            "qualities": dict(sorted(self.qualities.items())),
            "instruments": len(self.instruments),
        }


class Judge:
    """Makes marks of quotes, and keeps the account."""

    def __init__(self, rules: ClassRules, now: int) -> None:
        self._rules = rules
        self._now = now
        self.counts = MarkCounts()

    def marks(self, quotes: Iterable[Quote], file: str) -> Iterator[Any]:
        """The marks of a file's quotes."""
        counts = self.counts
        for quote in quotes:
            found = judge(quote, self._rules, self._now)
            if not isinstance(found, MarkRefusal):
                yield found
            elif found.kind == SKIPPED_KIND:
                counts.skipped[found.kind] = counts.skipped.get(found.kind, 0) + 1
            else:
                self.reject(InputFault(file, quote.place, found.field, found.expected, found.found))

    def reject(self, why: InputFault) -> None:
        """Count a quote that no mark can be made of, and keep why."""
        self.counts.rejected += 1
        if len(self.counts.rejections) < REJECTIONS_KEPT:
            self.counts.rejections.append(why)

    def take_account(self, streams: Sequence[QuoteStream]) -> None:
        """Add what the readers themselves counted, once they are at their end."""
        for stream in streams:
            read = stream.reading.counts
            self.counts.read += read.read
            self.counts.rejected += read.rejected
            self.counts.rejections += stream.reading.rejections
            for kind, number in read.skipped.items():
                self.counts.skipped[kind] = self.counts.skipped.get(kind, 0) + number


def conflated(marks: Iterable[Any], cell: int, counts: MarkCounts) -> Iterator[Any]:
    """Of each instrument the newest mark of every `cell` nanoseconds; all of them where that is 0.

    A mark of a cell that is over already comes as it is.
    """
    if not cell:
        yield from marks
        return
    waiting: dict[str, Any] = {}
    for mark in marks:
        held = waiting.get(mark.instrument)
        if held is None:
            waiting[mark.instrument] = mark
        elif mark.event_time // cell == held.event_time // cell:
            counts.conflated += 1
            if order_of(mark) >= order_of(held):
                waiting[mark.instrument] = mark
        elif mark.event_time > held.event_time:
            yield held
            waiting[mark.instrument] = mark
        else:
            yield mark
    yield from waiting.values()


def import_quotes(
    streams: Sequence[QuoteStream], judge_of: Judge, entry: Callable[[], Entry], cell: int, progress: Progress
) -> MarkCounts:
    """Read all, then append all through what `entry` opens. Raises InputFaults, with every fault, before that."""
    counts = judge_of.counts
    with ExitStack() as stack:
        number = max(1, min(len(streams), SPOOLS_MAX))
        spools = [
            stack.enter_context(Spool(topics.MARKS, SPOOLS_MEMORY_BYTES // number)) for _ in range(number)
        ]
        batch_marks = min(max(MERGED_MARKS_MAX // number, BATCH_MARKS_MIN), BATCH_MARKS_MAX)
        with exact_arithmetic():
            for index, stream in enumerate(streams):
                marks = conflated(judge_of.marks(stream, stream.reading.file), cell, counts)
                while batch := list(islice(marks, batch_marks)):
                    spools[index * number // len(streams)].add(batch)
                    progress(len(batch))
        faults = faults_of(streams)
        if faults:
            raise InputFaults(faults)
        judge_of.take_account(streams)
        into = entry()
        ordered = merge(*spools, key=attrgetter("event_time"))
        while chunk := list(islice(ordered, CHUNK_EVENTS)):
            into.publish(topics.MARKS, chunk, topics.MARKS.key_of)
            counts.note(chunk)
    accounted = counts.marks + counts.conflated + counts.rejected + sum(counts.skipped.values())
    assert counts.read == accounted, f"records read and accounted for differ: {counts.document()}"
    return counts
