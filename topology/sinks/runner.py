"""The loop of one sink: read, write, note; try again when the far side fails; set aside what it refuses.

Owns: the order of a sink's work.
Assumes: an adapter as `connectors.sink` describes it, a feed, and somebody to take dead letters.
Guarantees: an offset is noted only after the far side has confirmed everything before it; after any failure the
place is asked for anew, so that a batch whose confirmation was lost is neither skipped nor (where the far side keeps
offsets) written again; at most two batches are in memory beside the feed's: where more waits, the next is read while the
far side takes one in.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from connectors.sink import Batch, Item, Refused, Sink, TopicPartition, Unavailable
from topology.sinks.retrying import with_retries
from topology.sinks.sessions import Sessions
from topology.sinks.status import STANDBY

PROGRESS_SECONDS = 5.0
AHEAD_SECONDS = 0.003
"""After the writing of a batch began, the next is read."""

CATCHING_UP_RECORDS = 1_000
"""A sink that is further behind says how it gets on, every `PROGRESS_SECONDS`."""

_logger = structlog.get_logger(__name__)


class Source(Protocol):
    """What the loop needs of a feed; `mine` says whether this process has the sink, `events_max` what is a full batch."""

    events_max: int

    @property
    def mine(self) -> bool:
        """Whether this process has the sink."""

    async def claim(self) -> None:
        """Wait until this process has the sink. Raises Unavailable."""

    async def kept(self, sink: str) -> Mapping[TopicPartition, int]:
        """Where a sink goes on whose far side keeps no offsets. Raises Unavailable."""

    async def keep(self, sink: str, offsets: Mapping[TopicPartition, int], *, decides: bool) -> None:
        """Note where a sink goes on; `decides` where nobody else does. Raises Unavailable."""

    async def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets. Raises Unavailable."""

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

    def close(self) -> None:
        """Let the log go."""


class SetAside(Protocol):
    """Who takes what the far side refuses."""

    async def put(self, item: Item, reason: str) -> None:
        """Durable when it returns. Raises Unavailable."""


class SinkRunner(Sessions):
    """Runs one sink until it is cancelled."""

    def __init__(self, sink: Sink, feed: Source, letters: SetAside, data: Path) -> None:
        super().__init__(sink, data)
        self._sink = sink
        self._feed = feed
        self._letters = letters
        self._wanted = frozenset(sink.topics)
        self._said_at = 0.0
        self._ahead: asyncio.Future[Batch] | None = None

    async def _session(self) -> None:
        """One connection: from the place that the far side names. Raises FeedFault where the log is another one."""
        if not self._feed.mine:
            self.status.state = STANDBY
            await self._feed.claim()
        offsets = await self._sink.open()
        decides = not self._sink.keeps_offsets
        if decides:
            offsets = await self._feed.kept(self._sink.name)
        await self._feed.begin(offsets)
        confirmed: Mapping[TopicPartition, int] = offsets
        if self._feed.behind() == (0, 0):
            self._goes()
        while True:
            found = await self._next()
            batch = with_retries(found, self._sink.name, self._wanted, self._feed.item)
            if len(found.items) >= self._feed.events_max:
                # It catches up: the far side takes this batch in while the next is made ready.
                self._ahead = asyncio.ensure_future(self._read_ahead())
            try:
                await self._deliver(batch)
            except Unavailable:
                await self._forget_ahead()
                self._feed.rewind(confirmed)
                raise
            await self._feed.keep(self._sink.name, batch.next_offsets, decides=decides)
            confirmed = batch.next_offsets
            self._done(batch)

    async def _next(self) -> Batch:
        """What waits; while nothing does, the sink looks after its far side."""
        seconds: float | None = getattr(self._sink, "look_seconds", None)
        while True:
            _end_if_told()
            if self._ahead is None:
                self._ahead = asyncio.ensure_future(self._feed.next())
            done, _ = await asyncio.wait({self._ahead}, timeout=seconds)
            if done:
                ahead, self._ahead = self._ahead, None
                return ahead.result()
            await self._sink.look()  # type: ignore[attr-defined]

    async def _read_ahead(self) -> Batch:
        # The far side has its first work before.
        await asyncio.sleep(AHEAD_SECONDS)
        return await self._feed.next()

    async def _forget_ahead(self) -> None:
        """What was read ahead is read again."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def _behind(self) -> tuple[int, int]:
        """As the feed says, and with what was read ahead."""
        lag, oldest = self._feed.behind()
        ahead = self._ahead
        if ahead is None or not ahead.done() or ahead.cancelled() or ahead.exception() is not None:
            return lag, oldest
        items = ahead.result().items
        records = sum(1 for item in items if not item.place)
        return lag + max(records, 1), items[0].appended_at if items else oldest

    async def _end_session(self) -> None:
        await self._forget_ahead()
        await self._sink.close()

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
        self._succeeded = True
        status.written += len(batch.items)
        status.batches += 1
        status.lag_records, status.waiting_since = self._behind()
        self._goes()
        self._say()

    def _say_failed(self, error: Unavailable) -> None:
        _logger.warning(
            "a sink's far side failed, to be tried again",
            sink=self._sink.name,
            failures=self.status.failures,
            error=str(error),
        )

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

    def _before_showing(self) -> None:
        if self.status.failures:
            self._feed.look()
            self.status.lag_records, self.status.waiting_since = self._behind()


def _end_if_told() -> None:
    """Raise CancelledError where it was raised before and a client library kept it (`wait_for` of Python 3.11 does)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
