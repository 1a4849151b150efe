"""The graph: which stages there are, which topics they need, and runners for them over a log."""

from collections.abc import Callable, Sequence

from agents import positions, trade_capture
from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from schemas.topics import TOPICS
from topology.runtime import PartitionRunner, StepReport
from topology.settings import Settings

Observer = Callable[[PartitionRunner, StepReport], None]


def build_stages(settings: Settings) -> tuple[Stage, ...]:
    """The stages, in the order in which fills pass them."""
    return (
        trade_capture.stage(settings.waiting_corrections_max, settings.waiting_ticks_max),
        positions.stage(settings.cached_lots_max, waiting_bookings_max=settings.waiting_bookings_max),
    )


def create_topics(log: EmbeddedLog, stages: Sequence[Stage], partitions: int) -> None:
    """Make every topic of the registry, and a changelog for each stage's table."""
    for topic in TOPICS:
        log.create_topic(
            topic.name,
            topic.partitions(partitions),
            retention_seconds=topic.retention_seconds,
            compact=topic.compact,
        )
    for stage in stages:
        log.create_topic(stage.changelog, partitions, compact=True)


def build_runners(
    stages: Sequence[Stage], log: EmbeddedLog, partitions: int, observers: Sequence[Observer] = ()
) -> list[PartitionRunner]:
    """A runner for each stage and partition, upstream stages first."""
    return [
        PartitionRunner(stage, partition, log, partitions, observers)
        for stage in stages
        for partition in range(partitions)
    ]
