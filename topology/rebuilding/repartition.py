"""A log moved to another number of partitions: topics re-keyed, tables made anew, all of it exchanged in one write.

Owns: the order of a move, and what must hold before its end.
Assumes: an owned log, rid of what an earlier attempt has left (`open_to_rebuild`).
Guarantees: every event is in the new topics once, with its bytes, in the order of the log; the new tables have the
same books, and their stages would send what they have sent; killed at any moment before the exchange, the old state
stands, and after it the new one.
"""

import heapq
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter

from agents import positions
from agents.stage import Stage
from connectors.embedded.contents import TopicDefinition
from connectors.embedded.copying import RecordCopies
from connectors.embedded.layout import LogRecord
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.replacing import Place, end_changelog, exchange, new_name
from schemas.changelog import PACKED_KEY, RESTORED_KEY, encode_offset
from schemas.topics import TOPIC_BY_NAME, Topic
from topology.catching_up import behind_of, step_to_the_end
from topology.clock import tick_frames
from topology.control.entry import OwnedGate
from topology.log_reading import partition_count, records_behind
from topology.rebuilding.capture_memory import MemoryFault
from topology.rebuilding.later_routes import Broadcasts, Numbers
from topology.rebuilding.later_tables import LaterMove
from topology.rebuilding.later_topics import CUT, EMPTIED
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
from topology.stages import build_all, create_topics, is_spine
from topology.step_output import packed

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
    spine = [one for one in stages if is_spine(one)]
    later = [one for one in build_all(settings) if not is_spine(one)]
    create_topics(log, later, before)
    began_later = any(
        log.committed(stage.name, stage.input.name, partition)
        for stage in later
        for partition in range(before)
    )
    move = _settled_later(log, later, settings, before, partitions) if began_later else None
    _check(log, [*spine, *later], before, later if began_later else ())
    books = hash_before(log, before)
    generation = log.generation + 1
    for stage in later:
        log.create_topic(new_name(stage.changelog), partitions, compact=True, generation=generation)
    moving = [topic for topic in TOPIC_BY_NAME.values() if topic.partitioned and topic.name in log.topics()]
    records = _copy(log, moving, before, partitions, generation, progress, move)
    found, offsets, count = "", {}, 0
    for stage in spine:
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
    if move is not None:
        offsets |= _move_later(log, move)
    moved = [*spine, *(later if move is not None else ())]
    exchange(
        log,
        topics=[topic.name for topic in moving] + [stage.changelog for stage in (*spine, *later)],
        tables=[stage.table.name for stage in moved],
        forgotten=_of_old_partitions(log, moved),
        offsets=offsets,
    )
    return Moved(before, partitions, books, found, count, records, time.perf_counter() - began)


def _check(log: EmbeddedLog, stages: Sequence[Stage], partitions: int, later: Sequence[Stage]) -> None:
    behind = records_behind(log, partitions) + sum(behind_of(log, stage, partitions) for stage in later)
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
    log: EmbeddedLog,
    moving: Sequence[Topic],
    before: int,
    after: int,
    generation: int,
    progress: Progress | None,
    later: LaterMove | None,
) -> int:
    """Every record of these topics into new ones, in the order of the log; returns how many were read."""
    known = log.topics()
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
        _begin(log, copies, known[topic.name], after, cut=later is not None and topic.name in CUT)
        if later is not None and topic.name in EMPTIED:
            continue
        places = None if later is None else later.topics.places(topic)
        for _, group in groupby(_in_order(log, topic.name, before), key=_sequence_of):
            records = list(group)
            pieces = [(record.partition, record.value) for record in records]
            for place, value in rekeyed(topic, pieces, before, after, places).items():
                copies.add(new_name(topic.name), place, records[0], value)
            count += len(records)
            if progress is not None:
                progress(len(records))
    copies.flush()
    return count


def _begin(log: EmbeddedLog, copies: RecordCopies, old: TopicDefinition, after: int, *, cut: bool) -> None:
    """Where retention has taken the first records, the new partitions show it as well: they do not begin at 0."""
    starts = [log.start_offset(old.name, partition) for partition in range(old.partitions)]
    if not (any(starts) or cut):
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


def _settled_later(
    log: EmbeddedLog, later: Sequence[Stage], settings: Settings, before: int, after: int
) -> LaterMove:
    """The stages behind the books brought to the end of the log, and what is to be moved of them."""
    step_to_the_end(log, later, before, settings)

    def read_to(stage: str, partition: int, topic: str) -> int:
        return log.committed(f"{stage}/{partition}", topic, 0) or 0

    broadcasts = Broadcasts(Numbers(before, after), read_to)
    if broadcasts.unread(later, lambda topic: log.end_offset(topic.name, 0)):
        # With a tick of the clock they read them, and tell what they change.
        transaction = log.transaction()
        for name in {stage.input.name for stage in later if stage.input.clocked}:
            for partition in range(before):
                for frame in tick_frames(name, partition, time.time_ns()):
                    transaction.append(name, partition, None, frame)
        transaction.commit()
        step_to_the_end(log, later, before, settings)
    return LaterMove(later, log, broadcasts, _NewTables(log, later).write)


class _NewTables:
    """The new tables of stages behind the books, by the names of the old ones; what is written goes to the changelogs, too."""

    def __init__(self, log: EmbeddedLog, stages: Sequence[Stage]) -> None:
        self._log = log
        self._changelogs = {stage.table.name: stage.changelog for stage in stages}
        self._number = 0

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table."""
        return self._log.get(new_name(table), partition, key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table partition."""
        return self._log.scan(new_name(table), partition, start, end, reverse=reverse)

    def write(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys, as a step does."""
        transaction = self._log.transaction()
        transaction.put_all(new_name(table), partition, changes)
        for value in packed(list(chain.from_iterable(changes.items()))):
            # Another key each, and none that a step has: compaction keeps all of them.
            key = PACKED_KEY + b"/moved" + self._number.to_bytes(8, "big")
            self._number += 1
            offset = transaction.append(new_name(self._changelogs[table]), partition, key, value)
            transaction.put(new_name(table), partition, RESTORED_KEY, encode_offset(offset))
        transaction.commit()


def _move_later(log: EmbeddedLog, move: LaterMove) -> dict[Place, int]:
    """The tables and changelogs of the stages behind the books; returns where they go on."""

    def end(topic: Topic, partition: int) -> int:
        return log.end_offset(new_name(topic.name), partition)

    def whole(topic: Topic) -> bool:
        return not any(
            log.start_offset(new_name(topic.name), partition) for partition in range(move.numbers.after)
        )

    offsets: dict[Place, int] = {}
    try:
        move.move(whole)
        for stage in move.stages:
            end_changelog(log, stage.table.name, stage.changelog)
        move.hold_against(_NewTables(log, move.stages))
    except MemoryFault as fault:
        raise RebuildRefused(f"{fault}; the old state stands (docs/operating/repartition.md)") from fault
    for stage in move.stages:
        for partition in range(move.numbers.after):
            offsets[stage.name, stage.input.name, partition] = end(stage.input, partition)
            for topic in stage.broadcasts:
                read = move.broadcasts.offset(stage.name, topic, partition)
                offsets[f"{stage.name}/{partition}", topic.name, 0] = read
    return offsets


def _of_old_partitions(log: EmbeddedLog, stages: Sequence[Stage]) -> list[Place]:
    """How far each partition of a stage had read the reference data for itself."""
    groups = {stage.name for stage in stages}
    return [place for place in log.commits() if place[0].rpartition("/")[0] in groups]
