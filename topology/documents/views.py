"""What a reading command shows: the tables as they are, as they were known, or as of an execution time.

Owns: how `--as-of` and `--known-at` become a state to look at, and what is said about it.
Assumes: a reader of the log, which does not catch up while it is used.
Guarantees: a view shows one moment; known-at is a replay of the log's prefix through the stage itself, from the last
checkpoint before it, as-of
takes each position back by its journal; both may be combined.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from agents.journal import scan_journal
from agents.open_position import OpenPosition
from connectors.embedded.log import EmbeddedLog
from domain.book_hash import BookHash, position_digest
from domain.lots.documents import Document
from schemas import topics
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from schemas.times import format_time, parse_time
from topology.documents.queries import (
    find_positions,
    matches_fields,
    position_fields,
    positions_document,
    waiting_bookings,
)
from topology.documents.refused_trades import refused_documents
from topology.documents.trades import trades_documents
from topology.history.checkpoints import Checkpoints
from topology.history.points import Point, offsets_at
from topology.history.time_travel import first_order_after, rewind
from topology.log_reading import (
    POSITIONS_TABLE,
    ReadLog,
    WholeLog,
    applied_offsets,
    partition_count,
    partitions_to_read,
    records_behind,
    table_partition,
)
from topology.replaying.outcome import Progress, Span
from topology.replaying.replay import origin_of, state_at


@dataclass(frozen=True, slots=True)
class View:
    """A state to look at; `log` is the reader itself, or a scratch state of a prefix of it."""

    log: ReadLog
    partitions: int
    sequence: int | None
    offsets: dict[str, dict[str, int]] = field(default_factory=dict)
    behind: int = 0
    as_of: int | None = None
    known_at: Point | None = None
    checkpoints: Checkpoints | None = None

    def document(self) -> Document:
        """What this view shows: the log's sequence, the next offsets applied, and the times asked for.

        `sequence` is null for a vector of offsets and on a cluster, `records_behind` counts what the stages have not applied.
        """
        found: Document = {
            "sequence": None if self.known_at is not None and self.known_at.offsets else self.sequence,
            "applied_offsets": self.offsets,
            "records_behind": self.behind,
        }
        if self.as_of is not None:
            found["as_of"] = format_time(self.as_of)
        if self.known_at is not None:
            found["known_at"] = str(self.known_at)
        return found

    def waiting_bookings(self, book: str | None = None) -> dict[tuple[str, str], int]:
        """How many bookings wait for a re-match of a position that is shown as it was before them."""
        return waiting_bookings(self.log, self.partitions, book)

    def positions(self, book: str | None = None, instrument: str | None = None) -> Iterator[OpenPosition]:
        """The positions, by partition. Call it inside `exact_arithmetic()`."""
        for table, opened in find_positions(self.log, self.partitions, book, instrument):
            if self.as_of is None or rewind(table, opened, self.as_of):
                yield opened

    def positions_documents(
        self,
        book: str | None = None,
        instrument: str | None = None,
        *,
        lots: bool = False,
        matched: bool = False,
    ) -> list[Document]:
        """The positions by book and instrument. `revision` counts events, so as of a time there is none."""
        if self.as_of is None and not matched:
            return positions_document(self.log, self.partitions, book, instrument, lots)
        found, waiting = [], self.waiting_bookings(book)
        with exact_arithmetic():
            for opened in self.positions(book, instrument):
                fields = position_fields(opened, waiting, lots=lots)
                if matched:
                    fields["matches"] = self._matches(opened)
                found.append(fields)
        if self.as_of is not None:
            for fields in found:
                del fields["revision"]
        return sorted(found, key=lambda fields: (fields["book"], fields["instrument"]))

    def _matches(self, opened: OpenPosition) -> list[Document]:
        partition = partition_of_key(opened.book.encode(), self.partitions)
        journal = scan_journal(table_partition(self.log, POSITIONS_TABLE, partition), opened.key)
        if self.as_of is not None:
            end = first_order_after(self.as_of)
            journal = takewhile(lambda entry: entry.trade.order < end, journal)
        return matches_fields(journal, opened.position)

    def trades_documents(
        self, book: str | None = None, instrument: str | None = None, trade_id: str | None = None
    ) -> Iterator[Document]:
        """The trades, by partition and as they came; after one that is looked for, its bookings that were refused."""
        yield from trades_documents(
            self.log,
            self.partitions,
            book=book,
            instrument=instrument,
            trade_id=trade_id,
            executed_until=self.as_of,
            checkpoints=self.checkpoints,
        )
        # What was known at another time is a scratch state, which has no dead letters.
        if trade_id is None or self.known_at is not None:
            return
        for refused in refused_documents(self.log, self.partitions, trade_id):
            if (
                book in (None, refused["book"])
                and instrument in (None, refused["instrument"])
                and (self.as_of is None or parse_time(refused["executed_at"]) <= self.as_of)
            ):
                yield refused

    def book_hash(self, book: str | None = None) -> tuple[BookHash, int]:
        """The book hash, flat positions included, and how many positions are in it."""
        total, count = BookHash(), 0
        with exact_arithmetic():
            for opened in self.positions(book):
                total.add(position_digest(opened.book, opened.instrument, opened.position))
                count += 1
        return total, count


def view_now(log: WholeLog, *, as_of: int | None = None, checkpoints: Checkpoints | None = None) -> View:
    """A view of what the tables hold now."""
    partitions = partition_count(log)
    return View(
        log,
        partitions,
        log.sequence,
        applied_offsets(log, partitions),
        records_behind(log, partitions),
        as_of,
        checkpoints=checkpoints,
    )


@contextlib.contextmanager
def view_of(
    log: WholeLog,
    *,
    as_of: int | None = None,
    known_at: Point | None = None,
    book: str | None = None,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Iterator[View]:
    """A view of a log; with a book it need not show others.

    Raises PointFault where the log does not reach `known_at`, PartitionStopped where a replay meets a broken
    invariant.
    """
    if known_at is None:
        yield view_now(log, as_of=as_of, checkpoints=checkpoints)
        return
    partitions = partition_count(log)
    spans = [replace(span, start=span.end) for span in spans_until(log, known_at, partitions, book)]
    sequence = log.sequence if known_at.sequence is None else known_at.sequence
    if known_at.time_ns is not None and isinstance(log, EmbeddedLog):
        sequence = _sequence_at(log, known_at.time_ns)
    name = topics.BOOKINGS.name
    shown = {name: {str(span.partition): span.end for span in spans}}
    with origin_of(log, spans, checkpoints) as origin:
        scratch = state_at(log, partitions, spans, progress, origin, book)
        yield View(scratch, partitions, sequence, shown, 0, as_of, known_at, checkpoints)


def spans_until(
    log: WholeLog, point: Point | None, partitions: int, book: str | None = None
) -> Sequence[Span]:
    """The bookings up to a point (None: those that the positions stage has applied), for all books or one."""
    name = topics.BOOKINGS.name
    if point is None:
        ends = [log.committed(POSITIONS_TABLE, name, partition) or 0 for partition in range(partitions)]
    else:
        ends = offsets_at(log, point, topics.BOOKINGS, partitions, named=(topics.FILLS,))
    return [Span(partition, 0, ends[partition]) for partition in partitions_to_read(partitions, book)]


def _sequence_at(log: EmbeddedLog, instant: int) -> int:
    """The last sequence of the log that was appended by an instant; 0 where there is none."""
    found = 0
    for name, definition in log.topics().items():
        for partition in range(definition.partitions):
            offset = log.offset_after(name, partition, time_ns=instant)
            records = log.read(name, partition, offset - 1, 1, 1) if offset else []
            if records and records[0].appended_at <= instant:
                found = max(found, records[0].sequence)
    return found
