"""Sending to the embedded log by Faust's own means: topics, table changelogs, requests and replies.

Guarantees: a message is in the log when `send` returns; its partition is that of Kafka's default partitioner
(murmur2 of the key; without a key, each in turn). The stages do not send by this: their outputs are part of
the one commit of a step.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from faust.exceptions import ImproperlyConfigured, ProducerSendError
from faust.transport.producer import Producer as FaustProducer
from faust.types.enums import ProcessingGuarantee
from faust.types.tuples import TP, RecordMetadata
from mode.utils.times import want_seconds

from connectors.embedded.errors import CommitError
from connectors.embedded.layout import Headers
from connectors.embedded.log import EmbeddedLog
from schemas.murmur2 import partition_of_key

TIMESTAMP_HEADER = "pks-timestamp"
"""Keeps the time that a sender gave its message: the log's own time says when it was appended."""

_NO_TRANSACTIONS = (
    "expected no Kafka transactions on embedded://, found one; the stages commit state, outputs and offsets in "
    "one write instead: set processing_guarantee to at_least_once"
)


class Producer(FaustProducer):  # type: ignore[misc]
    """Appends messages to the log, each in a commit of its own."""

    def __init__(self, transport: Any, **options: Any) -> None:
        conf = transport.app.conf
        if conf.processing_guarantee == ProcessingGuarantee.EXACTLY_ONCE:
            raise ImproperlyConfigured(_NO_TRANSACTIONS)
        if conf.producer_threaded:
            raise ImproperlyConfigured(
                "expected one thread that writes to embedded://, found producer_threaded; leave it off"
            )
        super().__init__(transport, **options)
        self._embedded: EmbeddedLog = self.transport.embedded
        self._turns: dict[str, int] = defaultdict(int)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[Any]:
        """Append a message; the result is done already."""
        if transactional_id is not None:
            raise ImproperlyConfigured(_NO_TRANSACTIONS)
        sent: asyncio.Future[Any] = self.loop.create_future()
        sent.set_result(self._append(topic, key, value, partition, timestamp, headers))
        return sent

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Any:
        """Append a message."""
        if transactional_id is not None:
            raise ImproperlyConfigured(_NO_TRANSACTIONS)
        return self._append(topic, key, value, partition, timestamp, headers)

    def _append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
    ) -> Any:
        log = self._embedded
        if topic not in log.topics():
            log.create_topic(topic, self.app.conf.topic_partitions)
        if partition is None:
            partition = self._partition_of(topic, key)
        try:
            transaction = log.transaction()
            offset = transaction.append(topic, partition, key, value, _pack_headers(headers, timestamp))
            transaction.commit()
        except CommitError as error:
            raise ProducerSendError(str(error)) from error
        appended = log.appended_at / 1e9 if timestamp is None else timestamp
        return RecordMetadata(topic, partition, TP(topic, partition), offset, appended, 0)

    def _partition_of(self, topic: str, key: bytes | None) -> int:
        partitions = self._embedded.topics()[topic].partitions
        if key is not None:
            return partition_of_key(key, partitions)
        self._turns[topic] += 1
        return self._turns[topic] % partitions

    def key_partition(self, topic: str, key: bytes) -> Any:
        """The topic partition of a key."""
        return TP(topic, self._partition_of(topic, key))

    async def flush(self) -> None:
        """Append what tables have sent and is still waiting."""
        await self.buffer.flush()

    async def create_topic(
        self, topic: str, partitions: int, replication: int, *, compacting: bool | None = None, **options: Any
    ) -> None:
        """Make a topic where there is none; one that exists keeps its partitions, as on Kafka."""
        if topic not in self._embedded.topics():
            retention = options.get("retention")
            self._embedded.create_topic(
                topic,
                partitions,
                retention_seconds=None if retention is None else int(want_seconds(retention)),
                compact=bool(compacting),
            )

    def supports_headers(self) -> bool:
        """The log keeps headers."""
        return True

    async def begin_transaction(self, transactional_id: str) -> None:
        """Refused."""
        raise ImproperlyConfigured(_NO_TRANSACTIONS)

    async def commit_transaction(self, transactional_id: str) -> None:
        """Refused."""
        raise ImproperlyConfigured(_NO_TRANSACTIONS)

    async def abort_transaction(self, transactional_id: str) -> None:
        """Refused."""
        raise ImproperlyConfigured(_NO_TRANSACTIONS)

    async def stop_transaction(self, transactional_id: str) -> None:
        """Refused."""
        raise ImproperlyConfigured(_NO_TRANSACTIONS)

    async def maybe_begin_transaction(self, transactional_id: str) -> None:
        """Refused."""
        raise ImproperlyConfigured(_NO_TRANSACTIONS)

    async def commit_transactions(self, *arguments: Any, **options: Any) -> None:
        """Refused."""
        raise ImproperlyConfigured(_NO_TRANSACTIONS)


def _pack_headers(headers: Any, timestamp: float | None) -> Headers:
    pairs: Iterable[tuple[str, Any]] = headers.items() if isinstance(headers, Mapping) else headers or ()
    packed = [(name, value if isinstance(value, bytes) else str(value).encode()) for name, value in pairs]
    if timestamp is not None:
        packed.append((TIMESTAMP_HEADER, repr(timestamp).encode()))
    return tuple(packed)
