"""What a group's assignment means to Faust, told in Faust's own terms.

Guarantees: whatever was told before is forgotten. Faust's assignor is not asked to assign: it would hold on to what this
member had before, and number the partitions from 0.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from faust.assignor.client_assignment import ClientAssignment


def tell_assignment(assignor: Any, assigned: Iterable[Any]) -> None:
    """Let Faust's assignor know the topic partitions that librdkafka's gave to this member."""
    partitions: dict[str, list[int]] = defaultdict(list)
    for topic, partition in sorted(assigned):
        partitions[topic].append(partition)
    assignment = ClientAssignment(actives=dict(partitions), standbys={})
    assignor._assignment = assignment
    assignor._active_tps = assignment.active_tps
    assignor._standby_tps = assignment.standby_tps
