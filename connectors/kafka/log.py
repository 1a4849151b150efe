"""One stage of one worker on Kafka: topics on the cluster, its table partitions in a database beside the worker.

Owns: the order of a commit and of a start (docs/concepts/kafka.md says why each crash point is safe).
Assumes: `step`s of one stage, one after the other; the consumer whose group metadata is handed in owns the
partitions that are written.
Guarantees: changelog, outputs and input offset are one transaction of the cluster; the local table is written after
it, with the changelog offset, and caught up from the changelog at the start; a worker that lost its partitions is
refused by the cluster and told so (`FencedError`), whatever it still holds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.errors import ChangelogError, FencedError
from connectors.kafka.link import Link
from connectors.kafka.reference import ReferenceTopics
from schemas.changelog import PACKED_KEY, RESTORED_KEY, encode_offset, pack_changes

CONSUMED_KEY = b"\x00consumed/"
"""Prefix of the keys under which a table partition notes how far each input topic is consumed."""

TRANSACTION_SECONDS_MAX = 60.0

_FENCED = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
}


class KafkaLog:
    """The log of one stage: the `Log` of the stage runtime, over a cluster.

    `state` holds the table partitions. `group_metadata` gives the consumer's metadata as of now.
    """

    def __init__(
        self,
        link: Link,
        *,
        group: str,
        input_topic: str,
        table: str,
        changelog: str,
        state: EmbeddedLog,
        transactional_id: str,
        group_metadata: Callable[[], Any],
        reference: ReferenceTopics,
    ) -> None:
        self.group = group
        self.input_topic = input_topic
        self.table = table
        self.changelog = changelog
        self.state = state
        self._group_metadata = group_metadata
        self._reference = reference
        self._producer = Producer(
            link.producer(
                transactional_id=transactional_id,
                transaction_timeout_ms=int(TRANSACTION_SECONDS_MAX * 1e3),
            )
        )

    def start(self) -> None:
        """Take the place of whoever used this transactional id before; its open transaction is aborted."""
        with _translated("take over as a writer"):
            self._producer.init_transactions(TRANSACTION_SECONDS_MAX)

    # -- the protocol `Log` -------------------------------------------------------------------------------------

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> Sequence[Any]:
        """Records of a reference topic; the input comes through the consumer."""
        return self._reference.read(topic, offset, max_records)

    def end_offset(self, topic: str, partition: int) -> int:
        """The end of a reference topic, as far as it has arrived."""
        return self._reference.end_offset(topic)

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """How far the local table partition has consumed an input."""
        # A reference topic has one partition and is consumed by each partition of the stage for itself.
        owner = partition if topic == self.input_topic else int(group.rpartition("/")[2])
        stored = self.get(self.table, owner, CONSUMED_KEY + topic.encode())
        return None if stored is None else int.from_bytes(stored, "big")

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of the local table."""
        return self.state.get(table, partition, key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of the local table."""
        return self.state.scan(table, partition, start, end, reverse=reverse)

    def transaction(self) -> "KafkaTransaction":
        """A new, empty transaction."""
        return KafkaTransaction(self)

    # -- commit -------------------------------------------------------------------------------------------------

    def write(self, transaction: "KafkaTransaction") -> int:
        """Write a transaction to the cluster, then to the local table; returns the end of the changelog."""
        offsets: dict[int, int] = {}
        producer = self._producer
        with _translated("commit a step", producer):
            producer.begin_transaction()
            for topic, partition, key, value in transaction.records:
                report = _noting(offsets) if topic == self.changelog else None
                self._produce(topic, partition, key, value, report)
            # Flushed first, the offsets and the commit take half the time.
            left = producer.flush(TRANSACTION_SECONDS_MAX)
            if left:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{left} records not acknowledged"))
            places = [
                TopicPartition(self.input_topic, partition, consumed)
                for partition, consumed in transaction.consumed.items()
            ]
            if places:
                producer.send_offsets_to_transaction(places, self._group_metadata(), TRANSACTION_SECONDS_MAX)
            self._commit()
        try:
            self._write_state(transaction, offsets)
        except CommitError as error:
            raise ChangelogError(
                f"{self.state.folder}: expected to write what the cluster has committed, found: {error}; restart the "
                "worker, which takes it from the changelog"
            ) from error
        return max(offsets.values(), default=-1) + 1

    def _commit(self) -> None:
        while True:
            try:
                self._producer.commit_transaction(TRANSACTION_SECONDS_MAX)
                return
            except KafkaException as error:
                # It may be written already: whether it is, only asking again tells.
                if not error.args[0].retriable():
                    raise

    def _produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, report: Any
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=report)
                return
            except BufferError:  # its queue is full: wait for the brokers
                self._producer.poll(0.1)

    def _write_state(self, transaction: "KafkaTransaction", offsets: Mapping[int, int]) -> None:
        local = self.state.transaction()
        for partition, changes in transaction.changes.items():
            local.put_all(self.table, partition, changes)
        for partition, offset in offsets.items():
            local.put(self.table, partition, RESTORED_KEY, encode_offset(offset))
        for partition, notes in transaction.notes().items():
            for key, value in notes.items():
                local.put(self.table, partition, key, value)
        local.commit()


class KafkaTransaction:
    """What one step writes; nothing leaves before `commit`."""

    def __init__(self, log: KafkaLog) -> None:
        self._log = log
        self.records: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.changes: dict[int, dict[bytes, bytes | None]] = {}
        self.consumed: dict[int, int] = {}
        self._referred: dict[int, dict[str, int]] = {}

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Add a record; its offset is known when the cluster has it."""
        self.records.append((topic, partition, key, value))
        return 0

    def put(self, table: str, partition: int, key: bytes, value: bytes) -> None:
        """Set a key of the stage's table."""
        if key != RESTORED_KEY:  # what the runtime cannot know yet, `write` notes
            self.changes.setdefault(partition, {})[key] = value

    def delete(self, table: str, partition: int, key: bytes) -> None:
        """Remove a key of the stage's table."""
        self.changes.setdefault(partition, {})[key] = None

    def put_all(self, table: str, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys of the stage's table, and remove those whose value is None."""
        self.changes.setdefault(partition, {}).update(changes)

    def commit_offset(self, group: str, topic: str, partition: int, next_offset: int) -> None:
        """Set how far an input is consumed."""
        if topic == self._log.input_topic:
            self.consumed[partition] = next_offset
        else:
            self._referred.setdefault(int(group.rpartition("/")[2]), {})[topic] = next_offset

    def notes(self) -> dict[int, dict[bytes, bytes]]:
        """What each table partition notes about its inputs."""
        found: dict[int, dict[bytes, bytes]] = {}
        for partition, consumed in self.consumed.items():
            key = CONSUMED_KEY + self._log.input_topic.encode()
            found.setdefault(partition, {})[key] = consumed.to_bytes(8, "big")
        for partition, referred in self._referred.items():
            for topic, offset in referred.items():
                found.setdefault(partition, {})[CONSUMED_KEY + topic.encode()] = offset.to_bytes(8, "big")
        return found

    def commit(self) -> int:
        """Write it all. Raises CommitError where nothing is written, and FencedError."""
        for partition, notes in self.notes().items():
            # The last record of a step says how far its inputs are consumed, so that whoever restores the table
            # knows where to go on; it is there even where the step changed nothing.
            pairs = [part for note in notes.items() for part in note]
            self.append(self._log.changelog, partition, PACKED_KEY + b"/inputs", pack_changes(pairs))
        return self._log.write(self)


def _noting(offsets: dict[int, int]) -> Callable[[KafkaError | None, Message], None]:
    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            offsets[message.partition()] = message.offset()

    return report


@contextmanager
def _translated(doing: str, producer: Producer | None = None) -> Iterator[None]:
    """Errors of librdkafka as ours; a transaction that is open is aborted, so that the step can be tried again."""
    try:
        yield
    except KafkaException as error:
        cause = error.args[0]
        taken_over = FencedError(
            f"expected to {doing}, found that another worker has taken over: {cause.str()}; this one ends, and takes "
            "part again when it is started"
        )
        if cause.fatal():
            raise taken_over from error
        if producer is not None:
            try:
                producer.abort_transaction(TRANSACTION_SECONDS_MAX)
            except KafkaException as worse:
                raise FencedError(
                    f"expected to {doing} or to take it back, found: {cause.str()}, then {worse.args[0].str()}"
                ) from error
        if cause.code() in _FENCED:
            raise taken_over from error
        raise CommitError(f"expected to {doing}, found: {cause.str()}") from error
