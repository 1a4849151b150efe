"""Upkeep of the log while a worker runs: retention, in slices that no step waits for, and a full disk survived."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from connectors.embedded.errors import CommitError, ResourceError
from connectors.embedded.retention import Retention

if TYPE_CHECKING:
    from topology.worker import Worker

ROUND_SECONDS = 30.0
"""Between two rounds over all topics."""

SLICE_SECONDS = 0.02
"""Between two slices of a round."""

REPAIR_SECONDS = 0.25
"""Between two looks at whether a write failed, and two attempts to write again."""

_logger = structlog.get_logger(__name__)


async def keep_retention(worker: "Worker") -> None:
    """Apply retention until cancelled; a removal that cannot be written waits for the next round.

    What a stage of this worker has not read yet stays, unless it bears that it goes.
    """
    inputs: dict[str, list[str]] = {}
    for app in worker.apps:
        if not app.stage.bears_gaps:
            inputs.setdefault(app.stage.input.name, []).append(app.stage.name)

    def needed_from(topic: str, partition: int) -> int | None:
        return min(
            (worker.log.committed(stage, topic, partition) or 0 for stage in inputs.get(topic, ())),
            default=None,
        )

    retention = Retention(worker.log, needed_from=needed_from)
    while True:
        try:
            done = retention.step() is None
        except (CommitError, ResourceError) as error:
            _logger.warning("retention put off", error=str(error))
            done = True
        await asyncio.sleep(ROUND_SECONDS if done else SLICE_SECONDS)


async def keep_writable(worker: "Worker") -> None:
    """Open the log again after a write failed, as soon as there is room; the stages and senders wait meanwhile."""
    log = worker.log
    while True:
        await asyncio.sleep(REPAIR_SECONDS)
        if log.failed is not None:
            try:
                log.reopen()
            except (CommitError, ResourceError) as error:
                _logger.warning("still no room to write", error=str(error))
            else:
                _logger.info("writing goes on", sequence=log.sequence)
