"""A cluster's log moved to another number of partitions: new topics beside the old ones, put in force by one record.

Owns: the order of a move, and what must hold before its end.
Guarantees: killed at any moment, the old topics are in force, whole, or the new ones are; no event that a sender was
told is taken in is missing in the new topics, for the old ones are sealed before they are left; the new tables, as
their changelogs have them, have the same books.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from agents.counters import Counts, read_counts
from agents.stage import Stage
from connectors.kafka.configuring import lift_seal, seal, stamp_times, wait_until_sealed
from connectors.kafka.layout import Layout, LayoutWriter, generations, in_force
from connectors.kafka.link import Link
from connectors.kafka.reader import KafkaRecord, TopicReader
from connectors.kafka.topics import TopicPlan, delete_topics, ensure_topics, partition_counts
from schemas.topics import BOOKINGS, FILLS, TOPICS
from topology.cluster.copy import ClusterCopy
from topology.cluster.places import link_in_force, named, topic_plans
from topology.log import Tables
from topology.log_reading import CAPTURE_TABLE, POSITIONS_TABLE, table_partition
from topology.rebuilding.capture_memory import CaptureMemory, MemoryFault
from topology.rebuilding.cluster_copies import TopicCopies
from topology.rebuilding.cluster_still import all_applied, end_transactions, stand_still
from topology.rebuilding.cluster_tables import ChangelogWriter, RestoredTables
from topology.rebuilding.later_routes import Broadcasts, Numbers
from topology.rebuilding.later_tables import LaterMove
from topology.rebuilding.rebuild import RebuildRefused
from topology.rebuilding.repartition import Moved
from topology.replaying.outcome import Progress, Span, books_of
from topology.replaying.replay import Origin, replay_bookings
from topology.replaying.scratch_tables import DiskTables
from topology.settings import Settings
from topology.stages import build_all, is_spine

_MORE_SECONDS = 5.0
"""Beyond a session, until the brokers have noticed its end."""

_MOVING = tuple(topic for topic in TOPICS if topic.partitioned)


def drop_old(settings: Settings) -> list[str]:
    """Remove the topics of generations before the one in force; returns their names. Raises LinkError and TopicError."""
    link = link_in_force(settings)
    by_generation = _by_generation(link, build_all(settings))
    names = [name for number, found in by_generation.items() if number < link.generation for name in found]
    delete_topics(link, names)
    return sorted(names)


def repartition_cluster(settings: Settings, partitions: int, progress: Progress) -> Moved:
    """Move the log of a cluster to `partitions`; the old topics stay, sealed, until `drop_old`.

    `progress` is called with records that were copied, or applied. Raises RebuildRefused where it cannot be moved,
    PartitionStopped where an invariant breaks, LinkError and TopicError; the old topics are in force then.
    """
    stages = build_all(settings)
    link = link_in_force(settings)
    made = partition_counts(link)
    # Of a cluster that keeps its books alone the others have no topics.
    run = [stage for stage in stages if is_spine(stage) or link.topic(stage.changelog) in made]
    with closing(ClusterCopy(settings, run)) as old:
        return _Move(settings, old, run, partitions, progress).run()


class _Move:
    """One move, from the topics of one generation to those of the next."""

    def __init__(
        self,
        settings: Settings,
        old: ClusterCopy,
        run: Sequence[Stage],
        partitions: int,
        progress: Progress,
    ) -> None:
        self._began = time.perf_counter()
        self._settings = settings
        self._stages = build_all(settings)
        self._old = old
        self._link = old.link
        self._run = run
        self._later = [stage for stage in run if not is_spine(stage)]
        self._before, self._partitions = old.partitions, partitions
        self._progress = progress
        self._in_sync = {"replicas": settings.replicas, "in_sync_min": settings.in_sync_replicas_min}

    def run(self) -> Moved:
        """All of it, in order."""
        stand_still(self._link, self._run, self._settings.session_seconds + _MORE_SECONDS)
        layout = LayoutWriter(self._link, **self._in_sync)
        # As a move leaves them that was killed between the seal and its end.
        self._lift_seal()
        if self._before == self._partitions:
            raise RebuildRefused(
                f"expected a log with another number of partitions than {self._partitions}, found one with it already"
            )
        end_transactions(self._link, self._run, self._before)
        self._old.settle()
        all_applied(self._old, self._later)
        broadcasts = self._broadcasts()
        books = books_of(self._old, range(self._before))[0].hexadecimal
        new = self._make_topics()
        with (
            closing(TopicCopies(self._link, new, self._before, self._partitions)) as copies,
            DiskTables() as tables,
            closing(RestoredTables(new)) as restored,
        ):
            later = LaterMove(self._later, self._old, broadcasts, tables.write) if self._later else None
            self._copy(copies, tables, later)
            self._replay(new, copies, tables)
            self._write_changelogs(new, copies, tables, restored, broadcasts)
            hashed, count = books_of(restored.log, range(self._partitions))
            if hashed.hexadecimal != books:
                raise RebuildRefused(
                    f"expected the book hash {books}, found {hashed.hexadecimal} from the bookings of the log: the tables "
                    "are not those of the log; the old topics stand (docs/operating/repartition.md)"
                )
            stamp_times(new, [new.topic(topic.name) for topic in _MOVING])
            with self._sealed():
                self._nothing_came(copies)
                layout.write(Layout(new.generation, self._partitions, books))
            seconds = time.perf_counter() - self._began
            return Moved(
                self._before, self._partitions, books, hashed.hexadecimal, count, copies.records, seconds
            )

    # -- topics -------------------------------------------------------------------------------------------------

    def _make_topics(self) -> Link:
        """Topics of a generation that nobody has seen; what attempts that were killed have left is removed."""
        by_generation = _by_generation(self._link, self._stages)
        left = [number for number in by_generation if number > self._link.generation]
        delete_topics(self._link, [name for number in left for name in by_generation[number]])
        # Another number each time: no topic is made again under a name that was removed.
        new = replace(self._link, generation=1 + max((self._link.generation, *left)))
        copied = {topic.name for topic in _MOVING}
        plans = [
            replace(plan, stamped=plan.name not in copied)
            for plan in _moving_plans(self._run, self._partitions)
        ]
        ensure_topics(new, named(new, plans), **self._in_sync)
        return new

    def _broadcasts(self) -> Broadcasts:
        """How far partitions have read definitions and rates. Raises RebuildRefused where one has yet to tell what they change."""

        def read_to(stage: str, partition: int, topic: str) -> int:
            return self._old.committed(f"{stage}/{partition}", topic, 0) or 0

        found = Broadcasts(Numbers(self._before, self._partitions), read_to)
        unread = found.unread(self._later, lambda topic: self._old.end_offset(topic.name, 0))
        if unread:
            raise RebuildRefused(
                f"expected that definitions and rates are read everywhere, found that {', '.join(unread)} is not: start the "
                f"workers for a tick of the clock ({self._settings.clock_tick_seconds:g} s), while nothing is sent"
            )
        return found

    def _copy(self, copies: TopicCopies, tables: DiskTables, later: LaterMove | None) -> None:
        """The topics, and with the fills what capture knows of them; then what the stages behind the books know."""
        memory = CaptureMemory(
            [table_partition(self._old, CAPTURE_TABLE, partition) for partition in range(self._before)],
            self._partitions,
            lambda partition, key: tables.get(CAPTURE_TABLE, partition, key),
            lambda partition, changes: tables.write(CAPTURE_TABLE, partition, changes),
        )

        def seen(before: int, partition: int, offset: int, value: bytes | None) -> None:
            memory.saw(before, partition, offset, FILLS.codec.decode_each(value or b""))

        for topic in _MOVING:
            copies.copy(
                topic,
                self._progress,
                seen if topic is FILLS else None,
                None if later is None else later.topics,
            )
        try:
            memory.move()
            if later is not None:
                later.move(copies.whole)
                later.hold_against(tables)
        except MemoryFault as fault:
            raise RebuildRefused(f"{fault}; the old topics stand (docs/operating/repartition.md)") from fault

    # -- tables -------------------------------------------------------------------------------------------------

    def _replay(self, new: Link, copies: TopicCopies, tables: DiskTables) -> None:
        """Positions anew from the bookings, which must count what they had counted."""
        spans = [Span(place, 0, copies.end(BOOKINGS, place)) for place in range(self._partitions)]
        with closing(_Bookings(new)) as bookings:
            replay_bookings(bookings, self._partitions, spans, self._progress, Origin(tables))
        counted = _counts(self._old, range(self._before)), _counts(tables, range(self._partitions))
        if counted[0] != counted[1]:
            raise RebuildRefused(
                f"expected that positions come to {counted[0]}, found {counted[1]}: settings are not those of then; the "
                "old topics stand (docs/operating/repartition.md)"
            )

    def _write_changelogs(
        self,
        new: Link,
        copies: TopicCopies,
        tables: DiskTables,
        restored: RestoredTables,
        broadcasts: Broadcasts,
    ) -> None:
        writer = ChangelogWriter(new)
        for stage in self._run:
            for partition in range(self._partitions):
                # The first partition says which definitions were refused: of the books nobody shall be ahead of it.
                speaks = 0 if is_spine(stage) else partition
                consumed = {stage.input.name: copies.end(stage.input, partition)}
                for topic in stage.broadcasts:
                    consumed[topic.name] = broadcasts.offset(stage.name, topic, speaks)
                writer.write(stage, tables, partition, consumed)
            restored.restore(stage, self._partitions, tables)

    # -- the end ------------------------------------------------------------------------------------------------

    def _old_plans(self) -> list[TopicPlan]:
        return named(self._link, _moving_plans(self._run, self._before))

    def _lift_seal(self) -> None:
        lift_seal(self._link, {plan.name: plan.bytes_max for plan in self._old_plans()})

    @contextmanager
    def _sealed(self) -> Iterator[None]:
        """The old topics take nothing from here on; where the move fails after all, they do again."""
        seal(self._link, [plan.name for plan in self._old_plans()])
        try:
            yield
        except BaseException:
            if in_force(self._link) == self._link:
                self._lift_seal()
            raise

    def _nothing_came(self, copies: TopicCopies) -> None:
        """Raise RebuildRefused where the old topics hold something that was not copied."""
        places = [
            (self._link.topic(topic.name), partition)
            for topic in _MOVING
            for partition in range(self._before)
        ]
        wait_until_sealed(self._link, places)
        late = copies.late(_MOVING)
        if late:
            raise RebuildRefused(
                f"expected that nothing is sent while the log moves, found records in {', '.join(late)}: stop what sends, "
                "then run the command again"
            )
        stand_still(self._link, self._run)


def _moving_plans(stages: Sequence[Stage], partitions: int) -> list[TopicPlan]:
    """The topics that get another number of partitions, by the names of the registry."""
    names = {*(topic.name for topic in _MOVING), *(stage.changelog for stage in stages)}
    return [plan for plan in topic_plans(stages, partitions) if plan.name in names]


def _by_generation(link: Link, stages: Sequence[Stage]) -> dict[int, list[str]]:
    names = [plan.name for plan in _moving_plans(stages, 1)]
    return generations(names, partition_counts(link))


def _counts(tables: Tables, partitions: range) -> Counts:
    """What positions have counted, over all sources."""
    total = Counts()
    for partition in partitions:
        for counts in read_counts(table_partition(tables, POSITIONS_TABLE, partition)).values():
            total.add(counts)
    return total


class _Bookings:
    """The bookings of a generation of topics as a log to replay: it has no tables, and no group reads it."""

    def __init__(self, link: Link) -> None:
        self.generation = link.generation
        self._link = link
        self._reader = TopicReader(link, "pks-repartition")

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[KafkaRecord]:
        """Records from `offset` on."""
        return self._reader.read(self._link.topic(topic), partition, offset, max_records, max_bytes)

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record."""
        return self._reader.bounds(self._link.topic(topic), partition)[1]

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Where a group goes on: nowhere."""
        return None

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table: none."""
        return None

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table: none."""
        return iter(())

    def close(self) -> None:
        """Let the cluster go."""
        self._reader.close()
