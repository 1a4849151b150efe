"""A worker on Faust to be killed: it feeds itself what is missing of a fixed feed, and ends when all is applied.

`python -m tests.faults.faust_worker FOLDER SEED FILLS` prints `on` for each append.
"""

import asyncio
import sys
from pathlib import Path

from connectors.embedded.log import EmbeddedLog
from schemas.frames import encode_frames
from schemas.topics import FILLS
from tests.faults.stages_worker import PARTITIONS, batches
from topology.settings import Settings
from topology.stages import build_stages
from topology.worker import Worker, run_worker


def main() -> int:
    """Run; the exit code is the worker's."""
    folder, seed, number = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    settings = Settings(data=folder, web_port=0, partitions=PARTITIONS, clock_tick_seconds=3_600.0)

    async def feed(worker: Worker) -> None:
        log = worker.log
        for batch in batches(seed, number)[log.end_offset(FILLS.name, 0) :]:
            transaction = log.transaction()
            (frame,) = encode_frames(batch)
            transaction.append(FILLS.name, 0, None, frame)
            transaction.commit()
            print("on", flush=True)
            await asyncio.sleep(0)
        while any(log.end_offset(r.stage.input.name, r.partition) > r.next_offset for r in worker.runners()):
            await asyncio.sleep(0.005)
        worker.stop()

    with EmbeddedLog.owner(folder) as log:
        return run_worker(settings, build_stages(settings), log=log, services=[feed])


if __name__ == "__main__":
    sys.exit(main())
