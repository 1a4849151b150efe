"""A stage as a Faust App on a cluster: one App a stage and worker, a member of the stage's consumer group.

Owns: what a worker does when it gets partitions (tables caught up, runners built) and how its steps are committed.
Assumes: one event loop; a database for the tables of this worker and stage, which only it opens.
Guarantees: no record reaches a partition before its table holds everything that was committed for it; a step has the
guarantee that the settings name for its stage; a worker that lost its partitions ends, and whoever starts it again
catches up.
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
from connectors.kafka.exactly_once import ExactlyOnce
from connectors.kafka.link import Link
from connectors.kafka.log import KafkaLog
from connectors.kafka.low_latency import LowLatency
from connectors.kafka.reference import ReferenceTopics
from connectors.kafka.transport import Cluster, Transport, share_cluster
from connectors.kafka.writer import StepWriter
from topology.app import RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX, StepObserver
from topology.cluster.guarantees import LOW_LATENCY, guarantee_of
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
            self._new_writer(cluster.link),
            self._changelog,
            group=stage.name,
            input_topic=stage.input.name,
            table=stage.table.name,
            changelog=stage.changelog,
            state=self.held,
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

    def _new_writer(self, link: Link) -> StepWriter:
        stage = self.stage
        if guarantee_of(stage, self.settings.guarantees) == LOW_LATENCY:
            return LowLatency(
                link,
                changelog=stage.changelog,
                note_consumed=self._note_consumed,
                read_on=self._changelog.read_on,
            )
        return ExactlyOnce(
            link,
            input_topic=stage.input.name,
            changelog=stage.changelog,
            transactional_id=f"pks-{stage.name}-{self.worker}",
            group_metadata=lambda: self.consumer.metadata,
        )

    def _note_consumed(self, consumed: Mapping[int, int]) -> None:
        self.consumer.note_consumed(self.stage.input.name, consumed)

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self, loop=self.loop)

    def _new_producer_transport(self) -> Any:
        return Transport(self.conf.broker_producer, self, loop=self.loop)

    # -- partitions ---------------------------------------------------------------------------------------------

    def take_over(self, partitions: Sequence[int]) -> None:
        """End what a former life of this worker left open over these partitions; not in the loop."""
        if partitions and not self._took_over:
            self.cluster_log.start()
            self._took_over = True

    async def restore_partitions(self, positions: Mapping[Any, int]) -> dict[Any, int]:
        """Catch up the tables of the partitions that this worker gets, and build their runners.

        Returns where the input of each goes on.
        """
        self.runners = {}
        partitions = {tp.partition: position for tp, position in positions.items()}
        consumed = await asyncio.to_thread(self._catch_up, partitions)
        for partition in partitions:
            self.runners[partition] = PartitionRunner(
                self.stage, partition, self.cluster_log, self.settings.partitions, self._observers
            )
        return {tp: consumed[tp.partition] for tp in positions}

    def _catch_up(self, positions: Mapping[int, int]) -> dict[int, int]:
        consumed = self.cluster_log.take_over(positions)
        if self.stage.broadcasts:
            self._reference.catch_up()
        return consumed

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
        self.cluster_log.close()
        self._changelog.close()
        self._reference.close()
        self.held.close()
