"""The process of one sink, as `pks sink NAME` runs it.

Guarantees: it ends in order on SIGTERM, and when its standard input ends, which it does when whoever started it dies;
what was confirmed is noted, what was not is written again by the next.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

import stamina
import uvloop

from schemas import topics
from topology.settings import Settings, on_kafka
from topology.sinks.feed import Feed
from topology.sinks.letters import Letters
from topology.sinks.registry import SINK_BY_NAME
from topology.sinks.runner import SetAside, SinkRunner, Source

WATCH_STDIN = "PKS_SINK_WATCHED"
"""Set in the environment of a sink whose standard input is a pipe from the worker that started it."""

GC_THRESHOLDS = (50_000, 20, 100)
"""A batch is thousands of objects that live together and end together: looking at them meanwhile is for nothing."""

NICENESS = 5
"""How much a sink that a worker has started stands back behind it: a third of its share, where both want the processor."""


def run_sink(settings: Settings, name: str) -> int:
    """Run a sink until it is told to stop. Raises FeedFault, StateError; LinkError of a cluster."""
    if WATCH_STDIN in os.environ:
        # Where processors are few, the worker beside it comes first.
        os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    stamina.instrumentation.set_on_retry_hooks([])  # the runner says it, with the sink's name
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, name))
    return 0


async def _serve(settings: Settings, name: str) -> None:
    sink = SINK_BY_NAME[name].make(settings)
    names = [*sink.topics, *({topics.SINK_DEAD_LETTERS.name} - set(sink.topics))]
    feed, letters = (
        _on_kafka(settings, name, names) if on_kafka(settings) else _embedded(settings, name, names)
    )
    with closing(feed):
        await until_told(SinkRunner(sink, feed, letters, settings.data).run())


def _embedded(settings: Settings, name: str, names: list[str]) -> tuple[Source, SetAside]:
    durable_only = settings.sync == "group"
    feed = Feed(settings.data, names, events_max=settings.sink_events_max, durable_only=durable_only)
    return feed, Letters(settings.data, name)


def _on_kafka(settings: Settings, name: str, names: list[str]) -> tuple[Source, SetAside]:
    from topology.cluster.places import link_in_force, membership
    from topology.sinks.appending import ClusterAppender
    from topology.sinks.cluster_feed import ClusterFeed
    from topology.sinks.letters import ClusterLetters

    link = link_in_force(settings)
    base = settings.worker_name or socket.gethostname()
    events_max = settings.sink_events_max
    feed = ClusterFeed(link, names, sink=name, events_max=events_max, membership=membership(settings, base))
    return feed, ClusterLetters(ClusterAppender(link), name)


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do some work until SIGTERM, SIGINT, or, where it is watched, the end of the standard input."""
    running = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    if WATCH_STDIN in os.environ:
        watched = sys.stdin.fileno()

        def ended() -> None:
            # Once: an ended pipe can be read for ever, and each further cancelling would cut off the end in order.
            loop.remove_reader(watched)
            running.cancel()

        loop.add_reader(watched, ended)
    with contextlib.suppress(asyncio.CancelledError):
        await running
