"""Reading several partitions side by side without cutting through what was appended together.

A sender's batch is one commit over many partitions. Whoever reads some partitions further than others breaks its
order: trades that were spread by their ids would meet their book late, and every late trade is matched again.
"""

from collections.abc import Mapping
from typing import TypeVar

from connectors.embedded.layout import LogRecord

Key = TypeVar("Key")


def whole_commits(
    found: Mapping[Key, list[LogRecord]], ends: Mapping[Key, int]
) -> dict[Key, list[LogRecord]]:
    """What was read from each partition, as `commits_read_whole` says; a commit larger than one read as it was read."""
    return commits_read_whole(found, ends) or dict(found)


def commits_read_whole(
    found: Mapping[Key, list[LogRecord]], ends: Mapping[Key, int]
) -> dict[Key, list[LogRecord]]:
    """What was read from each partition, up to the last commit that was read whole in all of them: nothing where the first
    was not. `ends` are the next offsets of the partitions.
    """
    limits = [
        records[-1].appended_at
        for key, records in found.items()
        if records and records[-1].offset + 1 < ends[key]
    ]
    if not limits:
        return dict(found)
    horizon = min(limits)
    return {
        key: kept
        for key, records in found.items()
        if (kept := [record for record in records if record.appended_at < horizon])
    }


def first_commits(
    found: Mapping[Key, list[LogRecord]], bytes_min: int, records_min: int | None = None
) -> dict[Key, list[LogRecord]]:
    """The first of these commits that hold at least `bytes_min`, or `records_min`, together.

    A large commit stays alone: what two of them hold may lie side by side in time, and partitions that are merged
    by time would run apart over both.
    """
    sizes: dict[int, int] = {}
    numbers: dict[int, int] = {}
    for records in found.values():
        for record in records:
            commit = record.appended_at
            sizes[commit] = sizes.get(commit, 0) + len(record.value or b"")
            numbers[commit] = numbers.get(commit, 0) + 1
    size, number, last = 0, 0, 0
    for last in sorted(sizes):
        size += sizes[last]
        number += numbers[last]
        if size >= bytes_min or (records_min is not None and number >= records_min):
            break
    first = {
        key: [record for record in records if record.appended_at <= last] for key, records in found.items()
    }
    return {key: records for key, records in first.items() if records}
