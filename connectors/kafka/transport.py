"""`librdkafka://`: a Kafka cluster as a Faust transport.

The URL that Faust sees names a cluster shared by `share_cluster`, since a link is more than an address.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from faust.exceptions import ImproperlyConfigured
from faust.transport import base
from yarl import URL

from connectors.kafka.consumer import Consumer
from connectors.kafka.link import Link
from connectors.kafka.producer import Producer
from connectors.kafka.topics import partition_counts

SCHEME = "librdkafka"


@dataclass(frozen=True)
class Cluster:
    """A link, and how its members make themselves known: `membership` are settings of each consumer."""

    link: Link
    membership: dict[str, Any] = field(default_factory=dict)


_clusters: dict[str, Cluster] = {}


def share_cluster(cluster: Cluster) -> URL:
    """Let the Apps of this process use a cluster; returns the URL to configure them with."""
    name = cluster.link.brokers.partition(",")[0]
    _clusters[name] = cluster
    return URL(f"{SCHEME}://{name}")


class Transport(base.Transport):  # type: ignore[misc]
    """The transport that an App on a cluster makes for itself."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer
    driver_version = "librdkafka"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        cluster = _clusters.get(self.url[0].authority)
        if cluster is None:
            raise ImproperlyConfigured(f"expected a cluster shared with this process, found {self.url[0]}")
        self.link = cluster.link
        self.membership = cluster.membership
        self._partitions: dict[str, int] = {}

    def partitions_of(self, topic: str) -> int | None:
        """How many partitions a topic has."""
        if topic not in self._partitions:
            self._partitions = partition_counts(self.link)
        return self._partitions.get(topic)
