"""The guarantee `exactly_once`: changelog, outputs and input offsets of a step are one transaction of the cluster.

Assumes: the consumer whose group metadata is handed in owns the partitions that are written.
Guarantees: a `read_committed` reader sees all of a step or nothing; a worker that lost its partitions is refused by
the cluster and told so (`FencedError`), whatever it still holds; a transaction begins when the one before it is marked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from connectors.embedded.errors import CommitError
from connectors.kafka.errors import FencedError
from connectors.kafka.fencing import writer_headers
from connectors.kafka.link import Link
from connectors.kafka.marks import Marks
from connectors.kafka.succession import announcement_key, new_token
from connectors.kafka.writer import LINGER_MILLISECONDS, WAIT_SECONDS_MAX, OutgoingRecord, Sender

_FENCED = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
}


class ExactlyOnce:
    """A `StepWriter`; `group_metadata` gives the consumer's metadata as of now."""

    def __init__(
        self,
        link: Link,
        *,
        input_topic: str,
        changelog: str,
        transactional_id: str,
        group_metadata: Callable[[], Any],
    ) -> None:
        self._input_topic = input_topic
        self._changelog = changelog
        self._group_metadata = group_metadata
        self._marks = Marks(link, changelog)
        self._unmarked: dict[int, int] = {}
        self._producer = Producer(
            link.producer(
                transactional_id=transactional_id,
                transaction_timeout_ms=int(WAIT_SECONDS_MAX * 1e3),
                linger_ms=LINGER_MILLISECONDS,
            )
        )
        # Who takes a partition over must know whom to fence.
        self._sender = Sender(self._producer, writer_headers(transactional_id))

    def start(self) -> None:
        """Take the place of whoever used this transactional id before; its open transaction is aborted."""
        with _translated("take over as a writer"):
            self._producer.init_transactions(WAIT_SECONDS_MAX)

    def take_over(self, partitions: Iterable[int]) -> dict[int, int]:
        """Announce an owner, so that whoever wrote there without transactions is ignored from here on."""
        key = announcement_key(new_token())
        announcements = [(self._changelog, partition, key, b"") for partition in partitions]
        return self._transact(announcements, {}) if announcements else {}

    def caught_up(self, partition: int, offset: int) -> None:
        """Nothing follows from it: the cluster itself refuses a former owner."""

    def write(self, records: Iterable[OutgoingRecord], consumed: Mapping[int, int]) -> dict[int, int]:
        """Write a step."""
        return self._transact(records, consumed)

    def _transact(self, records: Iterable[OutgoingRecord], consumed: Mapping[int, int]) -> dict[int, int]:
        producer = self._producer
        self._marks.wait(self._unmarked)
        self._unmarked = {}
        with _translated("commit a step", producer):
            producer.begin_transaction()
            # Waited for first: offsets and commit then take half the time.
            offsets = self._sender.send(records, self._changelog)
            self._send_offsets(consumed)
            self._commit()
        self._unmarked = {partition: last for partition, (_, last) in offsets.items()}
        return self._unmarked

    def _send_offsets(self, consumed: Mapping[int, int]) -> None:
        places = [TopicPartition(self._input_topic, *place) for place in consumed.items()]
        if places:
            self._producer.send_offsets_to_transaction(places, self._group_metadata(), WAIT_SECONDS_MAX)

    def _commit(self) -> None:
        while True:
            try:
                self._producer.commit_transaction(WAIT_SECONDS_MAX)
                return
            except KafkaException as error:
                # It may be written already: whether it is, only asking again tells.
                if not error.args[0].retriable():
                    raise

    def close(self) -> None:
        """An open transaction is left to its time-out, or to who takes the place."""


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
                producer.abort_transaction(WAIT_SECONDS_MAX)
            except KafkaException as worse:
                raise FencedError(
                    f"expected to {doing} or to take it back, found: {cause.str()}, then {worse.args[0].str()}"
                ) from error
        if cause.code() in _FENCED:
            raise taken_over from error
        raise CommitError(f"expected to {doing}, found: {cause.str()}") from error
