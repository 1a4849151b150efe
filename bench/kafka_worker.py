"""A worker of stages on a cluster, as it is measured: `BROKER FOLDER GUARANTEE OWNED COUNTS STAGE...`, a process of its own.

It prints a line of JSON when it owns OWNED partitions, and one when the last STAGE has passed what COUNTS says of them
(a number for each partition, with commas): seconds by the clock and of processor time since its first step, when it
began and ended, and its steps. It ends on SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from agents import positions
from connectors.kafka.link import parse_url
from connectors.kafka.transport import Cluster
from topology.cluster.app import ClusterApp
from topology.settings import Settings
from topology.stages import build_stages
from topology.worker import tune_collector


class Meter:
    """Counts the events of the steps of a stage, and tells when all of its partitions have passed."""

    def __init__(self, stage: str, counts: list[int]) -> None:
        self._stage = stage
        self._counts = counts
        self._steps = 0
        self._events = self._first = 0
        self._began = (0.0, 0.0)
        self.app: Any = None

    def took(self, stage: Any, reports: Any, seconds: float) -> None:
        """A step was made."""
        if stage.name != self._stage:
            return
        passed = sum(report.events for _, report in reports)
        if not self._steps:
            # The first step is left out, and what it passed: it began before the clock.
            self._began = (time.perf_counter(), time.process_time())
            self._first = passed
        self._steps += 1
        self._events += passed
        if self._events - passed < self._wanted() <= self._events:
            ended = time.perf_counter()
            _say(
                wall=ended - self._began[0],
                processor=time.process_time() - self._began[1],
                began=self._began[0],
                ended=ended,
                steps=self._steps,
                events=self._events - self._first,
            )

    def _wanted(self) -> int:
        return sum(self._counts[partition] for partition in self.app.runners) or sys.maxsize


def _say(**found: float) -> None:
    print(json.dumps(found), flush=True)


async def _main(
    address: str, folder: Path, guarantee: str, owned: int, counts: list[int], names: list[str]
) -> None:
    settings = Settings(data=folder, guarantees={positions.NAME: guarantee})
    cluster = Cluster(parse_url(f"kafka://{address}"), {"session_timeout_ms": 10_000})
    meter = Meter(names[-1], counts)
    apps = [
        ClusterApp(stage, cluster, settings, folder=folder, worker=f"bench-{os.getpid()}", on_step=meter.took)
        for stage in build_stages(settings)
        if stage.name in names
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for app in apps:
        app.in_worker = True
    starting = [asyncio.ensure_future(app.maybe_start()) for app in apps]
    meter.app = apps[-1]
    while not stop.is_set() and any(app.rebalancing or len(app.runners) != owned for app in apps):
        await asyncio.sleep(0.01)
    tune_collector()
    _say(ready=time.time())
    await stop.wait()
    for task in starting:
        task.cancel()
    await asyncio.gather(*starting, return_exceptions=True)
    await asyncio.gather(*(app.stop() for app in apps))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        address, folder, guarantee, owned, counts, *names = sys.argv[1:]
        each = [int(count) for count in counts.split(",")]
        runner.run(_main(address, Path(folder), guarantee, int(owned), each, names))
