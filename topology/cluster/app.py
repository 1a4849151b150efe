"""A stage as a Faust App on a cluster: one App a stage and worker, a member of the stage's consumer group.

Owns: what a worker does when it gets partitions (tables caught up, runners built) and how its steps are committed.
Assumes: one event loop; a database for the tables of this worker and stage, which only it opens.
Guarantees: no record reaches a partition before its table holds everything that was committed for it; a step is
one transaction; a worker that lost its partitions ends, and whoever starts it again catches up.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import faust
import structlog
from mode.supervisors import CrashingSupervisor
from yarl import URL

from agents.stage import Stage
from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import ChangelogError
from connectors.kafka.log import KafkaLog
from connectors.kafka.reference import ReferenceTopics
from connectors.kafka.transport import Cluster, Transport, share_cluster
from topology.app import RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX, StepObserver
from topology.runtime import PartitionRunner, prepare_together
from topology.settings import Settings
from topology.stages import Observer

Event = Any
_logger = structlog.get_logger(__name__)


class ClusterApp(faust.App):  # type: ignore[misc]
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
    ) -> None:
        self.stage = stage
        self.settings = settings
        self.worker = worker
        self.runners: dict[int, PartitionRunner] = {}
        self.trouble: str | None = None
        self._observers = observers
        self._on_step = on_step
        self.held = EmbeddedLog.owner(folder / stage.name, sync="os")
        self._changelog = ChangelogReader(
            cluster.link,
            group=f"{stage.name}-{worker}",
            topic=stage.changelog,
            table=stage.table.name,
            state=self.held,
        )
        self._reference = ReferenceTopics(
            cluster.link, [topic.name for topic in stage.broadcasts], f"{stage.name}-{worker}-reference"
        )
        self.cluster_log = KafkaLog(
            cluster.link,
            group=stage.name,
            input_topic=stage.input.name,
            table=stage.table.name,
            changelog=stage.changelog,
            state=self.held,
            transactional_id=f"pks-{stage.name}-{worker}",
            group_metadata=lambda: self.consumer.metadata,
            reference=self._reference,
        )
        self._took_over = False
        (folder / "faust").mkdir(exist_ok=True)
        super().__init__(
            stage.name,
            broker=[share_cluster(cluster)],
            store=URL("memory://"),
            datadir=folder / "faust" / stage.name,
            topic_partitions=settings.partitions,
            key_serializer="raw",
            value_serializer="raw",
            topic_disable_leader=True,
            reply_create_topic=False,
            stream_buffer_maxsize=settings.queue_records_max,
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            agent_supervisor=CrashingSupervisor,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )
        source = self.topic(
            stage.input.name,
            key_type=bytes,
            value_type=bytes,
            partitions=settings.partitions,
            allow_empty=True,
        )
        self.agent(source, name=stage.name)(self._run)

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self, loop=self.loop)

    def _new_producer_transport(self) -> Any:
        return Transport(self.conf.broker_producer, self, loop=self.loop)

    # -- partitions ---------------------------------------------------------------------------------------------

    async def restore_partitions(self, positions: Mapping[Any, int]) -> None:
        """Catch up the tables of the partitions that this worker gets, and build their runners."""
        self.runners = {}
        partitions = {tp.partition: position for tp, position in positions.items()}
        await asyncio.to_thread(self._catch_up, partitions)
        for partition in partitions:
            self.runners[partition] = PartitionRunner(
                self.stage, partition, self.cluster_log, self.settings.partitions, self._observers
            )

    def _catch_up(self, partitions: Mapping[int, int]) -> None:
        if not self._took_over:
            self.cluster_log.start()
            self._took_over = True
        for partition, position in partitions.items():
            self._changelog.catch_up(partition)
            consumed = self.cluster_log.committed(self.stage.name, self.stage.input.name, partition) or 0
            # Both were written in one transaction; only a group that the cluster has forgotten has no offset.
            if position not in (0, consumed):
                raise ChangelogError(
                    f"expected the group {self.stage.name} and the changelog {self.stage.changelog}/{partition} to "
                    f"name the same offset, found {position} and {consumed}"
                )
        if self.stage.broadcasts:
            self._reference.catch_up()

    # -- steps --------------------------------------------------------------------------------------------------

    async def _run(self, stream: Any) -> None:
        source = stream.noack()
        async for event in source.events():
            waiting = self._take_waiting(source.channel.queue, event)
            await self._apply(waiting)
            for events in waiting.values():
                for applied in events:
                    applied.ack()

    def _take_waiting(self, queue: Any, first: Event) -> dict[int, list[Event]]:
        generation = self.consumer_generation_id
        events_max, bytes_max = self.settings.step_events_max, self.settings.step_bytes_max
        waiting: dict[int, list[Event]] = {first.message.partition: [first]}
        count, size = 1, len(first.message.value or b"")
        while not queue.empty() and count < events_max and size < bytes_max:
            event = queue.get_nowait()
            message = event.message
            if message.generation_id == generation:
                waiting.setdefault(message.partition, []).append(event)
                count, size = count + 1, size + len(message.value or b"")
        return waiting

    async def _apply(self, waiting: dict[int, list[Event]]) -> None:
        pause = RETRY_SECONDS_FIRST
        while True:
            work = [
                (self.runners[partition], [event.message for event in events])
                for partition, events in waiting.items()
                if partition in self.runners and self.runners[partition].stopped is None
            ]
            started = time.perf_counter()
            if self.stage.broadcasts:
                self._reference.poll()
            pending = prepare_together(work)
            if pending is None:
                return
            try:
                # The cluster is waited for beside the loop, so that the other stages go on.
                sequence = await asyncio.to_thread(pending.commit)
            except CommitError as error:
                pending.abandon()
                _logger.error("commit failed, to be tried again", stage=self.stage.name, error=str(error))
                self.trouble = str(error)
                await self.sleep(pause)
                pause = min(2 * pause, RETRY_SECONDS_MAX)
                if self.should_stop:
                    return
                continue
            self.trouble = None
            reports = pending.finish(sequence)
            if self._on_step is not None and reports:
                self._on_step(self.stage, reports, time.perf_counter() - started)
            return

    async def on_stop(self) -> None:
        """Let go of the cluster and of the tables."""
        await super().on_stop()
        self._changelog.close()
        self._reference.close()
        self.held.close()
