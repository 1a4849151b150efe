"""Reading a cluster by Faust's own means: a member of a consumer group, on librdkafka in a thread of its own.

Owns: the member's subscription and assignment, what was fetched and not yet delivered, the group's metadata.
Assumes: who applies records commits their offsets in its transactions; Faust's own commits do nothing here.
Guarantees: every partition is delivered in order from its committed offset on, and each record says which offset
it follows, so that whoever applies it sees a gap; a partition is given up only after the step that runs has ended;
what waits between the cluster and the streams is bounded in records and bytes.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Consumer as Client
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types.tuples import TP, ConsumerMessage

from connectors.kafka.assignment import tell_assignment
from connectors.kafka.errors import LinkError, NameTakenError

FETCHED_RECORDS_MAX = 5_000
FETCHED_BYTES_MAX = 32 * 1024 * 1024
"""Most records and bytes that are fetched and not yet with the streams."""

_READ_RECORDS = 1_000
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 30.0
_YIELD_RECORDS = 100
_IDLE_SECONDS = 1.0
_NOTED_MILLISECONDS = 500

# A fatal error tells what caused it in words alone.
_NAME_TAKEN = "group.instance.id"

_logger = structlog.get_logger(__name__)


def _fatal(group: str, text: str) -> Exception:
    """What ended a member."""
    if _NAME_TAKEN in text:
        return NameTakenError(f"expected to be the one worker of its name in {group}, found another: {text}")
    return LinkError(f"expected to be a member of {group}, found: {text}")


class FollowingMessage(ConsumerMessage):  # type: ignore[misc]
    """A message that says at which offset it was looked for: the one after the record before it."""

    __slots__ = ("follows",)


class Consumer(FaustConsumer):  # type: ignore[misc]
    """A member of the group of its App."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.metadata: Any = None
        self._client: Client | None = None
        self._subscription: frozenset[str] = frozenset()
        self._assigned: set[Any] = set()
        self._positions: dict[Any, int] = {}
        self._fetched_to: dict[Any, int] = {}
        self._ends: dict[Any, int] = {}
        self._at_end: set[Any] = set()
        self._met_end: set[Any] = set()
        self._fetched: deque[Any] = deque()
        self._fetched_bytes = 0
        self._room = threading.Event()
        self._stopping = threading.Event()
        self._wakeup = asyncio.Event()
        self._noted: deque[TopicPartition] = deque()
        self._assigning: asyncio.Future[Any] | None = None
        self._thread: threading.Thread | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Become a member of the group."""
        transport = self.transport
        told = transport.link.consumer(
            self.app.conf.id,
            # Of what `note_consumed` is told, and of nothing else.
            enable_auto_commit=True,
            auto_commit_interval_ms=_NOTED_MILLISECONDS,
            enable_partition_eof=True,
            **transport.membership,
        )
        self._client = Client(told)
        self._room.set()

    async def on_stop(self) -> None:
        """Leave the group, after what is being applied."""
        await super().on_stop()
        self._stopping.set()
        self._room.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _REQUEST_SECONDS)
        if self._client is not None:
            # A static member keeps its place until its session ends: a restart takes over where it was.
            await asyncio.to_thread(self._client.close)
            self._client = None

    def close(self) -> None:
        """Stop fetching."""
        self._stopping.set()

    # -- the thread ---------------------------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for partitions of topics; they come by `_on_assigned`."""
        names = frozenset(topics)
        if names == self._subscription:
            return
        self._subscription = names
        if self._thread is None:
            self._thread = threading.Thread(target=self._poll, name=f"kafka-{self.app.conf.id}", daemon=True)
            self._thread.start()

    def _poll(self) -> None:
        client = self._client
        assert client is not None, "the member was made"
        try:
            client.subscribe(
                sorted(self._subscription),
                on_assign=self._on_assigned,
                on_revoke=self._on_revoked,
                on_lost=self._on_revoked,
            )
            while not self._stopping.is_set():
                if not self._room.wait(_POLL_SECONDS):
                    continue
                self._store_noted(client)
                first = client.poll(_POLL_SECONDS)
                if first is not None:
                    self._take(client, [first, *client.consume(_READ_RECORDS, 0.0)])
        except Exception as error:
            self.loop.call_soon_threadsafe(self._failed, error)

    def _failed(self, error: Exception) -> None:
        self.add_future(self.crash(error))

    def _take(self, client: Client, messages: list[Any]) -> None:
        grown: set[Any] = set()
        for message in messages:
            error = message.error()
            if error is None:
                tp = TP(message.topic(), message.partition())
                self._fetched.append(message)
                self._fetched_bytes += len(message)
                self._fetched_to[tp] = message.offset() + 1
                self._at_end.discard(tp)
                grown.add(tp)
            elif error.code() == KafkaError._PARTITION_EOF:
                tp = TP(message.topic(), message.partition())
                self._at_end.add(tp)
                self._met_end.add(tp)
            elif error.fatal() or error.code() == KafkaError._FATAL:
                raise _fatal(self.app.conf.id, error.str())
            else:
                _logger.warning("kafka consumer", group=self.app.conf.id, error=error.str())
        for tp in grown:
            # Asked here, for no other thread may ask the client for anything while a rebalance is answered.
            self._ends[tp] = client.get_watermark_offsets(TopicPartition(*tp), cached=True)[1]
        if len(self._fetched) >= FETCHED_RECORDS_MAX or self._fetched_bytes >= FETCHED_BYTES_MAX:
            self._room.clear()
        self.loop.call_soon_threadsafe(self._wakeup.set)

    def _in_loop(self, work: Awaitable[None]) -> None:
        """Run something of the App's and wait for it, in the thread of the member."""

        async def run() -> None:
            await work

        if not self.loop.is_closed():
            asyncio.run_coroutine_threadsafe(run(), self.loop).result()

    def _on_revoked(self, client: Client, places: list[TopicPartition]) -> None:
        # Waited for: the step that runs commits under the membership that it began with.
        self._in_loop(self._revoke())
        self._fetched.clear()
        self._fetched_bytes = 0
        self._room.set()

    def _on_assigned(self, client: Client, places: list[TopicPartition]) -> None:
        try:
            self._take_on(client, places)
        except Exception as error:  # raised from here it would leave `poll` as something that is no exception
            self._stopping.set()
            self.loop.call_soon_threadsafe(self._failed, error)

    def _take_on(self, client: Client, places: list[TopicPartition]) -> None:
        # Before the offsets are asked for: the cluster keeps them back while a transaction over them is open.
        self.app.take_over([place.partition for place in places])
        found = client.committed(places, _REQUEST_SECONDS) if places else []
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
            if place.offset < 0:
                place.offset = OFFSET_BEGINNING
        client.assign(found)
        metadata = client.consumer_group_metadata()
        positions = {TP(place.topic, place.partition): max(place.offset, 0) for place in found}
        self._in_loop(self._begin_assignment(positions, metadata))

    # -- rebalance, in the loop -----------------------------------------------------------------------------------

    async def _revoke(self) -> None:
        if self._assigning is not None:
            self._assigning.cancel()
            await asyncio.gather(self._assigning, return_exceptions=True)
            self._assigning = None
        self.app.on_rebalance_start()
        await self.app.step_ended()
        await self.on_partitions_revoked(set(self._assigned))
        self._assigned = set()
        self._positions = {}
        self._fetched_to = {}
        self._at_end.clear()
        self._met_end.clear()

    async def _begin_assignment(self, positions: Mapping[Any, int], metadata: Any) -> None:
        self.metadata = metadata
        # Tables are caught up beside the thread, which must go on polling.
        self._assigning = asyncio.ensure_future(self._assign(dict(positions)))
        self._assigning.add_done_callback(self._assignment_ended)

    def _assignment_ended(self, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self.add_future(self.crash(done.exception()))

    async def _assign(self, positions: dict[Any, int]) -> None:
        app = self.app
        if not app.rebalancing:
            app.on_rebalance_start()
        # Where its tables go on; what was fetched from before that is passed over in `_deliver`.
        self._positions = await app.restore_partitions(positions)
        self._assigned = set(positions)
        tell_assignment(app.assignor, self._assigned)
        # P5: streams skip every message of another generation.
        app.consumer_generation_id += 1
        await self.on_partitions_assigned(set(self._assigned), app.consumer_generation_id)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Let the streams finish."""
        self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        await self._on_partitions_revoked(revoked)

    def assignment(self) -> set[Any]:
        """The topic partitions of this member, as a copy."""
        return set(self._assigned)

    # -- delivery -------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look for records now."""
        self._wakeup.set()

    def resume_flow(self) -> None:
        """Deliver again."""
        super().resume_flow()
        self.wake()

    def resume_partitions(self, tps: Iterable[Any]) -> None:
        """Deliver these partitions again (P9: pausing is only a set, so the drain is woken)."""
        super().resume_partitions(tps)
        self.wake()

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand records to the streams until the fetcher stops."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                self._wakeup.clear()
                if not await self._deliver():
                    timer = self.loop.call_later(_IDLE_SECONDS, self._wakeup.set)
                    await self._wakeup.wait()
                    timer.cancel()
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _deliver(self) -> int:
        """Deliver what was fetched; returns the records."""
        count = 0
        while self._fetched and self.flow_active and not self.app.rebalancing:
            message = self._fetched[0]
            tp = TP(message.topic(), message.partition())
            if not self._has_room(tp):
                break
            self._fetched.popleft()
            self._fetched_bytes -= len(message)
            position = self._positions.get(tp)
            if position is None or message.offset() < position:
                continue  # fetched before the partition was given up
            self._positions[tp] = message.offset() + 1
            if tp not in self._paused_partitions:
                await self.callback(self._to_message(tp, message, position))
            count += 1
            if count % _YIELD_RECORDS == 0:
                await asyncio.sleep(0)
        if (
            not self._room.is_set()
            and len(self._fetched) < FETCHED_RECORDS_MAX // 2
            and self._fetched_bytes < FETCHED_BYTES_MAX // 2
        ):
            self._room.set()
        return count

    def _has_room(self, tp: Any) -> bool:
        """Whether every stream of a partition takes one more record; else its queue wakes the drain."""
        for channel in self.app.topics._tp_index.get(tp, ()):
            queue = channel.queue
            if queue.maxsize and queue.qsize() >= queue.maxsize:
                queue._pending_pressure_drop_callbacks.add(self.wake)
                return False
        return True

    def _to_message(self, tp: Any, message: Any, follows: int) -> Any:
        timestamp = message.timestamp()[1] / 1e3
        found = FollowingMessage(
            tp.topic,
            tp.partition,
            message.offset(),
            timestamp,
            0,
            message.headers(),
            message.key(),
            message.value(),
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        found.follows = follows
        return found

    # -- what Faust asks of a consumer ------------------------------------------------------------------------------

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[Any, list[Any]]:  # noqa: ASYNC109
        raise NotImplementedError("records are delivered by _drain_messages")

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        """Offsets are committed with the step that consumed them, and by nothing else."""
        return True

    def note_consumed(self, topic: str, consumed: Mapping[int, int]) -> None:
        """Let the group know in the background, for who watches its lag, how far partitions are consumed."""
        self._noted.extend(TopicPartition(topic, *place) for place in consumed.items())

    def _store_noted(self, client: Client) -> None:
        # By the thread that polls: in another one it would wait for ever.
        places = [self._noted.popleft() for _ in range(len(self._noted))]
        if places:
            with contextlib.suppress(KafkaException):  # a partition that was lost meanwhile
                client.store_offsets(offsets=places)

    async def seek_to_committed(self) -> Mapping[Any, int | None]:
        """Where each partition goes on: set when it was assigned."""
        return dict(self._positions)

    async def seek_wait(self, partitions: Mapping[Any, int]) -> None:
        """Positions follow the assignment alone."""

    async def _seek(self, partition: Any, offset: int) -> None:
        """Positions follow the assignment alone."""

    async def seek_to_beginning(self, *partitions: Any) -> None:
        """Positions follow the assignment alone."""

    async def position(self, tp: Any) -> int | None:
        """The offset that is delivered next."""
        return self._positions.get(tp)

    def met_end(self, tp: Any) -> bool:
        """Whether the end of a partition was met since it was assigned."""
        return tp in self._met_end

    def lag(self, tp: Any, applied: int) -> int:
        """Records from `applied` on that wait; before the end is met, as the last fetch saw it, with commit marks."""
        if tp in self._at_end and applied >= self._fetched_to.get(tp, 0):
            return 0
        return max(1, self.highwater(tp) - applied)

    def highwater(self, tp: Any) -> int:
        """The end of a partition as the last fetch saw it."""
        return self._ends.get(tp, 0)

    async def highwaters(self, *partitions: Any) -> Mapping[Any, int]:
        """The ends of partitions."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: Any) -> Mapping[Any, int]:
        """The first offsets."""
        return dict.fromkeys(partitions, 0)

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has."""
        return self.transport.partitions_of(topic)  # type: ignore[no-any-return]

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """The partition of a key."""
        if partition is not None:
            return partition
        return None if key is None else int(self.app.producer.key_partition(topic, key).partition)

    def _new_topicpartition(self, topic: str, partition: int) -> Any:
        return TP(topic, partition)

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Make a topic where there is none."""
        await self.app.producer.create_topic(topic, partitions, replication, **options)

    def verify_recovery_event_path(self, now: float, tp: Any) -> None:
        """Tables are caught up before Faust takes part."""
