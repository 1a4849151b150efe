"""The loop of one sink: read, write, note; try again when the far side fails; set aside what it refuses.

Owns: the order of a sink's work and its breaker.
Assumes: an adapter as `connectors.sink` describes it, a feed, and somebody to take dead letters.
Guarantees: an offset is noted only after the far side has confirmed everything before it; after any failure the
place is asked for anew, so that a batch whose confirmation was lost is neither skipped nor (where the far side keeps
offsets) written again; at most one batch is in memory beside the feed's.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import stamina
import structlog

from connectors.sink import Batch, Item, Refused, Sink, TopicPartition, Unavailable
from topology.sinks.retrying import with_retries
from topology.sinks.status import SinkStatus, read_offsets, write_offsets, write_status

RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_MAX = 10.0
RETRY_JITTER_SECONDS = 0.5
"""Between attempts after a failure: doubled each time, up to the most, and spread so that sinks do not knock together."""

BREAKER_FAILURES = 5
"""Failures in a row after which the circuit counts as open: each further attempt is a probe."""

STATUS_SECONDS = 0.5
PROGRESS_SECONDS = 5.0
CATCHING_UP_RECORDS = 1_000
"""A sink that is further behind says how it gets on, every `PROGRESS_SECONDS`."""

_logger = structlog.get_logger(__name__)


class Source(Protocol):
    """What the loop needs of a feed."""

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets."""

    async def next(self) -> Batch:
        """What waits, at least one record."""

    def behind(self) -> tuple[int, int]:
        """Records that were not handed on, and when the oldest was appended."""

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """What was handed on from these offsets on is not confirmed."""

    def look(self) -> None:
        """See what there is by now."""

    def item(self, topic: str, partition: int, offset: int, index: int) -> Item | None:
        """An event by its place; None where it is no more."""


class SetAside(Protocol):
    """Who takes what the far side refuses."""

    async def put(self, item: Item, reason: str) -> None:
        """Durable when it returns. Raises Unavailable."""


class SinkRunner:
    """Runs one sink until it is cancelled."""

    def __init__(self, sink: Sink, feed: Source, letters: SetAside, data: Path) -> None:
        self._sink = sink
        self._feed = feed
        self._letters = letters
        self._data = data
        self._wanted = frozenset(sink.topics)
        self._said_at = 0.0
        self._confirmed = False
        self.status = SinkStatus(sink.name, process=os.getpid())

    async def run(self) -> None:
        """Write what the log has and what comes, until cancelled. Raises FeedFault where the log is another one."""
        showing = asyncio.create_task(self._keep_showing())
        try:
            while True:
                # A failure after some success begins a new row of attempts.
                async for attempt in stamina.retry_context(
                    on=Unavailable,
                    attempts=None,
                    timeout=None,
                    wait_initial=RETRY_SECONDS_FIRST,
                    wait_max=RETRY_SECONDS_MAX,
                    wait_jitter=RETRY_JITTER_SECONDS,
                ):
                    self._confirmed = False
                    with attempt:
                        try:
                            await self._session()
                        except Unavailable as error:
                            self._failed(error)
                            if not self._confirmed:
                                raise
                        finally:
                            await self._sink.close()
        finally:
            showing.cancel()
            self.status.state = "stopped"
            self._show()

    async def _session(self) -> None:
        """One connection: from the place that the far side names, until it fails."""
        offsets = await self._sink.open()
        if not self._sink.keeps_offsets:
            offsets = read_offsets(self._data, self._sink.name)
        self._feed.seek(offsets)
        confirmed: Mapping[TopicPartition, int] = offsets
        if self._feed.behind() == (0, 0):
            self._goes()
        while True:
            batch = with_retries(await self._feed.next(), self._sink.name, self._wanted, self._feed.item)
            try:
                await self._deliver(batch)
            except Unavailable:
                self._feed.rewind(confirmed)
                raise
            if not self._sink.keeps_offsets:
                write_offsets(self._data, self._sink.name, batch.next_offsets)
            confirmed = batch.next_offsets
            self._done(batch)

    async def _deliver(self, batch: Batch) -> None:
        """Write a batch; where it is refused its halves, down to the one event that is set aside."""
        try:
            await self._sink.write(batch)
            return
        except Refused as error:
            if not batch.items:
                raise Unavailable(f"offsets alone were refused: {error}") from error
            if len(batch.items) == 1:
                _logger.error("a sink's far side refused an event", sink=self._sink.name, error=str(error))
                await self._letters.put(batch.items[0], str(error))
                self.status.refused += 1
                await self._deliver(Batch((), batch.next_offsets))
                return
        middle = len(batch.items) // 2
        # The first half moves no offset: until the second is confirmed, both may come again.
        await self._deliver(Batch(batch.items[:middle]))
        await self._deliver(Batch(batch.items[middle:], batch.next_offsets))

    def _done(self, batch: Batch) -> None:
        status = self.status
        self._confirmed = True
        status.written += len(batch.items)
        status.batches += 1
        status.lag_records, status.waiting_since = self._feed.behind()
        self._goes()
        self._say()

    def _goes(self) -> None:
        self.status.state, self.status.trouble, self.status.failures = "running", "", 0

    def _failed(self, error: Unavailable) -> None:
        status = self.status
        status.failures = 1 if self._confirmed else status.failures + 1
        status.state = "open" if status.failures >= BREAKER_FAILURES else "retrying"
        status.trouble = str(error)
        _logger.warning(
            "a sink's far side failed, to be tried again",
            sink=self._sink.name,
            failures=status.failures,
            error=str(error),
        )
        self._show()

    def _say(self) -> None:
        """The progress line of a sink that catches up."""
        now = time.monotonic()
        if self.status.lag_records >= CATCHING_UP_RECORDS and now - self._said_at >= PROGRESS_SECONDS:
            self._said_at = now
            _logger.info(
                "a sink catches up",
                sink=self._sink.name,
                written=self.status.written,
                records_left=self.status.lag_records,
            )

    async def _keep_showing(self) -> None:
        while True:
            if self.status.failures:
                self._feed.look()
                self.status.lag_records, self.status.waiting_since = self._feed.behind()
            self._show()
            await asyncio.sleep(STATUS_SECONDS)

    def _show(self) -> None:
        self.status.complaints = dict(getattr(self._sink, "complaints", {}))
        with contextlib.suppress(OSError):  # a full disk; the books do not wait for a status
            write_status(self._data, self.status)
