"""RocksDB's threads stand back behind the one that runs the stages."""

import os
import sys
from pathlib import Path

import pytest

from connectors.embedded.background import NICE
from connectors.embedded.log import EmbeddedLog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own there")


def test_the_owner_of_a_log_goes_before_what_writes_it_out(tmp_path: Path) -> None:
    with EmbeddedLog.owner(tmp_path):
        found = {
            task.name: os.getpriority(os.PRIO_PROCESS, int(task.name))
            for task in Path("/proc/self/task").iterdir()
            if (task / "comm").read_text().startswith("rocksdb:")
        }
        assert found and all(nice >= NICE for nice in found.values()), found
        assert os.getpriority(os.PRIO_PROCESS, 0) < NICE
