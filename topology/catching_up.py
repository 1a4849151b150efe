"""Later stages brought to the log's end, for who reads their figures.

Owns: whether this process does it (nobody owns the folder) or waits for who does.
Assumes: a folder with a log, or a cluster.
Guarantees: where this process owns the folder, every named stage, and each that it hangs on, has applied all that stands
in the log, and the folder is given up again before it is read. Beside an owner the reader waits while the stages come on,
`PATIENCE_SECONDS` without a step at most; what is behind then is told, and what is committed is shown.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agents.stage import Stage
from connectors.embedded.database import database_exists, holds_log
from connectors.embedded.errors import OwnedElsewhereError
from connectors.embedded.log import EmbeddedLog
from topology.drive import run_until_idle
from topology.log import ReadableLog
from topology.log_reading import WholeLog, partition_count
from topology.runtime import PartitionRunner, StepReport
from topology.settings import Settings, on_kafka
from topology.stages import build_all, build_runners, create_topics, stages_up_to

PATIENCE_SECONDS = 2.0
"""How long a reader waits for a stage that comes no further."""

WAIT_SECONDS_MAX = 30.0
"""How long it waits in all."""

_LOOK_SECONDS = 0.05

Progress = Callable[[int, int], None]
"""Called with how many records were applied, and how many there are to apply as far as is known."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A stage whose figures do not have all that stands in the log: how many records it has not applied, and why."""

    stage: str
    records: int
    reason: str

    def __str__(self) -> str:
        return f"{self.stage} has not applied {self.records:,} records of its input: {self.reason}"


@contextlib.contextmanager
def caught_up(
    settings: Settings, names: Sequence[str], say: Callable[[str], None], progress: Progress | None = None
) -> Iterator[WholeLog]:
    """A log to read in which the named stages have come to its end; `say` is told of one that has not.

    Raises StateError where there is no log or it is damaged; LinkError and TopicError of a cluster.
    """
    stages = stages_up_to(build_all(settings), names)
    with contextlib.ExitStack() as stack:
        log: WholeLog
        if on_kafka(settings):
            log, behind = _copied(stack, settings, stages)
        else:
            owned = _step_here(settings, stages, progress)
            log = stack.enter_context(contextlib.closing(EmbeddedLog.reader(settings.data)))
            behind = [] if owned else _wait_for(log, stages, log.catch_up)
        for found in behind:
            say(str(found))
        yield log


# -- by this process --------------------------------------------------------------------------------------------------


def _step_here(settings: Settings, stages: Sequence[Stage], progress: Progress | None) -> bool:
    """Apply what waits, where nobody owns the folder; returns whether nobody did."""
    if not database_exists(settings.data) and not holds_log(settings.data):
        return False
    try:
        log = EmbeddedLog.owner(settings.data, sync=settings.sync)
    except OwnedElsewhereError:
        return False
    with contextlib.closing(log):
        partitions = partition_count(log) or settings.partitions
        create_topics(log, build_all(settings), partitions)
        step_to_the_end(log, stages, partitions, settings, progress)
    return True


def step_to_the_end(
    log: EmbeddedLog,
    stages: Sequence[Stage],
    partitions: int,
    settings: Settings,
    progress: Progress | None = None,
) -> None:
    """Let stages of an owned log apply all that waits for them. A partition that stops stays behind."""
    if not any(behind_of(log, stage, partitions) for stage in stages):
        return
    applied = 0

    def note(_runner: PartitionRunner, report: StepReport) -> None:
        nonlocal applied
        applied += report.records
        if progress is not None:
            left = sum(behind_of(log, stage, partitions) for stage in stages)
            progress(applied, applied + left)

    run_until_idle(
        build_runners(stages, log, partitions),
        log,
        max_events=settings.step_events_max,
        max_bytes=max(settings.step_bytes_max, settings.step_backlog_bytes_max // partitions),
        on_step=note,
    )


# -- by others --------------------------------------------------------------------------------------------------------


def behind_of(log: ReadableLog, stage: Stage, partitions: int) -> int:
    """How many records of its input a stage has not applied, over all partitions."""
    name = stage.input.name
    return sum(
        log.end_offset(name, partition) - (log.committed(stage.name, name, partition) or 0)
        for partition in range(partitions)
    )


def _wait_for(log: WholeLog, stages: Sequence[Stage], refresh: Callable[[], object]) -> list[Behind]:
    partitions = partition_count(log)
    known = log.topics()
    missing = [stage for stage in stages if stage.input.name not in known]
    stages = [stage for stage in stages if stage.input.name in known]
    began = moved = time.monotonic()
    before = [-1] * len(stages)
    while True:
        refresh()
        # Of one moment, as far as it goes: a stage that looks behind since another one went on meanwhile is waited for.
        found = [behind_of(log, stage, partitions) for stage in stages]
        now = time.monotonic()
        if found != before:
            before, moved = found, now
        if not any(found) or now - moved > PATIENCE_SECONDS or now - began > WAIT_SECONDS_MAX:
            break
        time.sleep(_LOOK_SECONDS)
    still = now - moved > PATIENCE_SECONDS
    reason = (
        "whoever owns the log does not run it (setting `stages`), or it has stopped (docs/operating/partition-stopped.md)"
        if still
        else "it is on its way"
    )
    return [
        *(
            Behind(stage.name, 0, "the log was made by a version without it; start `pks up` once")
            for stage in missing
        ),
        *(
            Behind(stage.name, records, reason)
            for stage, records in zip(stages, before, strict=True)
            if records
        ),
    ]


def _copied(
    stack: contextlib.ExitStack, settings: Settings, stages: Sequence[Stage]
) -> tuple[WholeLog, list[Behind]]:
    from topology.cluster.copy import ClusterCopy

    copy = stack.enter_context(contextlib.closing(ClusterCopy(settings, stages)))
    return copy, _wait_for(copy, stages, copy.catch_up)
