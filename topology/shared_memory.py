"""Positions into shared memory: what the positions stage has touched (`topology.slots_publisher`)."""

from collections.abc import Callable, Hashable, Iterator
from decimal import Decimal
from typing import Any

from agents.open_position import OpenPosition, ShownPosition, scan_shown
from connectors.shm.writer import SLOTS_MAX, PositionWriter
from tables.partition import TablePartition
from topology.slots_publisher import HEARTBEAT_SECONDS as HEARTBEAT_SECONDS
from topology.slots_publisher import SlotsPublisher

STAGE = "positions"
_TIME_MIN, _TIME_MAX = -(1 << 63), (1 << 63) - 1


class PositionsPublisher(SlotsPublisher[PositionWriter]):
    """Writes the positions of a process into `/pks-positions-v1` (or another name).

    Raises `connectors.shm.errors.SharedMemoryError` where that cannot be: another writer, no memory, another
    layout.
    """

    stage = STAGE

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
            lambda alarm: PositionWriter(
                name, slots=slots, partitions=partitions, worker=worker, slots_max=slots_max, on_alarm=alarm
            ),
            on_alarm,
        )

    def shown(self, table: TablePartition) -> Iterator[ShownPosition]:
        """Every position of a table partition."""
        return scan_shown(table)

    def key_of(self, found: Any) -> Hashable:
        """Book and instrument."""
        return found.book, found.instrument

    def write_shown(self, found: ShownPosition, partition: int, now: int) -> None:
        """Write a position as its table has it."""
        self.writer.write(
            (found.book, found.instrument),
            partition,
            found.terms.currency,
            (
                found.quantity,
                found.average_price,
                found.cost_basis,
                found.realised_pnl,
                found.net_realised_pnl,
                found.fees,
            ),
            (found.lots_open, found.revision),
            (_slot_time(found.last[0]), now),
        )

    def write_touched(self, touched: OpenPosition, partition: int, now: int) -> None:
        """Write a position that a step has changed."""
        position = touched.position
        decimals: tuple[Decimal | None, ...] = (
            position.quantity,
            position.average_price,
            position.cost_basis,
            position.realised_pnl,
            position.net_realised_pnl,
            position.fees,
        )
        self.writer.write(
            (touched.book, touched.instrument),
            partition,
            position.terms.currency,
            decimals,
            (len(position.lots), touched.revision),
            (_slot_time(touched.last[0]), now),
        )


def _slot_time(at: int) -> int:
    return at if _TIME_MIN <= at <= _TIME_MAX else min(max(at, _TIME_MIN), _TIME_MAX)
