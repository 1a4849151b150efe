"""What the two guarantees have in common: how the records of a step leave for the cluster.

A `StepWriter` is one of them. The log of a stage (`connectors.kafka.log`) calls it, then writes the table beside the
worker.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka.bulk import put

WAIT_SECONDS_MAX = 60.0
"""How long a step waits for the brokers; a transaction that is open for longer is aborted by them."""

LINGER_MILLISECONDS = 1
"""Records are collected for so long, or until they are waited for: a step is one request, not one a partition."""

OutgoingRecord = tuple[str, int, bytes | None, bytes | None]
"""Topic, partition, key and value."""


class StepWriter(Protocol):
    """Writes the steps of one stage of one worker."""

    def start(self) -> None:
        """Take the place of whoever wrote under this name before."""

    def take_over(self, partitions: Iterable[int]) -> dict[int, int]:
        """Announce an owner of partitions in the changelog; returns the offset of each announcement."""

    def caught_up(self, partition: int, offset: int) -> None:
        """The table partition holds the changelog up to and with `offset`."""

    def write(self, records: Iterable[OutgoingRecord], consumed: Mapping[int, int]) -> dict[int, int]:
        """Write a step; returns the offset of the last changelog record of each partition.

        A partition that is left out has its changes in the local table already. Raises CommitError where nothing
        counts and the step may be tried again; FencedError and ChangelogError end the worker.
        """

    def close(self) -> None:
        """Send nothing more."""


class Sender:
    """Sends records and remembers what became of them."""

    def __init__(self, producer: Producer, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        self._producer = producer
        self._headers = list(headers)

    def send(self, records: Iterable[OutgoingRecord], noted_topic: str = "") -> dict[int, tuple[int, int]]:
        """Send records and wait until the brokers have them all; raises KafkaException.

        Returns the first and the last offset by partition, of the records to `noted_topic`, which bear the headers.
        """
        offsets: dict[int, tuple[int, int]] = {}
        failures: list[KafkaError] = []

        def noted(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)
                return
            partition, offset = message.partition(), message.offset()
            offsets[partition] = (offsets.get(partition, (offset, 0))[0], offset)

        def failed(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)

        for topic, partition, key, value in records:
            if topic == noted_topic:
                put(self._producer, topic, partition, key, value, noted, headers=self._headers)
            else:
                put(self._producer, topic, partition, key, value, failed)
        left = self._flush()
        if failures:
            raise KafkaException(failures[0])
        if left:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{left} records not acknowledged"))
        return offsets

    def _flush(self) -> int:
        try:
            return int(self._producer.flush(WAIT_SECONDS_MAX))
        except SystemError as error:
            # A fatal error is raised in the midst of the delivery reports, and the next of them stumbles over it.
            if isinstance(error.__cause__, KafkaException):
                raise error.__cause__ from None
            raise
