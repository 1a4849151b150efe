"""A worker of the stages on a cluster, in a process of its own: `URL FOLDER NAME [POINT]`; ends on SIGTERM.

With a point of `tests.faults.kafka_points` it signals itself there. `ONLY_STAGES` of the environment names the stages that
it runs, with those that they hang on; all that the settings ask for where it names none.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from agents.stage import Stage
from connectors.kafka.transport import Cluster
from tests.faults.kafka_points import end_at
from topology.cluster.app import ClusterApp
from topology.cluster.places import link_of
from topology.settings import Settings
from topology.stages import build_stages, stages_up_to

ONLY_STAGES = "ONLY_STAGES"


async def _main(url: str, folder: Path, name: str) -> int:
    settings = Settings(data=folder, transport=url)
    membership = {"group_instance_id": name, "session_timeout_ms": 3_000, "heartbeat_interval_ms": 500}
    cluster = Cluster(link_of(settings), membership)
    stages: Sequence[Stage] = build_stages(settings)
    if ONLY_STAGES in os.environ:
        stages = stages_up_to(stages, os.environ[ONLY_STAGES].split(","))
    apps = [ClusterApp(stage, cluster, settings, folder=folder, worker=name) for stage in stages]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for app in apps:
        app.in_worker = True
    starting = [asyncio.ensure_future(app.maybe_start()) for app in apps]
    waits = [
        asyncio.ensure_future(stop.wait()),
        *(asyncio.ensure_future(app._crashed.wait()) for app in apps),
    ]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in starting:
        task.cancel()
    await asyncio.gather(*starting, return_exceptions=True)
    await asyncio.gather(*(app.stop() for app in apps))
    for app in apps:
        if app.crashed:
            print(f"{app.stage.name}: {app.crash_reason!r}", file=sys.stderr)
    return 1 if any(app.crashed for app in apps) else 0


if __name__ == "__main__":
    if len(sys.argv) > 4:
        end_at(sys.argv[4])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
