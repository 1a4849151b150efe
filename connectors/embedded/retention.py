"""Retention of the embedded log: what is too old or too much, and what a later record of its key replaced.

Owns: which records may go. Assumes: the thread that owns the log; `step` is called now and then.
Guarantees: each step is a small, bounded, atomic part of the work; the last record of a partition always stays
(Faust's recovery waits for it, P6); a packed changelog record always stays (no later record replaces it); readers
find a later offset where a record went, and nothing else changes for them.
"""

import time
from collections.abc import Callable, Iterator

from rocksdict import WriteBatch

from connectors.embedded import layout
from connectors.embedded.contents import TopicDefinition
from connectors.embedded.layout import LogRecord
from connectors.embedded.log import EmbeddedLog
from schemas.changelog import PACKED_KEY

SLICE_RECORDS_MAX = 500
SLICE_BYTES_MAX = 1024 * 1024
"""Most of a topic that one step looks at."""

COMPACT_RECORDS_MIN = 1_000
"""New records in a partition before it is compacted again (or half of what is left in it, where that is more)."""

KEYS_MAX = 100_000
"""Most keys that are held in memory while a partition is compacted; the rest waits for the next pass."""

REMOVAL_SECONDS = 3_600
"""How long the record that removes a key stays, for readers of a changelog that are behind."""

_GROUP = "retention"
_SECOND = 1_000_000_000


class Retention:
    """Goes round the topics of a log, a slice a step.

    `needed_from` says from which offset on records of a topic and partition are still to be read (None: from none):
    those stay, however old they are.
    """

    def __init__(
        self,
        log: EmbeddedLog,
        clock: Callable[[], int] = time.time_ns,
        needed_from: Callable[[str, int], int | None] = lambda topic, partition: None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._needed_from = needed_from
        self._kept: dict[tuple[str, int], int] = {}
        self._work = self._round()

    def step(self) -> int | None:
        """Do a slice of the work; returns the records removed, or None where a round is finished.

        Raises CommitError where a removal could not be written; nothing is removed then.
        """
        for removed in self._work:
            return removed
        self._work = self._round()
        return None

    def run_round(self) -> int:
        """Finish the round that was begun; returns the records removed."""
        removed = 0
        while (found := self.step()) is not None:
            removed += found
        return removed

    def _round(self) -> Iterator[int]:
        for topic in self._log.topics().values():
            for partition in range(topic.partitions):
                if topic.retention_seconds is not None or topic.retention_bytes is not None:
                    yield self._expire(topic, partition)
                if topic.compact:
                    yield from self._compact(topic, partition)

    # -- by time and by size --------------------------------------------------------------------------------------

    def _expire(self, topic: TopicDefinition, partition: int) -> int:
        end = self._log.end_offset(topic.name, partition)
        if end == 0:
            return 0
        start = self._log.start_offset(topic.name, partition)
        cut = start
        if topic.retention_seconds is not None:
            oldest = self._clock() - topic.retention_seconds * _SECOND
            cut = max(cut, self._first(topic, partition, start, lambda record: record.appended_at >= oldest))
        if topic.retention_bytes is not None:
            last = self._log.read(topic.name, partition, end - 1, 1, 1)
            bytes_max = topic.retention_bytes
            total = max((_bytes_through(record) for record in last), default=0)
            cut = max(
                cut,
                self._first(topic, partition, start, lambda record: total - record.bytes_before <= bytes_max),
            )
        needed = self._needed_from(topic.name, partition)
        cut = min(cut, end - 1, end if needed is None else needed)
        if cut <= start:
            return 0
        prefix = layout.log_prefix(topic.number, partition)
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(prefix + start.to_bytes(8, "big"), prefix + cut.to_bytes(8, "big"))
        self._log.remove(batch)
        return cut - start

    def _first(
        self, topic: TopicDefinition, partition: int, start: int, wanted: Callable[[LogRecord], bool]
    ) -> int:
        """The first offset from `start` on whose record is wanted, where those after it are wanted as well."""
        low, high = start, self._log.end_offset(topic.name, partition)
        while low < high:
            middle = (low + high) // 2
            found = self._log.read(topic.name, partition, middle, 1, 1)
            if found and not wanted(found[0]):
                low = found[0].offset + 1
            else:
                high = middle
        return low

    # -- by key ---------------------------------------------------------------------------------------------------

    def _compact(self, topic: TopicDefinition, partition: int) -> Iterator[int]:
        """Remove records that a later one of their key replaced, and removals that everybody has seen.

        The last record stays (P6): nothing replaced it, and a pass that begins has records after `clean`.
        """
        place = (topic.name, partition)
        clean = self._log.committed(_GROUP, *place) or 0
        end = self._log.end_offset(*place)
        if end - clean < max(COMPACT_RECORDS_MIN, self._kept.get(place, 0) // 2):
            return
        latest: dict[bytes, int] = {}
        until = clean
        while until < end and len(latest) < KEYS_MAX:
            records = self._slice(topic, partition, until)
            if not records:
                break
            for record in records:
                if _replaceable(record) and record.key is not None:
                    latest[record.key] = record.offset
                until = record.offset + 1
            yield 0
        oldest_removal = self._clock() - REMOVAL_SECONDS * _SECOND
        kept = offset = 0
        while offset < until:
            records = self._slice(topic, partition, offset)
            if not records:
                break
            gone = [
                record
                for record in records
                if record.offset < until
                and _replaceable(record)
                and (
                    record.offset < latest.get(record.key or b"", 0)
                    # What stood before a removal went in the pass that saw it, so the removal is not needed.
                    or (
                        record.value is None and record.offset < clean and record.appended_at < oldest_removal
                    )
                )
            ]
            offset = records[-1].offset + 1
            kept += len(records) - len(gone)
            yield self._remove(topic, partition, gone, until if offset >= until else None)
        self._kept[place] = kept

    def _slice(self, topic: TopicDefinition, partition: int, offset: int) -> list[LogRecord]:
        return self._log.read(topic.name, partition, offset, SLICE_RECORDS_MAX, SLICE_BYTES_MAX)

    def _remove(
        self, topic: TopicDefinition, partition: int, gone: list[LogRecord], clean: int | None
    ) -> int:
        """Remove records, and note up to where a partition is clean."""
        prefix = layout.log_prefix(topic.number, partition)
        batch = WriteBatch(raw_mode=True)
        for record in gone:
            batch.delete(prefix + record.offset.to_bytes(8, "big"))
        if clean is not None:
            batch.put(layout.offset_key(_GROUP, topic.name, partition), clean.to_bytes(8, "big"))
        if gone or clean is not None:
            self._log.remove(batch)
        return len(gone)


def _replaceable(record: LogRecord) -> bool:
    return record.key is not None and not record.key.startswith(PACKED_KEY)


def _bytes_through(record: LogRecord) -> int:
    """Bytes of a partition up to and with a record, as its stored form counts them."""
    stored = layout.encode_record(
        record.sequence, record.appended_at, record.bytes_before, record.key, record.value, record.headers
    )
    return layout.bytes_through(stored)
