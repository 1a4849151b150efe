"""Marks of a source into the log: through the worker that owns it, or into the topics of a cluster."""

from collections.abc import Sequence
from typing import Any

from connectors.sink import Unavailable
from schemas import topics
from topology.control.protocol import ControlError
from topology.sources.intake import Intake


class MarkIntake(Intake):
    """Appends marks. Not for several threads at once."""

    def append(self, received: Sequence[Any]) -> None:
        """Append marks; they are durable when it returns. Raises Unavailable where nobody takes them."""
        try:
            entry = self._entry or self._open()
            entry.publish(topics.MARKS, received, topics.MARKS.key_of)
        except ControlError as error:
            self.close()
            raise Unavailable(f"expected a worker that takes marks, found: {error}") from error
