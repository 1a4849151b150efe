"""Slots of shared memory from a worker on a cluster, whose partitions come and go: positions, marks, Greeks.

Owns: which partitions this worker's slots are live for, and when they are written.
Assumes: called in the loop that runs the stages, whenever ownership changes (`changed`); `serve` runs beside them.
Guarantees: a partition that is given up is not live from that moment, and one that came is live only when every
slot of it is written; writing them holds no step up for more than some milliseconds. The heartbeat stands still
while the cluster acknowledges nothing of this worker: what a cut-off worker shows turns stale. A worker that stood
still for longer than its session beats no more and ends: others own what it shows as its own.
"""

import asyncio
import re
import time
from typing import Any

import structlog

from connectors.kafka.owners import OwnersTopic
from connectors.kafka.ownership import LEASE_ENDS_SECONDS
from tables.partition import TablePartition
from topology.cluster.app import ClusterApp
from topology.log import LogStore
from topology.publishers import open_publishers
from topology.runtime import PartitionRunner, StepReport
from topology.settings import Settings
from topology.slots_publisher import HEARTBEAT_SECONDS, SlotsPublisher

_logger = structlog.get_logger(__name__)


class StoodStill(Exception):
    """The worker did not run for longer than its session lasts."""


_NO_SEGMENT_NAME = re.compile(r"[^A-Za-z0-9_-]")
_SEGMENT_NAME_MAX = 48


def slots_shown(settings: Settings, worker: str, owners: OwnersTopic) -> "list[OwnedSlots]":
    """The slots of a worker, by the settings; none where they want none. Raises SharedMemoryError."""
    # Its end tells workers of one host apart.
    segment = _NO_SEGMENT_NAME.sub("_", worker)[-_SEGMENT_NAME_MAX:]
    return [
        OwnedSlots(publisher, owners, settings.session_seconds)
        for publisher in open_publishers(settings, segment, among_others=True)
    ]


class OwnedSlots:
    """The slots of one kind that a worker has; an observer of its runners."""

    def __init__(self, publisher: SlotsPublisher[Any], owners: OwnersTopic, session_seconds: float) -> None:
        self.publisher = publisher
        self._owners = owners
        self._session_seconds = session_seconds
        self._ran = time.monotonic()
        self._live: dict[int, PartitionRunner] = {}
        self._coming: dict[int, PartitionRunner] = {}
        self._given_up: dict[int, PartitionRunner] = {}
        self._changes = 0

    @property
    def stage(self) -> str:
        """The stage whose slots these are."""
        return self.publisher.stage

    @property
    def alarms(self) -> int:
        """Times that shared memory had no room."""
        return self.publisher.alarms

    def __call__(self, runner: PartitionRunner, report: StepReport) -> None:
        """Write what a step has touched."""
        if not self._stood_still():
            self.publisher(runner, report)

    def changed(self, app: ClusterApp) -> None:
        """The partitions of a stage have changed."""
        if app.stage.name != self.stage:
            return
        gone = {
            partition for partition, runner in self._live.items() if app.runners.get(partition) is not runner
        }
        self._give_up(gone)
        self._coming = {}
        self._changes += 1
        for partition, runner in app.runners.items():
            if partition in self._live or runner.stopped is not None:
                continue
            # The same runner has come back: nobody wrote the partition meanwhile, and its slots say what it is.
            same = self._given_up.pop(partition, None) is runner
            if same and self.publisher.writer.resume(partition):
                self._live[partition] = runner
            else:
                self.publisher.renew(partition)
                self._coming[partition] = runner

    def _give_up(self, partitions: set[int]) -> None:
        if partitions:
            self.publisher.release(partitions)
            self._given_up |= {partition: self._live.pop(partition) for partition in partitions}

    async def serve(self, app: ClusterApp) -> None:
        """Beat, and write the slots of what comes. Raises StoodStill."""
        self.changed(app)
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._beat()
            coming = self._coming
            if coming and await self._fill(app):
                self.publisher.claim(coming)
                self._live |= coming
                self._coming = {}
                _logger.info("slots shown", stage=self.stage, worker=app.worker, partitions=sorted(coming))

    async def _fill(self, app: ClusterApp) -> bool:
        """Write the slots of what comes; False where ownership changed meanwhile."""
        changes = self._changes
        for partition in self._coming:
            # What is committed, without what the running step has changed.
            table = TablePartition(LogStore(app.cluster_log, app.stage.table.name, partition))
            for _ in self.publisher.fill(partition, table):
                await asyncio.sleep(0)
                self._beat()
                if self._changes != changes:
                    return False
        return True

    def _beat(self) -> None:
        if self._stood_still():
            raise StoodStill(
                f"expected this worker to run at least every {self._session_seconds:g} s, found it stopped for longer "
                "(a suspended machine, or a process that was stopped): others have its partitions; it takes part again "
                "when it is started"
            )
        self._ran = time.monotonic()
        self._give_up({partition for partition, runner in self._live.items() if runner.stopped is not None})
        if self._owners.silent_seconds <= LEASE_ENDS_SECONDS:
            self.publisher.heartbeat(self.publisher.committed_sequence)

    def _stood_still(self) -> bool:
        return time.monotonic() - self._ran > self._session_seconds

    def close(self) -> None:
        """A clean stop: readers see the last state, marked as closed."""
        self.publisher.close()
