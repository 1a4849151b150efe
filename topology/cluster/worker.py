"""A worker on a cluster: every stage in one process, started by a supervisor (`python -m topology.cluster.worker`).

Owns: start and stop of its Apps and of what serves them, and the status lines.
Assumes: an order on standard input (`topology.cluster.status`); topics that are there.
Guarantees: it ends with 0 on SIGTERM, or when its supervisor is gone, after the steps that run are committed; a fault
ends it with the reason in its last status line; what waits stays in the cluster, for whoever comes next.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, BinaryIO

import structlog
import uvloop
from prometheus_client.registry import Collector

from connectors.embedded.errors import OwnedElsewhereError, StateError
from connectors.kafka.errors import LinkError, NameTakenError
from connectors.kafka.owners import OwnersTopic
from connectors.kafka.transport import Cluster
from topology.cluster.app import ClusterApp
from topology.cluster.clock import tick_clock
from topology.cluster.health import ClusterHealth
from topology.cluster.measures import ClusterCollector
from topology.cluster.places import link_to, membership, worker_folder
from topology.cluster.routing import Routing, advertised_address
from topology.cluster.shared_memory import OwnedSlots, slots_shown
from topology.cluster.status import (
    EXIT_NAME_TAKEN,
    EXIT_STATE,
    STATUS_SECONDS,
    Order,
    Status,
    decode_order,
    encode_line,
)
from topology.cluster.tables import WorkerTables
from topology.cluster.trades import TradeViews
from topology.logging import configure_logging
from topology.settings import Settings
from topology.sinks.metrics import SinkCollector
from topology.stages import build_stages, is_spine
from topology.web.application import add_views
from topology.web.metrics import Metrics
from topology.web.server import listen
from topology.worker import EXIT_FAILED, EXIT_STOPPED, WEB_STAGE, tune_collector

_logger = structlog.get_logger(__name__)


class ClusterWorker:
    """A running worker, as its services see it."""

    def __init__(
        self,
        order: Order,
        settings: Settings,
        apps: Sequence[ClusterApp],
        listener: socket.socket,
        owners: OwnersTopic,
    ) -> None:
        self.name = order.name
        self._owners = owners
        self.settings = settings
        self.apps = apps
        self.tables = WorkerTables(apps)
        host, port = listener.getsockname()[:2]
        self.web_address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.stopping = asyncio.Event()

    def status(self) -> Status:
        """How the worker is now."""
        apps = self.apps
        trouble = next((app.trouble for app in apps if app.trouble is not None), "")
        restoring = {
            f"{app.stage.name}/{partition}": place
            for app in apps
            for partition, place in dict(app.measures.restoring).items()
        }
        return Status(
            process=os.getpid(),
            web=self.web_address,
            ready=all(app.ready for app in apps if is_spine(app.stage)),
            progress=sum(app.measures.records + app.measures.restored for app in apps)
            + sum(next_offset for next_offset, _ in restoring.values()),
            lag=sum(app.lag(partition) for app in apps for partition in list(app.runners)),
            partitions={app.stage.name: sorted(app.runners) for app in apps},
            restoring=restoring,
            trouble=trouble,
        )

    def app(self, stage: str) -> ClusterApp:
        """The App of a stage."""
        return next(app for app in self.apps if app.stage.name == stage)

    def fault(self) -> BaseException | None:
        """Why an App ended by itself; None where none did."""
        return next((app.crash_reason for app in self.apps if app.crashed), None)

    def judged(self, fault: BaseException) -> BaseException:
        """What a fault comes to: brokers that come back may take a member for another of its name, and nobody has it."""
        rival = self._owners.rival
        if not isinstance(fault, NameTakenError) or rival is not None:
            return fault
        return LinkError(
            f"{fault}; nobody else of that name was heard, so the brokers took this worker for another"
        )


Service = Callable[[ClusterWorker], Awaitable[None]]


async def serve(order: Order, output: BinaryIO, services: Sequence[Service] = ()) -> int:
    """Run a worker until SIGTERM or the end of standard input; returns the exit code."""
    settings = order.read_settings()
    stages = build_stages(settings)
    folder = worker_folder(settings.data, order.cluster, order.name)
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(link_to(settings, order.cluster), membership(settings, order.name))
    metrics = Metrics()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listen(settings.web_host, order.web_port))
        owners = OwnersTopic(
            cluster.link,
            order.name,
            web=advertised_address(settings, listener),
            shared_memory=settings.shared_memory or None,
        )
        await asyncio.to_thread(
            owners.start, replicas=settings.replicas, in_sync_min=settings.in_sync_replicas_min
        )
        stack.callback(owners.close, [stage.name for stage in stages])
        shown = slots_shown(settings, order.name, owners)
        for slots in shown:
            stack.callback(slots.close)
        apps = [
            ClusterApp(
                stage,
                cluster,
                settings,
                folder=folder,
                worker=order.name,
                observers=shown,
                on_step=metrics.step,
                listener=listener if stage.name == WEB_STAGE else None,
                owners=owners,
                on_ownership=partial(_changed, shown),
            )
            for stage in stages
        ]
        worker = ClusterWorker(order, settings, apps, listener, owners)
        health = ClusterHealth(apps)
        collectors: list[Collector] = [ClusterCollector(apps, order.restarts)]
        if order.first:
            collectors.append(SinkCollector(settings.data))
        metrics.watch(apps, health, collectors)
        for app in apps:
            if app.listener is not None:
                routing = Routing(app, owners)
                trades = TradeViews(
                    routing,
                    worker.tables,
                    settings.partitions,
                    [stage.name for stage in stages if is_spine(stage)],
                )
                others = {**routing.views(), **trades.views()}
                add_views(app, worker.tables, health, metrics, routing.of_book, others)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, worker.stopping.set)
        # Ctrl-C reaches every process of a terminal; the supervisor ends its workers.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        services = (*services, *(partial(_show, slots) for slots in shown))
        return await _run(worker, output, (*services, tick_clock, _end_with_supervisor))


def _changed(shown: Sequence[OwnedSlots], app: ClusterApp) -> None:
    for slots in shown:
        slots.changed(app)


async def _show(slots: OwnedSlots, worker: ClusterWorker) -> None:
    await slots.serve(worker.app(slots.stage))


async def _run(worker: ClusterWorker, output: BinaryIO, services: Sequence[Service]) -> int:
    for app in worker.apps:
        app.in_worker = True
    tasks = [asyncio.ensure_future(_start(app)) for app in worker.apps]
    tasks += [asyncio.ensure_future(_service(service, worker)) for service in services]
    tasks.append(asyncio.ensure_future(_report(worker, output)))
    waits = [asyncio.ensure_future(worker.stopping.wait())]
    waits += [asyncio.ensure_future(app._crashed.wait()) for app in worker.apps]
    try:
        fault = await _first_end(worker, waits, tasks)
    finally:
        for task in (*waits, *tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(app.stop() for app in worker.apps))
    if fault is None:
        return EXIT_STOPPED
    fault = worker.judged(fault)
    _logger.error("worker failed", worker=worker.name, error=repr(fault))
    _say(output, Status(process=os.getpid(), web=worker.web_address, failed=str(fault) or repr(fault)))
    return _exit_code(fault)


async def _start(app: ClusterApp) -> None:
    """Take part, once the tables are warm that will be this worker's."""
    await app.warm_up()
    await app.maybe_start()


async def _first_end(
    worker: ClusterWorker, waits: Sequence[asyncio.Future[Any]], tasks: Sequence[asyncio.Future[Any]]
) -> BaseException | None:
    """Wait for the order to stop (None), an App that ended, or a task that failed; that Apps have started is no end."""
    pending: set[asyncio.Future[Any]] = {*waits, *tasks}
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        failed = next((error for task in done if (error := task.exception()) is not None), None)
        if failed is not None or done.intersection(waits):
            # What ends first is to blame: what follows may be but its doing.
            return failed or worker.fault()


def _exit_code(fault: BaseException) -> int:
    if isinstance(fault, NameTakenError):
        return EXIT_NAME_TAKEN
    return EXIT_STATE if isinstance(fault, (StateError, OwnedElsewhereError)) else EXIT_FAILED


async def _service(service: Service, worker: ClusterWorker) -> None:
    await service(worker)


async def _report(worker: ClusterWorker, output: BinaryIO) -> None:
    """Say how the worker is, again and again."""
    tuned = False
    while True:
        status = worker.status()
        if status.ready and not tuned:
            tuned = True
            tune_collector()
        _say(output, status)
        await asyncio.sleep(STATUS_SECONDS)


def _say(output: BinaryIO, status: Status) -> None:
    # A supervisor that does not read must not hold the worker up: the line is left out.
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        output.write(encode_line(status) + b"\n")


async def _end_with_supervisor(worker: ClusterWorker) -> None:
    """Stop when standard input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()
    worker.stopping.set()


def main() -> int:
    """Run the worker that the order on standard input describes."""
    order = decode_order(sys.stdin.buffer.readline())
    configure_logging(order.read_settings())
    # Standard output is the status lines alone, whatever a library prints.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.set_blocking(output.fileno(), False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(serve(order, output))
        except (OSError, StateError, OwnedElsewhereError) as error:
            _say(output, Status(process=os.getpid(), web="", failed=str(error)))
            return _exit_code(error)


if __name__ == "__main__":
    sys.exit(main())
