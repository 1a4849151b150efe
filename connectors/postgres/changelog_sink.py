"""What sinks of the changelog of positions have in common: tables that are one moment of the log, or none.

Guarantees: where no place of this log is noted (a new database, an operator who removed it, a log that was moved to
another number of partitions) the tables are emptied before the first row is written.
"""

from collections.abc import Mapping, Sequence

import asyncpg

from connectors.postgres.session import PostgresSink
from connectors.sink import Item, TopicPartition

CHANGELOG = "pks-positions-changelog"


class ChangelogSink(PostgresSink):
    """A sink whose `tables` mirror what the changelog says."""

    topics: Sequence[str] = (CHANGELOG,)
    tables: Sequence[str]

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._anew: str | None = None

    async def open(self) -> Mapping[TopicPartition, int]:
        """Connect; where the sink goes on."""
        self._anew = None
        return await super().open()

    async def begin_anew(self, connection: asyncpg.Connection, first: Item) -> None:
        """Empty the tables before the first item of a log of which no place is noted."""
        topic = f"{CHANGELOG}@{first.generation}" if first.generation else CHANGELOG
        if topic != self._anew and topic not in {noted for noted, _ in self.noted}:
            await connection.execute(f"truncate {', '.join(self.tables)}")
        self._anew = topic
