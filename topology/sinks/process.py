"""The process of one sink, as `pks sink NAME` runs it.

Guarantees: it ends in order on SIGTERM, and when its standard input ends, which it does when whoever started it dies;
what was confirmed is noted, what was not is written again by the next.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import stamina
import uvloop

from schemas import topics
from topology.settings import Settings
from topology.sinks.feed import Feed
from topology.sinks.letters import Letters
from topology.sinks.registry import SINK_BY_NAME
from topology.sinks.runner import SinkRunner

WATCH_STDIN = "PKS_SINK_WATCHED"
"""Set in the environment of a sink whose standard input is a pipe from the worker that started it."""


def run_sink(settings: Settings, name: str) -> int:
    """Run a sink until it is told to stop. Raises FeedFault, StateError."""
    stamina.instrumentation.set_on_retry_hooks([])  # the runner says it, with the sink's name
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, name))
    return 0


async def _serve(settings: Settings, name: str) -> None:
    sink = SINK_BY_NAME[name].make(settings)
    feed = Feed(
        settings.data,
        [*sink.topics, *({topics.SINK_DEAD_LETTERS.name} - set(sink.topics))],
        events_max=settings.sink_events_max,
        durable_only=settings.sync == "group",
    )
    try:
        await until_told(SinkRunner(sink, feed, Letters(settings.data, name), settings.data).run())
    finally:
        feed.close()


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do some work until SIGTERM, SIGINT, or, where it is watched, the end of the standard input."""
    running = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    if WATCH_STDIN in os.environ:
        loop.add_reader(sys.stdin.fileno(), running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
