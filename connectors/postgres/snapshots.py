"""The snapshot of the positions stage in Postgres: written as its changelog grows, read when the stage's state is gone.

Owns: `back_office.position_snapshot` (the keys and values of the stage's table) and its mark (which input they have).
Guarantees: snapshot and mark are one moment of a partition, always; a restart from it reads the bookings from
`consumed` on and nothing before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import asyncpg

from connectors.postgres.changelog_sink import ChangelogSink
from connectors.postgres.copying import Target, copy_line
from connectors.sink import Batch, Item
from schemas.changelog import PACKED_KEY, changes_of

_STEP_KEY_BYTES = len(PACKED_KEY) + 20
_PAGE_ROWS = 5_000

_ROWS = Target(
    "back_office",
    "position_snapshot",
    ("log_partition", "key", "value"),
    "on conflict (log_partition, key) do update set value = excluded.value",
)
_MARKS = Target(
    "back_office",
    "position_snapshot_mark",
    ("log_partition", "generation", "consumed", "changelog_offset", "log_sequence", "known_at_ns"),
    "on conflict (log_partition) do update set generation = excluded.generation, consumed = excluded.consumed, "
    "changelog_offset = excluded.changelog_offset, log_sequence = excluded.log_sequence, "
    "known_at_ns = excluded.known_at_ns",
)
_GONE = """
delete from back_office.position_snapshot as stored
using unnest($1::int[], $2::bytea[]) as gone(log_partition, key)
where stored.log_partition = gone.log_partition and stored.key = gone.key
"""


class SnapshotsSink(ChangelogSink):
    """`back_office.position_snapshot`: what a step overwrites within a batch is written once."""

    name = "postgres-snapshots"
    tables: Sequence[str] = ("back_office.position_snapshot", "back_office.position_snapshot_mark")
    targets: Sequence[Target] = (_ROWS, _MARKS)

    async def write_rows(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Write what the table has now of the keys that changed, and which input that is."""
        await self.begin_anew(connection, batch.items[0])
        changed: dict[tuple[int, bytes], bytes | None] = {}
        marks: dict[int, Item] = {}
        for item in batch.items:
            key, value = item.event
            if len(key) == _STEP_KEY_BYTES and key.startswith(PACKED_KEY):
                changed.update(((item.partition, name), new) for name, new in changes_of(key, value))
                marks[item.partition] = item
        lines = [copy_line([*place, value]) for place, value in changed.items() if value is not None]
        await _ROWS.add(connection, lines)
        gone = [place for place, value in changed.items() if value is None]
        if gone:
            await connection.execute(_GONE, *map(list, zip(*gone, strict=True)))
        await _MARKS.add(connection, [copy_line(_mark_of(item)) for item in marks.values()])


def _mark_of(item: Item) -> list[int]:
    consumed = int.from_bytes(item.event[0][len(PACKED_KEY) : len(PACKED_KEY) + 8], "big")
    return [item.partition, item.generation, consumed, item.offset, item.sequence, item.appended_at]


class Mark(NamedTuple):
    """What a partition of the snapshot has: the bookings before `consumed`."""

    log_partition: int
    generation: int
    consumed: int
    log_sequence: int
    known_at_ns: int


class Snapshot(NamedTuple):
    """One partition of the snapshot."""

    mark: Mark
    rows: Mapping[bytes, bytes]


async def read_snapshots(url: str) -> dict[int, Snapshot]:
    """The snapshot by partition, all of one moment of the database. Raises what asyncpg raises, and OSError."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found = {}
            for row in await connection.fetch(
                "select log_partition, generation, consumed, log_sequence, known_at_ns "
                "from back_office.position_snapshot_mark"
            ):
                mark = Mark(*row)
                found[mark.log_partition] = Snapshot(mark, await _rows(connection, mark.log_partition))
            return found
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, partition: int) -> dict[bytes, bytes]:
    query = "select key, value from back_office.position_snapshot where log_partition = $1"
    rows = {}
    async for key, value in connection.cursor(query, partition, prefetch=_PAGE_ROWS):
        rows[key] = value
    return rows


def pages(rows: Mapping[bytes, bytes], size: int = _PAGE_ROWS) -> Iterator[dict[bytes, bytes]]:
    """Rows in the order of their keys, some at a time."""
    names = sorted(rows)
    for start in range(0, len(names), size):
        yield {name: rows[name] for name in names[start : start + size]}
