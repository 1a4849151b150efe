"""Reference topics as they have arrived: read whole from the cluster, kept in memory, in the order of the topic.

Owns: a consumer of its own over the one partition of each topic.
Guarantees: `catch_up` returns when the end of every topic has been met.
"""

import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.batches import next_batch
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link

_SECONDS = 30.0
_WAIT_SECONDS = 0.1
_RECORDS = 10_000


class ReferenceRecord(NamedTuple):
    """A record of a reference topic."""

    offset: int
    value: bytes | None


class ReferenceTopics:
    """The reference topics of a worker."""

    def __init__(self, link: Link, topics: Sequence[str], group: str) -> None:
        self._records: dict[str, list[ReferenceRecord]] = {topic: [] for topic in topics}
        self._next: dict[str, int] = dict.fromkeys(topics, 0)
        self._ended: set[str] = set()
        self._consumer = Consumer(link.consumer(group, enable_partition_eof=True))

    @property
    def topics(self) -> list[str]:
        """Their names."""
        return list(self._records)

    def follow(self) -> None:
        """Take in everything that the topics hold now. Raises LinkError.

        What is defined before a fill is appended is so known before the fill is applied, whichever arrives first.
        """
        places = [TopicPartition(topic, 0, OFFSET_END) for topic in self._records]
        try:
            ends = self._consumer.offsets_for_times(places, _SECONDS)
        except KafkaException as error:
            raise LinkError(f"expected the ends of {self._names()}, found: {error.args[0].str()}") from error
        deadline = time.monotonic() + _SECONDS
        while any(self._next[place.topic] < place.offset for place in ends):
            if time.monotonic() > deadline:
                raise LinkError(
                    f"expected to read {self._names()} to the end within {_SECONDS:.0f} s, found silence"
                )
            for message in next_batch(self._consumer, _RECORDS, _WAIT_SECONDS):
                self._take(message)

    def _names(self) -> str:
        return ", ".join(sorted(self._records))

    def catch_up(self) -> None:
        """Wait until the end of every topic has been met. Raises LinkError."""
        deadline = time.monotonic() + _SECONDS
        # Assigned anew, for the end of a topic is told once.
        self._consumer.assign([TopicPartition(topic, 0, self._next[topic]) for topic in self._records])
        self._ended.clear()
        while self._ended != self._records.keys():
            if time.monotonic() > deadline:
                missing = ", ".join(sorted(self._records.keys() - self._ended))
                raise LinkError(
                    f"expected to read {missing} to the end within {_SECONDS:.0f} s, found silence"
                )
            for message in next_batch(self._consumer, _RECORDS, _WAIT_SECONDS):
                self._take(message)

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is None:
            self._records[message.topic()].append(ReferenceRecord(message.offset(), message.value()))
            self._next[message.topic()] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            # Compaction may have removed what stood last.
            self._next[message.topic()] = max(self._next[message.topic()], message.offset())
            self._ended.add(message.topic())
        elif error.fatal():
            raise LinkError(f"expected records of {message.topic()}, found: {error.str()}")

    def read(self, topic: str, offset: int, max_records: int) -> Sequence[Any]:
        """Records from `offset` on."""
        records = self._records[topic]
        start = bisect_left(records, offset, key=lambda record: record.offset)
        return records[start : start + max_records]

    def end_offset(self, topic: str) -> int:
        """The offset after the last that has arrived."""
        records = self._records[topic]
        return records[-1].offset + 1 if records else 0

    def close(self) -> None:
        """Let the consumer go."""
        self._consumer.close()
