"""Sinks in tests: one run in this process over a log, until it has written everything."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connectors.sink import Item, Sink
from schemas import topics
from topology.sinks.feed import Feed
from topology.sinks.runner import SinkRunner
from topology.sinks.status import SinkStatus

CAUGHT_UP_SECONDS = 60.0


class KeptLetters:
    """Who takes refused events, and keeps them to look at."""

    def __init__(self) -> None:
        self.letters: list[tuple[Item, str]] = []

    async def put(self, item: Item, reason: str) -> None:
        self.letters.append((item, reason))


def open_feed(sink: Sink, data: Path, events_max: int) -> Feed:
    """What `pks sink` reads, with what is committed and not synced too: logs of tests are not synced."""
    read = [*sink.topics, *({topics.SINK_DEAD_LETTERS.name} - set(sink.topics))]
    return Feed(data, read, events_max=events_max, durable_only=False)


def write_all(
    sink: Sink, data: Path, letters: KeptLetters | None = None, events_max: int = 5_000
) -> SinkStatus:
    """Run a sink until its far side has all that the log has."""

    async def run() -> SinkStatus:
        feed = open_feed(sink, data, events_max)
        runner = SinkRunner(sink, feed, letters or KeptLetters(), data)
        running = asyncio.ensure_future(runner.run())
        try:
            async with asyncio.timeout(CAUGHT_UP_SECONDS):
                while (
                    not (runner.status.state == "running" and not runner.status.lag_records)
                    or feed.behind()[0]
                ):
                    if running.done():
                        break
                    await asyncio.sleep(0.002)
            if running.done():
                await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            feed.close()
        return runner.status

    return asyncio.run(run())


async def _end_tasks() -> None:
    """What a client left running ends with it, as it does in a process of its own."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextmanager
def following(sink: Sink, data: Path, events_max: int = 200) -> Iterator[SinkStatus]:
    """A sink that follows a log in a thread of its own; its status, which changes."""
    feed = open_feed(sink, data, events_max)
    runner = SinkRunner(sink, feed, KeptLetters(), data)
    loop = asyncio.new_event_loop()
    running = loop.create_task(runner.run())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(running)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield runner.status
    finally:
        loop.call_soon_threadsafe(running.cancel)
        thread.join()
        loop.run_until_complete(_end_tasks())
        loop.close()
        feed.close()
