"""Topics of a cluster copied into new ones with another number of partitions.

Assumes: nobody writes to the new topics but this, and one move at a time.
Guarantees: an event keeps its bytes, its record's time, and its place among those of its old partition, which has all of
its key; a partition of which retention took the first records shows that in its new ones. What is copied is counted, and
held against what stands in the new topics.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.bulk import BulkSender
from connectors.kafka.configuring import PROBE
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link
from connectors.kafka.reader import KafkaRecord, TopicReader
from schemas.topics import Topic
from topology.rebuilding.later_topics import CUT, EMPTIED, LaterTopics
from topology.rebuilding.rekeying import rekeyed

_READ_RECORDS_MAX = 1_000
_READ_BYTES_MAX = 4 * 1024 * 1024
_SECONDS = 60.0
_SHOWN_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
_MILLISECOND = 1_000_000
_GROUP = "pks-repartition"

Seen = Callable[[int, int, int, bytes | None], None]
"""Called with the old partition of a copied record, its new partition, offset and value."""


class TopicCopies:
    """Copies from the topics of one generation into those of another."""

    def __init__(self, old: Link, new: Link, before: int, after: int) -> None:
        self.records = 0
        self._old, self._new = old, new
        self._before, self._after = before, after
        self._reader = TopicReader(old, _GROUP)
        self._sender = BulkSender(Producer(new.producer(linger_ms=5)))
        self._ends: Counter[tuple[str, int]] = Counter()
        self._read_to: dict[tuple[str, int], int] = {}
        self._starts: dict[str, int] = {}

    def end(self, topic: Topic, partition: int) -> int:
        """The offset after the last copy in a new partition."""
        return self._ends[topic.name, partition]

    def whole(self, topic: Topic) -> bool:
        """Whether the copies begin with the first record that ever was."""
        return topic.name not in self._starts

    def copy(
        self,
        topic: Topic,
        progress: Callable[[int], None],
        seen: Seen | None = None,
        later: LaterTopics | None = None,
    ) -> None:
        """Copy a topic, one old partition after the other. Raises LinkError.

        Where stages behind the books move (`later`), they say where events go that do not go by their keys.
        """
        starts = [
            self._reader.bounds(self._old.topic(topic.name), partition)[0]
            for partition in range(self._before)
        ]
        if any(starts) or (later is not None and topic.name in CUT):
            self._begin(topic)
        places = None if later is None else later.places(topic)
        emptied = later is not None and topic.name in EMPTIED
        for partition, start in enumerate(starts):
            for record in self._records(topic, partition, start):
                if emptied:
                    continue
                copies = rekeyed(topic, [(partition, record.value)], self._before, self._after, places)
                for place, value in copies.items():
                    if seen is not None:
                        seen(partition, place, self._ends[topic.name, place], value)
                    self._send(topic, place, record.key, value, record.appended_at // _MILLISECOND)
                self.records += 1
                progress(1)
        self._flush(topic)

    def _records(self, topic: Topic, partition: int, offset: int) -> Iterator[KafkaRecord]:
        name = self._old.topic(topic.name)
        while found := self._reader.read(name, partition, offset, _READ_RECORDS_MAX, _READ_BYTES_MAX):
            yield from found
            offset = found[-1].offset + 1
        self._read_to[topic.name, partition] = offset

    def _begin(self, topic: Topic) -> None:
        """Where the first records of a topic are gone, new partitions begin at 1."""
        self._starts[topic.name] = 1
        for place in range(self._after):
            self._send(topic, place, None, b"[]", int(time.time() * 1e3))

    def _send(
        self, topic: Topic, partition: int, key: bytes | None, value: bytes | None, milliseconds: int
    ) -> None:
        self._ends[topic.name, partition] += 1
        self._sender.send(self._new.topic(topic.name), partition, key, value, timestamp=milliseconds)

    def _flush(self, topic: Topic) -> None:
        """Wait for the copies of a topic, and hold them against what stands there."""
        lost, said = self._sender.settle(_SECONDS)
        if lost:
            raise LinkError(
                f"expected {self._new.topic(topic.name)} to take every copy, found {lost} that were not acknowledged "
                f"({said}); the old topics stand: run the command again"
            )
        self._cut(topic)
        for partition in range(self._after):
            self._hold_against(topic, partition)

    def _hold_against(self, topic: Topic, partition: int) -> None:
        name, start = self._new.topic(topic.name), self._starts.get(topic.name, 0)
        expected = (start, max(self._ends[topic.name, partition], start))
        deadline = time.monotonic() + _SHOWN_SECONDS
        # What a broker has acknowledged it may show a moment later.
        while (found := self._reader.bounds(name, partition)) != expected:
            if time.monotonic() > deadline:
                raise LinkError(
                    f"expected copies {expected[0]} to {expected[1]} in {name}/{partition}, found {found[0]} to {found[1]}: "
                    "something else writes there; the old topics stand: run the command again"
                )
            time.sleep(_PAUSE_SECONDS)

    def _cut(self, topic: Topic) -> None:
        if topic.name not in self._starts:
            return
        name = self._new.topic(topic.name)
        administration = AdminClient(self._new.common())  # kept: what it was asked ends with it
        places = [TopicPartition(name, partition, 1) for partition in range(self._after)]
        try:
            for future in administration.delete_records(places).values():
                future.result(_SECONDS)
        except KafkaException as error:
            raise LinkError(f"expected {name} to begin at offset 1, found: {error.args[0].str()}") from error

    def late(self, topics: Iterable[Topic]) -> list[str]:
        """Topic partitions of the old generation that took something after they were copied. Raises LinkError."""
        return [
            f"{self._old.topic(topic.name)}/{partition}"
            for topic in topics
            for partition in range(self._before)
            if any(
                record.value != PROBE
                for record in self._records(topic, partition, self._read_to[topic.name, partition])
            )
        ]

    def close(self) -> None:
        """Let the cluster go."""
        self._reader.close()
