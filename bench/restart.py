"""How long `pks up` takes from its start to ready: over an empty folder, and over one with many positions.

The folder is made by the stages themselves (`bench.bookings`); then `pks up` is started in a process of its own, as
an operator would, killed with SIGKILL so that nothing was tidied up, and started again: that start is measured. There
are as many positions as fills are asked for (1,000,000: `python -m bench restart --fills 1000000`).
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.bookings import apply, one_each
from bench.row import Row
from bench.workload import log_in
from connectors.shm.writer import remove
from topology.demo.stack import Stack

_IMPORTS = "import topology.cli, topology.up"
_RUNS = 3
_CACHED_LOTS = 20_000


def _imports() -> float:
    """The reference: seconds until Python has imported what `pks up` needs."""
    found = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
        found.append(time.perf_counter() - started)
    return min(found)


def _start(data: Path, runs: int) -> tuple[float, float]:
    """Seconds from the start of `pks up` to ready after a kill, and of processor time; the least of some runs."""
    stack = Stack(data, 0, f"/pks-bench-{os.getpid()}")
    stack.start()
    best = (float("inf"), float("inf"))
    try:
        for _ in range(runs):
            stack.kill()
            started = time.perf_counter()
            stack.start()
            wall = time.perf_counter() - started
            best = min(best, (wall, _processor_seconds(stack.addresses["process"])))
    finally:
        stack.stop()
        remove(stack.shared_memory)
    return best


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _row(name: str, measured: tuple[float, float], reference: float) -> Row:
    wall, processor = measured
    return Row(
        name=f"start of pks up to ready, {name}",
        value=wall,
        unit="s",
        reference=reference,
        reference_name="imports alone",
        higher_is_better=False,
        note=f"{processor:.1f} s of processor time",
    )


def run(positions: int) -> list[Row]:
    """Seconds to ready: an empty folder; `positions` positions."""
    reference = _imports()
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        rows = [_row("empty", _start(Path(folder) / "empty", _RUNS), reference)]
        data = Path(folder) / "full"
        with log_in(data, _CACHED_LOTS) as bench:
            apply(bench, one_each(positions))
        rows.append(_row(f"{positions:,} positions", _start(data, 1), reference))
    return rows
