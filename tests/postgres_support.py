"""A real PostgreSQL for tests: one server a session, a database for each test from a migrated template."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from connectors.postgres.migrating import migrate
from connectors.servers.postgres import LocalPostgres
from connectors.servers.process import ServerUnavailable

TEMPLATE = "template_pks"
_FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "60"}


@contextmanager
def running_postgres(disk: Path | None = None, **settings: str) -> Iterator[LocalPostgres]:
    """A server with its data in a folder that Postgres may enter; skipped with the reason, a failure in CI.

    `disk` is where its data stands, else a folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="pks-postgres-", dir=disk) as folder:
        Path(folder).chmod(0o755)
        server = LocalPostgres(Path(folder) / "data", settings={**_FAST, **settings})
        try:
            server.start()
        except ServerUnavailable as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        try:
            yield server
        finally:
            server.stop()


def make_template(server: LocalPostgres) -> None:
    """The database that those of tests are copied from."""
    execute(server.url(), f"create database {TEMPLATE}")
    asyncio.run(migrate(server.url(TEMPLATE)))


def make_database(server: LocalPostgres, template: str = TEMPLATE) -> str:
    """A new database; returns its address."""
    name = f"test_{uuid4().hex}"
    execute(server.url(), f"create database {name} template {template}")
    return server.url(name)


def fetch(url: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
    """The rows of a query."""

    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    return asyncio.run(run())


def value(url: str, query: str, *arguments: Any) -> Any:
    """The first column of the first row."""
    return fetch(url, query, *arguments)[0][0]


def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def as_user(server: LocalPostgres, url: str, role: str) -> str:
    """The address of a database as a user with one of the roles and no other right."""
    name = f"{role}_user"
    execute(
        url,
        f"do $$ begin create role {name} login password 'secret'; exception when duplicate_object then null; end $$",
        f"grant {role} to {name}",
    )
    return server.url(url.rpartition("/")[2], name, "secret")
