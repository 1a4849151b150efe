"""A cluster that stands still, as whoever moves its log needs it.

Guarantees: where nothing is raised, no worker takes part, none can end a step that it has begun, and every record that
was taken in is applied.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from agents.booking_queue import waiting_by_position
from agents.stage import Stage
from connectors.kafka.fencing import fence, fence_writers
from connectors.kafka.groups import group_members
from connectors.kafka.link import Link
from connectors.kafka.owners import OWNERS_TOPIC, OwnersTopic
from connectors.kafka.topics import partition_counts
from topology.catching_up import behind_of
from topology.cluster.copy import ClusterCopy
from topology.cluster.places import writer_of
from topology.log_reading import POSITIONS_TABLE, records_behind, table_partition
from topology.rebuilding.rebuild import RebuildRefused

_PAUSE_SECONDS = 0.25


def stand_still(link: Link, stages: Sequence[Stage], patience_seconds: float = 0.0) -> None:
    """Raise RebuildRefused while a worker runs, or is about to; LinkError.

    Workers that have ended are members of their groups until their sessions end: that is waited for.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        living = _living(link)
        members = [member for stage in stages for member in group_members(link, stage.name)]
        if not members and not living:
            return
        if living or time.monotonic() > deadline:
            raise RebuildRefused(
                f"expected that no worker runs, found {', '.join(living or sorted(set(members)))}: stop `pks up` on every "
                "machine"
            )
        time.sleep(_PAUSE_SECONDS)


def _living(link: Link) -> list[str]:
    """The workers that say they live, and where."""
    with _owners(link) as owners:
        if owners is None:
            return []
        owners.hear()
        return [f"{lease.worker} on {lease.host}" for lease in owners.workers()]


@contextmanager
def _owners(link: Link) -> Iterator[OwnersTopic | None]:
    """What workers say of themselves; None where none ever ran."""
    if OWNERS_TOPIC not in partition_counts(link):
        yield None
        return
    owners = OwnersTopic(link, None)
    owners.start()
    with closing(owners):
        yield owners


def end_transactions(link: Link, stages: Sequence[Stage], partitions: int) -> None:
    """Whoever wrote last may end no step any more, and no unfinished one hides what stands behind it. Raises LinkError."""
    with _owners(link) as owners:
        last = {
            writer_of(stage.name, worker)
            for stage in stages
            for partition in range(partitions)
            if owners is not None and (worker := owners.last_owner(stage.name, partition)) is not None
        }
    for writer in sorted(last):
        fence(link, writer)
    for stage in stages:
        fence_writers(
            link,
            link.topic(stage.changelog),
            list(range(partitions)),
            group=stage.name,
            input_topic=link.topic(stage.input.name),
        )


def all_applied(old: ClusterCopy, later: Sequence[Stage]) -> None:
    """Raise RebuildRefused where something waits, for the books or for the `later` stages behind them."""
    behind = records_behind(old, old.partitions) + sum(
        behind_of(old, stage, old.partitions) for stage in later
    )
    if behind:
        raise RebuildRefused(
            f"expected that all is applied, found {behind} records that are not: start the workers until they are; where "
            "they stay, a partition has stopped (docs/operating/partition-stopped.md)"
        )
    waiting = sum(
        sum(waiting_by_position(table_partition(old, POSITIONS_TABLE, partition)).values())
        for partition in range(old.partitions)
    )
    if waiting:
        raise RebuildRefused(
            f"expected that no re-match is under way, found {waiting} bookings that wait for one: start the workers until "
            "it is done"
        )
