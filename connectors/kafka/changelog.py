"""Catching a table partition up from its changelog on the cluster.

Guarantees: records that do not count (`connectors.kafka.succession`) change nothing; a batch of records and the note of
the last one are one write of the local database, so that a crash in the middle goes on where it was; a changelog that
was cut, one that was made anew, and a local table that is ahead of it, are errors.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.embedded.log import EmbeddedLog
from connectors.kafka.asking import asked
from connectors.kafka.batches import next_batch
from connectors.kafka.errors import ChangelogError, LinkError
from connectors.kafka.link import Link
from connectors.kafka.provenance import missing_notes
from connectors.kafka.succession import OWNER_KEY, Succession
from connectors.kafka.topics import topic_identities
from schemas.changelog import RESTORED_KEY, decode_offset, encode_offset

READ_KEY = b"\x00read"
"""Where a table partition notes the end of its changelog, marks of commits included, up to which it was read."""

_RECORDS_MAX = 2_000
_WAIT_SECONDS = 0.2
_SILENCE_SECONDS_MAX = 90.0
"""Longer than a transaction may be open: what was written after it is not shown before."""

Progress = Callable[[int, int], None]
"""Called with the next offset to restore and the end."""


def watermarks(
    consumer: Consumer, place: TopicPartition, seconds: float = _SILENCE_SECONDS_MAX
) -> tuple[int, int]:
    """The first offset of a partition and its end, as the consumer may see them. Raises LinkError after `seconds`."""

    def question(wait: float) -> tuple[int, int]:
        try:
            low, high = consumer.get_watermark_offsets(place, wait)
        except KafkaException:
            # The library goes on asking a leader that was lost until it is told who leads now.
            with contextlib.suppress(KafkaException):
                consumer.list_topics(place.topic, wait)
            raise
        return int(low), int(high)

    return asked(question, f"the bounds of {place.topic}/{place.partition}", seconds)


class ChangelogReader:
    """Follows the changelog of one table, partition by partition; standbys and owners catch up by it."""

    def __init__(
        self,
        link: Link,
        *,
        group: str,
        topic: str,
        table: str,
        state: EmbeddedLog,
        identity: str = "",
        fetch_wait_milliseconds: int = 5,
    ) -> None:
        """`identity` is the cluster's of the changelog, where it is known. The end of a changelog is told after an empty
        fetch, which so takes `fetch_wait_milliseconds`."""
        self._link = link
        self._topic = topic
        self._table = table
        self._state = state
        self._identity = {topic: identity} if identity else {}
        self._successions: dict[int, Succession] = {}
        # Where a record that comes next is missing, a table must not go on with another one.
        self._told = link.consumer(
            f"{group}-restore",
            enable_partition_eof=True,
            auto_offset_reset="error",
            fetch_wait_max_ms=fetch_wait_milliseconds,
        )

    @cached_property
    def _consumer(self) -> Consumer:
        # Whose table lacks nothing needs none.
        return Consumer(self._told)

    def identities(self, topics: Sequence[str]) -> dict[str, str]:
        """What the cluster says these topics are now, and the changelog, against which tables are held. Raises LinkError."""
        found = topic_identities(self._link, [*topics, self._topic])
        self._identity = {self._topic: found.pop(self._topic)}
        return found

    def _check_made(self, partition: int) -> None:
        """Hold a table against the changelog that is there; a table that notes none has begun with it."""
        if not self._identity:
            self.identities([])
        notes = missing_notes(
            lambda key: self._state.get(self._table, partition, key),
            self._identity,
            f"{self._state.folder}",
            "restore the cluster's backup, or remove this folder",
        )
        if notes:
            transaction = self._state.transaction()
            transaction.put_all(self._table, partition, notes)
            transaction.commit()

    def holds(self, partition: int, end: int) -> bool:
        """Whether it is noted that a local table partition holds what its changelog has before `end`. Raises ChangelogError."""
        self._check_made(partition)
        return self._state.get(self._table, partition, READ_KEY) == encode_offset(end)

    def note_held(self, partition: int, end: int) -> None:
        """Note that, after `catch_up`, of a changelog that ended there before."""
        transaction = self._state.transaction()
        transaction.put(self._table, partition, READ_KEY, encode_offset(end))
        transaction.commit()

    def restored(self, partition: int) -> int:
        """The offset of the next record that a local table partition needs."""
        stored = self._state.get(self._table, partition, RESTORED_KEY)
        return 0 if stored is None else decode_offset(stored) + 1

    def owner(self, partition: int) -> bytes | None:
        """The token of the owner that last announced itself, as far as the local table has come."""
        return self._state.get(self._table, partition, OWNER_KEY)

    def read_on(self, partition: int, through: int) -> bytes | None:
        """Catch up through an offset; returns the token of the owner then."""
        self.catch_up(partition, through=through)
        return self.owner(partition)

    def catch_up(self, partition: int, progress: Progress | None = None, *, through: int = -1) -> int:
        """Apply everything that is committed, and at least the record at `through`; returns the records.

        Raises ChangelogError and LinkError.
        """
        self._check_made(partition)
        place = TopicPartition(self._topic, partition)
        low, high = watermarks(self._consumer, place)
        start = self.restored(partition)
        if start > high or start < low:
            raise ChangelogError(
                f"{self._state.folder}: expected {self._topic}/{partition} to hold record {start}, which comes next, "
                f"found {low} to {high}: "
                + (
                    "the changelog lost records; restore the cluster's backup"
                    if start > high
                    else "it was cut; remove this folder"
                )
            )
        self._successions[partition] = Succession(self.owner(partition))
        self._consumer.assign([TopicPartition(self._topic, partition, start)])
        try:
            return self._read_to_the_end(partition, through, high, progress)
        finally:
            self._consumer.unassign()

    def _read_to_the_end(self, partition: int, through: int, high: int, progress: Progress | None) -> int:
        count, read, heard = 0, self.restored(partition), time.monotonic()
        while True:
            found, at_end = self._consume(_WAIT_SECONDS)
            if records := found.get(partition):
                heard = time.monotonic()
                read = records[-1].offset() + 1
                count += self._apply(partition, records)
                if progress is not None:
                    progress(read, high)
            elif time.monotonic() - heard > _SILENCE_SECONDS_MAX:
                raise LinkError(
                    f"expected records of {self._topic}/{partition} up to {max(high, through)}, found silence"
                )
            if at_end and read > through:
                return count

    def _consume(self, wait_seconds: float) -> tuple[dict[int, list[Message]], bool]:
        """Records by partition, and whether the end of one was met."""
        found: dict[int, list[Message]] = {}
        at_end = False
        for message in next_batch(self._consumer, _RECORDS_MAX, wait_seconds):
            error = message.error()
            if error is None:
                found.setdefault(message.partition(), []).append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end = True
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise ChangelogError(
                    f"{self._state.folder}: expected {self._topic}/{message.partition()} to hold record "
                    f"{self.restored(message.partition())}, which comes next, found: {error.str()}"
                )
            elif error.fatal():
                raise LinkError(f"expected records of {self._topic}, found: {error.str()}")
        return found, at_end

    def follow(self, partitions: Collection[int]) -> None:
        """Read the changelogs of these partitions from now on, each from the record that its table needs; see `poll`.

        Raises ChangelogError and LinkError.
        """
        for partition in partitions:
            self._check_made(partition)
        self._successions = {partition: Succession(self.owner(partition)) for partition in partitions}
        if partitions:
            self._consumer.assign(
                [
                    TopicPartition(self._topic, partition, self.restored(partition))
                    for partition in sorted(partitions)
                ]
            )
        else:
            self._consumer.unassign()

    def poll(self, wait_seconds: float) -> dict[int, int]:
        """Apply what came of the partitions that are followed; returns the records by partition.

        Raises LinkError, and ChangelogError where a record that a table needs is not there.
        """
        found, _ = self._consume(wait_seconds)
        return {partition: self._apply(partition, records) for partition, records in found.items()}

    def lag(self, partition: int) -> int:
        """How many records a followed partition is behind, as far as the last fetch saw; markers of commits count."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
        position = self._consumer.position([TopicPartition(self._topic, partition)])[0].offset
        return max(int(high) - max(int(position), self.restored(partition)), 0)

    def _apply(self, partition: int, records: list[Message]) -> int:
        changes: dict[bytes, bytes | None] = {}
        whole = None
        succession = self._successions[partition]
        for message in records:
            changes.update(succession.take(message.key() or b"", message.value()))
            if not succession.inside_a_step:
                whole = message.offset()
        if whole is None:
            return len(records)
        transaction = self._state.transaction()
        transaction.put_all(self._table, partition, changes)
        if succession.owner is not None:
            transaction.put(self._table, partition, OWNER_KEY, succession.owner)
        # A step that has begun is read again, from its first record, by whoever goes on from here.
        transaction.put(self._table, partition, RESTORED_KEY, encode_offset(whole))
        transaction.commit()
        return len(records)

    def close(self) -> None:
        """Let the consumer go."""
        if "_consumer" in self.__dict__:
            self._consumer.close()
