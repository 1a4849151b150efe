"""A process that values what waits in a folder's log, in small steps, until it is killed or done.

`python -m tests.faults.valuation_worker FOLDER`; it says `ready` when the log is open.
"""

import sys
from pathlib import Path

from agents import valuation
from connectors.embedded.log import EmbeddedLog
from topology.drive import run_until_idle
from topology.runtime import PartitionRunner

PARTITIONS, STEP_EVENTS = 2, 40


def main(folder: Path) -> None:
    """Step until nothing waits."""
    log = EmbeddedLog.owner(folder, sync="os")
    runners = [
        PartitionRunner(valuation.stage(), partition, log, PARTITIONS) for partition in range(PARTITIONS)
    ]
    print("ready", flush=True)
    run_until_idle(runners, log, max_events=STEP_EVENTS)
    log.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
