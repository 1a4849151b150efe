"""What is committed, read from the log's tables, and what a reader of shared memory sees of it.

The reader is the one that strategies use, over real shared memory of a name that no other process has.
"""

import os
from decimal import Decimal
from typing import Any

from agents.open_position import SUMMARY, OpenPosition, load_position
from clients.python.pks_client import PositionReader, PositionSlot
from schemas.identity import split_position_key
from schemas.numbers import exact_arithmetic
from topology.log_reading import POSITIONS_TABLE, table_partition
from topology.simulation.log import SimulatedLog

_FIGURES = ("quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl", "fees")
_NEVER_STALE_SECONDS = 1e6

Book = tuple[str, str]


def shared_memory_name() -> str:
    """The name of this process's simulated worker."""
    return f"/pks-simulation-{os.getpid()}"


class CommittedBooks:
    """The committed positions of a log; a position is read again where its summary is another one."""

    def __init__(self, log: SimulatedLog, partitions: int) -> None:
        self._log = log
        self._partitions = partitions
        self._known: dict[bytes, tuple[bytes, OpenPosition]] = {}

    def positions(self, *, anew: bool = False) -> dict[Book, tuple[int, OpenPosition]]:
        """Each position with its partition; `anew` reads all of them again."""
        found: dict[Book, tuple[int, OpenPosition]] = {}
        for partition in range(self._partitions):
            table = table_partition(self._log, POSITIONS_TABLE, partition)
            for key, stored in table.scan_prefix(SUMMARY):
                place = split_position_key(key[1:])
                known = self._known.get(key)
                if anew or known is None or known[0] is not stored:
                    with exact_arithmetic():
                        opened = load_position(table, *place)
                    assert opened is not None, "its summary stands in the table"
                    known = self._known[key] = stored, opened
                found[place] = partition, known[1]
        return found


class SlotsReader:
    """Reads the slots of the simulated worker, as any other process does."""

    def __init__(self, name: str) -> None:
        self._reader = PositionReader(name, stale_after_seconds=_NEVER_STALE_SECONDS)
        self._handles: dict[Book, Any] = {}

    def difference(
        self, committed: dict[Book, tuple[int, OpenPosition]], silent: set[int], *, live: bool
    ) -> str:
        """Where slots do not show what is committed; nothing where they do.

        With `live`, all slots must be live but those of the partitions in `silent`: what these show does not count.
        """
        with exact_arithmetic():
            for place, (partition, opened) in committed.items():
                handle = self._handles.get(place)
                if handle is None:
                    handle = self._handles[place] = self._reader.slot(*place)
                slot = handle.read()
                if partition in silent:
                    found = "is live, and its partition has stopped" if live and slot and slot.live else ""
                elif slot is None:
                    found = "is not there"
                elif live and not slot.live:
                    found = f"expected to be live, found {slot.status}"
                else:
                    found = _difference(slot, partition, opened)
                if found:
                    return f"slot {place[0]}/{place[1]}: {found}"
        return ""

    def surplus(self, committed: dict[Book, tuple[int, OpenPosition]]) -> str:
        """A live slot of a position that is not committed; nothing where there is none."""
        for slot in self._reader.positions():
            if slot.live and (slot.book, slot.instrument) not in committed:
                return f"slot {slot.book}/{slot.instrument} shows a position that is not committed"
        return ""


def _difference(slot: PositionSlot, partition: int, opened: OpenPosition) -> str:
    position = opened.position
    expected = (opened.revision, len(position.lots), opened.last[0], partition, position.terms.currency)
    found = (slot.revision, slot.lots_open, slot.executed_at, slot.partition, slot.currency)
    if expected != found:
        return f"expected revision, lots, time, partition and currency {expected}, found {found}"
    inexact = slot.inexact
    for name in _FIGURES:
        wanted: Decimal | None = getattr(position, name)
        shown: Decimal | None = getattr(slot, name)
        if wanted != shown and (
            name not in inexact or wanted is None or float(wanted) != getattr(slot.raw, name)
        ):
            return f"expected {name} {wanted}, found {shown}"
    return ""
