"""What `pks up` runs: the worker of a data folder with its shared memory, control socket and upkeep.

Owns: which services a worker has, and the order of start and stop around them.
Guarantees: the folder is owned before anything else is touched; slots are rebuilt from the tables before readers
see them; on a clean stop shared memory is marked closed and the log is synced.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from connectors.embedded.log import EmbeddedLog
from topology.control.intake import Intake
from topology.control.owner import OwnerAnswers
from topology.control.server import listen_control, serve_control
from topology.greeks_publisher import greeks_name
from topology.history.upkeep import keep_checkpoints
from topology.marks.shared_memory import marks_name
from topology.publishers import open_publishers
from topology.settings import Settings
from topology.sinks.supervise import keep_sinks
from topology.slots_publisher import HEARTBEAT_SECONDS, SlotsPublisher
from topology.stages import build_stages
from topology.web.server import listen
from topology.worker import Worker, run_worker

_logger = structlog.get_logger(__name__)


def run(settings: Settings, on_ready: Callable[[dict[str, Any]], None]) -> int:
    """Own the data folder and run its worker until SIGTERM; `on_ready` gets the addresses. Returns the exit code.

    Raises OwnedElsewhereError, StateError, SharedMemoryError, and OSError where the web address is taken.
    """
    started = time.monotonic()
    # The address before shared memory: where it is taken, nothing is left there.
    with (
        EmbeddedLog.owner(settings.data, sync=settings.sync) as log,
        listen(settings.web_host, settings.web_port) as web,
    ):
        publishers = open_publishers(settings)
        listener = listen_control(settings.data)
        try:
            return run_worker(
                settings,
                build_stages(settings),
                log=log,
                observers=publishers,
                on_ready=lambda worker: on_ready(_start(worker, publishers, started)),
                services=(
                    _control(listener),
                    keep_checkpoints,
                    lambda worker: keep_sinks(worker.settings),
                    *(() if not publishers else (_beats(publishers),)),
                ),
                listener=web,
            )
        finally:
            listener.close()
            for publisher in publishers:
                publisher.close()


def _start(worker: Worker, publishers: Sequence[SlotsPublisher[Any]], started: float) -> dict[str, Any]:
    """Show what is committed; returns the addresses."""
    for publisher in publishers:
        publisher.start(worker.all_runners(), worker.log)
    return {**status(worker), "ready_after_seconds": round(time.monotonic() - started, 3)}


def status(worker: Worker) -> dict[str, Any]:
    """Where a worker is to be found."""
    return {
        "process": os.getpid(),
        "data": str(worker.settings.data),
        "web": worker.web_address,
        "shared_memory": worker.settings.shared_memory or None,
        "shared_memory_marks": marks_name(worker.settings) or None,
        "shared_memory_greeks": greeks_name(worker.settings) or None,
    }


def _control(listener: socket.socket) -> Callable[[Worker], Awaitable[None]]:
    async def serve(worker: Worker) -> None:
        intake = Intake(worker.log, worker.apps, worker.settings.step_bytes_max)
        answers = OwnerAnswers(worker.log, worker.settings, worker.runners, status(worker), intake.append)
        await serve_control(listener, answers)

    return serve


def _beats(publishers: Sequence[SlotsPublisher[Any]]) -> Callable[[Worker], Awaitable[None]]:
    async def beat(worker: Worker) -> None:
        while True:
            for publisher in publishers:
                publisher.beat(worker.all_runners(), worker.log)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    return beat
