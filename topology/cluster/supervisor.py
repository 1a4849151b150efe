"""`pks up` on Kafka: the supervisor of this machine's workers.

Owns: the worker processes, their names (stable, so that a restarted one has its partitions again), when one is killed
and when it is started again; and the sinks and sources of this machine.
Assumes: one supervisor a data folder and a worker name.
Guarantees: a worker that ends is started again, after a pause that doubles up to `_PAUSE_SECONDS_MAX`, and every time
it is said; one that makes no progress while input waits and the brokers answer, or says nothing, is killed first; what
no restart can mend ends all of them with its reason; SIGTERM ends all of them in order.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from connectors.embedded.database import OwnerLock
from connectors.embedded.errors import StateError
from connectors.kafka.errors import LinkError, NameTakenError
from connectors.kafka.layout import in_force
from connectors.kafka.topics import look_at
from topology.cluster.places import cluster_folder, link_of, make_topics
from topology.cluster.safety import too_few_copies
from topology.cluster.status import (
    EXIT_NAME_TAKEN,
    EXIT_STATE,
    Order,
    Status,
    decode_status,
    encode_line,
    plain_settings,
)
from topology.settings import Settings
from topology.sinks.supervise import keep_sinks

COMMAND = (sys.executable, "-m", "topology.cluster.worker")

_PAUSE_SECONDS_FIRST = 0.25
_PAUSE_SECONDS_MAX = 30.0
_STEADY_SECONDS = 60.0
"""A worker that was ready and lived this long has earned a quick restart again."""

_CONTESTS_MAX = 3
_CONTEST_SECONDS = 120.0
"""A worker whose place is taken so often within that time has lost its name to another."""

_START_SECONDS = 60.0
"""A worker has at least this long until it says something for the first time."""

STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.25
_BROKER_SECONDS = 5.0
_LINE_BYTES_MAX = 1024 * 1024
_logger = structlog.get_logger(__name__)


class WorkerProcess:
    """One worker: its process, what it said last, and since when it has not come further."""

    def __init__(self, name: str, order: Callable[[Mapping[str, int]], Order]) -> None:
        self.name = name
        self.status: Status | None = None
        self.restarts: Counter[str] = Counter()
        self.heard = self.advanced = self.began = time.monotonic()
        self.process: asyncio.subprocess.Process | None = None
        self._order = order
        self._reason = ""
        self._taken: list[float] = []

    async def run(self) -> int:
        """Start the process and follow it to its end; returns its exit code."""
        self.status = None
        self.heard = self.advanced = self.began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            self.name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
        )
        self.process = process
        assert process.stdin is not None and process.stdout is not None, "pipes were asked for"
        with contextlib.suppress(ConnectionError):
            process.stdin.write(encode_line(self._order(self.restarts)) + b"\n")
            await process.stdin.drain()
        while line := await process.stdout.readline():
            self._take(line)
        return await process.wait()

    def _take(self, line: bytes) -> None:
        try:
            status = decode_status(line)
        except msgspec.MsgspecError as error:
            _logger.warning("status line left out", worker=self.name, error=str(error))
            return
        before, self.status, self.heard = self.status, status, time.monotonic()
        if before is None or status.progress != before.progress or not (status.lag or status.restoring):
            self.advanced = self.heard

    def stuck(self, seconds: float) -> str:
        """Why the worker seems stuck; nothing where it does not."""
        now = time.monotonic()
        silence = max(seconds, _START_SECONDS) if self.status is None else seconds
        if now - self.heard > silence:
            return f"it has said nothing for {now - self.heard:.0f} s"
        if now - self.advanced > seconds and self.status is not None:
            return f"{self.status.lag:,} records wait and none was applied for {now - self.advanced:.0f} s"
        return ""

    def kill(self, reason: str) -> None:
        """End the process at once."""
        self._reason = reason
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def ended(self, code: int) -> str:
        """Count an end, and say how it came."""
        reason, self._reason = self._reason, ""
        if reason:
            self.restarts["stuck"] += 1
            return f"it was killed: {reason}"
        if code < 0:
            self.restarts["killed"] += 1
            return f"it was ended by {signal.Signals(-code).name}"
        self.restarts["failed"] += 1
        told = "" if self.status is None else self.status.failed
        return f"it ended with {code}: {told}" if told else f"it ended with {code}"

    def contested(self) -> bool:
        """Note that another of its name took its place, and say whether that was so often that this one gives way.

        Of two that take it in turn one ends sooner, and the other goes on.
        """
        now = time.monotonic()
        self._taken = [*(taken for taken in self._taken if now - taken < _CONTEST_SECONDS), now]
        return len(self._taken) >= _CONTESTS_MAX

    def steady(self) -> bool:
        """Whether it did well before it ended."""
        return time.monotonic() - self.began > _STEADY_SECONDS


class Supervisor:
    """The workers of this machine."""

    def __init__(
        self, settings: Settings, cluster: str, watch: Callable[[Mapping[str, Status]], None] | None = None
    ) -> None:
        self.settings = settings
        self.cluster = cluster
        self.failure: Exception | None = None
        self._watch = watch
        self._stopping = asyncio.Event()
        self._told = plain_settings(settings)
        base = settings.worker_name or socket.gethostname()
        self.workers = [self._worker(f"{base}-{number}", number) for number in range(1, settings.workers + 1)]

    def _worker(self, name: str, number: int) -> WorkerProcess:
        port = self.settings.web_port and self.settings.web_port + number - 1

        def order(restarts: Mapping[str, int]) -> Order:
            return Order(self._told, name, self.cluster, port, dict(restarts), first=number == 1)

        return WorkerProcess(name, order)

    def statuses(self) -> dict[str, Status]:
        """What each worker said last, of those that have said anything."""
        return {worker.name: worker.status for worker in self.workers if worker.status is not None}

    def ready(self) -> bool:
        """Whether every worker is ready."""
        return all(worker.status is not None and worker.status.ready for worker in self.workers)

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Keep the workers running until SIGTERM or SIGINT, or until `failure` is set."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        tasks = [asyncio.ensure_future(self._keep(worker)) for worker in self.workers]
        looking = asyncio.ensure_future(self._look(on_ready))
        try:
            stopping = asyncio.ensure_future(self._stopping.wait())
            done, _ = await asyncio.wait({stopping, looking, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            self._stopping.set()
            looking.cancel()
            await self._end(tasks)

    async def _keep(self, worker: WorkerProcess) -> None:
        """Run a worker, again and again."""
        pause = _PAUSE_SECONDS_FIRST
        while not self._stopping.is_set():
            code = await worker.run()
            if self._stopping.is_set():
                return
            if code == EXIT_STATE or (code == EXIT_NAME_TAKEN and worker.contested()):
                self._give_up(worker, code)
                return
            pause = _PAUSE_SECONDS_FIRST if worker.steady() else pause
            _logger.error(
                "worker is started again",
                worker=worker.name,
                why=worker.ended(code),
                seconds=pause,
                times=worker.restarts.total(),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)

    def _give_up(self, worker: WorkerProcess, code: int) -> None:
        told = "" if worker.status is None else worker.status.failed
        if code == EXIT_NAME_TAKEN:
            self.failure = NameTakenError(
                f"worker {worker.name}: {told}; two `pks up` of one name take each other's place: stop one, or give "
                "each host its own with PKS_WORKER_NAME (docs/operating/two-of-one-name.md)"
            )
        else:
            self.failure = StateError(f"worker {worker.name}: {told}")
        self._stopping.set()

    async def _look(self, on_ready: Callable[[], None]) -> None:
        """Say when all are ready, and end what is stuck."""
        said = False
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._watch is not None:
                self._watch(self.statuses())
            if not said and self.ready():
                said = True
                on_ready()
            seconds = self.settings.stuck_seconds
            stuck = {worker: reason for worker in self.workers if (reason := worker.stuck(seconds))}
            if not stuck:
                continue
            answer = await asyncio.to_thread(self._brokers_answer)
            for worker, reason in stuck.items():
                if answer:
                    worker.kill(reason)
                else:  # it waits for them, as it should; once they answer it has its time again
                    worker.heard = worker.advanced = time.monotonic()

    def _brokers_answer(self) -> bool:
        try:
            look_at(link_of(self.settings), _BROKER_SECONDS)
        except LinkError:
            return False
        return True

    async def _end(self, tasks: Sequence[asyncio.Future[None]]) -> None:
        told: set[asyncio.subprocess.Process] = set()
        deadline = time.monotonic() + STOP_SECONDS
        pending = set(tasks)
        while pending and time.monotonic() < deadline:
            # One that was just being started is told as soon as it is there.
            for process in self._processes() - told:
                process.terminate()
                told.add(process)
            _, pending = await asyncio.wait(pending, timeout=_LOOK_SECONDS)
        for process in self._processes():
            process.kill()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _processes(self) -> set[asyncio.subprocess.Process]:
        processes = (worker.process for worker in self.workers)
        return {process for process in processes if process is not None and process.returncode is None}


def run_cluster(
    settings: Settings,
    on_ready: Callable[[dict[str, Any]], None],
    watch: Callable[[Mapping[str, Status]], None] | None = None,
) -> int:
    """Make the topics and keep the workers running until SIGTERM; `on_ready` gets their addresses, `watch` looks on.

    Returns the exit code. Raises LinkError where no broker answers, TopicError where a topic does not fit,
    OwnedElsewhereError where another supervisor has the data folder, NameTakenError where one has the name, StateError.
    """
    began = time.monotonic()
    link = link_of(settings)
    cluster = make_topics(settings, link)
    if danger := too_few_copies(settings, in_force(link), look_at(link)):
        _logger.warning("few copies", cluster=cluster, found=danger)
    lock = OwnerLock(cluster_folder(settings.data, cluster))
    try:
        return asyncio.run(_supervise(settings, cluster, began, on_ready, watch))
    finally:
        lock.release()


async def _supervise(
    settings: Settings,
    cluster: str,
    began: float,
    on_ready: Callable[[dict[str, Any]], None],
    watch: Callable[[Mapping[str, Status]], None] | None,
) -> int:
    supervisor = Supervisor(settings, cluster, watch)

    def ready() -> None:
        on_ready(
            {
                "process": os.getpid(),
                "data": str(settings.data),
                "transport": settings.transport,
                "cluster": cluster,
                "workers": [
                    {"name": name, "process": status.process, "web": status.web}
                    for name, status in supervisor.statuses().items()
                ],
                "ready_after_seconds": round(time.monotonic() - began, 3),
            }
        )

    # Started at once: what the workers commit meanwhile waits in the cluster.
    sinks = asyncio.ensure_future(keep_sinks(settings))
    try:
        await supervisor.run(ready)
    finally:
        sinks.cancel()
        await asyncio.gather(sinks, return_exceptions=True)
    if supervisor.failure is not None:
        raise supervisor.failure
    return 0
