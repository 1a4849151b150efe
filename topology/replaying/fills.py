"""Replays from the fills on: capture and positions, each fill beside the reference data that was there before it.

Guarantees: as `topology.replaying.replay`; fills that were appended together are stepped together.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from agents import positions, trade_capture
from agents.stage import Stage
from connectors.embedded.commits import first_commits, whole_commits
from schemas import topics
from topology.log_reading import ReadLog, StoredRecord
from topology.replaying.outcome import (
    STEP_BYTES_MAX,
    STEP_RECORDS_MAX,
    Outcome,
    Progress,
    Span,
    books_of,
    count,
    counts_of,
)
from topology.replaying.scratch import ScratchLog
from topology.replaying.scratch_tables import ScratchTables
from topology.runtime import PartitionRunner, PartitionStopped, step_together

COMMITS_BYTES_MIN = 64 * 1024
"""Commits smaller than this are replayed together in one step."""


def replay_fills(
    source: ReadLog,
    partitions: int,
    spans: Sequence[Span],
    capture: Stage | None = None,
    progress: Progress | None = None,
    tables: ScratchTables | None = None,
) -> Outcome:
    """Replay spans of fills through capture and positions.

    Each fill sees the reference data that was in the log before it, and no later one.
    """
    began = time.perf_counter()
    fills, bookings = topics.FILLS.name, topics.BOOKINGS.name
    scratch = ScratchLog(
        source,
        {(fills, span.partition): span.end for span in spans},
        starts={(fills, span.partition): span.start for span in spans if span.empty},
        kept=frozenset((bookings,)),
        tables=tables,
    )
    capture = trade_capture.stage() if capture is None else capture
    captures = [PartitionRunner(capture, span.partition, scratch, partitions) for span in spans]
    books = [
        PartitionRunner(positions.stage(), partition, scratch, partitions) for partition in range(partitions)
    ]
    changes = reference_sequences(source, capture)
    outcome = Outcome()
    starts = {span.partition: min(span.start, span.end) for span in spans}
    _run_both(captures, books, scratch, starts, changes, progress)
    before = counts_of([*captures, *books])
    _run_both(captures, books, scratch, {span.partition: span.end for span in spans}, changes, progress)
    count(outcome, before, counts_of([*captures, *books]))
    outcome.book_hash, outcome.positions = books_of(scratch, range(partitions))
    outcome.seconds = time.perf_counter() - began
    return outcome


def reference_sequences(source: ReadLog, capture: Stage) -> list[int]:
    """When reference data changed: the sequences of its records."""
    found: list[int] = []
    for topic in capture.broadcasts:
        offset = 0
        while records := source.read(topic.name, 0, offset, STEP_RECORDS_MAX, STEP_BYTES_MAX):
            found.extend(record.sequence for record in records)
            offset = records[-1].offset + 1
    return sorted(found)


def _run_both(
    captures: Sequence[PartitionRunner],
    books: Sequence[PartitionRunner],
    scratch: ScratchLog,
    ends: Mapping[int, int],
    changes: Sequence[int],
    progress: Progress | None,
) -> None:
    for horizon in (*changes, None):
        scratch.horizon = horizon
        while True:
            work = _fills_before(captures, scratch, ends, horizon)
            if not work:
                break
            _step(work)
            if progress is not None:
                progress(sum(len(records) for _, records in work))
            _settle(books, scratch)


def _fills_before(
    captures: Sequence[PartitionRunner], scratch: ScratchLog, ends: Mapping[int, int], horizon: int | None
) -> list[tuple[PartitionRunner, list[Any]]]:
    """The next fills of every partition, as far as they were appended together; those before `horizon` only."""
    found: dict[PartitionRunner, list[Any]] = {}
    last: dict[PartitionRunner, int] = {}
    for runner in captures:
        end = ends[runner.partition]
        if runner.next_offset >= end:
            continue
        read = scratch.read(
            topics.FILLS.name, runner.partition, runner.next_offset, STEP_RECORDS_MAX, STEP_BYTES_MAX
        )
        records = [
            record
            for record in read
            if record.offset < end and (horizon is None or record.sequence < horizon)
        ]
        if records:
            found[runner] = records
            # What is cut off here does not come before the horizon: nothing of it is missing.
            last[runner] = end if len(records) == len(read) else records[-1].offset + 1
    return list(first_commits(whole_commits(found, last), COMMITS_BYTES_MIN).items())


def _settle(books: Sequence[PartitionRunner], scratch: ScratchLog) -> None:
    while True:
        work = [
            (
                runner,
                scratch.read(
                    topics.BOOKINGS.name,
                    runner.partition,
                    runner.next_offset,
                    STEP_RECORDS_MAX,
                    STEP_BYTES_MAX,
                ),
            )
            for runner in books
        ]
        work = [(runner, records) for runner, records in work if records]
        if not work:
            return
        _step(work)


def _step(work: Sequence[tuple[PartitionRunner, Sequence[StoredRecord]]]) -> None:
    step_together(work)
    for runner, _ in work:
        if runner.stopped is not None:
            raise PartitionStopped(runner.stopped)
        runner.rest()
