"""The committed ends of many partitions, by one question to their brokers."""

from collections.abc import Iterable

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

Place = tuple[str, int]
"""A topic, as it is called on the cluster, and a partition."""


def committed_ends(administration: AdminClient, places: Iterable[Place], seconds: float) -> dict[Place, int]:
    """The end of what is committed in each partition, marks of commits included. Raises KafkaException."""
    wanted = {TopicPartition(*place): OffsetSpec.latest() for place in places}
    if not wanted:
        return {}
    asked = administration.list_offsets(
        wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=seconds
    )
    return {(place.topic, place.partition): int(found.result().offset) for place, found in asked.items()}
