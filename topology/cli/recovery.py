"""How far the workers' tables are restored: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Mapping

import structlog
from rich.progress import TaskID

from topology.cli.output import progress
from topology.cluster.status import Status

_LINE_SECONDS = 5.0
_logger = structlog.get_logger(__name__)


class RecoveryDisplay:
    """Shows what the statuses of workers say of their recovery."""

    def __init__(self) -> None:
        self._bars = progress()
        self._tasks: dict[str, TaskID] = {}
        self._said = time.monotonic()

    def __enter__(self) -> "RecoveryDisplay":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, statuses: Mapping[str, Status]) -> None:
        """Show the statuses of the workers, by name."""
        found = {
            f"{name} restores {place}": bounds
            for name, status in statuses.items()
            for place, bounds in status.restoring.items()
        }
        for text in self._tasks.keys() - found.keys():
            self._bars.remove_task(self._tasks.pop(text))
        for text, (next_offset, end) in found.items():
            if text not in self._tasks:
                self._tasks[text] = self._bars.add_task(text, total=end)
            self._bars.update(self._tasks[text], completed=next_offset, total=end)
        if self._bars.disable and found and time.monotonic() - self._said >= _LINE_SECONDS:
            self._said = time.monotonic()
            for text, (next_offset, end) in found.items():
                _logger.info(text, next_offset=next_offset, end_offset=end)
