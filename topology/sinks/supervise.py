"""The sinks and sources of a worker, or of a supervisor of several: a process for each one that settings ask for, started again when it ends.

Guarantees: a sink that fails, hangs or dies takes nothing of the worker along; with whoever started them they
end, even where he was killed.
"""

import asyncio
import contextlib
import os
import sys

import msgspec
import structlog

from topology.cluster.status import plain_settings
from topology.settings import Settings
from topology.sinks.process import WATCH_STDIN
from topology.sinks.registry import configured
from topology.sources.registry import SOURCES

RESTART_SECONDS_FIRST = 1.0
RESTART_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
"""A sink that ran for so long is started again as if it had never failed."""

STOP_SECONDS_MAX = 5.0

_logger = structlog.get_logger(__name__)


async def keep_sinks(settings: Settings) -> None:
    """Run the sinks and sources that settings ask for, until cancelled."""
    asked = [("sink", name) for name in configured(settings)]
    asked += [("source", kind.name) for kind in SOURCES if kind.configured(settings)]
    await asyncio.gather(*(_keep(settings, command, name) for command, name in asked))


async def _keep(settings: Settings, command: str, name: str) -> None:
    loop = asyncio.get_running_loop()
    pause = RESTART_SECONDS_FIRST
    while True:
        started = loop.time()
        code = await _run(settings, command, name)
        if loop.time() - started >= STEADY_SECONDS:
            pause = RESTART_SECONDS_FIRST
        _logger.error(f"a {command} ended, to be started again", name=name, exit_code=code, seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, RESTART_SECONDS_MAX)


async def _run(settings: Settings, command: str, name: str) -> int | str:
    """Run a sink or source to its end; its exit code, or why it could not be started."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "topology", command, name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=environment_of(settings),
        )
    except OSError as error:  # no memory, or no more processes: it may be better in a moment
        return str(error)
    try:
        return await process.wait()
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            # Until it is gone it may write into the data folder, which its worker is about to leave.
            await process.wait()


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a process has the same settings, wherever they came from."""
    chosen = {name: value for name, value in plain_settings(settings).items() if value is not None}
    given = {
        f"PKS_{name}".upper(): value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in chosen.items()
    }
    return {**os.environ, **given, WATCH_STDIN: "1"}
