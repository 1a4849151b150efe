"""What the sinks of QuestDB have in common: a table that takes rows over HTTP, confirmed, and replaces what comes again.

Assumes: one table a request, which QuestDB takes whole or not at all.
Guarantees: between two requests are `flush_seconds` at least, so that a stream becomes few transactions; what comes
meanwhile waits in the log. The library neither flushes nor tries again by itself: its buffer would be lost (the batch is
in the log). A table that QuestDB has suspended goes on within `look_seconds`, whether rows come or not.
"""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from questdb import QuestDBError, Sender, TimestampNanos

from connectors.questdb.server import QuestdbSettings, query, resume_suspended
from connectors.sink import Batch, Item, Refused, TopicPartition, Unavailable

Row = tuple[dict[str, str | None], dict[str, Any], int]
"""The symbols and columns of a row, and its time in nanoseconds."""

_CONTENT = '"code":"invalid"'
"""In an answer that names what is wrong with a row; a full disk is an "internal error" of the same kind of failure."""


class TableSink(ABC):
    """Writes events into one table; the runtime keeps the offsets, after QuestDB has confirmed."""

    name: str
    topics: Sequence[str]
    keeps_offsets = False
    table: str
    create: str
    """The statement that makes the table where there is none."""

    def __init__(
        self, settings: QuestdbSettings, flush_seconds: float = 0.0, look_seconds: float = 5.0
    ) -> None:
        self._settings = settings
        self._sender: Sender | None = None
        self._flush_seconds = flush_seconds
        self._flushed_at = 0.0
        self._looked_at = 0.0
        self.look_seconds = look_seconds
        self.complaints: Counter[str] = Counter()

    @abstractmethod
    def row_of(self, item: Item) -> Row | None:
        """The row of an event; None for one that has none."""

    async def open(self) -> Mapping[TopicPartition, int]:
        """Connect, make the table, and let it go on where it was suspended. Raises Unavailable."""
        await asyncio.to_thread(self._open)
        return {}

    def _open(self) -> None:
        query(self._settings, self.create)
        self._look()
        try:
            self._sender = Sender.from_conf(self._settings.client)
            self._sender.establish()  # type: ignore[no-untyped-call]
        except QuestDBError as error:
            raise Unavailable(f"QuestDB: expected a connection, found: {error}") from error

    async def look(self) -> None:
        """Let the table go on where it is suspended. Raises Unavailable."""
        await asyncio.to_thread(self._look)

    def _look(self) -> None:
        if resume_suspended(self._settings, self.table):
            self.complaints["suspended"] += 1
        self._looked_at = time.monotonic()

    async def write(self, batch: Batch) -> None:
        """Write a batch; returns when QuestDB has confirmed it. Raises Unavailable, Refused."""
        if batch.items:
            await asyncio.sleep(max(0.0, self._flushed_at + self._flush_seconds - time.monotonic()))
            self._flushed_at = time.monotonic()
            await asyncio.to_thread(self._flush, batch.items)

    def _flush(self, items: Sequence[Item]) -> None:
        assert self._sender is not None, "it was opened"
        buffer = self._sender.new_buffer()
        try:
            # A row is in the buffer before the next is made: thousands of them at once are dear to collect.
            for row in map(self.row_of, items):
                if row is not None:
                    buffer.row(self.table, symbols=row[0], columns=row[1], at=TimestampNanos(row[2]))
            if len(buffer):
                self._sender.flush(buffer, clear=False)
        except QuestDBError as error:
            if _CONTENT in str(error):
                raise Refused(f"QuestDB: expected the rows to be taken, found: {error}") from error
            raise Unavailable(f"QuestDB: expected the rows to be confirmed, found: {error}") from error
        except (ValueError, OverflowError) as error:
            raise Refused(f"QuestDB: expected values that a row can hold, found: {error}") from error
        if time.monotonic() - self._looked_at >= self.look_seconds:
            self._look()

    async def close(self) -> None:
        """Disconnect; never raises."""
        sender, self._sender = self._sender, None
        if sender is not None:
            with contextlib.suppress(Exception):
                await asyncio.to_thread(sender.close, flush=False)
