"""A stage as a Faust App: one App a stage, whose id is the consumer group of the stage.

Owns: how records reach the steps of a stage, and what happens when a step cannot be committed.
Assumes: an open log of this process, with the topics of the stage in it; one event loop.
Guarantees: runners are built after the tables are restored and before the first record; a record is acknowledged
after its step is committed, never before; a partition that stopped stays unacknowledged and holds up no other;
a commit that fails is tried again until it succeeds, and `trouble` says so meanwhile; a log that cannot be read
for want of files or room is waited for likewise. What steps leave over is done in slices between them.
"""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from faust.types.tuples import TP
from yarl import URL

from agents.stage import Stage
from connectors.embedded.errors import CommitError, ResourceError
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.shared import share_log
from connectors.embedded.store import TABLE_OPTION
from connectors.embedded.tables import TableManager
from topology.log import Record
from topology.runtime import IDLE, PartitionRunner, step_together
from topology.settings import Settings
from topology.stage_app import RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX, BaseStageApp, Reports, StepObserver
from topology.stages import Observer
from topology.turns import SLICE_BYTES_MAX, SLICE_RECORDS_MAX, TURNS_BETWEEN_SLICES, Turns

_RESTORE_SECONDS_MAX = 3_600.0
_TO_BE_OPENED = -1

Batch = Mapping[Any, Sequence[Record]]


def _is_small(records: Batch) -> bool:
    """Whether a batch is less than half of what a slice may take; what steps left over is not."""
    parts = list(records.values())
    if any(part is IDLE for part in parts) or 2 * sum(map(len, parts)) >= SLICE_RECORDS_MAX:
        return False
    return 2 * sum(len(record.value or b"") for part in parts for record in part) < SLICE_BYTES_MAX


class StageApp(BaseStageApp):
    """The App of one stage; `runners` by partition, once it is ready.

    `following` is the App of this process whose stage reads what this one emits: it steps in the same commit
    wherever it has caught up. An App that steps by `turns` takes a slice in each, not more.
    """

    def __init__(
        self,
        stage: Stage,
        log: EmbeddedLog,
        settings: Settings,
        *,
        observers: Sequence[Observer] = (),
        on_step: StepObserver | None = None,
        listener: socket.socket | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.embedded = log
        self.following: StageApp | None = None
        # What the embedded consumer hands on as one message a step.
        self.batched_topics = frozenset({stage.input.name})
        self._turns = turns
        self._opened = log.reopened
        super().__init__(
            stage,
            settings,
            folder=log.folder / "faust",
            observers=observers,
            on_step=on_step,
            listener=listener,
            broker=[share_log(log)],
            store=URL("embedded://"),
            broker_request_timeout=_RESTORE_SECONDS_MAX,
            TableManager=TableManager,
        )
        self.Table(
            stage.table.name,
            key_type=bytes,
            value_type=bytes,
            partitions=settings.partitions,
            options={TABLE_OPTION: stage.table.name},
            changelog_topic=self.topic(
                stage.changelog,
                key_type=bytes,
                value_type=bytes,
                partitions=settings.partitions,
                compacting=True,
                acks=False,
                internal=True,
            ),
        )
        self._read_input(stage.input.name)

    def on_rebalance_end(self) -> None:
        """The tables are restored: open the partitions, before any record is delivered (P1)."""
        self._open_partitions()
        super().on_rebalance_end()

    def _open_partitions(self) -> None:
        """Runners of what the log holds now; a partition that stopped stays so until a restart."""
        for partition in range(self.settings.partitions):
            runner = self.runners.get(partition)
            if runner is None or runner.stopped is None:
                self.runners[partition] = PartitionRunner(
                    self.stage, partition, self.embedded, self.settings.partitions, self._observers
                )
        self._opened = self.embedded.reopened
        self._look_for_idle_work()

    async def _run(self, stream: Any) -> None:
        source = stream.noack()
        async for event in source.events():
            records = event.message.records
            await self._make_room(tp.partition for tp in records)
            if await self._apply_in_turn(records):
                for tp, part in records.items():
                    if self.runners[tp.partition].stopped is None:
                        self.consumer.acknowledge(tp, part[-1].offset)
                    else:
                        self._leave(tp)

    async def _do_idle_work(self) -> None:
        """Do what steps left over, a slice at a time, the partitions in turn; whatever waits for the loop goes first."""
        while not self.should_stop:
            await self._work_left.wait()
            self._work_left.clear()
            for partition in range(self.settings.partitions):
                if self.runners[partition].has_idle_work:
                    self._work_left.set()
                    if not await self._apply_in_turn({TP(self.stage.input.name, partition): IDLE}):
                        return
                    for _ in range(TURNS_BETWEEN_SLICES):
                        await asyncio.sleep(0)

    async def _apply_in_turn(self, records: Batch) -> bool:
        if self._turns is None:
            return await self._apply(records)
        async with self._turns.slice(self.stage.name, small=_is_small(records)):
            return await self._apply(records)

    async def _apply(self, records: Batch) -> bool:
        """One step of the partitions that still run; False where the App stopped before it could be committed."""
        pause = RETRY_SECONDS_FIRST
        while not self._step(records):
            await self.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS_MAX)
            if self.should_stop:
                return False
        return True

    def _step(self, records: Batch) -> bool:
        """Try the step; False where it could not be committed."""
        following = self.following
        started = time.perf_counter()
        try:
            if self._opened != self.embedded.reopened:
                self._open_partitions()
            work = [
                (self.runners[tp.partition], part)
                for tp, part in records.items()
                if self.runners[tp.partition].stopped is None
            ]
            reports = step_together(work, () if following is None else following.caught_up_runners())
        except (CommitError, ResourceError) as error:
            if isinstance(error, ResourceError):
                # The log could not be read, maybe not even to go back to it: what is in memory is read anew.
                for app in (self, following):
                    if app is not None:
                        app._opened = _TO_BE_OPENED
            self._commit_failed(error)
            return False
        self._commit_succeeded()
        seconds = time.perf_counter() - started
        self._note_step(reports, seconds)
        if following is not None:
            following.took(reports, seconds)
        return True

    def _note_step(self, reports: Reports, seconds: float) -> None:
        own = [found for found in reports if found[0].stage is self.stage]
        if any(runner.has_idle_work for runner, _ in own):
            self._work_left.set()
        if self._on_step is not None and own:
            self._on_step(self.stage, own, seconds)

    def caught_up_runners(self) -> Sequence[PartitionRunner]:
        """The runners that may take what comes next in the commit that appends it.

        Those of an App that runs and has no trouble; whether one of them has read all that stands before, and has room,
        is for whoever asks to look at. What this App does not take so, it reads from the log.
        """
        if (
            self.rebalancing
            or self.should_stop
            or self.crashed
            or self.trouble is not None
            or self._opened != self.embedded.reopened
        ):
            return ()
        return [runner for runner in self.runners.values() if runner.stopped is None]

    def took(self, reports: Reports, seconds: float) -> None:
        """A commit of others had steps in it: pass over what this stage's runners among them took."""
        for runner, report in reports:
            if runner.stage is self.stage:
                tp = TP(self.stage.input.name, runner.partition)
                self.consumer.pass_over(tp, runner.next_offset - report.records, runner.next_offset)
        self._note_step(reports, seconds)

    def _leave(self, tp: Any) -> None:
        """Read no more of a partition that stopped."""
        self.consumer.pause_partitions({tp})


def build_app(
    stage: Stage,
    log: EmbeddedLog,
    settings: Settings,
    *,
    observers: Sequence[Observer] = (),
    on_step: StepObserver | None = None,
    listener: socket.socket | None = None,
    turns: Turns | None = None,
) -> StageApp:
    """The App of a stage over an open log; `listener` is the socket of its web views, if it has any."""
    return StageApp(
        stage, log, settings, observers=observers, on_step=on_step, listener=listener, turns=turns
    )


def chain_apps(apps: Sequence[StageApp]) -> None:
    """Let each App be followed by the one that reads what it emits."""
    for app in apps:
        outputs = {topic.name for topic in app.stage.outputs}
        app.following = next((other for other in apps if other.stage.input.name in outputs), None)


async def stop_apps(apps: Sequence[StageApp]) -> None:
    """Stop Apps together; each commits what it has applied."""
    await asyncio.gather(*(app.stop() for app in apps))
