"""What a group's assignment means to Faust, told in Faust's own terms."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any


class _Cluster:
    """What Faust's assignor asks of a cluster: here, the partitions of this member."""

    def __init__(self, partitions: dict[str, set[int]]) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int]:
        """The partitions of a topic."""
        return self._partitions.get(topic, set())


def tell_assignment(assignor: Any, topics: Iterable[str], assigned: Iterable[Any]) -> None:
    """Let Faust's assignor know the partitions that librdkafka's gave to this member."""
    partitions: dict[str, set[int]] = defaultdict(set)
    for topic, partition in assigned:
        partitions[topic].add(partition)
    member = "member"
    metadata = assignor.metadata(set(topics))
    assignor.on_assignment(assignor.assign(_Cluster(partitions), {member: metadata})[member])
