"""Records that a sink or a source puts into a cluster.

Guarantees: what was appended is acknowledged by every in-sync copy when `append` returns; records of a partition keep
their order, and the client's own repeats are known to the brokers.
"""

from collections.abc import Sequence

from confluent_kafka import KafkaException, Producer

from connectors.kafka.errors import KafkaLogError
from connectors.kafka.layout import in_force
from connectors.kafka.link import Link
from connectors.kafka.topics import look_at
from connectors.kafka.writer import WAIT_SECONDS_MAX, Sender
from connectors.sink import Unavailable
from schemas.topics import BOOKINGS
from topology.control.protocol import Outgoing


class ClusterAppender:
    """A way into a cluster that waits for nothing but its brokers; it asks no stage. Raises Unavailable."""

    def __init__(self, link: Link) -> None:
        try:
            self._link = link = in_force(link)
            self.partitions = look_at(link).partitions[link.topic(BOOKINGS.name)]
        except KafkaLogError as error:
            raise Unavailable(f"Kafka: {error}") from error
        except KeyError:
            raise Unavailable(
                f"Kafka: expected the topics of PKS at {link.brokers}, found none: start it there with `pks up`"
            ) from None
        self._sender: Sender | None = None

    def append(self, records: Sequence[Outgoing]) -> int:
        """Append records; returns how many."""
        if self._sender is None:
            told = {"message_timeout_ms": int(WAIT_SECONDS_MAX * 1e3), "linger_ms": 1}
            self._sender = Sender(Producer(self._link.producer(**told)))
        try:
            self._sender.send(
                [(self._link.topic(each.topic), each.partition, each.key, each.value) for each in records]
            )
        except KafkaException as error:
            # Whether they are there nobody knows: a producer that begins anew forgets what it had sent.
            self._sender = None
            raise Unavailable(
                f"Kafka: expected records to be acknowledged, found: {error.args[0].str()}"
            ) from error
        return len(records)
