"""Rows as the text of COPY, and how they come into a table without harm where they are there already.

Guarantees: numbers go as their digits, never through a float; what a text holds comes back as it was.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from itertools import islice

import asyncpg

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

CHUNK_LINES = 200
"""Rows that are sent at a time."""

Value = str | int | bool | bytes | float | Decimal | None


def copy_line(values: Sequence[Value]) -> str:
    """A row of COPY in text format."""
    return "\t".join([_text(value) for value in values])


def needs_no_escape(text: str) -> bool:
    """Whether a text goes into COPY as it is."""
    return text.isprintable() and "\\" not in text


def _text(value: Value) -> str:
    if value is None:
        return "\\N"
    if type(value) is str or isinstance(value, str):
        return value if needs_no_escape(value) else value.translate(_ESCAPES)
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    return str(value)


async def copy_lines(
    connection: asyncpg.Connection,
    schema: str | None,
    table: str,
    columns: Sequence[str],
    lines: Iterable[str],
) -> None:
    """Copy rows into a table. The server takes in what was made while the next rows are made."""
    await connection.copy_to_table(
        table, schema_name=schema, columns=list(columns), source=_chunks(lines), format="text"
    )


async def _chunks(lines: Iterable[str]) -> AsyncIterator[bytes]:
    remaining = iter(lines)
    while part := list(islice(remaining, CHUNK_LINES)):
        part.append("")
        yield "\n".join(part).encode()


class Target:
    """A table that rows are added to by COPY into a temporary twin, then `insert .. on conflict`.

    `rest` says what becomes of a row that is there already; by default nothing.
    """

    def __init__(self, schema: str, table: str, columns: Sequence[str], rest: str = "") -> None:
        self.schema = schema
        self.table = table
        self.columns = tuple(columns)
        self.incoming = f"incoming_{table}"
        listed = ", ".join(self.columns)
        self._create = (
            f"create temporary table if not exists {self.incoming} on commit delete rows as "  # noqa: S608
            f"select {listed} from {schema}.{table} with no data"
        )
        self._insert = (
            f"insert into {schema}.{table} ({listed}) select {listed} from {self.incoming} "  # noqa: S608 - names of this package alone
            f"{rest or 'on conflict do nothing'}"
        )

    async def prepare(self, connection: asyncpg.Connection) -> None:
        """Make the temporary table of a connection."""
        await connection.execute(self._create)

    async def add_new(self, connection: asyncpg.Connection, lines: Iterable[str]) -> bool:
        """Add rows that are new in all likelihood, without the way around; False, and nothing done, where one is not."""
        try:
            async with connection.transaction():
                await copy_lines(connection, self.schema, self.table, self.columns, lines)
        except asyncpg.UniqueViolationError:
            return False
        return True

    async def add(self, connection: asyncpg.Connection, lines: Sequence[str]) -> int:
        """Add rows, inside a transaction; how many were new (or changed, as `rest` says)."""
        if not lines:
            return 0
        await self.copy(connection, lines)
        return await self.take(connection)

    async def copy(self, connection: asyncpg.Connection, lines: Sequence[str]) -> None:
        """Put rows into the temporary table alone."""
        if lines:
            await copy_lines(connection, None, self.incoming, self.columns, lines)

    async def clear(self, connection: asyncpg.Connection) -> None:
        """Empty the temporary table, which the end of the transaction does too."""
        await connection.execute(f"delete from {self.incoming}")  # noqa: S608 - as above

    async def take(self, connection: asyncpg.Connection) -> int:
        """Add what the temporary table has."""
        done: str = await connection.execute(self._insert)
        return int(done.rpartition(" ")[2])
