"""Who takes part in a consumer group, as the cluster sees it."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link

_SECONDS = 10.0


def group_members(link: Link, group: str) -> list[str]:
    """The hosts of a group's members; one that was killed is among them until its session ends. Raises LinkError."""
    administration = AdminClient(link.common())  # kept: what it was asked ends with it
    described = administration.describe_consumer_groups([group])[group]
    try:
        return [f"{member.client_id} on {member.host}" for member in described.result(_SECONDS).members]
    except KafkaException as error:
        raise LinkError(f"expected the members of group {group}, found: {error.args[0].str()}") from error
