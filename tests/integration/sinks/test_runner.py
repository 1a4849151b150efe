"""What the loop of a sink does between batches: it has its far side looked after, and it ends when it is told to."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from connectors.sink import Batch, TopicPartition, Unavailable
from schemas import topics
from tests.sink_support import KeptLetters, following, open_feed
from tests.support import Books, eventually, fill
from topology.sinks.runner import SinkRunner


class Noting:
    """Keeps what it is given, and counts."""

    name = "noting"
    topics = (topics.BOOKINGS.name,)
    keeps_offsets = False
    look_seconds = 0.01

    def __init__(self) -> None:
        self.looks = self.opened = 0
        self.written: list[str] = []
        self.lost = False

    async def open(self) -> Mapping[TopicPartition, int]:
        self.opened += 1
        self.lost = False
        return {}

    async def write(self, batch: Batch) -> None:
        self.written += [item.event.trade_id for item in batch.items]

    async def look(self) -> None:
        self.looks += 1
        if self.lost:
            raise Unavailable("expected what was written, found none")

    async def close(self) -> None:
        pass


def test_while_nothing_waits_the_far_side_is_looked_after(books: Books):
    sink = Noting()
    with following(sink, books.folder) as status:
        eventually(lambda: sink.looks > 3)
        books.book(fill("t1"))
        eventually(lambda: sink.written == ["t1"])
        seen = sink.looks
        eventually(lambda: sink.looks > seen + 3)
        sink.lost = True
        eventually(lambda: sink.opened == 2 and status.state == "running")
        books.book(fill("t2"))
        eventually(lambda: sink.written == ["t1", "t2"])


class Swallowing(Noting):
    """A library that keeps a cancellation to itself, as `asyncio.wait_for` of Python 3.11 may."""

    writes = False

    async def write(self, batch: Batch) -> None:
        self.writes = True
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)
        await super().write(batch)


@pytest.mark.parametrize("seconds", [0.01, None])
def test_it_ends_though_a_library_kept_the_cancellation(books: Books, seconds: Any):
    books.book(fill("t1"))
    sink = Swallowing()
    sink.look_seconds = seconds

    async def run() -> None:
        feed = open_feed(sink, books.folder, 10)
        running = asyncio.ensure_future(SinkRunner(sink, feed, KeptLetters(), books.folder).run())
        async with asyncio.timeout(60):
            while not sink.writes:
                await asyncio.sleep(0.005)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        feed.close()

    asyncio.run(run())
    assert sink.written == ["t1"]
