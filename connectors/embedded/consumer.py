"""Reading the embedded log by Faust's own means: assignment, positions, acknowledgement, flow.

Owns: one App's places in the log, what it was handed and what it has acknowledged.
Assumes: the App's event loop; appends may come from other threads, they only wake it.
Guarantees: each partition's records are delivered in order and without a gap from the committed offset on (a
gap that no retention made ends the App), one by one or in batches (`connectors.embedded.messages`); a commit never
passes a record that is not acknowledged; what waits between the log and the streams is bounded in records and bytes.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from faust.types.tuples import TP

from connectors.embedded.assignment import assign_all
from connectors.embedded.commits import whole_commits
from connectors.embedded.contents import TopicPartition
from connectors.embedded.layout import LogRecord
from connectors.embedded.messages import Batch, bounded, message_of
from connectors.embedded.places import Places
from connectors.embedded.shared import claim_group

READ_RECORDS_MAX = 500
READ_BYTES_MAX = 1024 * 1024
"""Most records and bytes of a partition that are read at once, before other partitions have their turn.

More bytes for a batch, where steps may grow with what waits: twice what they may grow to, over all partitions.
"""

WAITING_BYTES_MAX = 8 * 1024 * 1024
"""Most bytes of a partition that wait in a stream's queue, by the largest record among them."""

_YIELD_RECORDS = 100
_IDLE_SECONDS = 1.0
_REBALANCING_SECONDS = 0.002
"""Nothing tells when a rebalance ends, so until then the end is looked for this often."""


class Consumer(Places):
    """The one member of its group on the log."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._batched: frozenset[str] = getattr(self.app, "batched_topics", frozenset())
        self._subscription: frozenset[str] = frozenset()
        self._largest: dict[Any, int] = defaultdict(int)
        self._wakeup = asyncio.Event()
        self._looking = False
        self._rebalance_turn = asyncio.Lock()
        self._thread = threading.get_ident()
        self._leaving: list[Callable[[], object]] = []

    # -- life ---------------------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Become the member of the group, and hear of appends. Raises where the group has one (P12)."""
        self._thread = threading.get_ident()
        self._leaving = [
            claim_group(self._embedded, self._group),
            self._embedded.subscribe(self._on_appended),
        ]

    async def on_stop(self) -> None:
        """Commit what is acknowledged and leave the group."""
        await super().on_stop()
        self.close()

    def close(self) -> None:
        """Leave the group."""
        for leave in self._leaving:
            leave()
        self._leaving = []

    def _on_appended(self, grown: list[TopicPartition]) -> None:
        """Look for records once whoever appends is done: what it has applied itself, it passes over until then."""
        if self._looking:
            return
        subscription = self._subscription
        for topic, _ in grown:
            if topic in subscription:
                self._looking = True
                if threading.get_ident() == self._thread:
                    self.loop.call_soon(self._look)
                else:
                    self.loop.call_soon_threadsafe(self._look)
                return

    def _look(self) -> None:
        self._looking = False
        active = self._active_partitions
        full: str | None = None
        for tp in self._assigned if active is None else active:
            if tp[0] == full or self._positions.get(tp, 0) >= self._embedded.end_offset(*tp):
                continue
            if tp[0] in self._batched and self._room(tp) <= 0:
                # A batch of all its partitions waits, or nobody reads yet: the queue says when there is room.
                full = tp[0]
                continue
            self._wakeup.set()
            return

    def wake(self) -> None:
        """Look for records now; from any thread."""
        if threading.get_ident() == self._thread:
            self._wakeup.set()
        else:
            self.loop.call_soon_threadsafe(self._wakeup.set)

    # -- subscription and assignment ----------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take all partitions of topics; missing ones are made."""
        names = frozenset(topics)
        for name in names - self._embedded.topics().keys():
            self._embedded.create_topic(name, self.app.conf.topic_partitions)
        for name in names & self._batched:
            self._embedded.keep_tail(name)
        self._subscription = names
        # P4: Faust's part of an assignment waits until this call has returned.
        self.add_future(self._rebalance(names))

    async def _rebalance(self, topics: frozenset[str]) -> None:
        async with self._rebalance_turn:
            app = self.app
            app.on_rebalance_start()
            await self.on_partitions_revoked(set(self._assigned))
            self._assigned = assigned = assign_all(app.assignor, self._embedded, topics)
            await self.seek_to_committed()
            # P5: streams skip every message of another generation.
            app.consumer_generation_id += 1
            await self.on_partitions_assigned(set(assigned), app.consumer_generation_id)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Let the streams finish and commit; what they acknowledged until then counts.

        Faust's own forgets acknowledgements before it commits, so that every rebalance repeats records.
        """
        self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        await self._on_partitions_revoked(revoked)

    def assignment(self) -> set[Any]:
        """The topic partitions of this member, as a copy."""
        return set(self._assigned)

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has."""
        definition = self._embedded.topics().get(topic)
        return None if definition is None else definition.partitions

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

    # -- flow ---------------------------------------------------------------------------------------------------

    def stop_flow(self) -> None:
        """Deliver nothing until `resume_flow`."""
        super().stop_flow()
        self.wake()

    def resume_flow(self) -> None:
        """Deliver again."""
        super().resume_flow()
        self.wake()

    def resume_partitions(self, tps: Iterable[Any]) -> None:
        """Deliver these partitions again (P9: pausing is only a set, so the drain is woken)."""
        super().resume_partitions(tps)
        self.wake()

    def on_buffer_drop(self, tp: Any) -> None:
        """A stream's queue has room again."""
        super().on_buffer_drop(tp)
        self.wake()

    async def _getmany(  # the name and the arguments are Faust's
        self,
        active_partitions: set[Any] | None,
        timeout: float,  # noqa: ASYNC109
    ) -> dict[Any, list[LogRecord]]:
        """What waits in the active partitions, as far as there is room; {} when the flow stops or time is up."""
        self._wakeup.clear()
        found = self._read_waiting(active_partitions)
        if not found:
            await self._woken(_REBALANCING_SECONDS if self.app.rebalancing else timeout)
            found = self._read_waiting(active_partitions)
        return found

    async def _woken(self, seconds: float) -> None:
        timer = self.loop.call_later(seconds, self._wakeup.set)
        try:
            await self._wakeup.wait()
        finally:
            timer.cancel()

    def _read_waiting(self, active_partitions: set[Any] | None) -> dict[Any, list[LogRecord]]:
        found: dict[Any, list[LogRecord]] = {}
        if not self.flow_active:
            return found
        log = self._embedded
        # P1: while tables are recovered, the streams' queues will still be cleared; what they were given before
        # would be lost. Only changelogs are read until then.
        only = self.app.tables.changelog_topics if self.app.rebalancing else None
        for tp in self._assigned if active_partitions is None else tuple(active_partitions):
            position = self._positions.get(tp)
            if (
                position is None
                or position >= log.end_offset(*tp)
                or (only is not None and tp.topic not in only)
            ):
                continue
            room = self._room(tp)
            if room > 0:
                bytes_max = self._batch_read_bytes() if tp.topic in self._batched else READ_BYTES_MAX
                records = log.read(tp.topic, tp.partition, position, min(room, READ_RECORDS_MAX), bytes_max)
                if records:
                    found[tp] = records
        return whole_commits(found, {tp: log.end_offset(*tp) for tp in found})

    def _batch_read_bytes(self) -> int:
        grown: int = self.app.batch_backlog_bytes_max
        return max(READ_BYTES_MAX, 2 * grown // len(self._assigned))

    def _room(self, tp: Any) -> int:
        """How many more records the queues of a partition's streams take, in count and in bytes."""
        rooms = [READ_RECORDS_MAX]
        for channel in self.app.topics._tp_index.get(tp, ()):
            if not channel.is_iterator:
                return 0  # Nobody reads its queue yet; the stream that will takes its place.
            queue = channel.queue
            waiting = queue.qsize()
            rooms.append(queue.maxsize - waiting if queue.maxsize else READ_RECORDS_MAX)
            if not waiting:
                self._largest[tp] = 0
            elif tp[0] in self._batched:
                rooms.append(0)  # A batch waits; meanwhile the next one grows in the log.
            elif waiting * self._largest[tp] >= WAITING_BYTES_MAX:
                rooms.append(0)
            if rooms[-1] <= 0:
                # The queue tells those in this set when it is read from.
                queue._pending_pressure_drop_callbacks.add(self.wake)
        return min(rooms)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand records to the streams until the fetcher stops."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                found = await self._getmany(self._get_active_partitions(), _IDLE_SECONDS)
                batch = {tp: found.pop(tp) for tp in tuple(found) if tp.topic in self._batched}
                if batch:
                    await self._deliver_batch(batch)
                if found:
                    await self._deliver(found)
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _deliver(self, found: dict[Any, list[LogRecord]]) -> None:
        """In the order of the log, and pausing between commits only, so that streams see these whole."""
        seeks = self._seeks
        acknowledged = {tp: self.app.topics.acks_enabled_for(tp.topic) for tp in found}
        left: set[Any] = set()
        since_yield = appended_at = 0
        for record, tp in sorted(
            ((record, tp) for tp, records in found.items() for record in records),
            key=lambda pair: pair[0].sequence,
        ):
            if since_yield >= _YIELD_RECORDS and record.appended_at != appended_at:
                since_yield = 0
                await asyncio.sleep(0)
            if self._seeks != seeks or not self.flow_active:
                break
            if tp in self._paused_partitions:
                left.add(tp)
            if tp in left:
                continue
            self._step_over(tp, record, acknowledged[tp])
            await self.callback(self._to_message(tp, record))
            since_yield += 1
            appended_at = record.appended_at
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()

    async def _deliver_batch(self, found: dict[Any, list[LogRecord]]) -> None:
        """As one message, up to what a step takes; the rest is read again."""
        app = self.app
        records = bounded(found, app.batch_records_max, app.batch_bytes_max, app.batch_backlog_bytes_max)
        for tp, part in records.items():
            last = part[-1]
            self._check_position(tp, part[0], last.offset - len(part) + 1)
            # Before the callback: a seek while it waits must win.
            self._positions[tp] = last.offset + 1
            self._delivered[tp].append(last.offset)
        await self.callback(Batch(records, app.consumer_generation_id))

    def _step_over(self, tp: Any, record: LogRecord, acknowledged: bool) -> None:
        self._check_position(tp, record, record.offset)
        # Before the callback: a seek while it waits must win.
        self._positions[tp] = record.offset + 1
        if acknowledged:
            self._delivered[tp].append(record.offset)
        size = len(record.value or b"")
        if size > self._largest[tp]:
            self._largest[tp] = size

    def _to_message(self, tp: Any, record: LogRecord) -> Any:
        return message_of(tp, record, self.app.consumer_generation_id)

    def verify_recovery_event_path(self, now: float, tp: Any) -> None:
        """Nothing to verify: there is no connection that could hang."""
