"""One stage of one worker on Kafka: topics on the cluster, its table partitions in a database beside the worker.

Owns: the order of a commit and of a start (docs/concepts/kafka.md says why each crash point is safe).
Assumes: `step`s of one stage, one after the other.
Guarantees: a step is written to the cluster by a `StepWriter`, whose guarantee it has; the local table is written after
it, with the changelog offset, and caught up from the changelog at the start.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import ChangelogError
from connectors.kafka.link import Link
from connectors.kafka.provenance import missing_notes
from connectors.kafka.reference import ReferenceTopics
from connectors.kafka.writer import OutgoingRecord, StepWriter
from schemas.changelog import PACKED_KEY, RESTORED_KEY, encode_offset, pack_changes

CONSUMED_KEY = b"\x00consumed/"
"""Prefix of the keys under which a table partition notes how far each input topic is consumed."""

INPUTS_KEY = PACKED_KEY + b"/inputs"
"""The key of the last changelog record of a step that consumed something."""


def consumed_changes(consumed: Mapping[str, int]) -> dict[bytes, bytes]:
    """What a table partition notes of how far it has consumed each input topic."""
    return {CONSUMED_KEY + topic.encode(): offset.to_bytes(8, "big") for topic, offset in consumed.items()}


def consumed_until(state: EmbeddedLog, table: str, partition: int, topic: str) -> int | None:
    """How far a table partition has consumed an input, as it notes itself."""
    stored = state.get(table, partition, CONSUMED_KEY + topic.encode())
    return None if stored is None else int.from_bytes(stored, "big")


class KafkaLog:
    """The log of one stage: the `Log` of the stage runtime, over a cluster; `state` holds the table partitions.

    `link` says what topics are called on the cluster. `restored` counts the changelog records that takeovers applied;
    `lacked` is what the table of each partition lacked at the last one, without this owner's announcement. `unnoted` is what
    a partition's next step notes of its inputs.
    """

    def __init__(
        self,
        writer: StepWriter,
        reader: ChangelogReader,
        *,
        link: Link,
        group: str,
        input_topic: str,
        table: str,
        changelog: str,
        state: EmbeddedLog,
        reference: ReferenceTopics,
    ) -> None:
        self.link = link
        self.group = group
        self.input_topic = input_topic
        self.table = table
        self.changelog = changelog
        self.state = state
        self.restored = 0
        self.generation = link.generation
        self.lacked: dict[int, int] = {}
        self.unnoted: dict[int, dict[bytes, bytes]] = {}
        self._writer = writer
        self._reader = reader
        self._reference = reference
        self._taking_over = threading.Lock()

    def start(self) -> None:
        """Take the place of whoever wrote under this worker's name before."""
        self._writer.start()

    def take_over(
        self, positions: Mapping[int, int], progress: Callable[[int, int, int], None] | None = None
    ) -> dict[int, int]:
        """Become the owner of partitions: announce it, catch their tables up, and find where their input goes on.

        `progress` is called with a partition, the next changelog offset and the end. `positions` is where the group
        goes on by partition. One after the other: a takeover that a rebalance has made idle goes on to its end, since it
        shares the reader with the next one, and each would lose what the other took from it. Raises ChangelogError where
        the changelog has less than the group, or an input is not the topic that was consumed.
        """
        with self._taking_over:
            self.lacked = {}
            inputs = self._reader.identities([self.link.topic(self.input_topic), *self._reference.topics])
            return {
                partition: self._take_over_one(partition, positions[partition], announced, inputs, progress)
                for partition, announced in self._writer.take_over(positions).items()
            }

    def _take_over_one(
        self,
        partition: int,
        position: int,
        announced: int,
        inputs: Mapping[str, str],
        progress: Callable[[int, int, int], None] | None,
    ) -> int:
        told = None if progress is None else partial(progress, partition)
        self.lacked[partition] = self._reader.catch_up(partition, told, through=announced) - 1
        self.restored += self.lacked[partition]
        self._writer.caught_up(partition, self._reader.restored(partition) - 1)
        self.unnoted[partition] = missing_notes(
            partial(self.state.get, self.table, partition),
            inputs,
            f"{self.link.topic(self.changelog)}/{partition}",
            "restore the cluster's backup, or begin anew with all topics",
        )
        consumed = self.committed(self.group, self.input_topic, partition) or 0
        # The group may be behind, or forgotten; the changelog is what the table is made of.
        if position > consumed:
            raise ChangelogError(
                f"expected {self.link.topic(self.changelog)}/{partition} to hold what the group {self.group} has consumed up to "
                f"{position}, found it up to {consumed}: the changelog lost records; restore the cluster's backup"
            )
        return consumed

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
        return consumed_until(self.state, self.table, owner, topic)

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
        offsets = self._writer.write(transaction.records, transaction.consumed)
        try:
            self._write_state(transaction, offsets)
        except CommitError as error:
            raise ChangelogError(
                f"{self.state.folder}: expected to write what the cluster has committed, found: {error}; restart the "
                "worker, which takes it from the changelog"
            ) from error
        for partition in transaction.consumed:
            self.unnoted.pop(partition, None)
        return max(offsets.values(), default=-1) + 1

    def close(self) -> None:
        """Write nothing more."""
        self._writer.close()

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
        self.records: list[OutgoingRecord] = []
        self.changes: dict[int, dict[bytes, bytes | None]] = {}
        self.consumed: dict[int, int] = {}
        self._referred: dict[int, dict[str, int]] = {}

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Add a record; its offset is known when the cluster has it."""
        self.records.append((self._log.link.topic(topic), partition, key, value))
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
            # With the first step it says of which topics the offsets are.
            noted = found.setdefault(partition, dict(self._log.unnoted.get(partition, {})))
            noted.update(consumed_changes({self._log.input_topic: consumed}))
        for partition, referred in self._referred.items():
            found.setdefault(partition, {}).update(consumed_changes(referred))
        return found

    def commit(self) -> int:
        """Write it all. Raises CommitError where nothing is written, and FencedError."""
        for partition, notes in self.notes().items():
            # The last record of a step says how far its inputs are consumed, so that whoever restores the table
            # knows where to go on; it is there even where the step changed nothing.
            pairs = [part for note in notes.items() for part in note]
            self.append(self._log.changelog, partition, INPUTS_KEY, pack_changes(pairs))
        return self._log.write(self)
