"""A transaction of the embedded log: records, table entries and offsets, in one atomic batch.

Assumes: one transaction at a time is begun and committed; one that another came between is refused.
Guarantees: nothing is visible before `commit` returns, and all of it after; who listens to the log is told then.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rocksdict import WriteBatch

from connectors.embedded import layout
from connectors.embedded.contents import End, TopicPartition
from connectors.embedded.errors import CommitError
from connectors.embedded.layout import Headers, LogRecord

if TYPE_CHECKING:
    from connectors.embedded.log import EmbeddedLog


class EmbeddedTransaction:
    """What one step writes: records, table entries and offsets, in one atomic batch."""

    __slots__ = ("_batch", "_ends", "_log", "_now", "_sequence", "_tails")

    def __init__(self, log: "EmbeddedLog") -> None:
        self._log = log
        self._batch = WriteBatch(raw_mode=True)
        self._ends: dict[TopicPartition, tuple[int, End]] = {}
        self._tails: dict[TopicPartition, list[LogRecord]] = {}
        self._sequence = log.sequence
        # Commits are told apart by their time, also while the clock stands behind it.
        self._now = max(log._clock(), log.appended_at + 1)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        appended_at: int | None = None,
    ) -> int:
        """Add a record; returns the offset that it gets by `commit`."""
        place = (topic, partition)
        ends = self._ends.get(place)
        if ends is None:
            known = self._log._ends.get(place)
            if known is None:
                raise CommitError(f"expected a topic partition of this log, found {topic}/{partition}")
            ends = self._ends[place] = (known.offset, End(known.offset, known.bytes))
        end = ends[1]
        self._sequence += 1
        at = self._now if appended_at is None else appended_at
        stored = layout.encode_record(self._sequence, at, end.bytes, key, value, headers)
        offset = end.offset
        if place in self._log.tails:
            record = LogRecord(
                topic, partition, offset, self._sequence, at, end.bytes, key, value, tuple(headers)
            )
            self._tails.setdefault(place, []).append(record)
        self._batch.put(self._log._prefixes[place] + offset.to_bytes(8, "big"), stored)
        end.offset = offset + 1
        end.bytes += len(stored)
        return offset

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of a table."""
        self._batch.put(self._log._table_prefix(table, partition) + key, value)

    def delete(self, table: str, partition: int, key: bytes) -> None:
        """Remove a key of a table."""
        self._batch.delete(self._log._table_prefix(table, partition) + key)

    def put_all(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys of a table, and remove those whose value is None."""
        prefix = self._log._table_prefix(table, partition)
        put, delete = self._batch.put, self._batch.delete
        for key, value in changes.items():
            if value is None:
                delete(prefix + key)
            else:
                put(prefix + key, value)

    def commit_offset(self, group: str, topic: str, partition: int, next_offset: int) -> None:
        """Set where a group goes on in a topic partition."""
        self._batch.put(layout.offset_key(group, topic, partition), next_offset.to_bytes(8, "big"))

    def commit(self) -> int:
        """Write it all, atomically; returns the sequence of the log after it.

        Raises CommitError where the write failed or another transaction came between; nothing is written then.
        """
        log = self._log
        for place, (base, _) in self._ends.items():
            if log._ends[place].offset != base:
                raise CommitError(
                    f"expected the end of {place[0]}/{place[1]} at {base}, found {log._ends[place].offset}: another "
                    "transaction was committed in between; begin again"
                )
        if self._sequence != log.sequence + sum(end.offset - base for base, end in self._ends.values()):
            raise CommitError("expected no commit since this transaction began, found one; begin again")
        log.write(self._batch)
        for place, records in self._tails.items():
            log.tails.add(place, records)
        log.committed_to({place: end for place, (_, end) in self._ends.items()}, self._sequence, self._now)
        return self._sequence
