"""Where a rebuild of positions begins: a snapshot that was kept elsewhere, in place of the first booking.

Assumes: the snapshot was written from the changelog of this log.
Guarantees: a snapshot that cannot be one of this log, or has more than it, is refused before anything is written.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from connectors.postgres.snapshots import Mark, Snapshot, pages
from schemas import events
from schemas.changelog import PACKED_KEY, RESTORED_KEY, encode_offset
from schemas.frames import wire
from schemas.topics import TOPIC_BY_NAME
from topology.log_reading import read_events
from topology.rebuilding.stage_log import RebuildingLog
from topology.step_output import packed

_DeadLetter: Any = wire(events.DeadLetter)


class SnapshotRefused(Exception):
    """The snapshot is not one of this log."""


def check_snapshots(log: EmbeddedLog, stage: Stage, snapshots: Mapping[int, Snapshot]) -> None:
    """Raise SnapshotRefused where one of them is of another log, or of a later state than this log has."""
    for partition, (mark, _) in snapshots.items():
        topic, end = stage.input.name, log.end_offset(stage.input.name, partition)
        last = log.read(topic, partition, mark.consumed - 1, 1, 1) if mark.consumed else []
        if mark.generation != log.generation or mark.consumed > end:
            raise SnapshotRefused(
                f"expected a snapshot of generation {log.generation} with {topic}/{partition} up to offset {end} at "
                f"most, found one of generation {mark.generation} up to {mark.consumed}: it is another log's, or the "
                "log is an older copy; rebuild without it"
            )
        if mark.consumed and not _fits(mark, last):
            raise SnapshotRefused(
                f"expected booking {mark.consumed - 1} of {topic}/{partition} before sequence {mark.log_sequence}, at "
                "which the snapshot was written, found it later or missing: the snapshot is another log's; rebuild "
                "without it"
            )


def _fits(mark: Mark, last: list[Any]) -> bool:
    """Whether the last booking that a snapshot has was in the log when its step was committed."""
    return (
        bool(last)
        and last[0].offset == mark.consumed - 1
        and last[0].sequence < mark.log_sequence
        and last[0].appended_at <= mark.known_at_ns
    )


def seed(log: EmbeddedLog, view: RebuildingLog, stage: Stage, partition: int, snapshot: Snapshot) -> None:
    """Put a snapshot into the new table and changelog of a partition, as if its steps had been applied."""
    consumed = snapshot.mark.consumed
    key = PACKED_KEY + consumed.to_bytes(8, "big") + bytes(8)
    number = 0
    for page in pages(snapshot.rows):
        transaction = view.transaction()
        transaction.put_all(stage.table.name, partition, page)
        for value in packed(list(chain.from_iterable(page.items()))):
            offset = transaction.append(stage.changelog, partition, key + number.to_bytes(4, "big"), value)
            number += 1
        transaction.put(stage.table.name, partition, RESTORED_KEY, encode_offset(offset))
        transaction.commit()
    transaction = view.transaction()
    transaction.commit_offset(stage.name, stage.input.name, partition, consumed)
    transaction.commit()
    _note_sent(log, view, stage, partition, consumed)


def _note_sent(log: EmbeddedLog, view: RebuildingLog, stage: Stage, partition: int, consumed: int) -> None:
    """What the stage had set aside of the bookings that the snapshot has: it is not asked for again."""
    if stage.input.dead_letters is None:
        return
    letters = TOPIC_BY_NAME[stage.input.dead_letters]
    partitions = log.topics()[letters.name].partitions
    for place in range(partitions):
        for _, letter in read_events(log, letters, place):
            if (
                isinstance(letter, _DeadLetter)
                and letter.stage == stage.name
                and letter.partition == partition
                and letter.offset < consumed
            ):
                view.sent.add(letter)
