"""Where a cluster's parts are: its topics as this installation wants them, and the folders beside it on this machine.

Owns: the folder of a cluster in the data folder, named by the cluster's identity, so that what belongs to another
cluster is never taken for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.stage import Stage
from connectors.kafka.link import Link, parse_url
from connectors.kafka.topics import LETTER_BYTES_MAX, RECORD_BYTES_MAX, TopicPlan, ensure_topics, look_at
from schemas.topics import TOPICS
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


def cluster_folder(data: Path, cluster: str) -> Path:
    """The folder of a cluster in a data folder."""
    return data / "kafka" / cluster


def copy_folder(data: Path, cluster: str) -> Path:
    """The folder of the tables' copy that commands of this machine read."""
    return cluster_folder(data, cluster) / "copy"


def worker_folder(data: Path, cluster: str, worker: str) -> Path:
    """The folder of a worker's tables."""
    return cluster_folder(data, cluster) / "workers" / worker


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


def make_topics(settings: Settings, link: Link) -> str:
    """Make the topics that are missing; returns the cluster's identity.

    Raises LinkError where no broker answers, TopicError where a topic does not fit or cannot be made.
    """
    plans = topic_plans(build_stages(settings), settings.partitions)
    ensure_topics(link, plans, replicas=settings.replicas, in_sync_min=settings.in_sync_replicas_min)
    return look_at(link).cluster


def membership(settings: Settings, name: str) -> dict[str, Any]:
    """How a worker, or a sink, is a member of its groups: by a name that it has again after a restart, and so its
    partitions."""
    session = int(settings.session_seconds * 1e3)
    return {
        "group_instance_id": name,
        "session_timeout_ms": session,
        "heartbeat_interval_ms": max(100, session // _HEARTBEATS_A_SESSION),
    }
