"""What is asked of Postgres by the way: the rows of one statement, over a connection of its own."""

from typing import Any

import asyncpg

from connectors.sink import Unavailable

_SECONDS_MAX = 30.0


async def rows_of(url: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a statement. Raises Unavailable."""
    try:
        connection = await asyncpg.connect(url, timeout=_SECONDS_MAX, command_timeout=_SECONDS_MAX)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"Postgres: expected an answer to {query[:80]!r}, found: {error}") from error
