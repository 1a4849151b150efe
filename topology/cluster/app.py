"""A stage as a Faust App on a cluster: one App a stage and worker, a member of the stage's consumer group.

Owns: how the steps of a worker are committed. How it gets its partitions is `topology.cluster.takeover`'s.
Assumes: one event loop.
Guarantees: a step has the guarantee that the settings name for its stage, and partitions are given up between two steps;
a worker that lost its partitions ends, and whoever starts it again catches up.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.embedded.errors import CommitError
from connectors.kafka.errors import LinkError
from topology.cluster.takeover import OwningApp
from topology.runtime import IDLE, PartitionRunner, PendingStep, prepare_together
from topology.stage_app import RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX, ROOM_SECONDS
from topology.turns import TURNS_BETWEEN_SLICES

Event = Any


class ClusterApp(OwningApp):
    """The App of one stage in one worker."""

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
        count, size, limit = 1, len(first.message.value or b""), self.batch_bytes_max
        while not queue.empty() and count < self.batch_records_max:
            if size >= limit:
                # Where more waits than a step takes, half of it, as far as the records so far tell its size.
                limit = min((size + queue.qsize() * size // count) // 2, self.batch_backlog_bytes_max)
                if size >= limit:
                    break
            event = queue.get_nowait()
            message = event.message
            if message.generation_id == generation:
                waiting.setdefault(message.partition, []).append(event)
                count, size = count + 1, size + len(message.value or b"")
        return waiting

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
            self._commit_failed(error)
            return False
        self._commit_succeeded()
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
