"""Checks that make the state again: from the changelogs, and by a replay of the bookings.

Both are made in tables on disk, in a temporary folder, so that memory is bounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agents import positions
from agents.counters import Counts, read_counts
from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from schemas.changelog import changes_of
from topology.documents.views import spans_until
from topology.history.checkpoints import opened_checkpoints
from topology.log import Tables
from topology.log_reading import WholeLog, read_records, table_partition
from topology.replaying.outcome import Span, books_of
from topology.replaying.replay import Origin, origin_of, replay_bookings, with_what_waits
from topology.replaying.scratch_tables import DiskTables
from topology.runtime import PartitionStopped
from topology.verifying.checks import Check, Step
from topology.verifying.log import declared_stages

WRITE_CHANGES_MAX = 20_000
"""Changes of a rebuilt table that are written together."""

_Entry = tuple[bytes, bytes]


def check_changelogs(log: EmbeddedLog, partitions: int, step: Step) -> Check:
    """The table that a changelog makes is the table."""
    check = Check("changelogs", "tables rebuilt from their changelogs = tables")
    with DiskTables() as tables:
        for stage in declared_stages(log):
            for partition in range(partitions):
                _rebuild(log, tables, stage, partition, step)
                place = f"{stage.table.name}:{partition}"
                kept = log.scan(stage.table.name, partition, b"\x01")
                _compare(check, place, kept, tables.scan(stage.table.name, partition, b"\x01"))
    return check


def _rebuild(log: EmbeddedLog, tables: DiskTables, stage: Stage, partition: int, step: Step) -> None:
    changes: dict[bytes, bytes | None] = {}
    for record in read_records(log, stage.changelog, partition):
        changes.update(changes_of(record.key or b"", record.value))
        step("changelogs", 1)
        if len(changes) >= WRITE_CHANGES_MAX:
            tables.write(stage.table.name, partition, changes)
            changes.clear()
    tables.write(stage.table.name, partition, changes)


def _compare(check: Check, place: str, kept: Iterator[_Entry], rebuilt: Iterator[_Entry]) -> None:
    """Walk two tables in the order of their keys."""
    ours, theirs = next(kept, None), next(rebuilt, None)
    while ours is not None or theirs is not None:
        check.checked += 1
        if theirs is None or (ours is not None and ours[0] < theirs[0]):
            assert ours is not None, "one of them is there"
            check.broken(place, f"key {ours[0]!r} is in the table only")
            ours = next(kept, None)
        elif ours is None or theirs[0] < ours[0]:
            check.broken(place, f"key {theirs[0]!r} is in the changelog only")
            theirs = next(rebuilt, None)
        else:
            if ours[1] != theirs[1]:
                check.broken(place, f"key {ours[0]!r} has another value in the changelog")
            ours, theirs = next(kept, None), next(rebuilt, None)


def check_replay(log: WholeLog, partitions: int, step: Step) -> list[Check]:
    """A replay of the applied bookings gives the same books, and the same counts."""
    books = Check("replay", "book hash of a replay of the bookings = book hash of the tables")
    counts = Check("replay counts", "applied, duplicate and rejected bookings of a replay = those counted")
    spans = spans_until(log, None, partitions)
    with DiskTables() as tables:
        try:
            outcome, _ = replay_bookings(
                log, partitions, spans, lambda done: step("replay", done), Origin(tables)
            )
        except PartitionStopped as stopped:
            books.broken("replay", str(stopped))
            return [books, counts]
        total = Counts()
        with with_what_waits(log, _at_the_end(spans)) as whole:
            kept, count = books_of(whole, range(partitions))
            books.checked += count
            if kept.hexadecimal != outcome.book_hash.hexadecimal:
                fault = f"expected {outcome.book_hash.hexadecimal}, found {kept.hexadecimal}"
                books.broken("book hash", fault, _differing(whole, tables, partitions))
            for partition in range(partitions):
                for found in read_counts(table_partition(whole, positions.NAME, partition)).values():
                    total.add(found)
    counts.expect("applied", outcome.applied, total.applied)
    counts.expect("duplicates", outcome.duplicates, total.duplicates)
    counts.expect("rejected", outcome.rejected, total.refused)
    return [books, counts]


def check_checkpoints(log: EmbeddedLog, partitions: int, step: Step) -> list[Check]:
    """Going on from the last checkpoints gives the same books; no check where there are none."""
    check = Check(
        "checkpoints", "book hash of a replay from the last checkpoints on = book hash of the tables"
    )
    told: list[str] = []
    with opened_checkpoints(log, told.append) as checkpoints:
        if checkpoints is None:
            for reason in told:
                check.broken("checkpoints", reason)
            return [check] if told else []
        spans = _at_the_end(spans_until(log, None, partitions))
        with origin_of(log, spans, checkpoints) as origin:
            try:
                outcome, _ = replay_bookings(
                    log, partitions, spans, lambda done: step("checkpoints", done), origin
                )
            except PartitionStopped as stopped:
                check.broken("replay", str(stopped))
                return [check]
    with with_what_waits(log, spans) as whole:
        kept, count = books_of(whole, range(partitions))
    check.checked += count
    if kept.hexadecimal != outcome.book_hash.hexadecimal:
        check.broken("book hash", f"expected {kept.hexadecimal}, found {outcome.book_hash.hexadecimal}")
    return [check]


def _at_the_end(spans: Sequence[Span]) -> list[Span]:
    """Nothing of what the spans hold, but the state after it."""
    return [replace(span, start=span.end) for span in spans]


def _differing(log: Tables, tables: DiskTables, partitions: int) -> int:
    """How many positions differ between the tables and a replay; at least one."""
    from agents.open_position import SUMMARY

    found = 0
    for partition in range(partitions):
        kept = dict(table_partition(log, positions.NAME, partition).scan_prefix(SUMMARY))
        replayed = dict(tables.scan(positions.NAME, partition, SUMMARY, b"t"))
        found += sum(kept.get(key) != replayed.get(key) for key in {*kept, *replayed})
    return max(found, 1)
