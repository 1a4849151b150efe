"""The worker: every stage of a log in one process and one event loop, until it is told to stop.

Owns: start and stop of the Apps, their services and their log.
Assumes: the log is open and owned by this process.
Guarantees: services start when every stage is ready, and are cancelled before the stages stop; SIGTERM and SIGINT
end with 0 after what stands in the log is applied and committed, as far as that goes within `DRAIN_SECONDS`; a fault
that no partition can be blamed for ends with 1, and a damaged state with the error that says what to do.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
import uvloop
from faust.exceptions import ConsistencyError

from agents.stage import Stage
from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog
from topology.app import StageApp, build_app, chain_apps, stop_apps
from topology.clock import tick_clock
from topology.runtime import PartitionRunner
from topology.settings import Settings
from topology.sinks.metrics import SinkCollector
from topology.stages import Observer, create_topics, is_spine
from topology.turns import Turns
from topology.upkeep import keep_retention, keep_writable
from topology.web.application import add_views
from topology.web.health import Health
from topology.web.metrics import LogCollector, Metrics
from topology.web.server import listen

EXIT_STOPPED = 0
EXIT_FAILED = 1

DRAIN_SECONDS = 5.0
"""How long a worker that is told to stop goes on applying; the rest is applied after the next start."""

WEB_STAGE = "positions"
"""The stage whose App serves the web views: their figures are in its table."""

_DRAIN_POLL_SECONDS = 0.002
_GC_THRESHOLDS = (50_000, 20, 100)
_logger = structlog.get_logger(__name__)


class Worker:
    """A running worker, as its services see it."""

    def __init__(
        self,
        settings: Settings,
        log: EmbeddedLog,
        apps: Sequence[StageApp],
        listener: socket.socket,
        health: Health,
    ) -> None:
        self.settings = settings
        self.log = log
        self.apps = apps
        self.health = health
        host, port = listener.getsockname()[:2]
        self.web_address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._stopping = asyncio.Event()

    @property
    def spine(self) -> list[StageApp]:
        """The Apps of the stages that keep the books."""
        return [app for app in self.apps if is_spine(app.stage)]

    def runners(self) -> list[PartitionRunner]:
        """The runners at work of the stages that keep the books, upstream stages first."""
        return [app.runners[partition] for app in self.spine for partition in sorted(app.runners)]

    def all_runners(self) -> list[PartitionRunner]:
        """The runners at work of every stage."""
        return [app.runners[partition] for app in self.apps for partition in sorted(app.runners)]

    def spine_waits(self) -> bool:
        """Whether a stage that keeps the books has anything to do."""
        return any(
            runner.has_idle_work
            or (
                runner.stopped is None
                and self.log.end_offset(runner.stage.input.name, runner.partition) > runner.next_offset
            )
            for runner in self.runners()
        )

    def stop(self) -> None:
        """End the worker, as SIGTERM does."""
        self._stopping.set()

    async def stopped(self) -> None:
        """Wait until the worker is told to stop."""
        await self._stopping.wait()


Service = Callable[[Worker], Awaitable[None]]
Ready = Callable[[Worker], None]


def run_worker(
    settings: Settings,
    stages: Sequence[Stage],
    *,
    log: EmbeddedLog,
    observers: Sequence[Observer] = (),
    on_ready: Ready | None = None,
    services: Sequence[Service] = (),
    listener: socket.socket | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. `listener` is the socket of the web views, if it is bound.

    Raises OSError where the web address is taken, and StateError where the state turned out to be damaged.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            serve(
                settings,
                stages,
                log=log,
                observers=observers,
                on_ready=on_ready,
                services=services,
                listener=listener,
            )
        )


async def serve(
    settings: Settings,
    stages: Sequence[Stage],
    *,
    log: EmbeddedLog,
    observers: Sequence[Observer] = (),
    on_ready: Ready | None = None,
    services: Sequence[Service] = (),
    handle_signals: bool = True,
    listener: socket.socket | None = None,
) -> int:
    """`run_worker` in a loop that runs already."""
    create_topics(log, stages, settings.partitions)
    with listener or listen(settings.web_host, settings.web_port) as listener:
        metrics = Metrics()
        turns = Turns()
        apps = [
            build_app(
                stage,
                log,
                settings,
                observers=observers,
                on_step=metrics.step,
                listener=listener if stage.name == WEB_STAGE else None,
                turns=None if is_spine(stage) else turns,
            )
            for stage in stages
        ]
        # Nobody steps in a commit of the spine but the spine.
        chain_apps([app for app in apps if is_spine(app.stage)])
        health = Health(settings, log, apps)
        metrics.watch(apps, health, [LogCollector(log, observers), SinkCollector(settings.data)])
        for app in apps:
            if app.listener is not None:
                add_views(app, log, health, metrics)
        worker = Worker(settings, log, apps, listener, health)
        turns.spine_waits = worker.spine_waits
        if handle_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, worker.stop)
        code = await _serve(worker, on_ready, (*services, tick_clock, keep_retention, keep_writable))
        if code == EXIT_FAILED:
            _raise_damage(apps)
        return code


async def _serve(worker: Worker, on_ready: Ready | None, services: Sequence[Service]) -> int:
    running: list[asyncio.Task[None]] = []
    try:
        if not await _start(worker):
            return EXIT_FAILED
        running = [asyncio.ensure_future(_run_service(service, worker)) for service in services]
        if on_ready is not None:
            on_ready(worker)
        tune_collector()
        failed = await _wait_for_end(worker, running)
        if not failed:
            await _cancel(running)
            failed = await _drain(worker)
        return EXIT_FAILED if failed else EXIT_STOPPED
    finally:
        await _cancel(running)
        await stop_apps(worker.apps)


async def _cancel(running: Sequence[asyncio.Task[None]]) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _drain(worker: Worker) -> bool:
    """Let the books take what stands in the log, now that nothing more comes; returns whether a stage failed.

    Later stages go on with theirs after the next start.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline and any(
        worker.log.end_offset(runner.stage.input.name, runner.partition) > runner.next_offset
        for runner in worker.runners()
        if runner.stopped is None
    ):
        if any(app.crashed for app in worker.apps):
            break
        await asyncio.sleep(_DRAIN_POLL_SECONDS)
    return any(_fault(app) for app in worker.apps)


def _raise_damage(apps: Sequence[StageApp]) -> None:
    """Raise what is wrong with the state, where that ended a stage."""
    for app in apps:
        reason = app.crash_reason
        if isinstance(reason, StateError):
            raise reason
        if isinstance(reason, ConsistencyError):
            raise StateError(str(reason)) from reason


async def _start(worker: Worker) -> bool:
    for app in worker.apps:
        app.in_worker = True
    starting = asyncio.gather(*(app.maybe_start() for app in worker.apps))
    stopped = asyncio.ensure_future(worker.stopped())
    either: set[asyncio.Future[Any]] = {starting, stopped}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return True
    await starting
    return not any(_fault(app) for app in worker.apps)


async def _run_service(service: Service, worker: Worker) -> None:
    await service(worker)


async def _wait_for_end(worker: Worker, running: Sequence[asyncio.Task[None]]) -> bool:
    """Wait for the order to stop, or for a fault; returns whether it was a fault.

    Raises StateError where a service met a damaged state.
    """
    waits = [asyncio.ensure_future(worker.stopped())]
    waits += [asyncio.ensure_future(app._crashed.wait()) for app in worker.apps]
    try:
        pending = {*waits, *running}
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done.intersection(running):
                error = task.exception()
                if error is not None:
                    if isinstance(error, StateError):
                        raise error
                    _logger.error("a service of the worker failed", error=repr(error), exc_info=error)
                    return True
            if done.intersection(waits):
                return any(_fault(app) for app in worker.apps)
    finally:
        for task in waits:
            task.cancel()


def _fault(app: StageApp) -> bool:
    if app.crashed:
        _logger.error("stage failed", stage=app.stage.name, error=repr(app.crash_reason))
    return bool(app.crashed)


def tune_collector() -> None:
    """What lives for ever is not looked at again: the longest pause falls from 18 to 3 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
