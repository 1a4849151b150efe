"""A log moved to another number of partitions: topics re-keyed, tables made anew, all of it exchanged in one write.

Owns: the order of a move, and what must hold before its end.
Assumes: an owned log, rid of what an earlier attempt has left (`open_to_rebuild`).
Guarantees: every event is in the new topics once, with its bytes, in the order of the log; the new tables have the
same books, and their stages would send what they have sent; killed at any moment before the exchange, the old state
stands, and after it the new one.
"""

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from agents import positions
from agents.stage import Stage
from connectors.embedded.contents import TopicDefinition
from connectors.embedded.copying import RecordCopies
from connectors.embedded.layout import LogRecord
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.replacing import Place, end_changelog, exchange, new_name
from schemas.topics import TOPIC_BY_NAME, Topic
from topology.control.entry import OwnedGate
from topology.log_reading import partition_count, records_behind
from topology.rebuilding.rebuild import (
    RebuildRefused,
    hash_before,
    hold_against_sent,
    make_anew,
)
from topology.rebuilding.rekeying import rekeyed
from topology.rebuilding.stage_log import RebuildingLog
from topology.replaying.outcome import Progress, books_of
from topology.settings import Settings
from topology.stages import build_all, is_spine

_OTHERWISE = (
    "definitions or settings are not those of then, or an id is used for several trades, which would meet in one "
    "partition; the old state stands (docs/operating/repartition.md)"
)
_sequence_of = attrgetter("sequence")
_READ_RECORDS_MAX = 500
_READ_BYTES_MAX = 1024 * 1024


@dataclass(slots=True)
class Moved:
    """What a move did."""

    partitions_before: int
    partitions: int
    book_hash_before: str
    book_hash: str
    positions: int
    records: int
    seconds: float = 0.0


def records_to_move(log: EmbeddedLog) -> int:
    """How many records a move copies."""
    return sum(
        log.end_offset(name, partition) - log.start_offset(name, partition)
        for name, definition in log.topics().items()
        if name in TOPIC_BY_NAME and TOPIC_BY_NAME[name].partitioned
        for partition in range(definition.partitions)
    )


def repartition(
    log: EmbeddedLog,
    stages: Sequence[Stage],
    settings: Settings,
    partitions: int,
    progress: Progress | None = None,
) -> Moved:
    """Move a log to `partitions`; it must be closed afterwards.

    Raises RebuildRefused where what stands in the log cannot be moved or comes to other books, and PartitionStopped
    where an invariant breaks; the old state stands then.
    """
    began = time.perf_counter()
    before = partition_count(log)
    if before in (0, partitions):
        raise RebuildRefused(
            f"expected a log with another number of partitions than {partitions}, found "
            + ("none that was ever written to" if before == 0 else f"one with {before} already")
        )
    OwnedGate(log, settings.model_copy(update={"partitions": before})).settle()
    stages = [one for one in stages if is_spine(one)]
    later = [one for one in build_all(settings) if not is_spine(one)]
    _check(log, [*stages, *later], before)
    refuse_later(later, lambda stage, place: log.committed(stage.name, stage.input.name, place), before)
    books = hash_before(log, before)
    moving = [topic for topic in TOPIC_BY_NAME.values() if topic.partitioned and topic.name in log.topics()]
    records = _copy(log, moving, before, partitions, progress)
    found, offsets, count = "", {}, 0
    for stage in stages:
        views = _make_tables(log, stage, before, partitions)
        for partition, view in enumerate(views):
            offsets[stage.name, stage.input.name, partition] = view.end
            for topic in stage.broadcasts:
                offsets[f"{stage.name}/{partition}", topic.name, 0] = view.end_offset(topic.name, 0)
        if stage.name == positions.NAME:
            hashed, count = books_of(views[0], range(partitions))
            found = hashed.hexadecimal
    if books is None or found != books:
        raise RebuildRefused(
            f"expected the book hash {books}, found {found} from the fills and bookings of the log: the tables are not "
            "those of the log; the old state stands: run `pks rebuild` first (docs/operating/rebuild.md)"
        )
    for stage in later:
        # That of the topics which were copied: a move is one generation.
        log.create_topic(new_name(stage.changelog), partitions, compact=True, generation=log.generation)
    exchange(
        log,
        topics=[topic.name for topic in moving] + [stage.changelog for stage in (*stages, *later)],
        tables=[stage.table.name for stage in stages],
        forgotten=_of_old_partitions(log, stages),
        offsets=offsets,
    )
    return Moved(before, partitions, books, found, count, records, time.perf_counter() - began)


def refuse_later(
    later: Sequence[Stage], come_to: Callable[[Stage, int], int | None], partitions: int
) -> None:
    """Raise RebuildRefused where a stage behind the books has come to something (`come_to` a partition of it).

    What it reads cannot be brought to other partitions by keys: a correction goes where its trade went.
    """
    for stage in later:
        if any(come_to(stage, partition) for partition in range(partitions)):
            raise RebuildRefused(
                f"expected a log that keeps its books alone, found one that {stage.name} has read: only a log that ran "
                "with the setting stages=books can be moved (docs/operating/repartition.md)"
            )


def _check(log: EmbeddedLog, stages: Sequence[Stage], partitions: int) -> None:
    behind = records_behind(log, partitions)
    if behind:
        raise RebuildRefused(
            f"expected that all is applied, found {behind} records that are not: a partition has stopped "
            "(docs/operating/partition-stopped.md)"
        )
    known = {*TOPIC_BY_NAME, *(stage.changelog for stage in stages)}
    foreign = [name for name, topic in log.topics().items() if topic.partitions > 1 and name not in known]
    if foreign:
        raise RebuildRefused(
            f"expected topics of the registry, found {', '.join(sorted(foreign))} with several partitions: their keys "
            "are not known here"
        )


# -- topics ---------------------------------------------------------------------------------------------------------


def _copy(
    log: EmbeddedLog, moving: Sequence[Topic], before: int, after: int, progress: Progress | None
) -> int:
    """Every record of these topics into new ones, in the order of the log; returns how many were read."""
    known = log.topics()
    generation = log.generation + 1
    for topic in moving:
        old = known[topic.name]
        log.create_topic(
            new_name(topic.name),
            after,
            retention_seconds=old.retention_seconds,
            retention_bytes=old.retention_bytes,
            compact=old.compact,
            generation=generation,
        )
    copies = RecordCopies(log)
    count = 0
    for topic in moving:
        _begin(log, copies, known[topic.name], after)
        for _, group in groupby(_in_order(log, topic.name, before), key=_sequence_of):
            records = list(group)
            pieces = [(record.partition, record.value) for record in records]
            for place, value in rekeyed(topic, pieces, before, after).items():
                copies.add(new_name(topic.name), place, records[0], value)
            count += len(records)
            if progress is not None:
                progress(len(records))
    copies.flush()
    return count


def _begin(log: EmbeddedLog, copies: RecordCopies, old: TopicDefinition, after: int) -> None:
    """Where retention has taken the first records, the new partitions show it as well: they do not begin at 0."""
    starts = [log.start_offset(old.name, partition) for partition in range(old.partitions)]
    if not any(starts):
        return
    first = next(_in_order(log, old.name, old.partitions), None)
    sequence = log.sequence if first is None else first.sequence
    appended_at = log.appended_at if first is None else first.appended_at
    mark = LogRecord(old.name, 0, 0, sequence - 1, appended_at, 0, None, b"[]", ())
    for partition in range(after):
        copies.begin(new_name(old.name), partition, 1)
        copies.add(new_name(old.name), partition, mark, mark.value)


def _in_order(log: EmbeddedLog, topic: str, partitions: int) -> Iterator[LogRecord]:
    """The records of all partitions of a topic in the order of their appends."""
    return heapq.merge(
        *(_records(log, topic, partition) for partition in range(partitions)), key=_sequence_of
    )


def _records(log: EmbeddedLog, topic: str, partition: int) -> Iterator[LogRecord]:
    offset = 0
    while found := log.read(topic, partition, offset, _READ_RECORDS_MAX, _READ_BYTES_MAX):
        yield from found
        offset = found[-1].offset + 1


# -- tables ---------------------------------------------------------------------------------------------------------


def _make_tables(log: EmbeddedLog, stage: Stage, before: int, after: int) -> list[RebuildingLog]:
    """The table and changelog of a stage from its new input, held against what the stage has sent."""
    generation = max(topic.generation for topic in log.topics().values())
    log.create_topic(new_name(stage.changelog), after, compact=True, generation=generation)
    views = [RebuildingLog(log, stage, partition, moved=True) for partition in range(after)]
    for partition, view in enumerate(views):
        make_anew(log, view, stage, partition, after, None)
    end_changelog(log, stage.table.name, stage.changelog)
    hold_against_sent(log, stage, before, views, _OTHERWISE)
    return views


def _of_old_partitions(log: EmbeddedLog, stages: Sequence[Stage]) -> list[Place]:
    """How far each partition of a stage had read the reference data for itself."""
    groups = {stage.name for stage in stages}
    return [place for place in log.commits() if place[0].rpartition("/")[0] in groups]
