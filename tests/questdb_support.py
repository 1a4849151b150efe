"""A real QuestDB for tests: skipped with the reason where none can be started, a failure in CI."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.questdb.server import QuestdbSettings, query
from connectors.servers.process import ServerUnavailable
from connectors.servers.questdb import LocalQuestdb, jar


def need_questdb() -> None:
    """Fetch what a server needs, on first use."""
    try:
        jar()
    except ServerUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@contextmanager
def ready_questdb(server: LocalQuestdb) -> Iterator[LocalQuestdb]:
    """A server, running."""
    need_questdb()
    with server:
        yield server


@contextmanager
def running_questdb(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[LocalQuestdb]:
    """A server with its data in `folder`; `settings` are added to its own."""
    # In this mode a table can be suspended at will.
    given = {"dev.mode.enabled": "true", **(settings or {})}
    with ready_questdb(LocalQuestdb(folder, settings=given)) as server:
        yield server


def drop_tables(settings: QuestdbSettings) -> None:
    """Leave a server as it was when it was new."""
    for table in ("bo_positions", "bo_ohlc", "pd_positions"):
        query(settings, f"drop table if exists {table}")


def rows(settings: QuestdbSettings, sql: str, table: str = "bo_positions") -> list[list[Any]]:
    """The rows of a statement, after all that was confirmed is applied."""
    query(settings, f"select wait_wal_table('{table}')")
    return query(settings, sql)
