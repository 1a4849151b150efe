"""The simulated worker: one process with the real runners, shared memory and control answers over a simulated log.

What Faust and the event loop do in a real one is done here by the world, call by call: which stage steps, how far
it has read, when the writer of shared memory beats. What goes wrong in a handler is planned (`stumble`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NoReturn, cast

from agents import positions, trade_capture
from agents.stage import Frame, IdleWork, InvariantBroken, Refusal, Stage
from connectors.embedded.commits import whole_commits
from connectors.embedded.errors import ResourceError
from connectors.embedded.log import EmbeddedLog
from connectors.shm import writer
from topology import runtime
from topology.app import StageApp
from topology.control.intake import Intake
from topology.control.owner import OwnerAnswers
from topology.settings import Settings
from topology.shared_memory import PositionsPublisher
from topology.simulation.log import SimulatedLog
from topology.simulation.plan import CAPTURE, POSITIONS, Plan
from topology.simulation.workload import FAILS_AFTER, FAILS_BEFORE

TICKS_MAX = 3
Reports = list[tuple[Any, runtime.StepReport]]
_READ_BYTES = 1 << 20
_TO_BE_OPENED = -1


class PlannedDefect(Exception):
    """A defect of a handler, as planned."""


class Handlers:
    """The handlers of the stages, with what goes wrong in them."""

    def __init__(self, plan: Plan) -> None:
        self._stumbles: dict[str, tuple[str, int]] = {}
        self._slice_stumbled = False
        self._fails = any(fill.trader for fill in plan.fills)
        self.stages = tuple(
            replace(stage, handler=self._guarded(stage), idle_work=self._guarded_slices(stage))
            for stage in (
                trade_capture.stage(100, TICKS_MAX),
                positions.stage(
                    plan.cached_lots_max,
                    waiting_bookings_max=plan.waiting_bookings_max,
                    rematch_min=plan.rematch_min,
                    slice_trades=plan.slice_trades,
                ),
            )
        )

    def stumble(self, stage: str, kind: str, events: int) -> None:
        """The handler of a stage goes wrong after so many events, once."""
        self._stumbles[stage] = kind, events

    def _guarded(self, stage: Stage) -> Callable[..., None]:
        name, handler = stage.name, stage.handler
        fails = self._fails and name == CAPTURE

        def handle(state: Any, frames: Iterable[Frame], step: Any) -> None:
            # Not in the search for events that always fail, which hands in lists of one.
            if name in self._stumbles and not isinstance(frames, list):
                frames = self._stumbling(name, frames)
            handler(state, _failing(frames) if fails else frames, step)

        return handle

    def _guarded_slices(self, stage: Stage) -> IdleWork | None:
        if stage.idle_work is None:
            return None
        name, real = stage.name, stage.idle_work.do_slice

        def do_slice(state: Any, step: Any, failed: Refusal | None) -> None:
            real(state, step, failed)
            # Once a run: a booking whose slices fail a second time is refused, as one that always fails.
            kind, _ = ("", 0) if self._slice_stumbled else self._stumbles.pop(name, ("", 0))
            if kind:
                self._slice_stumbled = True
                _stumble(kind)

        return replace(stage.idle_work, do_slice=do_slice)

    def _stumbling(self, name: str, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            kind, left = self._stumbles.get(name, ("", 0))
            if kind and left <= len(frame.events):
                yield _cut(frame, left)
                del self._stumbles[name]
                _stumble(kind)
            if kind:
                self._stumbles[name] = kind, left - len(frame.events)
            yield frame


def _stumble(kind: str) -> NoReturn:
    if kind == "no memory":
        raise MemoryError
    if kind == "broken invariant":
        raise InvariantBroken("a planned one")
    raise PlannedDefect("once")


def _cut(frame: Frame, events: int) -> Frame:
    return replace(frame, events=frame.events[:events], indexes=frame.indexes[:events])


def _failing(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Frames up to a fill of a trader whose fills fail, without or with that fill."""
    for frame in frames:
        for place, event in enumerate(frame.events):
            trader = getattr(event, "trader", "")
            if trader in (FAILS_BEFORE, FAILS_AFTER):
                yield _cut(frame, place + (trader == FAILS_AFTER))
                raise PlannedDefect(event.trade_id)
        yield frame


@lru_cache
def _settings(partitions: int) -> Settings:
    return Settings(partitions=partitions)


@dataclass(frozen=True, slots=True)
class _StandIn:
    """What `Intake` asks of the App of a stage."""

    worker: "Worker"
    stage: Stage
    following: "_StandIn | None"

    def caught_up_runners(self) -> list[runtime.PartitionRunner]:
        return self.worker.caught_up_runners(self.stage.name)

    def took(self, reports: object, seconds: float) -> None:
        """The next step begins where the runners are, so there is nothing to pass over."""


class Worker:
    """A process at work."""

    def __init__(self, plan: Plan, log: SimulatedLog, stages: tuple[Stage, ...], name: str) -> None:
        self.log = log
        self.stages = stages
        self.partitions = plan.partitions
        self._chained = bool(plan.seed % 2)
        self.publisher = PositionsPublisher(name, plan.slots, plan.partitions)
        self.read_fault: list[int] | None = None
        """What goes wrong with reads inside of steps, as `SimulatedLog.read_fault`."""
        self._runners: dict[str, list[runtime.PartitionRunner]] = {}
        self._opened: dict[str, int] = {}
        for stage in stages:
            self.open_partitions(stage.name)
        self.publisher.start(self.runners(), cast(EmbeddedLog, log))
        # In every third run what arrives is stepped through its stages as it is appended.
        intake = Intake(cast(EmbeddedLog, log), self._apps(), _READ_BYTES) if plan.seed % 3 == 0 else None
        self.answers = OwnerAnswers(
            cast(EmbeddedLog, log),
            _settings(plan.partitions),
            self.runners,
            {},
            None if intake is None else intake.append,
        )

    def _apps(self) -> list[StageApp]:
        following: _StandIn | None = None
        apps: list[_StandIn] = []
        for stage in reversed(self.stages):
            following = _StandIn(self, stage, following if self._chained else None)
            apps.insert(0, following)
        return cast(list[StageApp], apps)

    def caught_up_runners(self, name: str) -> list[runtime.PartitionRunner]:
        """The runners of a stage that may step in the commit of another."""
        if self._opened[name] != self.log.reopened:
            return []
        return [runner for runner in self._runners[name] if runner.stopped is None]

    def runners(self) -> list[runtime.PartitionRunner]:
        """All of them, upstream stages first."""
        return [runner for stage in self.stages for runner in self._runners[stage.name]]

    def stopped(self) -> list[runtime.PartitionRunner]:
        """Those whose invariant broke."""
        return [runner for runner in self.runners() if runner.stopped is not None]

    def open_partitions(self, name: str) -> None:
        """Runners of what the log holds now; a partition that stopped stays so."""
        stage = next(stage for stage in self.stages if stage.name == name)
        before = self._runners.get(name)
        self._runners[name] = [
            before[partition]
            if before is not None and before[partition].stopped is not None
            else runtime.PartitionRunner(stage, partition, self.log, self.partitions, [self.publisher])
            for partition in range(self.partitions)
        ]
        self._opened[name] = self.log.reopened

    def step(self, name: str, most: int, again: int = 0) -> Reports | None:
        """One step of a stage; None where it has nothing to do. `again` records are delivered a second time.

        Raises CommitError where the commit failed, ResourceError where the log could not be read, and Killed where
        the process ends in it.
        """
        return self._guarded(name, lambda: self._step(name, most, again))

    def slice(self) -> Reports | None:
        """A slice of what each partition of positions has left over; None where none has any. Raises as `step`."""
        return self._guarded(POSITIONS, self._slice)

    def _guarded(self, name: str, act: Callable[[], Reports | None]) -> Reports | None:
        self.log.read_fault = self.read_fault
        try:
            return act()
        except ResourceError:
            # What is in memory may not have been set back, of either stage where both stepped.
            for opened in {name, POSITIONS} if self._chained else {name}:
                self._opened[opened] = _TO_BE_OPENED
            raise
        finally:
            self.log.read_fault = None

    def _slice(self) -> Reports | None:
        if self._opened[POSITIONS] != self.log.reopened:
            self.open_partitions(POSITIONS)
        left = [runner for runner in self._runners[POSITIONS] if runner.has_idle_work]
        return runtime.step_together([(runner, runtime.IDLE) for runner in left]) if left else None

    def _step(self, name: str, most: int, again: int) -> Reports | None:
        if self._opened[name] != self.log.reopened:
            self.open_partitions(name)
        found: dict[runtime.PartitionRunner, Any] = {}
        ends: dict[runtime.PartitionRunner, int] = {}
        for runner in self._runners[name]:
            topic, partition = runner.stage.input.name, runner.partition
            end = self.log.end_offset(topic, partition)
            if runner.stopped is None and not runner.is_full and runner.next_offset < end:
                start = max(runner.next_offset - again, 0)
                found[runner] = self.log.read(topic, partition, start, most + again, _READ_BYTES)
                ends[runner] = end
        if not found:
            return None
        return runtime.step_together(list(whole_commits(found, ends).items()), self._following(name))

    def _following(self, name: str) -> list[runtime.PartitionRunner]:
        """Those that may step in the same commit; in every other run each stage commits by itself."""
        return self.caught_up_runners(POSITIONS) if name == CAPTURE and self._chained else []

    def beat(self) -> None:
        """What the real one does ten times a second for its shared memory."""
        self.publisher.beat(self.runners(), cast(EmbeddedLog, self.log))

    def silent(self) -> set[int]:
        """The partitions of positions that have stopped."""
        return {runner.partition for runner in self.stopped() if runner.stage.name == POSITIONS}

    def end(self) -> None:
        """The process is gone: its locks are free, and nothing is marked as closed."""
        abandon(self.publisher.writer)


def abandon(of: writer.PositionWriter) -> None:
    """What the kernel does of a dead writer: unmap, and free its locks."""
    if of._previous is not None:
        of._previous.close()
    of._segment.mapping.close()
    of._directory.close()
