"""Settings of topics that exist, changed and read; and topics that take nothing any more.

Guarantees: a topic that is sealed takes no event from anybody, however late a sender wakes up, and what is in it stays.
Marks of transactions are taken, so that one which is open can end.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from connectors.kafka.errors import LinkError, TopicError
from connectors.kafka.link import Link

SEALED_BYTES = 90
"""Most bytes of a batch of a sealed topic: more than a mark of a transaction (78), less than a batch with any event."""

PROBE = b"[" + b" " * 200 + b"]"
"""What is sent to see whether a topic takes anything: a frame without events, too large for one that is sealed."""

_BYTES_MAX = "max.message.bytes"
_TIMESTAMPS = "message.timestamp.type"
_SECONDS = 30.0
_PAUSE_SECONDS = 0.05


def configure(link: Link, settings: Mapping[str, Mapping[str, str]]) -> None:
    """Set settings of topics, by topic and name. Raises TopicError."""
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in chosen.items()
            ],
        )
        for topic, chosen in settings.items()
    ]
    administration = AdminClient(link.common())  # kept: what it was asked ends with it
    for resource, future in administration.incremental_alter_configs(resources).items() if resources else ():
        try:
            future.result(_SECONDS)
        except KafkaException as error:
            raise TopicError(
                f"expected to change settings of topic {resource.name}, found: {error.args[0].str()}"
            ) from error


def setting(link: Link, topic: str, name: str) -> str:
    """A setting of a topic. Raises TopicError."""
    administration = AdminClient(link.common())  # kept: what it was asked ends with it
    (future,) = administration.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    try:
        return str(future.result(_SECONDS)[name].value)
    except KafkaException as error:
        raise TopicError(f"expected the settings of topic {topic}, found: {error.args[0].str()}") from error


def stamp_times(link: Link, topics: Iterable[str]) -> None:
    """Let the brokers' clock say from now on when a record came."""
    configure(link, {topic: {_TIMESTAMPS: "LogAppendTime"} for topic in topics})


def is_sealed(link: Link, topic: str) -> bool:
    """Whether a topic takes nothing any more."""
    return int(setting(link, topic, _BYTES_MAX)) <= SEALED_BYTES


def lift_seal(link: Link, bytes_max: Mapping[str, int]) -> None:
    """Let topics take records again, up to these bytes."""
    configure(link, {topic: {_BYTES_MAX: str(limit)} for topic, limit in bytes_max.items()})


def seal(link: Link, topics: Iterable[str]) -> None:
    """Let topics take nothing any more; see `wait_until_sealed`."""
    configure(link, {topic: {_BYTES_MAX: str(SEALED_BYTES)} for topic in topics})


def wait_until_sealed(link: Link, places: Iterable[tuple[str, int]]) -> None:
    """Wait until the brokers that have these partitions refuse what is sent to them. Raises LinkError.

    One that has not heard of the seal yet takes a `PROBE`.
    """
    # Its own failures are no gap: each record is asked for by itself.
    producer = Producer(link.producer(enable_idempotence=False, compression_type="none"))
    left, deadline = set(places), time.monotonic() + _SECONDS
    while left:
        if time.monotonic() > deadline:
            raise LinkError(
                f"expected {', '.join(sorted({topic for topic, _ in left}))} to be sealed, found open"
            )
        refused: set[tuple[str, int]] = set()

        def report(error: KafkaError | None, message: Any, refused: set[tuple[str, int]] = refused) -> None:
            if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                refused.add((message.topic(), message.partition()))

        for topic, partition in left:
            producer.produce(topic, PROBE, partition=partition, on_delivery=report)
        producer.flush(_SECONDS)
        left -= refused
        if left:
            time.sleep(_PAUSE_SECONDS)
