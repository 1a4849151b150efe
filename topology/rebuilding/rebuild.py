"""Tables and changelogs made anew from the inputs of their stages: what a lost or broken state needs.

Owns: the order of a rebuild, and its account.
Assumes: inputs are whole (fills, bookings and dead letters are kept for ever).
Guarantees: a new state takes the place of the old one in one write, when it is complete and agrees with what its
stage has sent; killed at any moment before, the old state stands, and a rebuild begins again; topics, offsets and
dead letters stay as they are.
"""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents import positions
from agents.counters import Counts
from agents.stage import Stage
from connectors.embedded.database import database_exists, holds_log
from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog, SyncPolicy
from connectors.embedded.replacing import discard_unfinished, end_changelog, exchange, new_name
from connectors.postgres.snapshots import Snapshot
from schemas import events
from schemas.frames import BadEvent, wire
from schemas.topics import TOPIC_BY_NAME, Topic
from topology.documents.dead_letters import RETRIED
from topology.log_reading import partition_count, read_events
from topology.rebuilding.seeding import check_snapshots, seed
from topology.rebuilding.stage_log import RebuildingLog, Sent, is_kept
from topology.replaying.fills import reference_sequences
from topology.replaying.outcome import STEP_BYTES_MAX, STEP_RECORDS_MAX, Progress, books_of
from topology.runtime import PartitionRunner, PartitionStopped
from topology.stages import is_spine
from topology.verifying.checks import UNREADABLE

_DeadLetter: Any = wire(events.DeadLetter)
_OTHER_SETTINGS = "definitions or settings are not those of then; the old state stands: restore a backup (docs/operating/rebuild.md)"


class RebuildRefused(Exception):
    """What was made anew is not what the log says was there; the old state stands."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did. `hash_before` is None where the old positions could not be read."""

    hash_before: str | None = None
    book_hash: str = ""
    positions: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    sequence: int = 0
    seconds: float = 0.0


def open_to_rebuild(folder: Path, sync: SyncPolicy) -> EmbeddedLog:
    """Own a folder, rid of what a rebuild that was killed has left.

    Raises StateError where there is no log or it is damaged, OwnedElsewhereError where another process owns it.
    """
    if not database_exists(folder) and not holds_log(folder):
        raise StateError(f"{folder}: expected a data folder with a log, found none; name one with --data")
    log = EmbeddedLog.owner(folder, sync=sync)
    try:
        if discard_unfinished(log):
            log.close()
            log = EmbeddedLog.owner(folder, sync=sync)
    except BaseException:
        log.close()
        raise
    return log


def rebuildable(log: EmbeddedLog, stages: Sequence[Stage]) -> list[Stage]:
    """Those of the stages that keep the books, and of the others those that came to something of what is there still.

    What a stage with broadcasts behind the books keeps hangs on when it read them: it is left alone here.
    """
    partitions = range(partition_count(log))
    return [
        stage
        for stage in stages
        if is_spine(stage)
        or (
            not stage.broadcasts
            and any(log.committed(stage.name, stage.input.name, partition) for partition in partitions)
            and not any(log.start_offset(stage.input.name, partition) for partition in partitions)
        )
    ]


def records_to_apply(log: EmbeddedLog, stages: Sequence[Stage]) -> int:
    """How many input records a rebuild of these stages applies."""
    return sum(
        log.committed(stage.name, stage.input.name, partition) or 0
        for stage in stages
        for partition in range(partition_count(log))
    )


def rebuild(
    log: EmbeddedLog,
    stages: Sequence[Stage],
    progress: Progress | None = None,
    snapshots: Mapping[int, Snapshot] | None = None,
) -> Rebuilt:
    """Make the tables and changelogs of these stages anew; the log must be closed afterwards.

    With `snapshots` (by partition) positions begin with those, and apply the bookings from there on.

    Raises RebuildRefused where the new state is not that of what the stage has sent, and PartitionStopped where an
    invariant breaks; the old state of that stage stands then.
    """
    began = time.perf_counter()
    partitions = partition_count(log)
    for stage in stages:
        if snapshots and stage.name == positions.NAME:
            check_snapshots(log, stage, snapshots)
        _do_what_is_left(log, stage, partitions)
    done = Rebuilt(hash_before=hash_before(log, partitions))
    done.book_hash = done.hash_before or ""
    for stage in stages:
        log.create_topic(new_name(stage.changelog), partitions, compact=True)
        views = [RebuildingLog(log, stage, partition) for partition in range(partitions)]
        if snapshots and stage.name == positions.NAME:
            for place, snapshot in snapshots.items():
                seed(log, views[place], stage, place, snapshot)
        runners = [
            make_anew(log, view, stage, place, partitions, progress) for place, view in enumerate(views)
        ]
        end_changelog(log, stage.table.name, stage.changelog)
        hold_against_sent(log, stage, partitions, views)
        done.counts[stage.name] = counts_of(runners)
        if stage.name == positions.NAME:
            books, done.positions = books_of(views[0], range(partitions))
            done.book_hash = books.hexadecimal
        exchange(log, topics=[stage.changelog], tables=[stage.table.name])
    done.sequence = log.sequence
    done.seconds = time.perf_counter() - began
    return done


def _do_what_is_left(log: EmbeddedLog, stage: Stage, partitions: int) -> None:
    """Bookings that wait for a re-match are applied first, where the old state can be read, so that what they change
    is sent: nothing is sent by a rebuild."""
    with contextlib.suppress(StateError, PartitionStopped, *UNREADABLE):
        for partition in range(partitions):
            PartitionRunner(stage, partition, log, partitions).rest()


def counts_of(runners: Iterable[PartitionRunner]) -> Counts:
    """What the runners of a stage counted, over all sources."""
    total = Counts()
    for runner in runners:
        for found in runner.state.counters.all().values():
            total.add(found)
    return total


def hash_before(log: EmbeddedLog, partitions: int) -> str | None:
    """The book hash of the tables as they are; None where they cannot be read."""
    try:
        return books_of(log, range(partitions))[0].hexadecimal
    except (StateError, *UNREADABLE):
        return None


def make_anew(
    log: EmbeddedLog,
    view: RebuildingLog,
    stage: Stage,
    partition: int,
    partitions: int,
    progress: Progress | None,
) -> PartitionRunner:
    """Apply one partition's input, each record with the reference data that was in the log before it."""
    runner = PartitionRunner(stage, partition, view, partitions)
    for view.horizon in (*reference_sequences(log, stage), None):
        while True:
            found = view.read(
                stage.input.name, partition, runner.next_offset, STEP_RECORDS_MAX, STEP_BYTES_MAX
            )
            records = [record for record in found if view.horizon is None or record.sequence < view.horizon]
            if not records:
                break
            runner.step(records)
            runner.rest()
            if progress is not None:
                progress(len(records))
    # Reference data that was applied after the last input.
    runner.step([])
    runner.rest()
    if runner.next_offset != view.end:
        raise RebuildRefused(
            f"{stage.name}: expected {stage.input.name}/{partition} up to offset {view.end}, found it up to "
            f"{runner.next_offset}: input is missing; the old state stands: restore a backup "
            "(docs/operating/damaged-state.md)"
        )
    return runner


# -- what was sent ----------------------------------------------------------------------------------------------


def hold_against_sent(
    log: EmbeddedLog,
    stage: Stage,
    partitions: int,
    views: Sequence[RebuildingLog],
    otherwise: str = _OTHER_SETTINGS,
) -> None:
    """What the stage would send again must be what it had sent, or later corrections would meet another state.

    `partitions` are those of what it had sent. Raises RebuildRefused, which says `otherwise` why that may be.
    """
    again = Sent()
    for view in views:
        again.merge(view.sent)
    before = _sent_before(log, stage, partitions)
    if again.digest != before.digest:
        raise RebuildRefused(
            f"{stage.name}: expected the {before.count} bookings and dead letters that it has sent, found "
            f"{again.count} and not the same ones: {otherwise}"
        )


def _sent_before(log: EmbeddedLog, stage: Stage, partitions: int) -> Sent:
    """What the stage has sent and the log keeps for ever."""
    sent = Sent()
    dead = stage.input.dead_letters
    for topic in (*stage.outputs, *(() if dead is None else (TOPIC_BY_NAME[dead],))):
        if topic.retention_seconds is None:
            for partition in range(topic.partitions(partitions)):
                for _, event in read_events(log, topic, partition):
                    if is_kept(event, stage.name):
                        sent.add(event)
            for event in _sent_by_others(log, topic, partitions):
                sent.remove(event)
    return sent


def _sent_by_others(log: EmbeddedLog, topic: Topic, partitions: int) -> list[Any]:
    """Events of a topic that an operator sent again out of its dead letters."""
    if topic.dead_letters is None:
        return []
    letters = TOPIC_BY_NAME[topic.dead_letters]
    originals: dict[str, bytes] = {}
    found: list[Any] = []
    for partition in range(letters.partitions(partitions)):
        for _, event in read_events(log, letters, partition):
            if isinstance(event, _DeadLetter):
                originals[event.event_id] = event.original
            elif event.action == RETRIED:
                found += topic.codec.decode_each(originals.pop(event.dead_letter_id, b""))
    return [event for event in found if not isinstance(event, BadEvent)]
