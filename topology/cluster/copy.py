"""The tables of a cluster copied to this machine, and its topics, as one log to read.

Owns: the copy's database in the data folder, caught up from the changelogs when it is opened.
Assumes: one process at a time has the copy; another waits for it.
Guarantees: a table partition holds exactly what was committed up to some moment; nothing of the cluster is changed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.stage import Stage
from connectors.embedded.errors import OwnedElsewhereError
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import LinkError, TopicError
from connectors.kafka.log import consumed_until
from connectors.kafka.reader import KafkaRecord, TopicReader
from connectors.kafka.topics import look_at
from schemas import topics
from schemas.topics import TOPIC_BY_NAME
from topology.cluster.places import copy_folder, identity_of, link_in_force
from topology.settings import Settings
from topology.stages import build_spine

_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_GROUP = "pks-reader"
_LOOKS_MAX = 20

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
            stage.table.name: stage for stage in (build_spine(settings) if stages is None else stages)
        }
        self._ends: dict[tuple[str, int], int] = {}
        self._reader = TopicReader(link, _GROUP)
        self._state = _owned(copy_folder(settings.data, identity_of(found.cluster, link)))
        self._changelogs = {
            table: ChangelogReader(
                link, group=_GROUP, topic=link.topic(stage.changelog), table=table, state=self._state
            )
            for table, stage in self._stages.items()
        }

    @property
    def folder(self) -> Path:
        """Where the copy is."""
        return self._state.folder

    def catch_up(self, progress: Progress | None = None) -> int:
        """Take in what was committed since; returns the records."""
        count = 0
        for table, changelog in self._changelogs.items():
            for partition in range(self.partitions):

                def told(next_offset: int, end: int, place: str = f"{table}/{partition}") -> None:
                    if progress is not None:
                        progress(place, next_offset, end)

                count += changelog.catch_up(partition, told)
        return count

    def settle(self, progress: Progress | None = None) -> None:
        """Catch up, and hold reading at the same moment, so that tables and topics agree. Raises LinkError.

        That moment is one in which no step was committed while everything was looked at.
        """
        self.catch_up(progress)
        for _ in range(_LOOKS_MAX):
            ends = {
                (name, partition): self._bounds(name, partition)[1]
                for name in self._topics
                for partition in range(self._topics[name].partitions)
            }
            if not self.catch_up(progress):
                self._ends = ends
                return
        raise LinkError(
            f"expected a moment in which no step is committed, found none in {_LOOKS_MAX} looks: stop what sends fills, "
            "then try again"
        )

    def topics(self) -> Mapping[str, CopiedTopic]:
        """The topics of the registry that the cluster has."""
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
        """The offset after the last record, marks of commits left out."""
        low, high = self._bounds(topic, partition)
        back = 1
        while high - back >= low:
            found = self._read(topic, partition, high - back, back, 1 << 62)
            if found:
                return found[-1].offset + 1
            back *= 2
        start = self._read(topic, partition, low, high - low, 1 << 62) if high > low else []
        return start[-1].offset + 1 if start else low

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
