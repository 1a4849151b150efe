"""The loop of one source: receive, append, acknowledge; try again when either side fails.

Guarantees: a message is acknowledged only after it is durable in the log; after any failure both sides are connected
anew, and what was not acknowledged comes again; at most one batch is in memory beside what the adapter bounds.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import stamina
import structlog

from connectors.sink import Unavailable
from connectors.source import Received, Source
from topology.sinks.runner import (
    BREAKER_FAILURES,
    RETRY_JITTER_SECONDS,
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
)
from topology.sinks.status import SinkStatus, write_status
from topology.sources.intake import Intake

STATUS_SECONDS = 0.5

_logger = structlog.get_logger(__name__)


class SourceRunner:
    """Runs one source until it is cancelled. Its status counts messages: `written` those in the log, `refused` those of
    them that are dead letters."""

    def __init__(self, source: Source, intake: Intake, data: Path) -> None:
        self._source = source
        self._intake = intake
        self._data = data
        self._taken = False
        self.status = SinkStatus(source.name, process=os.getpid())

    async def run(self) -> None:
        """Take what comes until cancelled."""
        showing = asyncio.create_task(self._keep_showing())
        try:
            while True:
                async for attempt in stamina.retry_context(
                    on=Unavailable,
                    attempts=None,
                    timeout=None,
                    wait_initial=RETRY_SECONDS_FIRST,
                    wait_max=RETRY_SECONDS_MAX,
                    wait_jitter=RETRY_JITTER_SECONDS,
                ):
                    self._taken = False
                    with attempt:
                        try:
                            await self._session()
                        except Unavailable as error:
                            self._failed(error)
                            if not self._taken:
                                raise
                        finally:
                            await self._source.close()
                            self._intake.close()
        finally:
            showing.cancel()
            self.status.state = "stopped"
            self._show()

    async def _session(self) -> None:
        """One connection, until it fails."""
        await self._source.open()
        self.status.state = "running"
        while True:
            received = await self._source.receive()
            await asyncio.to_thread(self._intake.append, received)
            await self._source.acknowledge(received)
            self._done(received)

    def _done(self, received: Sequence[Received]) -> None:
        status = self.status
        self._taken = True
        status.written += len(received)
        status.refused += sum(1 for each in received if each.fault is not None)
        status.batches += 1
        status.state, status.trouble, status.failures = "running", "", 0

    def _failed(self, error: Unavailable) -> None:
        status = self.status
        status.failures = 1 if self._taken else status.failures + 1
        status.state = "open" if status.failures >= BREAKER_FAILURES else "retrying"
        status.trouble = str(error)
        _logger.warning(
            "a source failed, to be tried again",
            source=self._source.name,
            failures=status.failures,
            error=str(error),
        )
        self._show()

    async def _keep_showing(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(STATUS_SECONDS)

    def _show(self) -> None:
        self.status.complaints = dict(getattr(self._source, "complaints", {}))
        with contextlib.suppress(OSError):  # a full disk; the books do not wait for a status
            write_status(self._data, self.status)
