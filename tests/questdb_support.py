"""A real QuestDB for tests: skipped with the reason where none can be started, a failure in CI."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.questdb.server import QuestdbSettings, query
from connectors.servers.process import ServerUnavailable
from connectors.servers.questdb import LocalQuestdb, jar


@contextmanager
def running_questdb(folder: Path) -> Iterator[LocalQuestdb]:
    """A server with its data in `folder`."""
    try:
        jar()
    except ServerUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    # In this mode a table can be suspended at will.
    with LocalQuestdb(folder, settings={"dev.mode.enabled": "true"}) as server:
        yield server


def rows(server: LocalQuestdb, sql: str, table: str = "bo_positions") -> list[list[Any]]:
    """The rows of a statement, after all that was confirmed is applied."""
    settings = QuestdbSettings(f"http://{server.address}")
    query(settings, f"select wait_wal_table('{table}')")
    return query(settings, sql)
