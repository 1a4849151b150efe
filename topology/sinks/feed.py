"""What a sink reads: the log of a data folder, beside its owner, in batches that are bounded.

Owns: a secondary of the log, and the places of one sink in it.
Guarantees: records of a partition come in order and without a gap; with `sync = "group"` nothing is handed on that a
power cut could take out of the log again; reading costs the owner nothing but the pages that it has in memory anyway.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

import native
from connectors.embedded.commits import commits_read_whole
from connectors.embedded.database import database_folder
from connectors.embedded.layout import LogRecord
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.watermark import Note
from connectors.sink import Batch, Item, TopicPartition
from schemas.frames import BadEvent, wire
from schemas.topics import BOOKINGS, TOPIC_BY_NAME
from topology.sinks.status import read_offsets, write_offsets

NOTE_SECONDS = 0.002
"""Between two looks at how far the log is synced, which cost a read of 96 bytes."""

POLL_SECONDS = 0.005
"""Between two looks into the log itself, where nobody notes how far it is synced."""

READ_RECORDS_MAX = 5_000
READ_BYTES_MAX = 16 * 1024 * 1024
"""Most of a partition that is read at once: more than any commit has, so that none is cut."""

READ_BYTES = 4 * 1024 * 1024
READ_BYTES_MIN = 1024 * 1024
"""What is read at first, shared out to the partitions that have something, and the least of one: what a batch does not take
is read again."""

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of records after which a batch ends with the commit that it is in."""

SLICE_SECONDS = 0.003
"""How long a batch is made ready at a stretch; as long a pause follows, which is for the batch that is being written: what
the far side shall work on meanwhile comes first."""


GAP_SECONDS_MAX = 10.0
"""How long records may be missing before those that are there, in a view of the log that its owner moves files below."""


_BOOKED: Any = wire(BOOKINGS.event_classes[0])
_new = tuple.__new__
"""An item by position, without the call of Python that its class would make: frames hold thousands."""


class FeedFault(Exception):
    """The log does not have what the sink asks for next."""


class Feed:
    """The records that a sink has still to write.

    It is always its turn (`mine`): where two processes have one sink over a folder, the far side tells them apart.
    """

    mine = True

    def __init__(
        self, data: Path, topics: Sequence[str], *, events_max: int, durable_only: bool = True
    ) -> None:
        self._data = data
        self._topics = topics
        self.events_max = events_max
        self._durable_only = durable_only
        self._log = EmbeddedLog.reader(data)
        self._places: dict[TopicPartition, int] = {}
        self._seen = -1
        self._gap_since = 0.0

    @property
    def log(self) -> EmbeddedLog:
        """The secondary that is read."""
        return self._log

    async def claim(self) -> None:
        """Nobody else is waited for."""

    async def kept(self, sink: str) -> dict[TopicPartition, int]:
        """Where a sink goes on whose far side keeps no offsets."""
        return read_offsets(self._data, sink)

    async def keep(self, sink: str, offsets: Mapping[TopicPartition, int], *, decides: bool) -> None:
        """Note where a sink goes on, where that decides."""
        if decides:
            write_offsets(self._data, sink, offsets)

    async def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets, as `seek` says."""
        self.seek(offsets)

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets; partitions that are not named begin at their first record.

        Places of a log that was moved to another number of partitions since are not named: all is written again.

        Raises FeedFault where the log ends before them: it is another one, or an older copy.
        """
        self._log.catch_up()
        self._places = dict.fromkeys(self._partitions(), 0) | self._plain(offsets)
        for (topic, partition), offset in self._places.items():
            end = self._log.end_offset(topic, partition)
            if offset > end:
                raise FeedFault(
                    f"{self._data}: expected {topic}/{partition} up to offset {offset}, which the far side has, found "
                    f"it up to {end}: the log is another one or an older copy (docs/operating/sink-ahead.md)"
                )
        self._seen = -1

    def _partitions(self) -> list[TopicPartition]:
        known = self._log.topics()
        return [
            (topic, partition)
            for topic in self._topics
            if topic in known
            for partition in range(known[topic].partitions)
        ]

    def behind(self) -> tuple[int, int]:
        """How many records are not handed on yet, and when the oldest of them was appended (0: none)."""
        lag, oldest = 0, 0
        for (topic, partition), offset in self._places.items():
            waiting = self._log.end_offset(topic, partition) - offset
            if waiting > 0:
                lag += waiting
                first = self._log.read(topic, partition, offset, 1, 1)
                if first and (not oldest or first[0].appended_at < oldest):
                    oldest = first[0].appended_at
        return lag, oldest

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """What was handed on from these offsets on is not confirmed."""
        self._places |= self._plain(offsets)

    def _plain(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Offsets of this generation of the log, by the names that topics have in it."""
        found = {}
        for (name, partition), offset in offsets.items():
            topic, generation = of_generation(name)
            if generation == self._log.generation:
                found[topic, partition] = offset
        return found

    def item(self, topic: str, partition: int, offset: int, index: int) -> Item | None:
        """An event by its place; None where it is no more, or cannot be read."""
        name, generation = of_generation(topic)
        if generation != self._log.generation:
            return None
        for record in self._log.read(name, partition, offset, 1, 1):
            if record.offset == offset:
                return next((item for item in items_of(record, generation) if item.place == index), None)
        return None

    def look(self) -> None:
        """See what the owner has committed by now, though nothing is taken."""
        self._log.catch_up()

    async def next(self) -> Batch:
        """The records that wait, at least one; waits until there is one."""
        while True:
            batch = await self._read()
            if batch is not None:
                return batch
            await self._grown()

    async def _grown(self) -> None:
        """Wait until there is more to read than before, and have it read."""
        if self._gap_since:
            await asyncio.sleep(POLL_SECONDS)
            self._log.catch_up()
            return
        while self._durable_only:
            synced = self._synced()
            if synced > self._seen:
                self._log.catch_up()
                self._seen = synced
                return
            await asyncio.sleep(NOTE_SECONDS)
        await asyncio.sleep(POLL_SECONDS)
        self._log.catch_up()

    def _synced(self) -> int:
        return Note(self._data, database_folder(self._data)).sequence

    async def _read(self) -> Batch | None:
        for place in self._partitions():
            self._places.setdefault(place, 0)
        whole = self._whole()
        if not whole:
            return None
        items: list[Item] = []
        places = dict(self._places)
        generation = self._log.generation
        size = appended_at = 0
        slice_end = time.monotonic() + SLICE_SECONDS
        # One order over all partitions; a commit is not cut; what is left is read again.
        for record in sorted(chain.from_iterable(whole.values()), key=attrgetter("sequence")):
            if (
                len(items) >= self.events_max or size >= BATCH_BYTES_MAX
            ) and record.appended_at != appended_at:
                break
            if time.monotonic() >= slice_end:
                await asyncio.sleep(SLICE_SECONDS)
                slice_end = time.monotonic() + SLICE_SECONDS
            items += items_of(record, generation)
            places[record.topic, record.partition] = record.offset + 1
            appended_at = record.appended_at
            size += len(record.value or b"")
        self._places = places
        return Batch(
            items, {(in_generation(topic, generation), at): next_ for (topic, at), next_ in places.items()}
        )

    def _whole(self) -> dict[TopicPartition, list[LogRecord]]:
        """Records that wait, up to the last commit that was read whole; nothing where none waits, or one is missing."""
        ends = {place: self._log.end_offset(*place) for place in self._places}
        waiting = [place for place, offset in self._places.items() if offset < ends[place]]
        if not waiting:
            self._gap_since = 0.0
            return {}
        found: dict[TopicPartition, list[LogRecord]] = {}
        for bytes_max in (max(READ_BYTES // len(waiting), READ_BYTES_MIN), READ_BYTES_MAX):
            for place in waiting:
                offset = self._places[place]
                records = self._log.read(*place, offset, READ_RECORDS_MAX, bytes_max)
                if self._has_gap(*place, offset, records):
                    return {}
                if self._durable_only and records and records[-1].sequence > self._seen:
                    records = [record for record in records if record.sequence <= self._seen]
                    # What is synced ends with a commit.
                    ends[place] = records[-1].offset + 1 if records else offset
                if records:
                    found[place] = records
            whole = commits_read_whole(found, ends)
            if whole or not found:
                break
        self._gap_since = 0.0
        return whole or found

    def _has_gap(self, topic: str, partition: int, offset: int, records: list[LogRecord]) -> bool:
        """Whether a record is missing before one of these: they are read again. Raises FeedFault where it stays away.

        Retention takes records away at the front, and compaction anywhere: what went so is not missing.
        """
        if not records or records[-1].offset - offset == len(records) - 1:
            return False
        within = records[-1].offset - records[0].offset != len(records) - 1
        if self._log.topics()[topic].compact:
            return False
        if not within and self._log.start_offset(topic, partition) >= offset:
            return False
        now = time.monotonic()
        self._gap_since = self._gap_since or now
        if now - self._gap_since > GAP_SECONDS_MAX:
            raise FeedFault(
                f"{self._data}: expected every record of {topic}/{partition} from offset {offset} on, found "
                f"{records[0].offset} to {records[-1].offset} with a gap for {GAP_SECONDS_MAX:.0f} s: see whether the "
                "log is whole with `pks verify`"
            )
        return True

    def close(self) -> None:
        """Let the log go."""
        self._log.close()


def in_generation(topic: str, generation: int) -> str:
    """A topic as places name it: with the generation of a log that was moved."""
    return f"{topic}@{generation}" if generation else topic


def of_generation(name: str) -> tuple[str, int]:
    """The topic and generation that `in_generation` named."""
    topic, _, generation = name.rpartition("@")
    return (topic, int(generation)) if topic and generation.isdigit() else (name, 0)


def items_of(record: LogRecord, generation: int = 0) -> list[Item]:
    """The events of a record with their places. One that cannot be read is left out: its stage has set it aside."""
    topic = TOPIC_BY_NAME.get(record.topic)
    name, partition, offset = record.topic, record.partition, record.offset
    sequence, appended_at = record.sequence, record.appended_at
    if topic is None:
        whole = (record.key, record.value)
        return [Item(name, partition, offset, 0, sequence, appended_at, whole, "", generation)]
    frame = record.value or b""
    # None for a frame that is not as usual.
    read = native.frames(_BOOKED) if name == BOOKINGS.name else None
    try:
        events: Iterable[Any] = (read and read(frame)) or topic.codec.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        events = topic.codec.decode_each(frame)
    return [
        _new(Item, (name, partition, offset, place, sequence, appended_at, event, "", generation))
        for place, event in enumerate(events)
        if type(event) is not BadEvent
    ]
