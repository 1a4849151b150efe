"""Checkpoints while a worker runs: a process of lowest priority takes them now and then, and no step waits for it.

Assumes: one worker a data folder. Guarantees: at most one such process; it ends with the worker, also where that is
killed; that it fails is logged, and harms nothing.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from connectors.embedded.errors import EmbeddedLogError, OwnedElsewhereError
from connectors.embedded.log import EmbeddedLog
from topology.history.checkpoints import changelog_bytes, take_checkpoints
from topology.settings import Settings

if TYPE_CHECKING:
    from topology.worker import Worker

ROUND_SECONDS = 60.0
"""Between two runs, at least."""

LOOK_SECONDS = 5.0
_BACKGROUND = "topology.history.background"
_logger = structlog.get_logger(__name__)


class _WorkerGone(Exception):
    """The worker that started this process is not there any more."""


async def keep_checkpoints(worker: "Worker") -> None:
    """Let checkpoints be taken until cancelled, as often as enough has come together for each partition."""
    settings, taken_at = worker.settings, -1
    due = settings.checkpoint_spacing_bytes * settings.partitions
    while settings.checkpoint_spacing_bytes:
        size = changelog_bytes(worker.log)
        if size - taken_at >= due:
            taken_at = size
            try:
                await _run(settings)
            except OSError as error:
                # No process, no files left: the worker has better to do than to end for this.
                _logger.warning("checkpoints not taken", reason=str(error))
            await asyncio.sleep(ROUND_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)


async def _run(settings: Settings) -> None:
    arguments = (
        settings.data,
        os.getpid(),
        settings.checkpoint_spacing_bytes,
        settings.checkpoints_max,
        settings.checkpoint_bytes_max,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _BACKGROUND,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, told = await process.communicate()
        if process.returncode:
            _logger.warning("checkpoints not taken", reason=told.decode(errors="replace").strip()[-1_000:])
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


def main(arguments: list[str]) -> int:
    """Take checkpoints for the worker whose process is this one's parent."""
    data, parent, spacing_bytes, checkpoints_max, bytes_max = arguments

    def stop_without_worker(records: int) -> None:
        if os.getppid() != int(parent):
            raise _WorkerGone

    try:
        log = EmbeddedLog.reader(Path(data))
        try:
            take_checkpoints(
                log, int(spacing_bytes), int(checkpoints_max), int(bytes_max), stop_without_worker
            )
        finally:
            log.close()
    except (OwnedElsewhereError, _WorkerGone):
        return 0
    except (EmbeddedLogError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0
