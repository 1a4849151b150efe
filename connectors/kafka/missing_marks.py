"""Writing the marks that a transaction lacks: it was decided, and the brokers know nothing of it any more.

A transaction that is decided while a partition of it has no leader (its only copy is on a broker that is just coming
back) is completed without the mark of that partition (Apache Kafka 4.x takes such a partition for a deleted one). Its
records then stand open for ever: no `read_committed` reader passes them, and the next mark of the same writer there,
whatever it is, would decide about them.

Assumes: the writer is dead or fenced, so that the next transaction under its id is this one.
Guarantees: what was decided is what is marked, as the cluster's log of transactions has it.
"""

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link
from connectors.kafka.transaction_log import Decision
from schemas.changelog import PACKED_KEY, pack_changes

_SECONDS_MAX = 60.0

_NOTHING_CHANGED = (PACKED_KEY + b"/mark", pack_changes([]))
_NO_EVENTS = (None, b"[]")
"""Key and value of a record that says nothing, in a changelog and elsewhere: a mark is written after a record."""


def write_marks(
    link: Link,
    writer: str,
    decision: Decision,
    places: Iterable[tuple[str, int]],
    *,
    changelog: str,
    group: str,
    input_topic: str,
) -> None:
    """Mark what a decided transaction left open in `places`, and what it said to the group. Raises LinkError.

    The offsets that it committed for the group are given up: those in the changelog count.
    """
    producer = Producer(link.producer(transactional_id=writer))
    member = Consumer(link.consumer(group))
    try:
        producer.init_transactions(_SECONDS_MAX)
        producer.begin_transaction()
        for topic, partition in places:
            key, value = _NOTHING_CHANGED if topic == changelog else _NO_EVENTS
            producer.produce(topic, value, key, partition)
        if producer.flush(_SECONDS_MAX):
            raise LinkError(
                f"expected to mark what {writer} left open, found silence for {_SECONDS_MAX:.0f} s"
            )
        if decision.commit:
            producer.commit_transaction(_SECONDS_MAX)
            producer.begin_transaction()
        offsets = [TopicPartition(input_topic, 0, 0)]
        producer.send_offsets_to_transaction(offsets, member.consumer_group_metadata(), _SECONDS_MAX)
        producer.abort_transaction(_SECONDS_MAX)
    except KafkaException as error:
        raise LinkError(f"expected to mark what {writer} left open, found: {error.args[0].str()}") from error
    finally:
        member.close()
