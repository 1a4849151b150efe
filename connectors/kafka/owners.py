"""The owners topic of a cluster: a worker says what it owns there, and follows what the others say.

Owns: the topic, one thread that follows it and renews this worker's lease, one producer.
Guarantees: `announce` returns when all replicas have the record, so that who commits after it was known as the owner
before; the view is whole (read to the end) when `start` returns, but for leases, which are heard within
`LEASE_SECONDS`. `silent_seconds` says for how long the cluster has not acknowledged a lease: a worker that is cut off
knows it by that. `rival` is another one that lives under this worker's name.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from uuid import uuid4

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from connectors.kafka import ownership
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link
from connectors.kafka.ownership import Lease, Owned, Owner, Owners, Record, Standing
from connectors.kafka.topics import TopicPlan, ensure_topics

OWNERS_TOPIC = "pks.owners.v1"

_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.1
_RECORDS = 1_000
_HEAR_LEASES = 1.5

_logger = structlog.get_logger(__name__)


class OwnersTopic:
    """The owners topic, as one worker takes part in it; `worker` None only looks on."""

    def __init__(
        self,
        link: Link,
        worker: str | None,
        *,
        web: str | None = None,
        shared_memory: str | None = None,
        host: str | None = None,
    ) -> None:
        self._link = link
        self.worker = worker
        self._lease = Lease(worker or "", uuid4().hex, host or socket.gethostname(), web, shared_memory)
        self._owners = Owners()
        self.rival: Lease | None = None
        self._lock = threading.Lock()
        self._whole = threading.Event()
        self._stopping = threading.Event()
        self._acknowledged = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="kafka-owners", daemon=True)
        self._consumer = Consumer(link.consumer(f"owners-{self._lease.life}", enable_partition_eof=True))
        self._producer = Producer(link.producer())

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self, *, replicas: int = 1, in_sync_min: int = 1) -> None:
        """Make the topic where it is missing, and read it to its end. Raises LinkError and TopicError."""
        plan = TopicPlan(OWNERS_TOPIC, 1, compact=True)
        ensure_topics(self._link, [plan], replicas=replicas, in_sync_min=in_sync_min)
        self._consumer.assign([TopicPartition(OWNERS_TOPIC, 0, OFFSET_BEGINNING)])
        self._thread.start()
        if not self._whole.wait(_SECONDS_MAX):
            self.close()
            raise LinkError(
                f"expected to read {OWNERS_TOPIC} to its end within {_SECONDS_MAX:.0f} s, found silence"
            )

    def close(self, stages: Iterable[str] = ()) -> None:
        """Give up what was announced of these stages, and the lease: nobody waits for its end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_SECONDS_MAX)
        if self.worker is not None:
            gone: list[tuple[Record, str]] = [(self._lease, "")]
            for stage in stages:
                gone.append((self._owned({}), stage))
                gone.append((self._standing(()), stage))
            with contextlib.suppress(KafkaException, BufferError):
                for record, stage in gone:
                    self._producer.produce(OWNERS_TOPIC, None, ownership.record_key(record, stage), 0)
                self._producer.flush(_POLL_SECONDS * 10)
        self._consumer.close()

    def _run(self) -> None:
        renewed = 0.0
        while not self._stopping.is_set():
            try:
                for message in self._consumer.consume(_RECORDS, _POLL_SECONDS):
                    self._take(message)
                self._producer.poll(0.0)
                if self.worker is not None and time.monotonic() - renewed >= ownership.LEASE_SECONDS:
                    renewed = time.monotonic()
                    self._send(self._lease, "", self._renewed(renewed))
            except Exception as error:
                # Nobody's work hangs on this thread; what it cannot do shows as a lease that ended.
                _logger.error("owners topic", error=repr(error))
                self._stopping.wait(ownership.LEASE_SECONDS)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            heard = time.monotonic() if self._whole.is_set() else None
            try:
                with self._lock:
                    self._owners.apply(message.key(), message.value(), message.offset(), heard)
                    if heard is not None:
                        self._look_for_rival(heard)
            except ValueError as fault:
                _logger.warning("owners topic: passed over", offset=message.offset(), error=str(fault))
        elif error.code() == KafkaError._PARTITION_EOF:
            self._whole.set()
        elif not error.retriable():
            _logger.warning("owners topic", error=error.str())

    def _look_for_rival(self, now: float) -> None:
        """A former life of this worker says nothing any more: who is heard under its name is another."""
        found = None if self.worker is None else self._owners.lease(self.worker, None, now)
        if found is not None and found.life != self._lease.life:
            self.rival = found

    def _renewed(self, sent: float) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._acknowledged = max(self._acknowledged, sent)

        return report

    # -- what this worker says ----------------------------------------------------------------------------------

    def _owned(self, partitions: Mapping[int, int]) -> Owned:
        return Owned(self._lease.worker, self._lease.life, dict(partitions))

    def _standing(self, partitions: Iterable[int]) -> Standing:
        return Standing(self._lease.worker, self._lease.life, sorted(partitions))

    def announce(self, stage: str, partitions: Mapping[int, int]) -> None:
        """This worker owns these partitions of a stage from now on, each with the records that it took over with.

        Raises LinkError where the cluster does not acknowledge it.
        """
        self._send_and_wait(self._owned(partitions), stage)

    def announce_standby(self, stage: str, partitions: Iterable[int]) -> None:
        """This worker keeps these tables of a stage warm. Raises LinkError."""
        self._send_and_wait(self._standing(partitions), stage)

    def _send(self, record: Record, stage: str, report: object = None) -> None:
        key, value = ownership.record_key(record, stage), ownership.encode(record)
        self._producer.produce(OWNERS_TOPIC, value, key, 0, on_delivery=report)

    def _send_and_wait(self, record: Record, stage: str) -> None:
        done = threading.Event()
        errors: list[str] = []

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error.str())
            done.set()

        self._send(record, stage, report)
        self._producer.flush(_SECONDS_MAX)
        if not done.is_set() or errors:
            raise LinkError(
                f"expected {OWNERS_TOPIC} to take in what {self.worker} owns of {stage} within {_SECONDS_MAX:.0f} s, "
                f"found: {errors[0] if errors else 'silence'}"
            )

    @property
    def silent_seconds(self) -> float:
        """For how long the cluster has not acknowledged this worker's lease."""
        return time.monotonic() - self._acknowledged

    # -- what the topic says ------------------------------------------------------------------------------------

    def owner(self, stage: str, partition: int) -> Owner | None:
        """Who owns a partition; None while nobody does who lives."""
        with self._lock:
            return self._owners.owner(stage, partition, time.monotonic())

    def last_owner(self, stage: str, partition: int) -> str | None:
        """The worker that owned a partition last, living or not."""
        with self._lock:
            found = self._owners.last_owner(stage, partition)
        return None if found is None else found[0].worker

    def lost_owners(self, stage: str, partitions: Iterable[int]) -> list[str]:
        """The workers that owned any of these partitions last and are not heard any more."""
        last = {self.last_owner(stage, partition) for partition in partitions} - {None, self.worker}
        return sorted(name for name in last - {lease.worker for lease in self.workers()} if name)

    def standbys(self, stage: str, partition: int) -> list[Lease]:
        """Who keeps a partition's table warm, without its owner."""
        with self._lock:
            return self._owners.standbys(stage, partition, time.monotonic())

    def hear(self) -> None:
        """Wait until every worker that the topic names has been heard, or would have been if it lived."""
        deadline = time.monotonic() + _HEAR_LEASES * ownership.LEASE_SECONDS
        while time.monotonic() < deadline:
            with self._lock:
                named = self._owners.named()
            if named <= {lease.worker for lease in self.workers()} | {self.worker}:
                return
            self._stopping.wait(_POLL_SECONDS)

    def workers(self) -> list[Lease]:
        """The workers that live; this one always does."""
        with self._lock:
            found = self._owners.workers(time.monotonic())
        if self.worker is None or any(lease.worker == self.worker for lease in found):
            return found
        return sorted([*found, self._lease], key=lambda lease: lease.worker)
