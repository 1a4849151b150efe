"""A stage as a Faust App on a cluster: one App a stage and worker, a member of the stage's consumer group.

Owns: what a worker does when it gets partitions (tables caught up, runners built) and how its steps are committed.
Assumes: one event loop; a database for the tables of this worker and stage, which only it opens.
Guarantees: no record reaches a partition before its table holds everything that was committed for it, and whoever left
a transaction open over it is fenced; a step has the guarantee that the settings name for its stage, and partitions are
given up between two steps; a worker that lost its partitions ends, and whoever starts it again catches up.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.types.tuples import TP
from mode.supervisors import CrashingSupervisor
from yarl import URL

from agents.stage import Stage
from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import LinkError
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
from topology.app import (
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
    ROOM_SECONDS,
    StepObserver,
)
from topology.cluster.guarantees import LOW_LATENCY, guarantee_of
from topology.cluster.places import writer_of
from topology.cluster.standby import Standby
from topology.runtime import IDLE, PartitionRunner, PendingStep, prepare_together
from topology.settings import Settings
from topology.stages import Observer, is_spine
from topology.turns import SLICE_BYTES_MAX, SLICE_RECORDS_MAX, TURNS_BETWEEN_SLICES
from topology.web.server import ListeningWeb

Event = Any
_UNUSED_PORT = 6066
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
        listener: socket.socket | None = None,
        owners: OwnersTopic | None = None,
        on_ownership: Callable[["ClusterApp"], None] | None = None,
    ) -> None:
        self.stage = stage
        self.settings = settings
        self.worker = worker
        self.listener = listener
        self.runners: dict[int, PartitionRunner] = {}
        self.trouble: str | None = None
        self.measures = Measures()
        self.link = link = cluster.link
        self._input, self._changelog_topic = link.topic(stage.input.name), link.topic(stage.changelog)
        self._records_max, self._bytes_max = settings.step_events_max, settings.step_bytes_max
        self._backlog_bytes_max = settings.step_backlog_bytes_max
        if not is_spine(stage):
            # Between two of its steps the loop goes round, so that the spine waits for no more than one of them.
            self._records_max = min(settings.step_events_max, SLICE_RECORDS_MAX)
            self._bytes_max = self._backlog_bytes_max = min(settings.step_bytes_max, SLICE_BYTES_MAX)
        self._step_lock = asyncio.Lock()
        self._committing: asyncio.Future[int] | None = None
        self._catching_up: asyncio.Future[Any] | None = None
        self._giving_up = False
        self._rebalance_began: float | None = None
        self._observers = observers
        self._on_step = on_step
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
            web_enabled=listener is not None,
            web_host=f"[{settings.web_host}]" if ":" in settings.web_host else settings.web_host,
            web_port=_UNUSED_PORT if listener is None else listener.getsockname()[1],
            web_stats_enabled=False,
            web_graph_enabled=False,
            web_router_enabled=False,
            web_tables_enabled=False,
            web_metrics_enabled=False,
            worker_redirect_stdouts=False,
        )
        source = self.topic(
            self._input,
            key_type=bytes,
            value_type=bytes,
            partitions=settings.partitions,
            allow_empty=True,
        )
        self.agent(source, name=stage.name)(self._run)
        if self.standby is not None:
            self.task(self._keep_standbys)
        self._work_left = asyncio.Event()
        if stage.idle_work is not None:
            self.task(self._do_idle_work)

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

    def _new_web(self) -> Any:
        return ListeningWeb(self)

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

    # -- steps --------------------------------------------------------------------------------------------------

    async def _run(self, stream: Any) -> None:
        source = stream.noack()
        async for event in source.events():
            waiting = self._take_waiting(source.channel.queue, event)
            await self._make_room(waiting)
            await self._apply(waiting)
            for events in waiting.values():
                for applied in events:
                    applied.ack()

    def _take_waiting(self, queue: Any, first: Event) -> dict[int, list[Event]]:
        generation = self.consumer_generation_id
        waiting: dict[int, list[Event]] = {first.message.partition: [first]}
        count, size, limit = 1, len(first.message.value or b""), self._bytes_max
        while not queue.empty() and count < self._records_max:
            if size >= limit:
                # Where more waits than a step takes, half of it, as far as the records so far tell its size.
                limit = min((size + queue.qsize() * size // count) // 2, self._backlog_bytes_max)
                if size >= limit:
                    break
            event = queue.get_nowait()
            message = event.message
            if message.generation_id == generation:
                waiting.setdefault(message.partition, []).append(event)
                count, size = count + 1, size + len(message.value or b"")
        return waiting

    async def _make_room(self, waiting: Iterable[int]) -> None:
        """Wait while one of these partitions has left over as much as it may."""
        while not self.should_stop and any(
            self.runners[partition].is_full for partition in waiting if partition in self.runners
        ):
            await self.sleep(ROOM_SECONDS)

    async def _do_idle_work(self) -> None:
        """Do what steps left over, a slice at a time, the partitions in turn."""
        while not self.should_stop:
            await self._work_left.wait()
            self._work_left.clear()
            if self.rebalancing:
                self._work_left.set()
                await self.sleep(ROOM_SECONDS)
                continue
            for partition, runner in list(self.runners.items()):
                if runner.has_idle_work:
                    await self._apply(partition)
                    for _ in range(TURNS_BETWEEN_SLICES):
                        await asyncio.sleep(0)

    def _look_for_idle_work(self) -> None:
        if any(runner.has_idle_work for runner in self.runners.values()):
            self._work_left.set()

    async def _apply(self, waiting: dict[int, list[Event]] | int) -> None:
        """A step of what waits, or a slice of what a partition has left over."""
        pause = RETRY_SECONDS_FIRST
        while not self.should_stop:
            async with self._step_lock:
                done = await self._step(waiting)
                self._look_for_idle_work()
            if done:
                return
            # Between two attempts the partitions may be given up; whoever gets them reads the records again.
            await self.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS_MAX)

    def _work_of(
        self, waiting: Mapping[int, list[Event]] | int
    ) -> list[tuple[PartitionRunner, Sequence[Any]]]:
        """What is to be prepared, of the partitions that this worker still owns and that run."""
        if isinstance(waiting, int):
            runner = self.runners.get(waiting)
            return [(runner, IDLE)] if runner is not None and runner.has_idle_work else []
        generation = self.consumer_generation_id
        return [
            (self.runners[partition], [event.message for event in events])
            for partition, events in waiting.items()
            if events[0].message.generation_id == generation
            and partition in self.runners
            and self.runners[partition].stopped is None
        ]

    async def _step(self, waiting: Mapping[int, list[Event]] | int) -> bool:
        """Try the step; False where it could not be committed, and may be tried again."""
        work = self._work_of(waiting)
        if self.rebalancing or not work:
            return True
        started = time.perf_counter()
        pending: PendingStep | None = None
        try:
            if self.stage.broadcasts:
                await asyncio.to_thread(self._reference.follow)
            pending = prepare_together(work)
            if pending is None:
                return True
            # The cluster is waited for beside the loop, so that the other stages go on.
            committing = time.perf_counter()
            self._committing = asyncio.ensure_future(asyncio.to_thread(pending.commit))
            sequence = await asyncio.shield(self._committing)
        except (CommitError, LinkError) as error:
            if pending is not None:
                pending.abandon()
            if self.trouble is None:
                _logger.error("commit failed, to be tried again", stage=self.stage.name, error=str(error))
            self.trouble = str(error)
            return False
        if self.trouble is not None:
            _logger.info("commits succeed again", stage=self.stage.name)
            self.trouble = None
        reports = pending.finish(sequence)
        ended = time.perf_counter()
        measures = self.measures
        measures.steps += 1
        measures.records += sum(report.records for _, report in reports)
        measures.commit_seconds += ended - committing
        if self._on_step is not None and reports:
            self._on_step(self.stage, reports, ended - started)
        return True

    async def on_stop(self) -> None:
        """Let go of the cluster and of the tables, after the step or the takeover that runs."""
        await super().on_stop()
        await self._takeover_ended()
        if self._committing is not None:
            await asyncio.gather(self._committing, return_exceptions=True)
        self.cluster_log.close()
        if self.standby is not None:
            await asyncio.to_thread(self.standby.close)
        self._changelog.close()
        self._reference.close()
        self.held.close()
