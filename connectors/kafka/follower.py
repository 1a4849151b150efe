"""Following partitions of many topics, each from a place on, as they come.

Assumes: one thread at a time.
Guarantees: records of a partition come in order, committed ones only; what waits between the cluster and `read` is
bounded; where the cluster has less than a place says, that is an error.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, TopicPartition

from connectors.kafka.batches import next_batch
from connectors.kafka.changelog import watermarks
from connectors.kafka.errors import LinkError, TopicError
from connectors.kafka.link import Link

Place = tuple[str, int]
_FETCHED_KIBIBYTES_MAX = 16 * 1024
_ANSWER_SECONDS = 10.0
_NANOSECONDS = 1_000_000


class Arrived(NamedTuple):
    """A record; `appended_at` is when the broker appended it, in nanoseconds to the millisecond."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    appended_at: int


class End(NamedTuple):
    """Everything of a partition that is committed now was read; the next record has this offset, or a later one."""

    topic: str
    partition: int
    offset: int


class BeyondEndError(TopicError):
    """A place is past the end of its partition."""


class Follower:
    """Reads on in partitions of a cluster; `begin` first. Topics have their names of the registry here."""

    def __init__(self, link: Link, group: str) -> None:
        told = {"enable_partition_eof": True, "fetch_wait_max_ms": 10}
        told["queued_max_messages_kbytes"] = _FETCHED_KIBIBYTES_MAX
        self._consumer = Consumer(link.consumer(group, **told))
        self._link = link
        self._names: dict[str, str] = {}

    def begin(self, places: Mapping[Place, int]) -> None:
        """Read on from these places; what was fetched before is dropped. Raises BeyondEndError, LinkError."""
        self._names = {self._link.topic(topic): topic for topic, _ in places}
        for place, offset in places.items():
            _, end = watermarks(self._consumer, self._place(place), _ANSWER_SECONDS)
            if offset > end:
                raise BeyondEndError(f"{place[0]}/{place[1]} up to offset {offset}, found it up to {end}")
        self._consumer.assign([self._place(place, offset) for place, offset in places.items()])

    def _place(self, place: Place, offset: int = OFFSET_INVALID) -> TopicPartition:
        return TopicPartition(self._link.topic(place[0]), place[1], offset)

    def read(self, records_max: int, seconds: float) -> list[Arrived | End]:
        """What has come, in its order by partition; waits for it up to `seconds`. Raises LinkError."""
        found: list[Arrived | End] = []
        for message in next_batch(self._consumer, records_max, seconds):
            error = message.error()
            name = self._names.get(message.topic(), message.topic())
            place = (name, message.partition(), message.offset())
            if error is None:
                stamped = message.timestamp()[1] * _NANOSECONDS
                found.append(Arrived(*place, message.key(), message.value(), stamped))
            elif error.code() == KafkaError._PARTITION_EOF:
                found.append(End(*place))
            elif error.fatal() or error.code() == KafkaError._FATAL:
                raise LinkError(f"expected records of {message.topic()}, found: {error.str()}")
        return found

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The ends of partitions as the last fetch of each saw them, marks of commits included."""
        found = {}
        for place in places:
            _, end = self._consumer.get_watermark_offsets(self._place(place), cached=True)
            if end >= 0:
                found[place] = int(end)
        return found

    def close(self) -> None:
        """Let the consumer go."""
        self._consumer.close()
