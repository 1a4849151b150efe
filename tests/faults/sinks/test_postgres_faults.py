"""Whatever happens on the way to Postgres, it ends with what the log has, each event once.

The counts are compared with the log's own; the books are stepped on all the while, and never wait.
"""

import asyncio
from collections.abc import Iterator

import pytest

from connectors.postgres.migrating import migrate
from connectors.postgres.positions import PositionsSink
from connectors.postgres.snapshots import SnapshotsSink
from connectors.postgres.trades import TradesSink
from connectors.servers.postgres import LocalPostgres
from tests.faults.sinks.far_sides import PostgresSide
from tests.faults.sinks.feeding import Feeder
from tests.postgres_support import execute, fetch, make_database, value
from tests.proxy import Cut, Proxy, proxied
from tests.sink_support import following
from tests.support import eventually
from topology.sinks.position_steps import steps_of


@pytest.fixture
def proxy(postgres_side: PostgresSide) -> Iterator[Proxy]:
    with proxied(lambda: postgres_side.server.port) as running:
        yield running


def test_positions_and_their_snapshot_after_a_kill(postgres_side: PostgresSide):
    feeder, server, database = postgres_side.feeder, postgres_side.server, postgres_side.database
    folder = feeder.books.folder
    with (
        following(PositionsSink(database, steps_of), folder, events_max=5) as positions,
        following(SnapshotsSink(database), folder, events_max=5) as snapshots,
    ):
        feeder.until(lambda: min(positions.written, snapshots.written) > 5)
        server.kill()
        feeder.until(lambda: positions.failures and snapshots.failures)
        server.start()
        held = feeder.books.position()
        for query in ("select quantity from position.position", "select quantity from position.at()"):
            eventually(lambda asked=query: value(database, asked) == held.quantity, timeout=60)
        assert value(database, "select realised_pnl from position.at()") == held.realised_pnl
        table = {
            key: stored for (_, key), stored in feeder.books.table("positions").items() if key[:1] != b"\x00"
        }
        rows = "select key, value from back_office.position_snapshot"
        eventually(lambda: dict(map(tuple, fetch(database, rows))) == table, timeout=60)


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(Cut(bytes_sent=20_000), id="in the middle of a copy"),
        pytest.param(Cut(text=b"BEGIN;"), id="after begin"),
        pytest.param(Cut(text=b"COMMIT;"), id="the commit is sent, and maybe done"),
        pytest.param(Cut(text=b"COMMIT;", answered=True), id="the commit is done, and its answer lost"),
    ],
)
def test_a_connection_that_breaks(postgres_side: PostgresSide, proxy: Proxy, cut: Cut):
    feeder, server, database = postgres_side.feeder, postgres_side.server, postgres_side.database
    through = database.replace(f":{server.port}/", f":{proxy.port}/")
    with following(TradesSink(through), feeder.books.folder, events_max=50) as status:
        feeder.until(lambda: status.written > 20)
        proxy.plan(cut)
        feeder.until(lambda: proxy.cuts)
        postgres_side.ties()
        assert value(database, "select count(*) from back_office.rejected") == 0, (
            "nothing came as another's repeat"
        )


def test_credentials_withdrawn_and_given_back(postgres_side: PostgresSide):
    feeder, server, database = postgres_side.feeder, postgres_side.server, postgres_side.database
    execute(
        database,
        "create role withdrawn login password 'first'",
        "grant pks_writer to withdrawn",
    )
    as_user = server.url(database.rpartition("/")[2], "withdrawn", "first")
    with following(TradesSink(as_user), feeder.books.folder) as status:
        feeder.until(lambda: status.written > 50)
        execute(
            database,
            "alter role withdrawn password 'second'",
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'withdrawn'",
        )
        feeder.until(lambda: "InvalidPassword" in status.trouble)
        assert status.state in ("retrying", "open")
        execute(database, "alter role withdrawn password 'first'")
        postgres_side.ties()
        # The right to write alone is taken: that is no fault of any event.
        execute(database, "revoke pks_writer from withdrawn")
        feeder.until(lambda: "InsufficientPrivilege" in status.trouble)
        execute(database, "grant pks_writer to withdrawn")
        postgres_side.ties()
        assert status.refused == 0


def test_a_database_of_another_revision_is_waited_for(feeder: Feeder, breakable_postgres: LocalPostgres):
    empty = PostgresSide(feeder, breakable_postgres, make_database(breakable_postgres, "template1"))
    with following(empty.sink(), feeder.books.folder) as status:
        feeder.until(lambda: "pks postgres migrate" in status.trouble)
        asyncio.run(migrate(empty.database))
        empty.ties()
