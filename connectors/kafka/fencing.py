"""Fencing at a takeover: who left a transaction open over a partition may not commit it any more.

Assumes: every changelog record names its writer, and every step writes one; the former owner has lost the partition.
Guarantees: after `fence_writers` no transaction is open over the partition, and whoever had one open is refused when
it commits; nobody is fenced whose transaction ends by itself within `_GRACE_SECONDS`, as it does after an orderly
handing over (the marks of a commit are written after it is answered). What stays open though its writer was fenced has
lost its marks; they are written as it was decided.
"""

import time

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from connectors.kafka.batches import next_batch
from connectors.kafka.changelog import watermarks
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link
from connectors.kafka.missing_marks import write_marks
from connectors.kafka.topics import partition_counts
from connectors.kafka.transaction_log import TRANSACTIONS_TOPIC, last_decision

WRITER_HEADER = "writer"

_GRACE_SECONDS = 1.0
_MARKS_SECONDS = 2.0
"""For so long the marks of a writer that was fenced may still be on their way."""

_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.02
_RECORDS = 10_000
_logger = structlog.get_logger(__name__)


def writer_headers(transactional_id: str) -> list[tuple[str, bytes]]:
    """What the changelog records of a writer say of it."""
    return [(WRITER_HEADER, transactional_id.encode())]


def fence_writers(
    link: Link, topic: str, partitions: list[int], *, group: str, input_topic: str
) -> list[str]:
    """End every transaction that is open over changelog partitions; returns the ids that were fenced.

    `group` and its `input_topic` are those whose offsets the writers commit. Raises LinkError where the brokers do not
    answer, or a transaction stays open.
    """
    fenced: list[str] = []
    with _Ends(link) as ends:
        still_open = ends.wait(topic, partitions, _GRACE_SECONDS)
        for partition in still_open:
            for writer in sorted(ends.writers(topic, partition) - set(fenced)):
                fence(link, writer)
                fenced.append(writer)
        still_open = ends.wait(topic, still_open, _MARKS_SECONDS)
        for partition in still_open:
            for writer in ends.writers(topic, partition) if ends.open_partitions(topic, [partition]) else ():
                _mark(link, ends, writer, (topic, partition), group, input_topic)
        still_open = ends.wait(topic, still_open, _SECONDS_MAX)
        if still_open:
            raise LinkError(
                f"expected the transactions over {topic}/{still_open[0]} to end after {', '.join(fenced) or 'nobody'} "
                f"was fenced, found one open for {_SECONDS_MAX:.0f} s (docs/operating/kafka-workers.md)"
            )
    return fenced


def _mark(
    link: Link, ends: "_Ends", writer: str, place: tuple[str, int], group: str, input_topic: str
) -> None:
    """Write what the last transaction of a fenced writer over a changelog partition lacks, there and elsewhere."""
    # Brokers do not name a topic that this client may not read.
    log_partitions = partition_counts(link).get(TRANSACTIONS_TOPIC)
    decision = None if log_partitions is None else last_decision(link, writer, *place, log_partitions)
    if decision is None:
        return
    places = [
        (topic, partition)
        for topic, partitions in decision.partitions.items()
        if not topic.startswith("__")
        for partition in ends.open_partitions(topic, partitions)
    ]
    _logger.warning(
        "marks of a transaction were missing",
        writer=writer,
        committed=decision.commit,
        places=[f"{topic}/{partition}" for topic, partition in places],
    )
    write_marks(link, writer, decision, places, changelog=place[0], group=group, input_topic=input_topic)


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

    def wait(self, topic: str, partitions: list[int], seconds: float) -> list[int]:
        """Those over which a transaction is open still after so long."""
        deadline = time.monotonic() + seconds
        while (still_open := self.open_partitions(topic, partitions)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            partitions = still_open
        return still_open

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
