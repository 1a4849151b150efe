"""What a worker shows in shared memory, by the settings: positions, and with all stages marks and Greeks."""

import contextlib
from typing import Any

from topology.greeks_publisher import GreeksPublisher, greeks_name
from topology.marks.shared_memory import MarksPublisher, marks_name
from topology.settings import ALL_STAGES, Settings
from topology.shared_memory import PositionsPublisher
from topology.slots_publisher import SlotsPublisher


def open_publishers(
    settings: Settings, worker: str = "0", *, among_others: bool = False
) -> tuple[SlotsPublisher[Any], ...]:
    """The publishers of a worker, which may be one `among_others` that own other partitions. Raises SharedMemoryError."""
    if not settings.shared_memory:
        return ()
    slots, partitions = settings.shared_memory_slots, settings.partitions
    publishers: list[SlotsPublisher[Any]] = []
    with contextlib.ExitStack() as opened:
        publishers.append(PositionsPublisher(settings.shared_memory, slots, partitions, worker))
        opened.callback(publishers[0].close)
        if settings.stages == ALL_STAGES:
            publishers.append(MarksPublisher(marks_name(settings), slots, partitions, worker))
            opened.callback(publishers[1].close)
            pivot, name = settings.fx_pivot, greeks_name(settings)
            publishers.append(
                GreeksPublisher(name, slots, partitions, pivot, worker, among_others=among_others)
            )
        opened.pop_all()
    return tuple(publishers)
