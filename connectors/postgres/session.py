"""The connection of a sink to Postgres: where it goes on, one transaction a batch, and what each failure means.

Guarantees: rows and offsets of a batch are committed together or not at all, and only where nobody else has moved the
offsets: of two processes that have one sink, what one writes is not undone by the other. Content that the database cannot hold is
`Refused`; everything else (no server, no room, no rights, a schema of another revision) is `Unavailable`, since an
operator can mend it and nothing is wrong with the event.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import asyncpg

from connectors.postgres.copying import Target
from connectors.postgres.schema import REVISION
from connectors.sink import Batch, Refused, TopicPartition, Unavailable

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
"""After so long a server that says nothing counts as gone."""

_PLANS = {"plan_cache_mode": "force_custom_plan", "jit": "off"}
"""A plan that was made while a table was small, and is kept, would read it whole when it has grown."""

_FIRST_OFFSETS = """
insert into back_office.sink_offset (sink, topic, log_partition, next_offset)
select $1, place.topic, place.log_partition, place.next_offset
from unnest($2::text[], $3::int[], $4::bigint[]) as place(topic, log_partition, next_offset)
on conflict (sink, topic, log_partition) do nothing
"""

_OFFSETS = """
update back_office.sink_offset as kept set next_offset = place.next_offset
from unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) as place(topic, log_partition, next_offset, noted)
where kept.sink = $1 and kept.topic = place.topic and kept.log_partition = place.log_partition
    and kept.next_offset = place.noted
"""


class PostgresSink(ABC):
    """What the sinks of Postgres have in common; each says which rows its events become."""

    keeps_offsets = True
    name: str
    topics: Sequence[str]
    targets: Sequence[Target]

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self.noted: dict[TopicPartition, int] = {}

    @abstractmethod
    async def write_rows(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Write the events of a batch, inside a transaction."""

    async def open(self) -> Mapping[TopicPartition, int]:
        """Connect; where the sink goes on. Raises Unavailable."""
        try:
            self._connection = connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_SECONDS,
                command_timeout=COMMAND_SECONDS,
                server_settings={"application_name": f"pks sink {self.name}", **_PLANS},
            )
            await self._check_revision(connection)
            for target in self.targets:
                await target.prepare(connection)
            rows = await connection.fetch(
                "select topic, log_partition, next_offset from back_office.sink_offset where sink = $1",
                self.name,
            )
            offsets = {(row["topic"], row["log_partition"]): row["next_offset"] for row in rows}
        except (
            TimeoutError,
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        ) as error:
            raise Unavailable(_said(error)) from error
        self.noted = offsets
        return dict(offsets)

    async def _check_revision(self, connection: asyncpg.Connection) -> None:
        found = None
        if await connection.fetchval("select to_regclass('public.alembic_version') is not null"):
            found = await connection.fetchval("select version_num from public.alembic_version")
        if found != REVISION:
            raise Unavailable(
                f"expected the database at revision {REVISION}, found {found or 'an empty one'}: run "
                "`pks postgres migrate` as its owner"
            )

    async def write(self, batch: Batch) -> None:
        """Write rows and offsets in one transaction. Raises Unavailable, Refused."""
        connection = self._connection
        assert connection is not None, "open came first"
        moved = {
            place: offset for place, offset in batch.next_offsets.items() if self.noted.get(place) != offset
        }
        try:
            async with connection.transaction():
                if batch.items:
                    await self.write_rows(connection, batch)
                await self._move(connection, moved)
        except (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.ProgramLimitExceededError,
            UnicodeEncodeError,
        ) as error:
            raise Refused(_said(error)) from error
        except (
            TimeoutError,
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        ) as error:
            raise Unavailable(_said(error)) from error
        self.noted |= moved

    async def _move(self, connection: asyncpg.Connection, moved: Mapping[TopicPartition, int]) -> None:
        """Note how far the sink is, where what it noted last still stands. Raises Unavailable."""
        first = [(*place, offset) for place, offset in moved.items() if place not in self.noted]
        rest = [(*place, offset, self.noted[place]) for place, offset in moved.items() if place in self.noted]
        for statement, rows in ((_FIRST_OFFSETS, first), (_OFFSETS, rest)):
            if not rows:
                continue
            done: str = await connection.execute(statement, self.name, *map(list, zip(*rows, strict=True)))
            if int(done.rpartition(" ")[2]) != len(rows):
                raise Unavailable(
                    f"Postgres: expected back_office.sink_offset as {self.name} left it, found it changed: another "
                    "process has this sink, or an operator set it back; it goes on from there"
                )

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # A farewell to a server that hangs would hang.
            connection.terminate()


def _said(error: BaseException) -> str:
    return f"Postgres: {type(error).__name__}: {error}".rstrip(": ")
