"""Catching a table partition up from its changelog on the cluster.

Guarantees: a batch of records and the note of the last one are one write of the local database, so that a crash
in the middle goes on where it was; a changelog that was cut, and a local table that is ahead of it, are errors.
"""

import time
from collections.abc import Callable, Collection

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.embedded.log import EmbeddedLog
from connectors.kafka.errors import ChangelogError, LinkError
from connectors.kafka.link import Link
from schemas.changelog import RESTORED_KEY, changes_of, decode_offset, encode_offset

_RECORDS_MAX = 2_000
_WAIT_SECONDS = 0.02
_SILENCE_SECONDS_MAX = 60.0

_NO_LEADER = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
}

Progress = Callable[[int, int], None]
"""Called with the next offset to restore and the end."""


class ChangelogReader:
    """Follows the changelog of one table, partition by partition; standbys and owners catch up by it."""

    def __init__(self, link: Link, *, group: str, topic: str, table: str, state: EmbeddedLog) -> None:
        self._topic = topic
        self._table = table
        self._state = state
        # Where a record that comes next is missing, a table must not go on with another one.
        self._consumer = Consumer(
            link.consumer(f"{group}-restore", enable_partition_eof=True, auto_offset_reset="error")
        )

    def restored(self, partition: int) -> int:
        """The offset of the next record that a local table partition needs."""
        stored = self._state.get(self._table, partition, RESTORED_KEY)
        return 0 if stored is None else decode_offset(stored) + 1

    def catch_up(self, partition: int, progress: Progress | None = None) -> int:
        """Apply everything that is committed; returns the records. Raises ChangelogError and LinkError."""
        place = TopicPartition(self._topic, partition)
        low, high = self._bounds(place)
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
        self._consumer.assign([TopicPartition(self._topic, partition, start)])
        count, heard = 0, time.monotonic()
        try:
            while True:
                found = self._consumer.consume(_RECORDS_MAX, _WAIT_SECONDS)
                if found:
                    heard = time.monotonic()
                elif time.monotonic() - heard > _SILENCE_SECONDS_MAX:
                    raise LinkError(
                        f"expected records of {self._topic}/{partition} up to {high}, found silence"
                    )
                count += self._apply(partition, [message for message in found if message.error() is None])
                if progress is not None and found:
                    progress(self.restored(partition), high)
                for message in found:
                    error = message.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        return count
                    if error is not None and error.fatal():
                        raise LinkError(
                            f"expected records of {self._topic}/{partition}, found: {error.str()}"
                        )
        finally:
            self._consumer.unassign()

    def follow(self, partitions: Collection[int]) -> None:
        """Read the changelogs of these partitions from now on, each from the record that its table needs; see `poll`."""
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
        found: dict[int, list[object]] = {}
        for message in self._consumer.consume(_RECORDS_MAX, wait_seconds):
            error = message.error()
            if error is None:
                found.setdefault(message.partition(), []).append(message)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise ChangelogError(
                    f"{self._state.folder}: expected {self._topic}/{message.partition()} to hold record "
                    f"{self.restored(message.partition())}, which comes next, found: {error.str()}"
                )
            elif error.fatal():
                raise LinkError(f"expected records of {self._topic}, found: {error.str()}")
        return {partition: self._apply(partition, records) for partition, records in found.items()}

    def lag(self, partition: int) -> int:
        """How many records a followed partition is behind, as far as the last fetch saw; markers of commits count."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
        position = self._consumer.position([TopicPartition(self._topic, partition)])[0].offset
        return max(int(high) - max(int(position), self.restored(partition)), 0)

    def _bounds(self, place: TopicPartition) -> tuple[int, int]:
        deadline = time.monotonic() + _SILENCE_SECONDS_MAX
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(place, _SILENCE_SECONDS_MAX)
                return low, high
            except KafkaException as error:
                # A topic that is new, or a broker that has just gone, has no leader for a moment.
                if error.args[0].code() not in _NO_LEADER or time.monotonic() > deadline:
                    raise LinkError(
                        f"expected the bounds of {place.topic}/{place.partition}, found: {error.args[0].str()}"
                    ) from error
                time.sleep(_WAIT_SECONDS)

    def _apply(self, partition: int, records: list[object]) -> int:
        if not records:
            return 0
        changes: dict[bytes, bytes | None] = {}
        for message in records:
            changes.update(changes_of(message.key(), message.value()))  # type: ignore[attr-defined]
        transaction = self._state.transaction()
        transaction.put_all(self._table, partition, changes)
        last = records[-1].offset()  # type: ignore[attr-defined]
        transaction.put(self._table, partition, RESTORED_KEY, encode_offset(last))
        transaction.commit()
        return len(records)

    def close(self) -> None:
        """Let the consumer go."""
        self._consumer.close()
