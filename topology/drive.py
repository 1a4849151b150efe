"""Driving stages without Faust: read the log, step, until nothing is left. For replays, imports and tests.

The same runners and the same steps as live; only who calls them differs.
"""

from collections.abc import Callable, Sequence

from connectors.embedded.log import EmbeddedLog
from topology.runtime import PartitionRunner, StepReport


def step_once(
    runner: PartitionRunner, log: EmbeddedLog, max_events: int, max_bytes: int, end: int | None = None
) -> StepReport | None:
    """One step of a runner over what waits in its input (up to offset `end`); None where nothing waits."""
    records = log.read(runner.stage.input.name, runner.partition, runner.next_offset, max_events, max_bytes)
    if end is not None:
        records = [record for record in records if record.offset < end]
    return runner.step(records) if records else None


def run_until_idle(
    runners: Sequence[PartitionRunner],
    log: EmbeddedLog,
    *,
    max_events: int = 2_000,
    max_bytes: int = 512 * 1024,
    on_step: Callable[[PartitionRunner, StepReport], None] | None = None,
) -> int:
    """Step every runner, in the order given, until none has input left; returns the events applied.

    Raises PartitionStopped of a partition whose invariant broke, after the others went on to their ends.
    """
    events = 0
    busy = True
    while busy:
        busy = False
        for runner in runners:
            if runner.stopped is not None:
                continue
            report = step_once(runner, log, max_events, max_bytes)
            if report is not None:
                busy = True
                events += report.events
                if on_step is not None:
                    on_step(runner, report)
    return events
