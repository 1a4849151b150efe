"""From a fill's append to the commit of its position: milliseconds a step of one fill through both stages.

What a shared-memory reader sees comes right after this commit; `latency`, where it is there, measures the whole way of
a running worker. The reference is an empty step: one append of the same bytes, read back.
"""

import time

from bench.row import Row
from bench.workload import PARTITIONS, WORKLOADS, Bench, frames_of, fresh_log, make_fills, one_core
from schemas.frames import encode_event
from schemas.murmur2 import partition_of_key
from schemas.topics import FILLS, POSITIONS
from topology.drive import run_until_idle

FILLS_BEFORE, FILLS_TIMED = 20_000, 2_000
_NANOSECONDS_PER_MILLISECOND = 1e6


def _bare_ms(bench: Bench, partition: int, frame: bytes) -> float:
    began = time.perf_counter_ns()
    transaction = bench.log.transaction()
    offset = transaction.append(POSITIONS.name, partition, None, frame)
    transaction.commit()
    bench.log.read(POSITIONS.name, partition, offset, 1, 1)
    return (time.perf_counter_ns() - began) / _NANOSECONDS_PER_MILLISECOND


def run(_: int) -> list[Row]:
    """Median and 99th percentile, on books that have history."""
    fills = make_fills(WORKLOADS["W"], FILLS_BEFORE + FILLS_TIMED)
    taken: list[float] = []
    bare: list[float] = []
    with one_core(), fresh_log() as bench:
        bench.append(FILLS, frames_of(FILLS, fills[:FILLS_BEFORE]))
        run_until_idle(bench.runners, bench.log)
        for fill in fills[FILLS_BEFORE:]:
            partition = partition_of_key(fill.trade_id.encode(), PARTITIONS)
            frame = b"[%b]" % encode_event(fill)
            began = time.perf_counter_ns()
            bench.append(FILLS, [(partition, frame)])
            run_until_idle(bench.runners, bench.log)
            taken.append((time.perf_counter_ns() - began) / _NANOSECONDS_PER_MILLISECOND)
            bare.append(_bare_ms(bench, partition, frame))
    rows = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        place = int(len(taken) * share)
        value, reference = sorted(taken)[place], sorted(bare)[place]
        row = Row(f"fill to committed position, {name}", value, "ms", reference, "append and read")
        row.higher_is_better = False
        rows.append(row)
    return rows
