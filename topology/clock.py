"""Time, as the stages learn of it: a `ClockTick` in every partition of every clocked topic.

Handlers read no clock, so that a replay does what the live system did; this is where the clock is read.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog
from schemas import events
from schemas.frames import encode_frames, wire
from schemas.identity import content_id
from schemas.times import Nanoseconds
from schemas.topics import TOPICS

if TYPE_CHECKING:
    from topology.worker import Worker

SOURCE = "clock"

_ClockTick = wire(events.ClockTick)
_logger = structlog.get_logger(__name__)


def tick_frames(topic: str, partition: int, now: int) -> list[bytes]:
    """The frames of one tick; `now` in nanoseconds."""
    identity = content_id("tick", topic, str(partition), str(now))
    return encode_frames([_ClockTick(event_id=identity, event_time=Nanoseconds(now), source=SOURCE)])


def append_ticks(log: EmbeddedLog, partitions: int, clock: Callable[[], int] = time.time_ns) -> int:
    """Append one tick to every partition of every clocked topic, in one commit; returns its sequence."""
    now = clock()
    transaction = log.transaction()
    for topic in TOPICS:
        if topic.clocked:
            for partition in range(topic.partitions(partitions)):
                for frame in tick_frames(topic.name, partition, now):
                    transaction.append(topic.name, partition, None, frame)
    return transaction.commit()


async def tick_clock(worker: "Worker") -> None:
    """Append ticks every `clock_tick_seconds` until cancelled; a tick that cannot be written is left out."""
    while True:
        await asyncio.sleep(worker.settings.clock_tick_seconds)
        try:
            append_ticks(worker.log, worker.settings.partitions)
        except CommitError as error:
            _logger.warning("clock tick left out", error=str(error))
