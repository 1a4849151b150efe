"""The way into a cluster: records go to its topics, and what became of them is read from the stages' tables.

Assumes: workers that run (`pks up` with the same transport), here or elsewhere.
Guarantees: an append is answered when every in-sync replica has it; where nobody applies it, that is said after
`_SILENCE_SECONDS`, and what was sent stays in the cluster.
"""

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from agents.counters import read_counts
from agents.stage import Stage
from connectors.kafka.bulk import BulkSender
from connectors.kafka.errors import LinkError
from connectors.kafka.groups import group_members
from connectors.kafka.link import Link
from connectors.kafka.reader import TopicReader
from connectors.kafka.writer import LINGER_MILLISECONDS
from topology.cluster.copy import ClusterCopy, Progress
from topology.cluster.places import link_in_force, make_topics
from topology.control.entry import note_counts
from topology.control.protocol import ControlError, Outgoing
from topology.log_reading import table_partition
from topology.settings import Settings
from topology.stages import build_spine

_SILENCE_SECONDS = 60.0
_ANSWER_SECONDS = 5.0
_SEND_SECONDS = 60.0
_POLL_SECONDS = 0.02
_UNORDERED_MAX = 200
"""Fills of one position under way: to match again as many late ones costs about what a step of capture does."""


class ClusterGate:
    """Where records enter a cluster.

    Its workers take the partitions of fills each at its own pace, so that bookings of one book come in any order.
    """

    unordered_max: int | None = _UNORDERED_MAX

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self._settings = settings
        self._link = link_in_force(settings)
        make_topics(settings, self._link)
        self.partitions = settings.partitions
        self._stages = build_spine(settings)
        self._progress = progress
        self._copy: ClusterCopy | None = None
        self._sent = 0
        producer = Producer(
            self._link.producer(message_timeout_ms=int(_SEND_SECONDS * 1e3), linger_ms=LINGER_MILLISECONDS)
        )
        self._sender = BulkSender(producer)
        self._applied = [
            _Applied(self._link, stage, self.partitions, self._sender.ends) for stage in self._stages
        ]

    def append(self, records: Sequence[Outgoing]) -> int:
        """Send records; returns how many were sent by this gate. Raises LinkError where one was not acknowledged."""
        for record in records:
            self._sender.send(self._link.topic(record.topic), record.partition, record.key, record.value)
        lost, said = self._sender.settle(_SEND_SECONDS)
        if lost:
            raise LinkError(
                f"expected {len(records)} records to be acknowledged by {self._link.brokers}, found {lost} that were not "
                f"within {_SEND_SECONDS:.0f} s ({said}); run the command again: what is in the cluster already counts as "
                "duplicate"
            )
        self._sent += len(records)
        return self._sent

    def settle(self) -> None:
        """Wait until the stages have applied all that stands in their inputs. Raises ControlError."""
        for applied in self._applied:
            self._wait_for(applied)
        self._finish_rematches()

    def catch_up(self) -> None:
        """Wait until the first stage has taken what was sent. Raises ControlError."""
        self._wait_for(self._applied[0], sent_here=True)

    def _wait_for(self, applied: "_Applied", *, sent_here: bool = False) -> None:
        moved = time.monotonic()
        while left := applied.waiting(sent_here=sent_here):
            if applied.moved():
                moved = time.monotonic()
            elif time.monotonic() - moved > _SILENCE_SECONDS:
                raise ControlError(
                    f"expected the workers to apply {applied.topic} (partitions {', '.join(map(str, left))}), found no "
                    f"progress for {_SILENCE_SECONDS:.0f} s and {applied.members()} workers at work{applied.trouble}; what "
                    f"was sent is in the cluster and is applied once they run: pks up --transport "
                    f"{self._settings.transport} (docs/operating/kafka-workers.md)"
                )
            time.sleep(_POLL_SECONDS)

    def _finish_rematches(self) -> None:
        """Wait until no booking waits for a long re-match, as who owns a log does before it answers."""
        copy, moved = self._caught_up(), time.monotonic()
        while waiting := self._waiting_bookings(copy):
            if copy.catch_up(self._progress):
                moved = time.monotonic()
            elif time.monotonic() - moved > _SILENCE_SECONDS:
                raise ControlError(
                    f"expected the workers to finish the re-matches for which {waiting} bookings wait, found no progress for "
                    f"{_SILENCE_SECONDS:.0f} s; what was sent is applied once they run: pks up --transport "
                    f"{self._settings.transport} (docs/operating/kafka-workers.md)"
                )
            else:
                time.sleep(_POLL_SECONDS)

    def _waiting_bookings(self, copy: ClusterCopy) -> int:
        return sum(
            counts.waiting
            for stage in self._stages
            if stage.idle_work is not None
            for partition in range(self.partitions)
            for counts in read_counts(table_partition(copy, stage.table.name, partition)).values()
        )

    def _caught_up(self) -> ClusterCopy:
        if self._copy is None:
            self._copy = ClusterCopy(self._settings)
        self._copy.catch_up(self._progress)
        return self._copy

    def counts(self, sources: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """From the stages' counters, as their changelogs have them."""
        copy = self._caught_up()
        found = {source: [0, 0, 0, 0] for source in sources}
        for stage in self._stages:
            for partition in range(self.partitions):
                counted = read_counts(table_partition(copy, stage.table.name, partition))
                note_counts(found, stage, counted)
        return found

    def close(self) -> None:
        """Let the cluster go."""
        for applied in self._applied:
            applied.close()
        if self._copy is not None:
            self._copy.close()


class _Applied:
    """How far the group of a stage has come in its input; `sent` are the offsets after what was sent here."""

    def __init__(
        self, link: Link, stage: Stage, partitions: int, sent: Mapping[tuple[str, int], int]
    ) -> None:
        self._sent = sent
        self.topic = link.topic(stage.input.name)
        self._link = link
        self._group = stage.name
        self._places = [TopicPartition(self.topic, partition) for partition in range(partitions)]
        # Asked as a member of the group would ask, without taking part.
        self._consumer = Consumer(link.consumer(stage.name))
        self._reader = TopicReader(link, "pks-entry")
        self._offsets: dict[int, int] = {}
        self._moved = False
        self.trouble = ""

    def waiting(self, *, sent_here: bool = False) -> list[int]:
        """The partitions in which a record waits, or only one that was `sent_here`; all of them while that cannot be known."""
        try:
            found = self._consumer.committed(self._places, _ANSWER_SECONDS)
        except KafkaException as error:
            # The brokers keep offsets back while a transaction over them is open, as after a worker was killed.
            self.trouble, self._moved = f": {error.args[0].str()}", False
            return [place.partition for place in self._places]
        self.trouble = ""
        offsets = {place.partition: max(place.offset, 0) for place in found}
        self._moved, self._offsets = offsets != self._offsets, offsets
        if sent_here:
            return [
                place for place, offset in offsets.items() if offset < self._sent.get((self.topic, place), 0)
            ]
        return [partition for partition, offset in offsets.items() if self._has_record(partition, offset)]

    def _has_record(self, partition: int, offset: int) -> bool:
        # Marks of commits are no records, so an end that is not reached yet need not mean one.
        _, end = self._reader.bounds(self.topic, partition)
        return offset < end and bool(self._reader.read(self.topic, partition, offset, 1, 1))

    def moved(self) -> bool:
        """Whether the last look found the group further than the one before."""
        return self._moved

    def members(self) -> int:
        """How many workers are at work."""
        try:
            return len(group_members(self._link, self._group))
        except (LinkError, TimeoutError):
            return 0

    def close(self) -> None:
        """Let the consumers go."""
        self._consumer.close()
        self._reader.close()
