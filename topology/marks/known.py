"""What a source of marks said before it was started, as the log has it."""

from contextlib import closing
from typing import Any

from agents import bars
from agents.bar_state import scan_marks
from connectors.embedded.errors import EmbeddedLogError
from connectors.embedded.log import EmbeddedLog
from topology.log_reading import partition_count, table_partition
from topology.settings import Settings, on_kafka


def known_marks(settings: Settings, source: str) -> list[Any]:
    """The newest mark of each instrument whose newest is of this source; none where they cannot be read.

    A cluster is not asked: its tables are copied whole for a reader.
    """
    if on_kafka(settings):
        return []
    try:
        with closing(EmbeddedLog.reader(settings.data)) as log:
            return [
                mark
                for partition in range(partition_count(log))
                for mark in scan_marks(table_partition(log, bars.NAME, partition))
                if mark.source.partition(":")[0] == source
            ]
    except EmbeddedLogError:
        return []
