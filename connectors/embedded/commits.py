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
    """What was read from each partition, up to the last commit that was read whole in all of them.

    `ends` are the next offsets of the partitions. A commit larger than one read is handed on as it was read.
    """
    limits = [
        records[-1].appended_at
        for key, records in found.items()
        if records and records[-1].offset + 1 < ends[key]
    ]
    if not limits:
        return dict(found)
    horizon = min(limits)
    whole = {
        key: kept
        for key, records in found.items()
        if (kept := [record for record in records if record.appended_at < horizon])
    }
    return whole or dict(found)
