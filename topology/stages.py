"""The graph: which stages there are, which topics they need, and runners for them over a log.

The *spine* is what keeps the books, from fills to positions. What is *later* hangs on it: it is never waited for by the
spine, and may be left out (setting `stages`).
"""

from collections.abc import Callable, Sequence

from agents import (
    bars,
    cash,
    currency_position,
    ledger,
    mark_routing,
    pnl,
    position_routing,
    positions,
    trade_capture,
    valuation,
)
from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from schemas.topics import TOPICS
from topology.money.rules import standard_rules
from topology.runtime import PartitionRunner, StepReport
from topology.settings import ALL_STAGES, Settings

Observer = Callable[[PartitionRunner, StepReport], None]

LATER: tuple[Callable[[Settings], Stage], ...] = (
    lambda settings: position_routing.stage(),
    lambda settings: mark_routing.stage(),
    lambda settings: bars.stage(),
    lambda settings: ledger.stage(standard_rules()),
    lambda settings: valuation.stage(settings.fx_pivot),
    lambda settings: pnl.stage(),
    lambda settings: cash.stage(),
    lambda settings: currency_position.stage(settings.reporting_currency),
)
"""The later stages, each behind those whose outputs it reads. A new stage is one line here."""


def build_spine(settings: Settings) -> tuple[Stage, ...]:
    """The stages that keep the books, in the order in which fills pass them."""
    return (
        trade_capture.stage(settings.waiting_corrections_max, settings.waiting_ticks_max),
        positions.stage(settings.cached_lots_max, waiting_bookings_max=settings.waiting_bookings_max),
    )


def build_all(settings: Settings) -> tuple[Stage, ...]:
    """Every stage that there is, upstream ones first."""
    return (*build_spine(settings), *(make(settings) for make in LATER))


def build_stages(settings: Settings) -> tuple[Stage, ...]:
    """The stages that the settings ask for, upstream ones first."""
    return build_all(settings) if settings.stages == ALL_STAGES else build_spine(settings)


def is_spine(stage: Stage) -> bool:
    """Whether a stage keeps the books."""
    return stage.name in (trade_capture.NAME, positions.NAME)


def stages_up_to(stages: Sequence[Stage], names: Sequence[str]) -> list[Stage]:
    """The named ones of `stages`, and those whose outputs they hang on; in the order of `stages`."""
    wanted: set[str] = set()
    found: list[Stage] = []
    for stage in reversed(stages):
        if stage.name in names or wanted.intersection(topic.name for topic in stage.outputs):
            found.append(stage)
            wanted.update(topic.name for topic in (stage.input, *stage.broadcasts))
    return found[::-1]


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
