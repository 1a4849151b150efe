"""Fencing at a takeover: who left a transaction open over a partition may not commit it any more.

Assumes: every changelog record names its writer, and every step writes one; the former owner has lost the partition.
Guarantees: after `fence_writers` no transaction is open over the partition, and whoever had one open is refused when
it commits; nobody is fenced whose transaction ends by itself within `_GRACE_SECONDS`, as it does after an orderly
handing over (the marks of a commit are written after it is answered).
"""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from connectors.kafka.batches import next_batch
from connectors.kafka.changelog import watermarks
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link

WRITER_HEADER = "writer"

_GRACE_SECONDS = 1.0
_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.02
_RECORDS = 10_000


def writer_headers(transactional_id: str) -> list[tuple[str, bytes]]:
    """What the changelog records of a writer say of it."""
    return [(WRITER_HEADER, transactional_id.encode())]


def fence_writers(link: Link, topic: str, partitions: list[int]) -> list[str]:
    """End every transaction that is open over changelog partitions; returns the ids that were fenced.

    Raises LinkError where the brokers do not answer, or a transaction stays open.
    """
    fenced: list[str] = []
    with _Ends(link) as ends:
        deadline = time.monotonic() + _GRACE_SECONDS
        still_open = ends.open_partitions(topic, partitions)
        while still_open and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            still_open = ends.open_partitions(topic, still_open)
        for partition in still_open:
            for writer in sorted(ends.writers(topic, partition) - set(fenced)):
                fence(link, writer)
                fenced.append(writer)
        deadline = time.monotonic() + _SECONDS_MAX
        while still_open := ends.open_partitions(topic, still_open):
            if time.monotonic() > deadline:
                raise LinkError(
                    f"expected the transactions over {topic}/{still_open[0]} to end after {', '.join(fenced) or 'nobody'} "
                    f"was fenced, found one open for {_SECONDS_MAX:.0f} s"
                )
            time.sleep(_POLL_SECONDS)
    return fenced


def fence(link: Link, transactional_id: str) -> None:
    """Take the place of a writer: its open transaction is aborted, and it is refused from now on. Raises LinkError."""
    producer = Producer(link.producer(transactional_id=transactional_id))
    try:
        producer.init_transactions(_SECONDS_MAX)
    except KafkaException as error:
        raise LinkError(f"expected to fence {transactional_id}, found: {error.args[0].str()}") from error


class _Ends:
    """Where partitions end, with and without what is not committed."""

    def __init__(self, link: Link) -> None:
        told = link.consumer("pks-takeover", enable_partition_eof=True)
        self._committed = Consumer(told)
        self._written = Consumer({**told, "isolation.level": "read_uncommitted"})

    def __enter__(self) -> "_Ends":
        return self

    def __exit__(self, *_: object) -> None:
        self._committed.close()
        self._written.close()

    def open_partitions(self, topic: str, partitions: list[int]) -> list[int]:
        """Those over which a transaction is open."""
        return [
            partition
            for partition in partitions
            if self._end(self._committed, topic, partition) < self._end(self._written, topic, partition)
        ]

    def _end(self, consumer: Consumer, topic: str, partition: int) -> int:
        return watermarks(consumer, TopicPartition(topic, partition))[1]

    def writers(self, topic: str, partition: int) -> set[str]:
        """Who wrote what stands behind the committed end."""
        start = self._end(self._committed, topic, partition)
        self._written.assign([TopicPartition(topic, partition, start)])
        found: set[str] = set()
        deadline = time.monotonic() + _SECONDS_MAX
        while time.monotonic() < deadline:
            for message in next_batch(self._written, _RECORDS, _POLL_SECONDS):
                error = message.error()
                if error is None:
                    found.update(
                        value.decode() for name, value in message.headers() or () if name == WRITER_HEADER
                    )
                elif error.code() == KafkaError._PARTITION_EOF:
                    return found
        raise LinkError(f"expected to read {topic}/{partition} to its end, found silence")
