"""Driving stages without Faust: read the log, step, until nothing is left. For replays, imports and tests.

The same runners and the same steps as live; only who calls them differs.
"""

from collections.abc import Callable, Mapping, Sequence

from agents.stage import Stage
from connectors.embedded.commits import whole_commits
from connectors.embedded.log import EmbeddedLog
from topology.log import Record
from topology.runtime import IDLE, PartitionRunner, StepReport, step_together
from topology.stages import is_spine


def run_until_idle(
    runners: Sequence[PartitionRunner],
    log: EmbeddedLog,
    *,
    max_events: int = 2_000,
    max_bytes: int = 2 * 1024 * 1024,
    on_step: Callable[[PartitionRunner, StepReport], None] | None = None,
) -> int:
    """Step every stage, in the order given and all its partitions together, until none has input left.

    As live, a stage that has caught up takes what the one before emits in the same commit, and what a stage leaves over
    is done in slices between its steps.

    Returns the events applied. A partition whose invariant broke is left behind (`runner.stopped` says why).
    """
    stages: dict[str, list[PartitionRunner]] = {}
    for runner in runners:
        stages.setdefault(runner.stage.name, []).append(runner)
    following = {name: _following(together[0].stage, stages) for name, together in stages.items()}
    events = 0
    busy = True
    while busy:
        busy = False
        for name, together in stages.items():
            work = [(runner, IDLE) for runner in together if runner.has_idle_work]
            if work:
                busy = True
                step_together(work)
            waiting = _waiting(together, log, max_events, max_bytes)
            if not waiting:
                continue
            after = [runner for runner in following[name] if runner.stopped is None]
            for runner, report in step_together(waiting, after):
                busy = True
                events += report.events
                if on_step is not None:
                    on_step(runner, report)
    return events


def _following(stage: Stage, stages: Mapping[str, Sequence[PartitionRunner]]) -> list[PartitionRunner]:
    """Who may step in the commit of a stage: those that read what it emits, and what these emit; upstream ones first.

    The later stages never step in a commit of those that keep the books.
    """
    outputs = {topic.name for topic in stage.outputs}
    found: list[PartitionRunner] = []
    for runners in stages.values():
        other = runners[0].stage
        # Rates and definitions that this step tells are read once they are committed.
        told = not outputs.isdisjoint(topic.name for topic in other.broadcasts)
        if other.input.name in outputs and not told and is_spine(other) == is_spine(stage):
            found += runners
            outputs.update(topic.name for topic in other.outputs)
    return found


def _waiting(
    runners: Sequence[PartitionRunner], log: EmbeddedLog, max_events: int, max_bytes: int
) -> list[tuple[PartitionRunner, Sequence[Record]]]:
    found, ends = {}, {}
    for runner in runners:
        topic, partition = runner.stage.input.name, runner.partition
        if runner.stopped is None and not runner.is_full:
            records = log.read(topic, partition, runner.next_offset, max_events, max_bytes)
            if records:
                found[runner] = records
                ends[runner] = log.end_offset(topic, partition)
    return list(whole_commits(found, ends).items())
