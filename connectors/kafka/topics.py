"""Topics of a cluster: made with explicit partitions, compaction, retention and replicas, and held against that.

Guarantees: nothing is left to the broker's defaults; a topic that is there with another number of partitions is
an error that says what to do, for keys would go astray.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka.asking import asked
from connectors.kafka.errors import LinkError, TopicError
from connectors.kafka.link import Link

_SECONDS = 10.0
"""How long the brokers have for one answer."""

_TRY_SECONDS = 1.0
RECORD_BYTES_MAX = 16 * 1024 * 1024
"""What a topic takes in one batch."""

LETTER_BYTES_MAX = 4 * RECORD_BYTES_MAX
"""What a topic of dead letters takes: the largest record of any other topic, as text, with room to spare."""

_SEGMENT_BYTES_COMPACTED = 64 * 1024 * 1024

_REFUSALS: dict[Callable[[KafkaError], bool], str] = {
    lambda error: (
        error.code() == KafkaError._AUTHENTICATION
    ): "look at kafka_user, kafka_password and kafka_mechanism",
    # An alert is what the other side says of this one's certificate, or of none.
    lambda error: error.code() == KafkaError._SSL or " alert " in error.str(): (
        "look at kafka_ca, kafka_certificate and kafka_key"
    ),
}
"""What no waiting mends, and what to look at."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it shall be. `retention_seconds` None keeps records for ever; `bytes_max` is that of a batch.

    Where it is not `stamped` by the brokers' clock, records keep the time that they are sent with, as copies do.
    """

    name: str
    partitions: int
    retention_seconds: int | None = None
    compact: bool = False
    bytes_max: int = RECORD_BYTES_MAX
    stamped: bool = True

    def settings(self, in_sync_min: int) -> dict[str, str]:
        """The topic's own settings on the broker."""
        kept = -1 if self.retention_seconds is None else self.retention_seconds * 1_000
        told = {
            "cleanup.policy": "compact" if self.compact else "delete",
            "min.insync.replicas": str(in_sync_min),
            "max.message.bytes": str(self.bytes_max),
            # One clock for all that is written; a sender's may be wrong.
            "message.timestamp.type": "LogAppendTime" if self.stamped else "CreateTime",
            # A replica that fell behind never becomes the leader: acknowledged records would be lost.
            "unclean.leader.election.enable": "false",
        }
        if self.compact:
            told["segment.bytes"] = str(_SEGMENT_BYTES_COMPACTED)
        else:
            told["retention.ms"] = str(kept)
            told["retention.bytes"] = "-1"
        return told


@dataclass(frozen=True, slots=True)
class Found:
    """A cluster as it is: its identity and brokers, and its topics with their partitions and copies.

    `copies` is the least of a topic's partitions.
    """

    cluster: str
    brokers: int
    partitions: dict[str, int]
    copies: dict[str, int]


def look_at(link: Link, seconds: float = _SECONDS) -> Found:
    """The cluster as it is. Raises LinkError where no broker answers within `seconds`, or one refuses this client."""
    told: list[KafkaError] = []
    client = AdminClient({**link.common(), "error_cb": told.append})
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = client.list_topics(timeout=min(_TRY_SECONDS, seconds))
            break
        except KafkaException as error:
            client.poll(0)
            for what, remedy in _REFUSALS.items():
                refused = next((each for each in told if what(each)), None)
                if refused is not None:
                    raise LinkError(
                        f"expected the broker at {link.brokers} to take this client, found: {refused.str()}; {remedy} "
                        "(docs/operating/kafka-refused.md)"
                    ) from error
            if time.monotonic() > deadline:
                raise LinkError(
                    f"expected a Kafka broker at {link.brokers}, found for {seconds:.0f} s: {error.args[0].str()}; "
                    f"start it, name another with --transport, or, where it takes other clients than {link.protocol}, set "
                    "kafka_security_protocol (docs/operating/kafka-unreachable.md)"
                ) from error
    copies = {
        name: min((len(partition.replicas) for partition in topic.partitions.values()), default=0)
        for name, topic in found.topics.items()
    }
    partitions = {name: len(topic.partitions) for name, topic in found.topics.items()}
    return Found(str(found.cluster_id), len(found.brokers), partitions, copies)


def partition_counts(link: Link) -> dict[str, int]:
    """Every topic of the cluster with its partitions. Raises LinkError where no broker answers."""
    return look_at(link).partitions


def topic_identities(link: Link, names: Sequence[str]) -> dict[str, str]:
    """What the cluster gave each topic when it was made: one of the same name made anew has another. Raises LinkError."""
    administration = AdminClient(link.common())

    def question(seconds: float) -> dict[str, str]:
        found = administration.describe_topics(TopicCollection(list(names)), request_timeout=seconds)
        return {name: str(told.result().topic_id) for name, told in found.items()}

    return asked(question, f"the identities of {', '.join(names)}", _SECONDS)


def check_topics(plans: Sequence[TopicPlan], found: dict[str, int]) -> None:
    """Raise TopicError where a topic that exists has another number of partitions."""
    wrong = [plan for plan in plans if found.get(plan.name, plan.partitions) != plan.partitions]
    if wrong:
        listed = ", ".join(f"{plan.name} {found[plan.name]} of {plan.partitions}" for plan in wrong)
        raise TopicError(
            f"expected topics with the partitions of this installation's settings, found {listed}: keys would go to "
            "other partitions than before; set `partitions` to what the cluster has "
            "(docs/operating/repartition.md)"
        )


def ensure_topics(link: Link, plans: Sequence[TopicPlan], *, replicas: int = 1, in_sync_min: int = 1) -> None:
    """Make the topics that are missing. Raises TopicError where one exists that does not fit, and LinkError."""
    found = partition_counts(link)
    check_topics(plans, found)
    missing = [plan for plan in plans if plan.name not in found]
    if not missing:
        return
    administration = AdminClient(link.common())  # kept: what it was asked ends with it
    made = administration.create_topics(
        [
            NewTopic(
                plan.name,
                num_partitions=plan.partitions,
                replication_factor=replicas,
                config=plan.settings(in_sync_min),
            )
            for plan in missing
        ],
        operation_timeout=_SECONDS,
    )
    for name, future in made.items():
        try:
            future.result(_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(
                    f"expected to make topic {name} with {replicas} replicas, found: {error.args[0].str()}"
                ) from error
    check_topics(plans, partition_counts(link))


def delete_topics(link: Link, names: Sequence[str]) -> None:
    """Remove topics with all that is in them. Raises TopicError."""
    administration = AdminClient(link.common())  # kept: what it was asked ends with it
    removed = administration.delete_topics(list(names), operation_timeout=_SECONDS) if names else {}
    for name, future in removed.items():
        try:
            future.result(_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicError(f"expected to remove topic {name}, found: {error.args[0].str()}") from error
