"""Valuations and Greeks into shared memory: the newest of each position, and their sums (`topology.slots_publisher`).

A mark may touch ten thousand positions, so what a step touched is only noted, and written with the heartbeat: of each
position the newest figures, at most `SLOTS_A_BEAT` positions a beat, and sums as often as they take a tenth of the time.
Where other processes value positions too, only the sums of underlyings are shown: each has all positions of its underlyings,
and none has all of a book.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from agents import valuation
from agents.stage import Step
from agents.valuation_state import ValuationState
from agents.valuation_step import Revaluation, Told
from connectors.shm.greeks import GreeksWriter, Shown
from connectors.shm.slot_writer import SLOTS_MAX
from schemas.numbers import exact_arithmetic
from tables.partition import TablePartition
from topology.greeks_table import GreeksTable
from topology.settings import SHARED_MEMORY, Settings
from topology.slots_publisher import SlotsPublisher

NAME = "/pks-greeks-v1"
"""The name beside positions of the usual name."""

SLOTS_A_BEAT = 2_000
"""Most positions written with a heartbeat: some 20 ms of each 100."""

_SHARE = 10
"""Sums are made again after this many times what they took."""


def greeks_name(settings: Settings) -> str:
    """The name of the Greeks' shared memory; empty for none."""
    if not settings.shared_memory:
        return ""
    return NAME if settings.shared_memory == SHARED_MEMORY else f"{settings.shared_memory}.greeks"


class GreeksPublisher(SlotsPublisher[GreeksWriter]):
    """Writes what a process values into slots.

    Raises `connectors.shm.errors.SharedMemoryError` where that cannot be: another writer, no memory, another layout.
    """

    stage = valuation.NAME

    def __init__(
        self,
        name: str,
        slots: int,
        partitions: int,
        pivot: str,
        worker: str = "0",
        *,
        among_others: bool = False,
        slots_max: int = SLOTS_MAX,
        on_alarm: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(
            lambda alarm: GreeksWriter(
                name, slots=slots, partitions=partitions, worker=worker, slots_max=slots_max, on_alarm=alarm
            ),
            on_alarm,
        )
        self._pivot = pivot
        self._among_others = among_others
        self._table = GreeksTable(pivot)
        self._changed: dict[int, None] = {}
        self._sums: dict[str, tuple[Any, ...]] = {}
        self._sums_due, self._sums_stale = 0.0, False

    def shown(self, table: TablePartition) -> Iterator[Told]:
        """All that a table partition is worth now."""
        state, step = ValuationState(table, self._pivot), Step(lambda key: 0)
        Revaluation(state, step).tell_all(0)
        yield from step.touched.values()

    def key_of(self, found: Told) -> Hashable:
        """Its block and its first row."""
        return found.block, found.rows[0]

    def write_shown(self, found: Told, partition: int, now: int) -> None:
        """Note what the table gives."""
        self.write_touched(found, partition, now)

    def write_touched(self, touched: Told, partition: int, now: int) -> None:
        """Note what a step has valued; it is written with the next heartbeat."""
        self._changed.update(dict.fromkeys(self._table.take(touched, partition)))
        self._sums_stale = True

    def fill(self, partition: int, table: TablePartition) -> Iterator[int]:
        """As for other slots; what it is all worth is reckoned at once, so that what a step says meanwhile is newer."""
        with exact_arithmetic():
            for told in self.shown(table):
                self.write_shown(told, partition, 0)
        while waiting := len(self._changed):
            self._write_positions()
            yield waiting - len(self._changed)

    def renew(self, partition: int) -> None:
        """Begin to own a partition (again): its sums are written under the new ownership, too."""
        super().renew(partition)
        self._table.forget_blocks()
        self._sums.clear()

    def claim(self, partitions: Iterable[int]) -> None:
        """Let readers see partitions, their sums as well."""
        self._write_sums()
        super().claim(partitions)

    def heartbeat(self, durable_sequence: int | None = None) -> None:
        """The heartbeat, with what has changed since the last one."""
        super().heartbeat(durable_sequence)
        self._write_positions()
        if self._sums_stale and time.monotonic() >= self._sums_due:
            self._write_sums()

    def _write_positions(self) -> None:
        now = time.time_ns()
        for place in list(self._changed)[:SLOTS_A_BEAT]:
            del self._changed[place]
            self.writer.put(self._table.keys[place], self._table.shown(place, now))

    def _write_sums(self) -> None:
        self._sums_stale = False
        now, begun, newest = time.time_ns(), time.monotonic(), self._table.newest
        for each in self._table.sums(of_underlyings_alone=self._among_others):
            content = (*each.figures[:-1], each.positions, each.unvalued)
            if self._sums.get(each.name) == content:
                continue
            self._sums[each.name] = content
            shown = Shown(
                each.partition, each.figures, each.positions, each.unvalued, 0, newest, now, self._pivot, ""
            )
            self.writer.put(("", each.name), shown)
        ended = time.monotonic()
        self._sums_due = ended + _SHARE * (ended - begun)
