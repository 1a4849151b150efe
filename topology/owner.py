"""What the owner of a log answers on its control socket.

Guarantees: an append is answered when it is durable; while the stages are behind by more than
`settings.queue_records_max` records in a partition, appends wait (a fast sender is slowed, never dropped).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from connectors.embedded.errors import EmbeddedLogError
from connectors.embedded.log import EmbeddedLog
from topology.control import Reply, Request
from topology.entry import append_records, counts_of
from topology.runtime import PartitionRunner
from topology.settings import Settings

_POLL_SECONDS = 0.002
_SETTLE_SECONDS = 5.0


class OwnerAnswers:
    """Answers requests over the log and the runners of this process.

    `runners` gives those at work now, upstream stages first; `status` is what `Request("status")` adds to the
    number of partitions (addresses, the process).
    """

    def __init__(
        self,
        log: EmbeddedLog,
        settings: Settings,
        runners: Callable[[], Sequence[PartitionRunner]],
        status: Mapping[str, Any],
    ) -> None:
        self._log = log
        self._settings = settings
        self._runners = runners
        self._status = status

    async def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        """The answer to a request; faults are in it, not raised."""
        if request.operation == "append":
            return await self._append(request)
        if request.operation == "settle":
            return Reply(document=await self._settle())
        if request.operation == "counts":
            return Reply(document=counts_of(self._runners(), request.sources))
        if request.operation == "status":
            return Reply(document={"partitions": self._settings.partitions, **self._status})
        return Reply(f"expected append, settle, counts or status, found {request.operation!r}")

    async def _append(self, request: Request) -> Reply | Awaitable[Reply]:
        while self._lag(self._settings.queue_records_max):
            await asyncio.sleep(_POLL_SECONDS)
        try:
            sequence = append_records(self._log, request.records)
        except EmbeddedLogError as error:
            return Reply(str(error))
        if request.durable:
            return asyncio.ensure_future(self._when_durable(sequence))
        return Reply(sequence=sequence)

    async def _when_durable(self, sequence: int) -> Reply:
        try:
            while self._log.durable_sequence < sequence:
                await asyncio.to_thread(self._log.wait_durable, sequence)
        except EmbeddedLogError as error:
            return Reply(str(error))
        return Reply(sequence=sequence)

    async def _settle(self) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLE_SECONDS
        while self._lag(0):
            if loop.time() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def _lag(self, bound: int) -> bool:
        """Whether a stage that still runs is behind by more than `bound` records."""
        return any(
            self._log.end_offset(runner.stage.input.name, runner.partition) - runner.next_offset > bound
            for runner in self._runners()
            if runner.stopped is None
        )
