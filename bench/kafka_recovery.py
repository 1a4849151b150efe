"""A table that is made again from its changelog: `BROKER FOLDER`, a process of its own, which says what that took."""

import json
import sys
import time
from pathlib import Path

from agents import positions
from bench.workload import PARTITIONS
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.link import parse_url
from topology.settings import Settings
from topology.stages import build_stages


def main(address: str, folder: Path) -> None:
    """Read the changelog of positions to its end, and print records, keys and seconds."""
    stage = next(stage for stage in build_stages(Settings(data=folder)) if stage.name == positions.NAME)
    with EmbeddedLog.owner(folder, sync="os") as state:
        reader = ChangelogReader(
            parse_url(f"kafka://{address}"),
            group="recovery",
            topic=stage.changelog,
            table=stage.table.name,
            state=state,
        )
        began = time.perf_counter(), time.process_time()
        records = sum(reader.catch_up(partition) for partition in range(PARTITIONS))
        wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
        reader.close()
        keys = sum(1 for place in range(PARTITIONS) for _ in state.scan(stage.table.name, place, b"\x01"))
    print(json.dumps({"records": records, "keys": keys, "wall": wall, "processor": processor}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
