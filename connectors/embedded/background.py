"""RocksDB's own threads give way to the stages: that memory is being written out is no reason to hold a fill up.

Where the machine has cores to spare nothing changes. Where it has none, a flush of 64 MiB takes some 60 ms of a core:
at the stages' own priority it takes every other moment of that time, and what came meanwhile is late for long after.
"""

import contextlib
import os
from pathlib import Path

NICE = 10
"""About a tenth of a core beside a busy stage: enough that memory is written out before it is full."""

_TASKS = Path("/proc/self/task")
_THREADS = "rocksdb:"


def let_stages_first() -> None:
    """Lower the priority of the threads of RocksDB in this process, where each thread has one of its own (Linux)."""
    for task in _TASKS.glob("*"):
        with contextlib.suppress(OSError):
            if (task / "comm").read_text(encoding="ascii").startswith(_THREADS):
                thread = int(task.name)
                os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
