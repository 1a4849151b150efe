"""A replay of a stage behind the books: its input through its handler into a scratch table.

Owns: the order of input and reference data (each record after the definitions that stood in the log before it).
Assumes: a source that does not change meanwhile, and whose input of the stage is whole.
Guarantees: nothing is written to the source; what the stage emits is dropped; the same span of the same log gives the same
table, and so the same hash, on every machine.
"""

import time
from collections.abc import Sequence
from hashlib import sha256

from agents.counters import FAMILY
from agents.stage import Stage
from domain.book_hash import BookHash
from topology.log import Tables
from topology.log_reading import ReadLog, table_partition
from topology.replaying.fills import reference_sequences
from topology.replaying.outcome import (
    STEP_BYTES_MAX,
    STEP_RECORDS_MAX,
    Outcome,
    Progress,
    Span,
    count,
    counts_of,
)
from topology.replaying.scratch import ScratchLog
from topology.replaying.scratch_tables import ScratchTables
from topology.runtime import PartitionRunner


def replay_later(
    source: ReadLog,
    partitions: int,
    spans: Sequence[Span],
    stage: Stage,
    progress: Progress | None = None,
    tables: ScratchTables | None = None,
) -> tuple[Outcome, str]:
    """Replay spans of a stage's input; returns what came of it, and the hash of the table.

    Raises PartitionStopped where an invariant breaks, or input is missing.
    """
    began = time.perf_counter()
    name = stage.input.name
    scratch = ScratchLog(
        source,
        {(name, span.partition): span.end for span in spans},
        starts={(name, span.partition): span.start for span in spans if span.empty},
        tables=tables,
    )
    runners = {span.partition: PartitionRunner(stage, span.partition, scratch, partitions) for span in spans}
    horizons = (*reference_sequences(source, stage), None)
    for span in spans:
        _run(runners[span.partition], scratch, horizons, span.start, progress)
    before = counts_of(runners.values())
    for span in spans:
        _run(runners[span.partition], scratch, horizons, span.end, progress)
    outcome = Outcome()
    count(outcome, before, counts_of(runners.values()))
    outcome.seconds = time.perf_counter() - began
    return outcome, table_hash(scratch, stage, partitions)


def _run(
    runner: PartitionRunner,
    scratch: ScratchLog,
    horizons: Sequence[int | None],
    end: int,
    progress: Progress | None,
) -> None:
    """Apply a partition's input up to an offset."""
    for scratch.horizon in horizons:
        while runner.next_offset < end:
            found = scratch.read(
                runner.stage.input.name,
                runner.partition,
                runner.next_offset,
                STEP_RECORDS_MAX,
                STEP_BYTES_MAX,
            )
            records = [
                record
                for record in found
                if record.offset < end and (scratch.horizon is None or record.sequence < scratch.horizon)
            ]
            if not records:
                break
            runner.step(records)
            runner.rest()
            if progress is not None:
                progress(len(records))


def table_hash(log: Tables, stage: Stage, partitions: int) -> str:
    """The sum of hashes of all keys and values of a stage's table, counts left out: 64 hexadecimal digits."""
    total = BookHash()
    for partition in range(partitions):
        for key, value in table_partition(log, stage.table.name, partition).scan(b"\x01"):
            if not key.startswith(FAMILY):
                size = len(key).to_bytes(4, "big")
                total.add(int.from_bytes(sha256(size + key + value).digest(), "big"))
    return total.hexadecimal
