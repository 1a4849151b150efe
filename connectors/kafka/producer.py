"""Sending to a cluster by Faust's own means: topics, requests and replies.

The stages do not send by this: their outputs are part of the transaction of a step.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from confluent_kafka import KafkaError, Message
from confluent_kafka import Producer as Client
from faust.exceptions import ProducerSendError
from faust.transport.producer import Producer as FaustProducer
from faust.types.tuples import TP, RecordMetadata

from connectors.kafka.topics import TopicPlan, ensure_topics
from schemas.murmur2 import partition_of_key

_FLUSH_SECONDS = 30.0
_POLL_SECONDS = 0.01


class Producer(FaustProducer):  # type: ignore[misc]
    """An idempotent producer; a message is acknowledged when all replicas have it."""

    def __init__(self, transport: Any, **options: Any) -> None:
        super().__init__(transport, **options)
        self._client = Client(self.transport.link.producer())

    async def on_start(self) -> None:
        """Serve delivery reports."""
        await super().on_start()
        self.add_future(self._serve())

    async def _serve(self) -> None:
        while not self.should_stop:
            self._client.poll(0.0)
            await self.sleep(_POLL_SECONDS)

    async def on_stop(self) -> None:
        """Wait until everything sent is acknowledged."""
        await super().on_stop()
        await asyncio.to_thread(self._client.flush, _FLUSH_SECONDS)

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
        """Send a message; the result is done when it is acknowledged."""
        sent: asyncio.Future[Any] = self.loop.create_future()
        if partition is None and key is not None:
            partition = self.key_partition(topic, key).partition
        loop = self.loop

        def report(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(_settle, sent, error, message)

        self._client.produce(
            topic,
            value,
            key,
            -1 if partition is None else partition,
            on_delivery=report,
            timestamp=int((timestamp or 0) * 1e3),
            headers=list(headers.items()) if isinstance(headers, dict) else headers,
        )
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
        """Send a message and wait for its acknowledgement."""
        return await (await self.send(topic, key, value, partition, timestamp, headers))

    async def flush(self) -> None:
        """Wait until everything sent is acknowledged."""
        await self.buffer.flush()
        await asyncio.to_thread(self._client.flush, _FLUSH_SECONDS)

    def key_partition(self, topic: str, key: bytes) -> Any:
        """The topic partition of a key."""
        return TP(topic, partition_of_key(key, self.transport.partitions_of(topic) or 1))

    async def create_topic(
        self, topic: str, partitions: int, replication: int, *, compacting: bool | None = None, **options: Any
    ) -> None:
        """Make a topic where there is none."""
        plan = TopicPlan(topic, partitions, compact=bool(compacting))
        await asyncio.to_thread(ensure_topics, self.transport.link, [plan], replicas=replication)

    def supports_headers(self) -> bool:
        """Kafka keeps headers."""
        return True


def _settle(sent: asyncio.Future[Any], error: KafkaError | None, message: Message) -> None:
    if sent.done():
        return
    if error is not None:
        sent.set_exception(ProducerSendError(error.str()))
        return
    topic, partition = message.topic(), message.partition()
    sent.set_result(
        RecordMetadata(
            topic, partition, TP(topic, partition), message.offset(), message.timestamp()[1] / 1e3, 0
        )
    )
