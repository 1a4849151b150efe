"""What a sink reads of a cluster: its topics, as a consumer group of its own, in batches that are bounded.

Owns: the sink's member of the group, and its places.
Guarantees: records of a partition come in order and without a gap, committed ones only; one process at a time has a
sink; a changelog comes step by step, each as one record in the form of the embedded log. Partitions have no order among
each other.
"""

import asyncio
import contextlib
import threading
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.embedded.layout import LogRecord
from connectors.kafka.errors import KafkaLogError
from connectors.kafka.follower import Arrived, BeyondEndError, End, Follower
from connectors.kafka.link import Link
from connectors.kafka.reader import KafkaRecord, TopicReader
from connectors.kafka.steps import ChangelogStep, StepReader
from connectors.kafka.succession import token_of
from connectors.kafka.topics import look_at
from connectors.kafka.turn import Turn
from connectors.sink import Batch, Item, TopicPartition, Unavailable
from schemas import topics
from schemas.changelog import PACKED_KEY, pack_changes
from topology.cluster.places import identity_of
from topology.sinks.feed import BATCH_BYTES_MAX, FeedFault, in_generation, items_of, of_generation

READ_RECORDS_MAX = 1_000
"""Records that are taken from the client at a time, and most that wait here."""

WAIT_SECONDS = 0.2
_TURN_SECONDS = 0.5
_FIRST_LOOK_SECONDS = 10.0
_IDLE_SECONDS = 1.0
"""Without a record for so long, places that moved past marks of commits alone are noted as well."""

_GENERATION_MIN = 1 << 20
_STEP_PLACE = bytes(20)
"""Where the embedded log has what a step consumed, which no sink of a cluster asks for."""


def generation_of(cluster: str) -> int:
    """The number under which a sink keeps its places in a cluster: those of a data folder, or of another cluster, are
    not taken for them."""
    return _GENERATION_MIN + zlib.crc32(cluster.encode()) % (1 << 30)


class ClusterFeed:
    """The records of a cluster that a sink has still to write; `generation` is under what places of it are kept."""

    def __init__(
        self, link: Link, names: Sequence[str], *, sink: str, events_max: int, membership: Mapping[str, Any]
    ) -> None:
        found = look_at(link)
        self.partitions = {
            name: found.partitions[link.topic(name)] for name in names if link.topic(name) in found.partitions
        }
        self.generation = generation_of(identity_of(found.cluster, link))
        self._link = link
        self._group = f"pks-sink-{sink}"
        self.events_max = events_max
        self._membership = membership
        self._turn: Turn | None = None
        self._follower = Follower(link, self._group)
        self._reader = TopicReader(link, self._group)
        self._places: dict[TopicPartition, int] = {}
        self._read_to: dict[TopicPartition, int] = {}
        self._steps: dict[TopicPartition, StepReader] = {}
        self._waiting: deque[Arrived | End] = deque()
        self._begin_at: Mapping[TopicPartition, int] | None = None
        self._oldest = 0
        self._moved_at = 0.0
        self._noted: Mapping[TopicPartition, int] = {}
        # A read that nobody waits for any more goes on for a moment beside what comes next.
        self._asking = threading.Lock()
        self._closed = False

    # -- whose turn it is ---------------------------------------------------------------------------------------

    @property
    def mine(self) -> bool:
        """Whether this process has the sink."""
        return self._turn is not None and self._turn.mine

    async def claim(self) -> None:
        """Wait until this process has the sink. Raises Unavailable."""
        while not self.mine:
            await self._ask(self._hear, _TURN_SECONDS)

    def _hear(self, seconds: float) -> None:
        with self._asking:
            self._listen(seconds)

    def _listen(self, seconds: float) -> None:
        if self._closed:
            return
        if self._turn is None:
            self._turn = Turn(self._link, self._group, topics.BOOKS.name, self._membership)
        try:
            self._turn.listen(seconds)
        except KafkaLogError:
            # A member that the cluster has refused for good is made anew.
            turn, self._turn = self._turn, None
            turn.close()
            raise

    def look(self) -> None:
        """Hear what the cluster says, though nothing is taken: a member that is silent for minutes loses its turn."""
        # Whoever reads hears it anyway.
        if self._turn is not None and self._asking.acquire(blocking=False):
            try:
                with contextlib.suppress(KafkaLogError):
                    self._turn.listen(0.0)
            finally:
                self._asking.release()

    async def _ask(self, question: Any, *arguments: Any) -> Any:
        """What a call to the cluster gives, beside the loop. Raises Unavailable."""
        try:
            return await asyncio.to_thread(question, *arguments)
        except BeyondEndError as error:
            raise FeedFault(
                f"{self._link.brokers}: expected {error}, which the far side has: the cluster is another one or an older "
                "copy (docs/operating/sink-ahead.md)"
            ) from error
        except KafkaLogError as error:
            raise Unavailable(f"Kafka: {error}") from error

    # -- where it goes on ---------------------------------------------------------------------------------------

    async def kept(self, sink: str) -> dict[TopicPartition, int]:
        """Where the group goes on."""
        assert self._turn is not None, "claimed before"
        found: dict[TopicPartition, int] = await self._ask(self._turn.offsets, self._partitions())
        return {(in_generation(topic, self.generation), at): offset for (topic, at), offset in found.items()}

    async def keep(self, sink: str, offsets: Mapping[TopicPartition, int], *, decides: bool) -> None:
        """Note where the sink goes on, in the group; where that does not decide (the far side's own note does) it is for
        who watches its lag, and may fail."""
        assert self._turn is not None, "claimed before"
        moved = {place: offset for place, offset in offsets.items() if self._noted.get(place) != offset}
        try:
            await self._ask(self._turn.commit, self._plain(moved))
        except Unavailable:
            if decides or not self.mine:
                raise
            return
        self._noted = dict(offsets)

    async def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets; partitions that are not named begin at their first record.

        Places of another cluster, or of a data folder, are not named: all is written again. Raises FeedFault where the
        cluster ends before them, Unavailable.
        """
        self._oldest = 0
        self._noted = {}
        self.rewind(dict.fromkeys(self._named(self._partitions()), 0) | dict(offsets))
        await self._begun()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _FIRST_LOOK_SECONDS
        while loop.time() < deadline and self.behind()[0]:
            if any(isinstance(each, Arrived) for each in self._waiting):
                return
            self._items()  # the ends of partitions, which move places
            await self._ask(self._read)

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """What was handed on from these offsets on is not confirmed."""
        self._places |= self._plain(offsets)
        self._begin_at = dict(self._places)
        self._oldest = self._oldest or _oldest_of(self._waiting)

    async def _begun(self) -> None:
        """Read from where it shall be read."""
        if self._begin_at is not None:
            await self._ask(self._begin, self._begin_at)
            self._begin_at = None

    def _begin(self, places: Mapping[TopicPartition, int]) -> None:
        with self._asking:
            if self._closed:
                return
            self._waiting.clear()
            self._follower.begin(places)
        self._read_to = dict(places)
        self._steps = {
            place: StepReader(offset, self._owner_before(place, offset))
            for place, offset in places.items()
            if place[0] not in topics.TOPIC_BY_NAME
        }

    def _owner_before(self, place: TopicPartition, offset: int) -> bytes | None:
        """The token in the last record before an offset of a changelog."""
        name, at = self._link.topic(place[0]), place[1]
        low, back = self._reader.bounds(name, at)[0], 1
        while offset - back >= low or back == 1:
            start = max(low, offset - back)
            before = self._reader.read(name, at, start, offset - start, 1 << 62) if start < offset else []
            keys = [record.key or b"" for record in before if record.offset < offset]
            if keys:
                return token_of(keys[-1])
            if start == low:
                break
            back *= 2
        return None

    def _partitions(self) -> list[TopicPartition]:
        return [(topic, partition) for topic, count in self.partitions.items() for partition in range(count)]

    def _named(self, places: Sequence[TopicPartition]) -> list[TopicPartition]:
        return [(in_generation(topic, self.generation), partition) for topic, partition in places]

    def _plain(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Offsets of this cluster, by the names of its topics."""
        found = {}
        for (name, partition), offset in offsets.items():
            topic, generation = of_generation(name)
            if generation == self.generation and topic in self.partitions:
                found[topic, partition] = offset
        return found

    # -- reading ------------------------------------------------------------------------------------------------

    async def next(self) -> Batch:
        """What waits, at least one event; where none comes, places that have moved. Raises Unavailable, FeedFault."""
        loop = asyncio.get_running_loop()
        self._moved_at = loop.time()
        while True:
            if not self.mine:
                raise Unavailable("Kafka: expected the turn to write, found that another process has it")
            await self._begun()
            before = dict(self._places)
            items = self._items()
            if items:
                self._oldest = items[0].appended_at
                return self._batch(items)
            if self._places != before:
                self._moved_at = loop.time()
            elif loop.time() - self._moved_at > _IDLE_SECONDS and self._plain(self._noted) != self._places:
                return self._batch([])
            await self._ask(self._read)

    def _batch(self, items: Sequence[Item]) -> Batch:
        named = {
            (in_generation(topic, self.generation), at): next_ for (topic, at), next_ in self._places.items()
        }
        return Batch(items, named)

    def _read(self) -> None:
        with self._asking:
            if self._closed:
                return
            self._listen(0.0)
            # Here, not by whoever waits for it, who may be interrupted.
            self._waiting.extend(self._follower.read(READ_RECORDS_MAX, WAIT_SECONDS))

    def _items(self) -> list[Item]:
        """Events of what waits here, up to a batch; places go with them."""
        items: list[Item] = []
        size = 0
        while self._waiting and len(items) < self.events_max and size < BATCH_BYTES_MAX:
            arrived = self._waiting.popleft()
            place = (arrived.topic, arrived.partition)
            steps = self._steps.get(place)
            if isinstance(arrived, End):
                self._read_to[place] = max(self._read_to[place], arrived.offset)
                found = (
                    []
                    if steps is None
                    else [self._item_of(place, step) for step in steps.end() if step.changes]
                )
            else:
                self._read_to[place] = arrived.offset + 1
                size += len(arrived.value or b"")
                found = self._items_of(place, arrived, steps)
            self._places[place] = self._read_to[place] if steps is None else steps.place
            items += found
        return items

    def _items_of(self, place: TopicPartition, arrived: Arrived, steps: StepReader | None) -> list[Item]:
        if steps is None:
            return items_of(_record_of(arrived), self.generation)
        ended = steps.take(arrived.offset, arrived.appended_at, arrived.key or b"", arrived.value)
        return [self._item_of(place, step) for step in ended if step.changes]

    def _item_of(self, place: TopicPartition, step: ChangelogStep) -> Item:
        packed = pack_changes([part for change in step.changes for part in change])
        event = (PACKED_KEY + _STEP_PLACE, packed)
        return Item(*place, step.offset, 0, 0, step.appended_at, event, "", self.generation)

    def behind(self) -> tuple[int, int]:
        """How many records are not handed on yet, marks of commits included, and when the oldest that is known was
        appended (0: none)."""
        places = list(self._read_to)
        ends = self._follower.ends(places)
        # Of a partition that was never fetched nobody knows whether it has anything.
        unread = sum(max(0, ends[place] - self._read_to[place]) if place in ends else 1 for place in places)
        # A copy: a read beside the loop adds to it.
        waiting = sum(1 for each in list(self._waiting) if isinstance(each, Arrived))
        if self._begin_at is not None:
            # From here on it is read again.
            unread = max(1, sum(max(0, ends.get(place, 0) - at) for place, at in self._begin_at.items()))
            return unread, self._oldest
        return unread + waiting, _oldest_of(self._waiting)

    def item(self, topic: str, partition: int, offset: int, index: int) -> Item | None:
        """An event by its place; None where it is no more, cannot be read, or is a step of a changelog."""
        name, generation = of_generation(topic)
        if generation != self.generation or name not in topics.TOPIC_BY_NAME:
            return None
        try:
            found = self._reader.read(self._link.topic(name), partition, offset, 1, 1)
        except KafkaLogError as error:
            raise Unavailable(f"Kafka: {error}") from error
        for record in found:
            if record.offset == offset:
                items = items_of(_record_of(_arrived(name, partition, record)), self.generation)
                return next((item for item in items if item.place == index), None)
        return None

    def close(self) -> None:
        """Let the cluster go, once a read beside the loop has ended: a consumer that is closed under it never answers."""
        with self._asking:
            self._closed = True
            self._follower.close()
            self._reader.close()
            if self._turn is not None:
                self._turn.close()


def _oldest_of(waiting: "deque[Arrived | End]") -> int:
    return next((each.appended_at for each in list(waiting) if isinstance(each, Arrived)), 0)


def _arrived(topic: str, partition: int, record: KafkaRecord) -> Arrived:
    return Arrived(topic, partition, record.offset, record.key, record.value, record.appended_at)


def _record_of(arrived: Arrived) -> LogRecord:
    """A record in the form of the embedded log; a cluster has no count over all partitions."""
    topic, partition, offset, key, value, appended_at = arrived
    return LogRecord(topic, partition, offset, 0, appended_at, 0, key, value, ())
