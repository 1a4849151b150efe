"""Replays: bookings of a log through the same stage and steps into a scratch state.

Owns: which records a replay reads, and how partitions are shared between processes.
Assumes: a source that does not change meanwhile (a reader that does not catch up), or one that others open
beside its owner.
Guarantees: nothing of the source changes; events = applied + duplicates + rejected; the book hash is the same on
every machine and for every number of processes.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from agents import positions
from agents.booking_queue import waiting_by_position
from agents.stage import Frame, IdleWork, Refusal, Step
from connectors.embedded.log import EmbeddedLog
from schemas import topics
from tables.store import Store
from topology.history.checkpoints import Checkpoints, opened_checkpoints
from topology.log import LogStore, Tables
from topology.log_reading import POSITIONS_TABLE, ReadLog, WholeLog, partition_count, table_partition
from topology.replaying.outcome import STEP_RECORDS_MAX, Outcome, Progress, Span, books_of, count, counts_of
from topology.replaying.scratch import ScratchLog
from topology.replaying.scratch_tables import DiskTables, LayeredTables, ScratchTables, tables_for
from topology.runtime import PartitionRunner

BOOKINGS_BYTES_MAX = 16 * 1024 * 1024
"""Most bytes of a step of bookings: what is touched again within a step is written once."""

Handler = Callable[[Any, Iterable[Frame], Step], None]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a replay begins: the state in `tables` (None: nothing, in memory), which holds the bookings before
    `offsets` (0 where none is given)."""

    tables: ScratchTables | None = None
    offsets: Mapping[int, int] = field(default_factory=dict)


@contextlib.contextmanager
def origin_of(
    log: WholeLog, spans: Sequence[Span], checkpoints: Checkpoints | None = None
) -> Iterator[Origin]:
    """Where a replay of spans of bookings begins best: each at the last checkpoint before its start."""
    offsets = {
        span.partition: checkpoints.before(span.partition, min(span.start, span.end))
        for span in spans
        if checkpoints is not None and not span.empty
    }
    ranges = [
        (span.partition, span.start if span.empty else offsets.get(span.partition, 0), span.end)
        for span in spans
    ]
    with tables_for(log, topics.BOOKINGS.name, ranges) as tables:
        if checkpoints is None or not any(offsets.values()):
            yield Origin(tables)
            return
        kept = checkpoints

        def base(table: str, partition: int) -> Store | None:
            offset = offsets.get(partition, 0)
            return kept.table(partition, offset) if offset and table == POSITIONS_TABLE else None

        yield Origin(LayeredTables(tables, base), offsets)


@contextlib.contextmanager
def with_what_waits(log: WholeLog, spans: Sequence[Span]) -> Iterator[Tables]:
    """The log, or a scratch state over it in which the bookings are applied that wait for a re-match.

    The spans begin and end where the positions stage has come to.
    """
    if not any(waiting_by_position(table_partition(log, POSITIONS_TABLE, span.partition)) for span in spans):
        yield log
        return

    def base(table: str, partition: int) -> Store | None:
        return LogStore(log, table, partition) if table == POSITIONS_TABLE else None

    with DiskTables() as tables:
        origin = Origin(LayeredTables(tables, base), {span.partition: span.end for span in spans})
        yield state_at(log, partition_count(log), spans, None, origin)


def replay_bookings(
    source: ReadLog,
    partitions: int,
    spans: Sequence[Span],
    progress: Progress | None = None,
    origin: Origin | None = None,
    book: str | None = None,
) -> tuple[Outcome, ScratchLog]:
    """Replay spans of bookings through the positions stage; returns what came of it and the scratch state.

    With a `book`, bookings of others are passed over: they change nothing of it. Raises PartitionStopped where an
    invariant breaks.
    """
    began = time.perf_counter()
    outcome, scratch = _replay(source, partitions, spans, progress, origin or Origin(), book)
    outcome.book_hash, outcome.positions = books_of(scratch, [span.partition for span in spans])
    outcome.seconds = time.perf_counter() - began
    return outcome, scratch


def state_at(
    source: ReadLog,
    partitions: int,
    spans: Sequence[Span],
    progress: Progress | None,
    origin: Origin,
    book: str | None = None,
) -> ScratchLog:
    """The scratch state at the end of spans of bookings, to look at; as `replay_bookings`."""
    return _replay(source, partitions, spans, progress, origin, book)[1]


def _replay(
    source: ReadLog,
    partitions: int,
    spans: Sequence[Span],
    progress: Progress | None,
    origin: Origin,
    book: str | None,
) -> tuple[Outcome, ScratchLog]:
    topic = topics.BOOKINGS.name
    scratch = ScratchLog(
        source,
        {(topic, span.partition): span.end for span in spans},
        starts={
            (topic, span.partition): span.start if span.empty else origin.offsets.get(span.partition, 0)
            for span in spans
        },
        tables=origin.tables,
    )
    # From a checkpoint there is little to go: to read all the ids that are known there would cost more.
    stage = positions.stage(known_at_start=0) if origin.offsets else positions.stage()
    handler = stage.handler if book is None else _only(book, stage.handler)
    stage = replace(stage, handler=_silent(handler), idle_work=_silent_slices(stage.idle_work))
    outcome = Outcome()
    for span in spans:
        runner = PartitionRunner(stage, span.partition, scratch, partitions)
        _run_to(runner, scratch, min(span.start, span.end), progress)
        before = counts_of([runner])
        _run_to(runner, scratch, span.end, progress)
        count(outcome, before, counts_of([runner]))
    return outcome, scratch


def _silent(handler: Handler) -> Handler:
    """A handler whose outputs nobody reads: a third of what a booking costs."""

    def handle(state: Any, frames: Iterable[Frame], step: Step) -> None:
        step.silent = True
        handler(state, frames, step)

    return handle


def _silent_slices(work: IdleWork | None) -> IdleWork | None:
    """Likewise of what the stage does between its steps."""
    if work is None:
        return None
    do_slice = work.do_slice

    def do(state: Any, step: Step, failed: Refusal | None) -> None:
        step.silent = True
        do_slice(state, step, failed)

    return replace(work, do_slice=do)


def _only(book: str, handler: Handler) -> Handler:
    """A handler of one book's events."""

    def handle(state: Any, frames: Iterable[Frame], step: Step) -> None:
        handler(state, map(of_book, frames), step)

    def of_book(frame: Frame) -> Frame:
        places = [place for place, event in enumerate(frame.events) if getattr(event, "book", None) == book]
        return replace(
            frame,
            events=[frame.events[place] for place in places],
            indexes=[frame.indexes[place] for place in places],
        )

    return handle


def _run_to(runner: PartitionRunner, scratch: ScratchLog, end: int, progress: Progress | None) -> None:
    # What a checkpoint had left over.
    runner.rest()
    while runner.next_offset < end:
        found = scratch.read(
            runner.stage.input.name,
            runner.partition,
            runner.next_offset,
            STEP_RECORDS_MAX,
            BOOKINGS_BYTES_MAX,
        )
        records = [record for record in found if record.offset < end]
        if not records:
            return
        runner.step(records)
        runner.rest()
        if progress is not None:
            progress(len(records))


def replay_whole(
    log: WholeLog,
    partitions: int,
    spans: Sequence[Span],
    processes: int = 1,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Outcome:
    """Replay spans of bookings in one process or several; past the checkpoints where none are given."""
    if processes > 1 and partitions > 1:
        with_checkpoints = checkpoints is not None
        return replay_in_processes(
            log.folder, partitions, spans, min(processes, partitions), progress, with_checkpoints
        )
    with origin_of(log, spans, checkpoints) as origin:
        return replay_bookings(log, partitions, spans, progress, origin)[0]


# -- several processes ------------------------------------------------------------------------------------------


def replay_in_processes(
    folder: Path,
    partitions: int,
    spans: Sequence[Span],
    processes: int,
    progress: Progress | None = None,
    with_checkpoints: bool = True,
) -> Outcome:
    """Replay spans of bookings of a data folder, its partitions shared between processes."""
    began = time.perf_counter()
    outcome = Outcome()
    with ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn")) as pool:
        waiting = {
            pool.submit(_replay_one, folder, partitions, span, with_checkpoints): span
            for span in sorted(spans, key=lambda span: span.start - span.end)
        }
        for done in as_completed(waiting):
            outcome.merge(done.result())
            if progress is not None:
                progress(waiting[done].end)
    outcome.seconds = time.perf_counter() - began
    return outcome


def _replay_one(folder: Path, partitions: int, span: Span, with_checkpoints: bool) -> Outcome:
    log = EmbeddedLog.reader(folder)
    try:
        if not with_checkpoints:
            return replay_whole(log, partitions, [span])
        with opened_checkpoints(log) as checkpoints:
            return replay_whole(log, partitions, [span], checkpoints=checkpoints)
    finally:
        log.close()
