"""Time on a cluster: each worker sends a `ClockTick` to the partitions of clocked topics that its stages read."""

import asyncio
import time
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from topology.clock import tick_frames

if TYPE_CHECKING:
    from topology.cluster.worker import ClusterWorker


async def tick_clock(worker: "ClusterWorker") -> None:
    """Send ticks every `clock_tick_seconds` until cancelled; those that the brokers do not take are left out."""
    seconds = worker.settings.clock_tick_seconds
    link = worker.apps[0].link
    producer = Producer(link.producer(message_timeout_ms=int(seconds * 1e3)))
    while True:
        await asyncio.sleep(seconds)
        now = time.time_ns()
        for app in worker.apps:
            topic = app.stage.input
            for partition in sorted(app.runners) if topic.clocked else ():
                for frame in tick_frames(topic.name, partition, now):
                    producer.produce(link.topic(topic.name), frame, partition=partition)
        await asyncio.to_thread(producer.flush, seconds)
