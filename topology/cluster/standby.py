"""Standbys of a stage in one worker: which tables it keeps warm, and what it tells the others of what it owns.

Assumes: the workers of a stage are static members of its group under their own names, and range assigns (see
`connectors.kafka.placement`); its methods are called one after the other.
Guarantees: a table is let go before it is taken over; what a worker would own if the workers changed by as many losses
as `losses` is warm, as soon as the owners topic and the changelogs allow it.
"""

import threading
from collections.abc import Callable, Collection, Mapping

import structlog

from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.link import Link
from connectors.kafka.owners import OwnersTopic
from connectors.kafka.placement import assigned_to, warm_partitions
from connectors.kafka.standby import StandbyTables

_logger = structlog.get_logger(__name__)


class Standby:
    """The standbys of one stage. `losses`: the workers that may end at once; 0 keeps nothing warm."""

    def __init__(
        self,
        stage: Stage,
        link: Link,
        owners: OwnersTopic,
        *,
        worker: str,
        partitions: int,
        losses: int,
        state: EmbeddedLog,
    ) -> None:
        self._stage = stage
        self._owners = owners
        self._worker = worker
        self._partitions = partitions
        self._losses = losses
        self._owned: frozenset[int] = frozenset()
        self._announced: frozenset[int] | None = None
        self._closed = False
        self._lock = threading.Lock()
        self.tables = StandbyTables(
            link,
            group=f"{stage.name}-{worker}",
            topic=link.topic(stage.changelog),
            table=stage.table.name,
            state=state,
        )

    def warm_up(self, restore: Callable[[int], None]) -> None:
        """Before this worker takes part: restore what it will own, while the others still do.

        So a worker that joins, or comes back after long, takes over warm.
        """
        if not self._losses:
            return
        self._owners.hear()
        others = {lease.worker for lease in self._owners.workers()} - {self._worker}
        if others:
            for partition in assigned_to(self._worker, others | {self._worker}, self._partitions):
                restore(partition)

    def lost_owners(self, partitions: Collection[int]) -> list[str]:
        """The workers that had these partitions and are lost, for whoever has them now."""
        return self._owners.lost_owners(self._stage.name, partitions)

    def let_go(self, partitions: Collection[int]) -> None:
        """These are this worker's own from now on: nothing else writes their tables when this returns."""
        with self._lock:
            self._owned = frozenset(partitions)
            self.tables.keep(self.tables.kept - self._owned)

    def announce(self, caught_up: Mapping[int, int]) -> None:
        """Tell the others what this worker has taken over, with the changelog records that it took for each."""
        self._owners.announce(self._stage.name, caught_up)
        _logger.info(
            "partitions taken over",
            worker=self._worker,
            stage=self._stage.name,
            changelog_records_by_partition=dict(caught_up),
        )

    def refresh(self) -> None:
        """Keep warm what the workers that live now make likely; call it every second."""
        members = {lease.worker for lease in self._owners.workers()}
        with self._lock:
            if self._closed:
                return
            if self._losses:
                likely = warm_partitions(self._worker, members, self._partitions, self._losses)
                self.tables.keep(likely - self._owned)
            kept = self.tables.kept
        if kept != self._announced:
            self._owners.announce_standby(self._stage.name, kept)
            self._announced = kept

    def close(self) -> None:
        """Keep nothing warm any more."""
        with self._lock:
            self._closed = True
            self.tables.close()
