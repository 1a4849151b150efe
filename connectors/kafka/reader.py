"""Reading topics of a cluster as a log is read: records of a partition from an offset on, up to what is committed now.

Assumes: one thread.
Guarantees: a read ends at the end of what is committed, and never waits for more; where no broker answers for
`_SILENCE_SECONDS_MAX` it is a LinkError.
"""

import time
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.asking import asked
from connectors.kafka.batches import next_batch
from connectors.kafka.changelog import watermarks
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link

_WAIT_SECONDS = 0.2
_SILENCE_SECONDS_MAX = 60.0
_BATCH = 1_000
_NANOSECONDS = 1_000_000


class KafkaRecord(NamedTuple):
    """A record of a topic partition. `appended_at` is when the broker appended it, in nanoseconds; `follows` is the offset
    after the record before it, or from which reading began: what lies between are marks of commits.

    Partitions of a cluster have no order among each other but that time, so it is the `sequence` as well.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    appended_at: int
    follows: int

    @property
    def sequence(self) -> int:
        """A place in the order of all appends, to the millisecond."""
        return self.appended_at


class TopicReader:
    """Reads any topic of a cluster."""

    def __init__(self, link: Link, group: str) -> None:
        self._consumer = Consumer(link.consumer(group, enable_partition_eof=True, fetch_wait_max_ms=5))
        self._place: tuple[str, int] | None = None
        self._next = self._follows = 0
        self._ahead: list[KafkaRecord] = []
        self._ended = False

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is still there, and the end of what is committed, marks of commits included."""
        return watermarks(self._consumer, TopicPartition(topic, partition), _SILENCE_SECONDS_MAX)

    def offset_at(self, topic: str, partition: int, milliseconds: int) -> int:
        """The first offset of a record appended at or after a time; the end where there is none. Raises LinkError."""
        place = TopicPartition(topic, partition, milliseconds)

        def question(wait: float) -> int:
            found = self._consumer.offsets_for_times([place], wait)[0]
            if found.error is not None:
                raise KafkaException(found.error)
            return int(found.offset)

        offset = asked(question, f"the offset of a time in {topic}/{partition}", _SILENCE_SECONDS_MAX)
        return self.bounds(topic, partition)[1] if offset < 0 else offset

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> list[KafkaRecord]:
        """Records from `offset` on, at least one where there is any. Raises LinkError."""
        if (topic, partition) != self._place or offset != self._next or self._ended:
            self._begin(topic, partition, offset)
        found: list[KafkaRecord] = []
        size = 0
        while len(found) < max_records and size < max_bytes:
            if not self._ahead and not self._fetch():
                break
            record = self._ahead.pop()
            found.append(record)
            size += len(record.value or b"")
        if found:
            self._next = found[-1].offset + 1
        return found

    def _begin(self, topic: str, partition: int, offset: int) -> None:
        self._consumer.assign([TopicPartition(topic, partition, offset)])
        self._place, self._next, self._ahead, self._ended = (topic, partition), offset, [], False
        self._follows = offset

    def _fetch(self) -> bool:
        """Fetch what comes next; False at the end."""
        heard = time.monotonic()
        while not self._ended:
            for message in next_batch(self._consumer, _BATCH, _WAIT_SECONDS):
                error = message.error()
                if error is None:
                    offset, stamped = message.offset(), message.timestamp()[1] * _NANOSECONDS
                    self._ahead.append(
                        KafkaRecord(offset, message.key(), message.value(), stamped, self._follows)
                    )
                    self._follows = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._ended = True
                elif error.fatal():
                    raise LinkError(f"expected records of {self._place}, found: {error.str()}")
            if self._ahead:
                self._ahead.reverse()
                return True
            if time.monotonic() - heard > _SILENCE_SECONDS_MAX:
                raise LinkError(
                    f"expected records of {self._place}, found silence for {_SILENCE_SECONDS_MAX:.0f} s"
                )
        return False

    def close(self) -> None:
        """Let the consumer go."""
        self._consumer.close()
