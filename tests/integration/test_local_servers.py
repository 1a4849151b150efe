"""Servers from their wheels, in folders as users name them."""

import tempfile
from pathlib import Path

import pytest

from connectors.servers.postgres import LocalPostgres
from tests.postgres_support import fetch


def test_postgres_below_a_relative_folder(monkeypatch: pytest.MonkeyPatch, postgres_server: LocalPostgres):
    assert fetch(postgres_server.url(), "select 1"), "there is a Postgres on this machine"
    # A folder that Postgres may enter as another user, where tests run as root.
    with tempfile.TemporaryDirectory(prefix="pks-postgres-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.chdir(folder)
        with LocalPostgres(Path(".pks/servers/postgres"), settings={"fsync": "off"}) as server:
            assert [row[0] for row in fetch(server.url(), "select 1")] == [1]
        monkeypatch.chdir("/")
