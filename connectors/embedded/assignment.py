"""The assignment of a group with one member: every partition of its topics, told to Faust in Faust's own terms.

Faust's assignor keeps what its router and its tables ask (which worker has which partition), so it is asked as a
cluster would ask it.
"""

from collections.abc import Iterable
from typing import Any

from faust.types.tuples import TP

from connectors.embedded.log import EmbeddedLog

_MEMBER = "embedded"


class _Cluster:
    """What Faust's assignor asks of a cluster."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log

    def partitions_for_topic(self, topic: str) -> set[int]:
        """The partitions of a topic."""
        definition = self._log.topics().get(topic)
        return set(range(definition.partitions)) if definition is not None else set()


def assign_all(assignor: Any, log: EmbeddedLog, topics: Iterable[str]) -> set[Any]:
    """Give the one member all partitions of topics; returns them as Faust's topic partitions."""
    metadata = assignor.metadata(set(topics))
    assignment = assignor.assign(_Cluster(log), {_MEMBER: metadata})[_MEMBER]
    assignor.on_assignment(assignment)
    return {TP(topic, partition) for topic, partitions in assignment.assignment for partition in partitions}
