"""The sinks and sources of a worker: a process for each one that settings ask for, started again when it ends.

Guarantees: a sink that fails, hangs or dies takes nothing of the worker along; with the worker its sinks end, even
where it was killed.
"""

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

import structlog

from topology.settings import Settings
from topology.sinks.process import WATCH_STDIN
from topology.sinks.registry import configured
from topology.sources.registry import SOURCES

if TYPE_CHECKING:
    from topology.worker import Worker

RESTART_SECONDS_FIRST = 1.0
RESTART_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
"""A sink that ran for so long is started again as if it had never failed."""

STOP_SECONDS_MAX = 5.0

_logger = structlog.get_logger(__name__)


async def keep_sinks(worker: "Worker") -> None:
    """Run the sinks and sources of a worker until cancelled."""
    settings = worker.settings
    asked = [("sink", name) for name in configured(settings)]
    asked += [("source", kind.name) for kind in SOURCES if kind.configured(settings)]
    await asyncio.gather(*(_keep(settings, command, name) for command, name in asked))


async def _keep(settings: Settings, command: str, name: str) -> None:
    loop = asyncio.get_running_loop()
    pause = RESTART_SECONDS_FIRST
    while True:
        started = loop.time()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "topology", command, name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=environment_of(settings),
        )
        try:
            code = await process.wait()
        finally:
            await _end(process)
        if loop.time() - started >= STEADY_SECONDS:
            pause = RESTART_SECONDS_FIRST
        _logger.error(f"a {command} ended, to be started again", name=name, exit_code=code, seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, RESTART_SECONDS_MAX)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a process has the same settings, wherever they came from."""
    chosen = {name: value for name, value in settings.model_dump().items() if value is not None}
    given = {f"PKS_{name}".upper(): str(value) for name, value in chosen.items()}
    return {**os.environ, **given, WATCH_STDIN: "1"}
