"""Marks of a source into the log: through the worker that owns it, or into the topics of a cluster."""

from collections.abc import Sequence
from typing import Any

from schemas import topics
from topology.sources.intake import Intake


class MarkIntake(Intake):
    """Appends marks. Not for several threads at once."""

    def append(self, received: Sequence[Any]) -> None:
        """Append marks; they are durable when it returns. Raises Unavailable where nobody takes them."""
        self._entry.publish(topics.MARKS, received, topics.MARKS.key_of)
