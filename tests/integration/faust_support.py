"""What the tests of Faust on the embedded log share: plain Apps, a running worker, waiting inside a loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import faust
from mode.supervisors import CrashingSupervisor
from yarl import URL

from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.shared import share_log
from connectors.embedded.tables import TableManager
from topology.settings import Settings
from topology.stages import build_stages
from topology.worker import Worker, serve


async def until(predicate: Callable[[], Any], timeout: float = 10.0) -> Any:  # noqa: ASYNC109
    """Let the loop run until `predicate` gives something true, and return it; fail after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        found = predicate()
        if found:
            return found
        if loop.time() > deadline:
            raise AssertionError(f"expected {predicate} to come true within {timeout} s, found {found!r}")
        await asyncio.sleep(0.002)


def plain_app(log: EmbeddedLog, folder: Path, name: str = "plain", **options: Any) -> Any:
    """A Faust App as anybody would write one, on the embedded log."""
    settings = {
        "broker": [share_log(log)],
        "store": URL("embedded://"),
        "datadir": folder / f"{name}-data",
        "topic_partitions": 1,
        "topic_disable_leader": True,
        "stream_recovery_delay": 0.0,
        "broker_commit_interval": 0.05,
        "agent_supervisor": CrashingSupervisor,
        "TableManager": TableManager,
        "web_enabled": False,
        **options,
    }
    return faust.App(name, **settings)


@asynccontextmanager
async def started(*apps: Any) -> AsyncIterator[None]:
    """Apps that run."""
    try:
        for app in apps:
            await app.start()
        yield
    finally:
        for app in apps:
            await app.stop()


def append(
    log: EmbeddedLog, topic: str, values: Sequence[bytes | None], partition: int = 0, **options: Any
) -> None:
    """Append records in one commit."""
    transaction = log.transaction()
    for value in values:
        transaction.append(topic, partition, options.get("key"), value)
    transaction.commit()


def quick_settings(folder: Path, **options: Any) -> Settings:
    """Settings of a worker in a test: a free port, no ticks unless asked for."""
    values = {
        "data": folder,
        "web_port": 0,
        "clock_tick_seconds": 3_600.0,
        "partitions": 2,
        "sync": "os",
        **options,
    }
    return Settings(**values)


class RunningWorker:
    """A worker in the running loop."""

    def __init__(self, worker: Worker, task: "asyncio.Task[int]") -> None:
        self.worker = worker
        self.task = task
        self.log = worker.log

    def caught_up(self) -> bool:
        """Whether no stage that runs has input left."""
        return all(
            runner.stopped is not None
            or runner.next_offset == self.log.end_offset(runner.stage.input.name, runner.partition)
            for runner in self.worker.runners()
        )

    async def idle(self) -> None:
        """Wait until every stage is at the end of its input."""
        await until(self.caught_up)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a web view."""
        address = URL(self.worker.web_address + path, encoded=True)
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            return response.status, await response.text()

    async def stop(self) -> int:
        """Stop it; returns its exit code."""
        self.worker.stop()
        return await self.task


@asynccontextmanager
async def worker_over(
    log: EmbeddedLog, settings: Settings, stages: Sequence[Stage] | None = None, **options: Any
) -> AsyncIterator[RunningWorker]:
    """A worker over an open log."""
    ready: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(
        serve(
            settings,
            stages or build_stages(settings),
            log=log,
            on_ready=ready.set_result,
            handle_signals=False,
            **options,
        )
    )
    await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        raise AssertionError(f"expected a worker, found its end: {task.result()}")
    running = RunningWorker(ready.result(), task)
    try:
        yield running
    finally:
        running.worker.stop()
        await task
