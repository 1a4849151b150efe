"""The partitions of a stage that a worker on a cluster has: how it gets them, and how it gives them up.

Owns: the tables of this worker and stage, who writes for them, and which partitions they are good for.
Assumes: one event loop; a database for the tables of this worker and stage, which only it opens; whoever steps holds
`_step_lock` meanwhile.
Guarantees: no record reaches a partition before its table holds everything that was committed for it, and whoever left
a transaction open over it is fenced; partitions are given up between two steps.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from faust.types.tuples import TP
from yarl import URL

from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.exactly_once import ExactlyOnce
from connectors.kafka.fencing import fence, fence_writers
from connectors.kafka.link import Link
from connectors.kafka.log import KafkaLog
from connectors.kafka.low_latency import LowLatency
from connectors.kafka.owners import OwnersTopic
from connectors.kafka.ownership import LEASE_SECONDS
from connectors.kafka.reference import ReferenceTopics
from connectors.kafka.transport import Cluster, Transport, share_cluster
from connectors.kafka.writer import StepWriter
from topology.cluster.guarantees import LOW_LATENCY, guarantee_of
from topology.cluster.places import writer_of
from topology.cluster.standby import Standby
from topology.runtime import PartitionRunner
from topology.settings import Settings
from topology.stage_app import BaseStageApp, StepObserver
from topology.stages import Observer

_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Measures:
    """What an App has done since it started; `restoring` is what each partition lacks yet, (next offset, end)."""

    steps: int = 0
    records: int = 0
    commit_seconds: float = 0.0
    rebalances: int = 0
    rebalance_seconds: float = 0.0
    restored: int = 0
    fenced: int = 0
    restoring: dict[int, tuple[int, int]] = field(default_factory=dict)


class TakeoverGivenUp(Exception):
    """Partitions went elsewhere while their tables were caught up."""


class OwningApp(BaseStageApp):
    """The App of one stage in one worker; `runners` are those of the partitions that it owns."""

    def __init__(
        self,
        stage: Stage,
        cluster: Cluster,
        settings: Settings,
        *,
        folder: Path,
        worker: str,
        observers: Sequence[Observer] = (),
        on_step: StepObserver | None = None,
        listener: socket.socket | None = None,
        owners: OwnersTopic | None = None,
        on_ownership: Callable[[Any], None] | None = None,
    ) -> None:
        # Who writes is chosen by them, before Faust's part of an App is made.
        self.stage, self.settings, self.worker = stage, settings, worker
        self.measures = Measures()
        self.link = link = cluster.link
        self._input, self._changelog_topic = link.topic(stage.input.name), link.topic(stage.changelog)
        self._step_lock = asyncio.Lock()
        self._committing: asyncio.Future[int] | None = None
        self._catching_up: asyncio.Future[Any] | None = None
        self._giving_up = False
        self._rebalance_began: float | None = None
        self.held = EmbeddedLog.owner(folder / stage.name, sync="os")
        self._changelog = ChangelogReader(
            link,
            group=f"{stage.name}-{worker}",
            topic=self._changelog_topic,
            table=stage.table.name,
            state=self.held,
        )
        self._reference = ReferenceTopics(
            link, [topic.name for topic in stage.broadcasts], f"{stage.name}-{worker}-reference"
        )
        self.cluster_log = KafkaLog(
            self._new_writer(link),
            self._changelog,
            link=link,
            group=stage.name,
            input_topic=stage.input.name,
            table=stage.table.name,
            changelog=stage.changelog,
            state=self.held,
            reference=self._reference,
        )
        self.standby = (
            None
            if owners is None
            else Standby(
                stage,
                link,
                owners,
                worker=worker,
                partitions=settings.partitions,
                losses=settings.standby,
                state=self.held,
            )
        )
        self._on_ownership = on_ownership
        self._given_up: dict[int, PartitionRunner] = {}
        self._took_over = False
        super().__init__(
            stage,
            settings,
            folder=folder / "faust",
            observers=observers,
            on_step=on_step,
            listener=listener,
            broker=[share_cluster(cluster)],
            store=URL("memory://"),
        )
        self._read_input(self._input)
        if self.standby is not None:
            self.task(self._keep_standbys)

    def _new_writer(self, link: Link) -> StepWriter:
        stage = self.stage
        if guarantee_of(stage, self.settings.guarantees) == LOW_LATENCY:
            return LowLatency(
                link,
                changelog=self._changelog_topic,
                note_consumed=self._note_consumed,
                read_on=self._changelog.read_on,
            )
        return ExactlyOnce(
            link,
            input_topic=self._input,
            changelog=self._changelog_topic,
            transactional_id=writer_of(stage.name, self.worker),
            group_metadata=lambda: self.consumer.metadata,
        )

    def _note_consumed(self, consumed: Mapping[int, int]) -> None:
        self.consumer.note_consumed(self._input, consumed)

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self, loop=self.loop)

    def _new_producer_transport(self) -> Any:
        return Transport(self.conf.broker_producer, self, loop=self.loop)

    # -- partitions ---------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned and restored, maybe none, and every one has caught up."""
        return (
            self.measures.rebalances > 0
            and not self.rebalancing
            and self.trouble is None
            and all(self.caught_up(partition) for partition in self.runners)
        )

    def lag(self, partition: int) -> int:
        """Records of the input that a partition of this worker has not applied."""
        place = TP(self._input, partition)
        return int(self.consumer.lag(place, self.runners[partition].next_offset))

    def caught_up(self, partition: int) -> bool:
        """Whether the end was met since the partition came here, and no more waits than senders may be ahead."""
        return (
            self.consumer.met_end(TP(self._input, partition))
            and self.lag(partition) <= self.settings.queue_records_max
            and self.runners[partition].stopped is None
        )

    def on_rebalance_start(self) -> None:
        """Partitions are given up, or are about to come."""
        if self._rebalance_began is None:
            self._rebalance_began = time.monotonic()
        self._given_up |= self.runners
        self.runners = {}
        self._ownership_changed()
        super().on_rebalance_start()

    def on_rebalance_end(self) -> None:
        """Every partition of this worker is restored."""
        super().on_rebalance_end()
        self.measures.rebalances += 1
        if self._rebalance_began is not None:
            self.measures.rebalance_seconds += time.monotonic() - self._rebalance_began
            self._rebalance_began = None

    async def step_ended(self) -> None:
        """Wait until what runs beside the loop has ended: a step, or a takeover, which is given up.

        Whoever gets the partitions fences a transaction that it finds open, and with it this worker.
        """
        async with self._step_lock:
            pass
        await self._takeover_ended()

    async def _takeover_ended(self) -> None:
        if self._catching_up is not None:
            self._giving_up = True
            await asyncio.gather(self._catching_up, return_exceptions=True)
            self._giving_up = False

    def take_over(self, partitions: Sequence[int]) -> None:
        """End what a former life of this worker, or another one, left open over these partitions; not in the loop."""
        if not partitions:
            return
        if not self._took_over:
            self.cluster_log.start()
            self._took_over = True
        fenced = self._fence_lost(partitions)
        fenced += fence_writers(
            self.link,
            self._changelog_topic,
            list(partitions),
            group=self.stage.name,
            input_topic=self._input,
        )
        if fenced:
            _logger.warning("fenced at takeover", stage=self.stage.name, writers=fenced)
            self.measures.fenced += len(fenced)

    def _ownership_changed(self) -> None:
        if self._on_ownership is not None:
            self._on_ownership(self)

    async def warm_up(self) -> None:
        """Before the start: catch up the tables that this worker will own, while others do."""
        if self.standby is not None:
            self._catching_up = asyncio.ensure_future(asyncio.to_thread(self.standby.warm_up, self._warm_up))
            await asyncio.shield(self._catching_up)

    def _warm_up(self, partition: int) -> None:
        self.measures.restored += self._changelog.catch_up(partition, partial(self._restoring, partition))
        self.measures.restoring.clear()

    def _restoring(self, partition: int, next_offset: int, end: int) -> None:
        if self._giving_up:
            raise TakeoverGivenUp
        self.measures.restoring[partition] = (next_offset, end)

    def _fence_lost(self, partitions: Sequence[int]) -> list[str]:
        """A lost worker may have emitted of a step before any of it was in the changelog: it is known by its name."""
        lost = [] if self.standby is None else self.standby.lost_owners(partitions)
        writers = [writer_of(self.stage.name, worker) for worker in lost]
        for writer in writers:
            fence(self.link, writer)
        return writers

    async def restore_partitions(self, positions: Mapping[Any, int]) -> dict[Any, int]:
        """Catch up the tables of the partitions that this worker gets, and build their runners.

        Returns where the input of each goes on.
        """
        before, self._given_up = self._given_up, {}
        partitions = {tp.partition: position for tp, position in positions.items()}
        self._catching_up = asyncio.ensure_future(asyncio.to_thread(self._catch_up, partitions))
        consumed: dict[int, int] = await asyncio.shield(self._catching_up)
        for partition, offset in consumed.items():
            runner = before.get(partition)
            # Where nobody else wrote it meanwhile, what a runner has in memory is what the table says.
            lacked = self.cluster_log.lacked[partition]
            if runner is None or lacked or runner.stopped is not None or runner.next_offset != offset:
                runner = PartitionRunner(
                    self.stage, partition, self.cluster_log, self.settings.partitions, self._observers
                )
            self.runners[partition] = runner
        self._ownership_changed()
        self._look_for_idle_work()
        return {tp: consumed[tp.partition] for tp in positions}

    def _catch_up(self, positions: Mapping[int, int]) -> dict[int, int]:
        if self.standby is not None:
            self.standby.let_go(positions)
        measures = self.measures
        before = self.cluster_log.restored
        try:
            consumed = self.cluster_log.take_over(positions, self._restoring)
        finally:
            measures.restoring.clear()
            measures.restored += self.cluster_log.restored - before
        # A group that was told less than the changelog has learns it now, whether or not more comes.
        behind = {
            partition: offset for partition, offset in consumed.items() if positions[partition] < offset
        }
        if behind:
            self._note_consumed(behind)
        if self.stage.broadcasts:
            self._reference.catch_up()
        if self.standby is not None:
            self.standby.announce(self.cluster_log.lacked)
        return consumed

    async def _keep_standbys(self) -> None:
        assert self.standby is not None
        while not self.should_stop:
            await asyncio.to_thread(self.standby.refresh)
            await self.sleep(LEASE_SECONDS)
