"""The tables of a cluster copied to this machine, and its topics, as one log to read.

Owns: the copy's database in the data folder, caught up from the changelogs when it is opened.
Assumes: one process at a time has the copy; another waits for it.
Guarantees: a table partition holds exactly what was committed up to some moment; nothing of the cluster is changed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient

from agents.stage import Stage
from connectors.embedded.errors import OwnedElsewhereError
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.asking import asked
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.ends import Place, committed_ends
from connectors.kafka.errors import LinkError, TopicError
from connectors.kafka.log import consumed_until
from connectors.kafka.reader import KafkaRecord, TopicReader
from connectors.kafka.topics import look_at, topic_identities
from schemas import topics
from schemas.topics import TOPIC_BY_NAME
from topology.cluster.places import copy_folder, identity_of, link_in_force
from topology.settings import Settings
from topology.stages import build_spine

_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_GROUP = "pks-reader"
_LOOKS_MAX = 20
_MILLISECOND = 1_000_000

Progress = Callable[[str, int, int], None]
"""Called with what is caught up (`table/partition`), the next offset and the end."""


@dataclass(frozen=True, slots=True)
class CopiedTopic:
    """What a reader asks of a topic's definition."""

    partitions: int


class ClusterCopy:
    """A log to read: tables from the copy, records from the cluster. It has no count over all topics: no sequence."""

    sequence: None = None

    def __init__(self, settings: Settings, stages: Sequence[Stage] | None = None) -> None:
        """A copy of the tables of `stages`, by default of those that keep the books. Raises LinkError and TopicError."""
        self.link = link = link_in_force(settings)
        self.generation = link.generation
        found = look_at(link)
        self._topics = {
            name: CopiedTopic(found.partitions[link.topic(name)])
            for name in TOPIC_BY_NAME
            if link.topic(name) in found.partitions
        }
        bookings = self._topics.get(topics.BOOKINGS.name)
        if bookings is None:
            raise TopicError(
                f"{settings.transport}: expected the topics of PKS, found none; start it there with `pks up`"
            )
        self.partitions = bookings.partitions
        self._stages = {
            stage.table.name: stage
            for stage in (build_spine(settings) if stages is None else stages)
            # Workers that keep the books alone have no others.
            if link.topic(stage.changelog) in found.partitions
        }
        # Whether a log has a stage is asked by its changelog.
        self._topics |= {stage.changelog: CopiedTopic(self.partitions) for stage in self._stages.values()}
        self._ends: dict[Place, int] = {}
        self._bounded: dict[Place, int] = {}
        self._lasts: dict[Place, tuple[int, int]] = {}
        self._reader = TopicReader(link, _GROUP)
        self._administration = AdminClient(link.common())
        self._state = _owned(copy_folder(settings.data, identity_of(found.cluster, link)))
        names = {table: link.topic(stage.changelog) for table, stage in self._stages.items()}
        identities = topic_identities(link, list(names.values()))
        self._changelogs = {
            table: ChangelogReader(
                link, group=_GROUP, topic=name, table=table, state=self._state, identity=identities[name]
            )
            for table, name in names.items()
        }

    @property
    def folder(self) -> Path:
        """Where the copy is."""
        return self._state.folder

    def catch_up(self, progress: Progress | None = None) -> int:
        """Take in what was committed since, and look where topics end then; returns the records."""
        count = 0
        ends = self._ends_of(
            (self._stages[table].changelog, partition)
            for table in self._changelogs
            for partition in range(self.partitions)
        )
        for table, changelog in self._changelogs.items():
            for partition in range(self.partitions):
                end = ends[self._stages[table].changelog, partition]
                if changelog.holds(partition, end):
                    continue

                def told(next_offset: int, end: int, place: str = f"{table}/{partition}") -> None:
                    if progress is not None:
                        progress(place, next_offset, end)

                count += changelog.catch_up(partition, told)
                changelog.note_held(partition, end)
        # After the tables: what a stage emitted of that which its table has consumed stands before these ends.
        self._bounded = self._ends_of(
            (name, partition) for name, topic in self._topics.items() for partition in range(topic.partitions)
        )
        return count

    def _ends_of(self, places: Iterable[Place]) -> dict[Place, int]:
        """The end of what is committed in each partition, marks included. Raises LinkError."""
        names = {(self.link.topic(name), partition): (name, partition) for name, partition in places}

        def question(seconds: float) -> dict[Place, int]:
            return committed_ends(self._administration, names, seconds)

        found = asked(question, "the ends of topics and changelogs", _WAIT_SECONDS)
        return {names[place]: end for place, end in found.items()}

    def settle(self, progress: Progress | None = None) -> None:
        """Catch up, and hold reading at the same moment, so that tables and topics agree. Raises LinkError.

        That moment is one in which no step was committed while everything was looked at.
        """
        self.catch_up(progress)
        for _ in range(_LOOKS_MAX):
            ends = self._bounded
            if not self.catch_up(progress):
                self._ends = ends
                return
        raise LinkError(
            f"expected a moment in which no step is committed, found none in {_LOOKS_MAX} looks: stop what sends fills, "
            "then try again"
        )

    def topics(self) -> Mapping[str, CopiedTopic]:
        """The topics of the registry that the cluster has, and the changelogs of the tables that are copied."""
        return self._topics

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[KafkaRecord]:
        """Records from `offset` on."""
        found = self._read(topic, partition, offset, max_records, max_bytes)
        end = self._ends.get((topic, partition))
        return found if end is None else [record for record in found if record.offset < end]

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return self._reader.bounds(self.link.topic(topic), partition)

    def _read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[KafkaRecord]:
        return self._reader.read(self.link.topic(topic), partition, offset, max_records, max_bytes)

    def start_offset(self, topic: str, partition: int) -> int:
        """The offset of the first record that is still there."""
        return self._bounds(topic, partition)[0]

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record when it was caught up last, marks of commits left out."""
        high = self._bounded.get((topic, partition))
        if high is None:
            high = self._bounds(topic, partition)[1]
        known = self._lasts.get((topic, partition))
        if known is None or known[0] != high:
            known = self._lasts[topic, partition] = (high, self._last_before(topic, partition, high))
        return known[1]

    def _last_before(self, topic: str, partition: int, high: int) -> int:
        """The offset after the last record before `high`."""
        low = self._bounds(topic, partition)[0]
        back = 1
        while low < high:
            start = max(low, high - back)
            found = self._read(topic, partition, start, back, 1 << 62)
            last = max((record.offset for record in found if record.offset < high), default=None)
            if last is not None:
                return last + 1
            if start == low:
                break
            back *= 2
        return low

    def offset_after(
        self, topic: str, partition: int, *, sequence: int | None = None, time_ns: int | None = None
    ) -> int:
        """The first offset whose record came after an instant, to the millisecond."""
        assert sequence is None and time_ns is not None, "a cluster counts no records over all topics"
        found = self._reader.offset_at(self.link.topic(topic), partition, time_ns // _MILLISECOND + 1)
        end = self._ends.get((topic, partition))
        return found if end is None else min(found, end)

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """How far the copied table partition has consumed an input."""
        name, _, own = group.partition("/")
        return consumed_until(self._state, name, int(own) if own else partition, topic)

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table."""
        return self._state.get(table, partition, key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table partition."""
        return self._state.scan(table, partition, start, end, reverse=reverse)

    def close(self) -> None:
        """Let the cluster and the copy go."""
        self._reader.close()
        for changelog in self._changelogs.values():
            changelog.close()
        self._state.close()


def _owned(folder: Path) -> EmbeddedLog:
    """The copy's database; another command that has it is waited for."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return EmbeddedLog.owner(folder, sync="os")
        except OwnedElsewhereError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
