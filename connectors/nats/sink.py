"""The sink of NATS: every event that PKS publishes, on its subject, once.

Owns: what an event looks like on NATS, and how a sink that was interrupted goes on.
Guarantees: a message's id is the event id, which the server knows for two minutes; a batch whose confirmation was lost
is not published again after that either: on connecting the ids at the end of each stream are read, and what is there
is passed over. The runtime keeps the offsets, after a batch was confirmed.
What is older than its stream keeps is not published: a sink that is new, or begins again, does not flood it with history.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

import nats.errors
from nats.js import JetStreamContext, api

from connectors.nats.link import Complaints, Connection, NatsSettings, connect
from connectors.nats.publisher import Outgoing, Publisher
from connectors.nats.streams import ensure_streams
from connectors.sink import Batch, Item, Refused, TopicPartition, Unavailable
from schemas.frames import FRAME_EVENTS_MAX
from schemas.protobuf import encode_message
from schemas.subjects import EVENT, MESSAGE_ID, PUBLISHED, STREAM_OF_TOPIC, subject_of
from schemas.topics import TOPIC_BY_NAME
from schemas.valuation import told

NAME = "nats"
_TAIL_SECONDS = 5.0
_NANOSECONDS = 1_000_000_000


class NatsSink:
    """Publishes the events of the log."""

    name = NAME
    topics: Sequence[str] = tuple(topic.name for topic in PUBLISHED)
    keeps_offsets = False

    def __init__(self, settings: NatsSettings, *, batch_events_max: int, replicas: int = 1) -> None:
        self._settings = settings
        self._replicas = replicas
        # A batch ends with a whole frame.
        self._tail_messages = batch_events_max + FRAME_EVENTS_MAX
        self._client: Connection | None = None
        self._publisher: Publisher | None = None
        self._stored: set[str] = set()
        self._told = Complaints()
        self.passed_over = 0

    @property
    def complaints(self) -> Mapping[str, int]:
        """What the server said aside of any answer, by kind, over all connections."""
        return self._told.counts

    async def open(self) -> Mapping[TopicPartition, int]:
        """Connect, make the streams, and read what was published last. Raises Unavailable."""
        self._told.gone, self._told.denied = False, ""
        self._client = await connect(self._settings, "pks sink", self._told)
        try:
            jetstream = self._client.jetstream(timeout=_TAIL_SECONDS)
            await ensure_streams(jetstream, self._replicas)
            self._stored = set()
            for stream in set(STREAM_OF_TOPIC.values()):
                self._stored |= await _last_ids(jetstream, stream.name, self._tail_messages)
            self._publisher = Publisher(self._client, self._told)
            await self._publisher.open()
        except (OSError, nats.errors.Error) as error:
            found = self._told.denied or str(error) or type(error).__name__
            raise Unavailable(
                f"NATS: expected JetStream with streams to publish to, found: {found}"
            ) from error
        return {}

    async def write(self, batch: Batch) -> None:
        """Publish a batch; returns when the server has confirmed it. Raises Unavailable, Refused."""
        assert self._publisher is not None, "it was opened"
        messages = list(messages_of(batch.items, time.time_ns()))
        new = [message for message in messages if message.headers[MESSAGE_ID] not in self._stored]
        self.passed_over += len(messages) - len(new)
        await self._publisher.publish(new)

    @property
    def client(self) -> Connection:
        """The connection; between `open` and `close`."""
        assert self._client is not None, "it was opened"
        return self._client

    @property
    def duplicates(self) -> int:
        """Messages of this connection that the server had already."""
        return 0 if self._publisher is None else self._publisher.duplicates

    async def close(self) -> None:
        """Disconnect; never raises."""
        client, self._client, self._publisher = self._client, None, None
        if client is not None:
            await client.end()


def messages_of(items: Iterable[Item], now: int) -> Iterable[Outgoing]:
    """The messages of events, in their order; ticks of the clock, letters about NATS itself, and what its stream would
    not keep any more, have none. `now` in nanoseconds.

    Raises Refused for an event that has no message.
    """
    oldest = {
        topic: now - stream.retention_seconds * _NANOSECONDS if stream.retention_seconds else 0
        for topic, stream in STREAM_OF_TOPIC.items()
    }
    for item in items:
        if item.appended_at < oldest[item.topic]:
            continue
        for event in told(item.event):
            subject = subject_of(TOPIC_BY_NAME[item.topic], event)
            if subject is None or getattr(event, "stage", "") == f"sink {NAME}":
                continue
            try:
                payload = encode_message(event)
            except ValueError as error:
                raise Refused(f"expected an event that fits its message, found: {error}") from error
            yield Outgoing(subject, payload, {MESSAGE_ID: event.event_id, EVENT: type(event).__name__})


async def _last_ids(jetstream: JetStreamContext, stream: str, number: int) -> set[str]:
    """The ids of the last `number` messages of a stream."""
    state = (await jetstream.stream_info(stream)).state
    if not state.messages:
        return set()
    config = api.ConsumerConfig(
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=max(state.first_seq, state.last_seq - number + 1),
        ack_policy=api.AckPolicy.NONE,
        headers_only=True,
        inactive_threshold=30.0,
        mem_storage=True,
    )
    subscription = await jetstream.pull_subscribe(">", stream=stream, config=config)
    found: set[str] = set()
    try:
        while True:
            messages = await subscription.fetch(1_000, timeout=_TAIL_SECONDS)
            for message in messages:
                found.add((message.headers or {}).get(MESSAGE_ID, ""))
            if messages[-1].metadata.sequence.stream >= state.last_seq:
                return found
    finally:
        await subscription.unsubscribe()
