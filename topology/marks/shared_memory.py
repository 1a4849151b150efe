"""Marks into shared memory: the newest of each instrument, as the bars stage keeps them (`topology.slots_publisher`)."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from agents import bars
from agents.bar_state import scan_marks
from connectors.shm.marks import MarkWriter
from connectors.shm.slot_writer import SLOTS_MAX
from tables.partition import TablePartition
from topology.settings import SHARED_MEMORY, Settings
from topology.slots_publisher import SlotsPublisher

NAME = "/md-marks-v1"
"""The name beside positions of the usual name."""


def marks_name(settings: Settings) -> str:
    """The name of the marks' shared memory; empty for none."""
    if not settings.shared_memory:
        return ""
    return NAME if settings.shared_memory == SHARED_MEMORY else f"{settings.shared_memory}.md.marks"


class MarksPublisher(SlotsPublisher[MarkWriter]):
    """Writes the newest marks of a process into slots.

    Raises `connectors.shm.errors.SharedMemoryError` where that cannot be: another writer, no memory, another layout.
    """

    stage = bars.NAME

    def __init__(
        self,
        name: str,
        slots: int,
        partitions: int,
        worker: str = "0",
        *,
        slots_max: int = SLOTS_MAX,
        on_alarm: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(
            lambda alarm: MarkWriter(
                name, slots=slots, partitions=partitions, worker=worker, slots_max=slots_max, on_alarm=alarm
            ),
            on_alarm,
        )

    def shown(self, table: TablePartition) -> Iterator[Any]:
        """The newest marks of a table partition."""
        return scan_marks(table)

    def key_of(self, found: Any) -> Hashable:
        """The instrument."""
        return str(found.instrument)

    def write_shown(self, found: Any, partition: int, now: int) -> None:
        """Write a mark as the table has it."""
        self.writer.write(partition, found, now)

    def write_touched(self, touched: Any, partition: int, now: int) -> None:
        """Write a mark that a step has taken in."""
        self.writer.write(partition, touched, now)
