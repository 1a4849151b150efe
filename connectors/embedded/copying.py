"""Records copied into new topics of the same log, with the place that they have in it.

Owns: the offsets and byte counts of the copies, and the writes that hold them, `BATCH_BYTES` each.
Assumes: the owner of the log, to which nobody else writes meanwhile; copies come in rising `sequence`.
Guarantees: a copy keeps sequence, time, key and headers of its record, so that what was known at a point of the log is
known at the same point afterwards.
"""

from collections.abc import Mapping

from rocksdict import WriteBatch

from connectors.embedded import layout
from connectors.embedded.contents import End, TopicPartition
from connectors.embedded.layout import LogRecord
from connectors.embedded.log import EmbeddedLog

BATCH_BYTES = 4 * 1024 * 1024


class RecordCopies:
    """Copies on their way into new topics; `flush` writes what is left."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self._numbers: Mapping[str, int] = {name: topic.number for name, topic in log.topics().items()}
        self._ends: dict[TopicPartition, End] = {}
        self._batch = WriteBatch(raw_mode=True)
        self._bytes = 0

    def begin(self, topic: str, partition: int, offset: int) -> None:
        """Let the copies of a topic partition begin at an offset, as where older ones are gone."""
        self._ends[topic, partition] = End(offset, 0)

    def add(self, topic: str, partition: int, record: LogRecord, value: bytes | None) -> None:
        """Copy a record with a value of its own. Raises CommitError."""
        end = self._ends.setdefault((topic, partition), End(0, 0))
        stored = layout.encode_record(
            record.sequence, record.appended_at, end.bytes, record.key, value, record.headers
        )
        self._batch.put(layout.log_key_of(layout.LOG, self._numbers[topic], partition, end.offset), stored)
        end.offset += 1
        end.bytes += len(stored)
        self._bytes += len(stored)
        if self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is left; the log knows the ends of the copies then. Raises CommitError."""
        self._log.write(self._batch)
        self._batch, self._bytes = WriteBatch(raw_mode=True), 0
        ends = {place: End(end.offset, end.bytes) for place, end in self._ends.items()}
        self._log.committed_to(ends, self._log.sequence, self._log.appended_at)
