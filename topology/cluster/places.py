"""Where a cluster's parts are: its topics as this installation wants them, and the folders beside it on this machine.

Owns: the folder of a cluster in the data folder, named by the cluster's identity and the generation of its topics, so
that what belongs to another one is never taken for it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.stage import Stage
from connectors.embedded.errors import StateError
from connectors.kafka.configuring import is_sealed
from connectors.kafka.errors import TopicError
from connectors.kafka.layout import in_force
from connectors.kafka.link import Link, parse_url
from connectors.kafka.topics import LETTER_BYTES_MAX, RECORD_BYTES_MAX, TopicPlan, ensure_topics, look_at
from schemas.topics import FILLS, TOPICS
from topology.settings import Settings
from topology.stages import build_stages

_HEARTBEATS_A_SESSION = 6


def link_of(settings: Settings) -> Link:
    """The link to the cluster that the settings name. Raises LinkError where the settings do not fit."""
    return parse_url(
        settings.transport,
        protocol=settings.kafka_security_protocol,
        ca=settings.kafka_ca,
        certificate=settings.kafka_certificate,
        key=settings.kafka_key,
        mechanism=settings.kafka_mechanism,
        user=settings.kafka_user,
        password=settings.kafka_password.get_secret_value(),
    )


def link_in_force(settings: Settings) -> Link:
    """The same, to the topics that are in force there. Raises LinkError and TopicError."""
    return in_force(link_of(settings))


def identity_of(cluster: str, link: Link) -> str:
    """What names a cluster and the topics in force there."""
    return f"{cluster}.g{link.generation}" if link.generation else cluster


def link_to(settings: Settings, identity: str) -> Link:
    """The link to the topics of an identity. Raises StateError where others are in force by now."""
    link = link_in_force(settings)
    found = identity_of(look_at(link).cluster, link)
    if found != identity:
        raise StateError(
            f"{settings.transport}: expected the topics of {identity}, found those of {found}: the log was moved to another "
            "number of partitions; start `pks up` again with that number (docs/operating/repartition.md)"
        )
    return link


def cluster_folder(data: Path, cluster: str) -> Path:
    """The folder of a cluster in a data folder."""
    return data / "kafka" / cluster


def copy_folder(data: Path, cluster: str) -> Path:
    """The folder of the tables' copy that commands of this machine read."""
    return cluster_folder(data, cluster) / "copy"


def worker_folder(data: Path, cluster: str, worker: str) -> Path:
    """The folder of a worker's tables."""
    return cluster_folder(data, cluster) / "workers" / worker


def writer_of(stage: str, worker: str) -> str:
    """The transactional id by which a worker writes the steps of a stage."""
    return f"pks-{stage}-{worker}"


def topic_plans(stages: Sequence[Stage], partitions: int) -> list[TopicPlan]:
    """Every topic of the registry, and a changelog for each stage's table."""
    letters = {topic.dead_letters for topic in TOPICS}
    return [
        *(
            TopicPlan(
                topic.name,
                topic.partitions(partitions),
                topic.retention_seconds,
                topic.compact,
                LETTER_BYTES_MAX if topic.name in letters else RECORD_BYTES_MAX,
            )
            for topic in TOPICS
        ),
        *(TopicPlan(stage.changelog, partitions, compact=True) for stage in stages),
    ]


def named(link: Link, plans: Sequence[TopicPlan]) -> list[TopicPlan]:
    """Plans with the names that their topics have on the cluster."""
    return [replace(plan, name=link.topic(plan.name)) for plan in plans]


def make_topics(settings: Settings, link: Link) -> str:
    """Make the topics in force that are missing; returns the identity of cluster and topics.

    Raises LinkError where no broker answers, TopicError where a topic does not fit, cannot be made or is sealed.
    """
    link = in_force(link)
    plans = named(link, topic_plans(build_stages(settings), settings.partitions))
    ensure_topics(link, plans, replicas=settings.replicas, in_sync_min=settings.in_sync_replicas_min)
    if is_sealed(link, link.topic(FILLS.name)):
        raise TopicError(
            f"{settings.transport}: expected topics that take records, found them sealed: a move to another number of "
            "partitions is about to end, or was killed just before its end; run `pks topology repartition` again "
            "(docs/operating/repartition.md)"
        )
    return identity_of(look_at(link).cluster, link)


def membership(settings: Settings, name: str) -> dict[str, Any]:
    """How a worker, or a sink, is a member of its groups: by a name that it has again after a restart, and so its
    partitions."""
    session = int(settings.session_seconds * 1e3)
    return {
        "group_instance_id": name,
        "session_timeout_ms": session,
        "heartbeat_interval_ms": max(100, session // _HEARTBEATS_A_SESSION),
    }
