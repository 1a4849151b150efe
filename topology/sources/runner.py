"""The loop of one source: receive, append, acknowledge; try again when either side fails.

Guarantees: a message is acknowledged only after it is durable in the log; after any failure both sides are connected
anew, and what was not acknowledged comes again; at most one batch is in memory beside what the adapter bounds.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from connectors.sink import Unavailable
from connectors.source import Received, Source
from topology.sinks.sessions import Sessions
from topology.sources.intake import Intake

_logger = structlog.get_logger(__name__)


class SourceRunner(Sessions):
    """Runs one source until it is cancelled. Its status counts messages: `written` those in the log, `refused` those of
    them that are dead letters."""

    def __init__(self, source: Source, intake: Intake, data: Path) -> None:
        super().__init__(source, data)
        self._source = source
        self._intake = intake

    async def _session(self) -> None:
        """One connection, until it fails."""
        await self._source.open()
        self.status.state = "running"
        while True:
            received = await self._source.receive()
            await asyncio.to_thread(self._intake.append, received)
            await self._source.acknowledge(received)
            self._done(received)

    async def _end_session(self) -> None:
        await self._source.close()
        self._intake.close()

    def _done(self, received: Sequence[Received]) -> None:
        status = self.status
        self._succeeded = True
        status.written += len(received)
        status.refused += sum(1 for each in received if each.fault is not None)
        status.batches += 1
        self._goes()

    def _say_failed(self, error: Unavailable) -> None:
        _logger.warning(
            "a source failed, to be tried again",
            source=self._source.name,
            failures=self.status.failures,
            error=str(error),
        )
