"""Whatever happens to Postgres or on the way to it, it ends with what the log has, each event once.

The counts are compared with the log's own; the books are stepped on all the while, and never wait.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.postgres.migrating import migrate
from connectors.postgres.positions import PositionsSink
from connectors.postgres.snapshots import SnapshotsSink
from connectors.postgres.trades import TradesSink
from connectors.servers.postgres import LocalPostgres
from schemas import topics
from tests.faults.sinks.feeding import Feeder
from tests.postgres_support import execute, fetch, make_database, make_template, running_postgres, value
from tests.proxy import Cut, Proxy, proxied
from tests.sink_support import following
from tests.support import Books, eventually
from topology.sinks.position_steps import steps_of

ROWS = "select (select count(*) from trade.trade) + (select count(*) from trade.correction)"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    """A server that is ours to break."""
    with running_postgres() as running:
        make_template(running)
        yield running


@pytest.fixture
def database(server: LocalPostgres) -> str:
    return make_database(server)


@pytest.fixture
def proxy(server: LocalPostgres) -> Iterator[Proxy]:
    with proxied(lambda: server.port) as running:
        yield running


@pytest.fixture
def feeder(books: Books) -> Feeder:
    return Feeder(books)


def ties(feeder: Feeder, database: str) -> None:
    """What Postgres has is what the log has."""
    eventually(lambda: value(database, ROWS) == feeder.logged(), timeout=60)
    names = {event.event_id for event in feeder.books.events(topics.BOOKINGS)}
    rows = fetch(
        database,
        "select event_id from trade.trade union all select correction_event_id from trade.correction",
    )
    assert sorted(row[0] for row in rows) == sorted(names)
    assert value(database, "select count(*) from trade.current") == feeder.number
    quantity = sum(position.position.quantity for position in feeder.books.positions().values())
    assert value(database, "select sum(quantity) from trade.current") == quantity


def test_killed_and_started_again(feeder: Feeder, server: LocalPostgres, database: str):
    with following(TradesSink(database), feeder.books.folder) as status:
        for _ in range(2):
            written = status.written
            feeder.until(lambda before=written: status.written > before + 50)
            server.kill()
            feeder.until(lambda: status.failures)
            server.start()
        ties(feeder, database)
        assert status.refused == 0


def test_positions_and_their_snapshot_after_a_kill(feeder: Feeder, server: LocalPostgres, database: str):
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


def test_stopped_and_started_again_in_order(feeder: Feeder, server: LocalPostgres, database: str):
    with following(TradesSink(database), feeder.books.folder) as status:
        feeder.until(lambda: status.written > 50)
        server.stop()
        feeder.until(lambda: status.failures)
        server.start()
        ties(feeder, database)


@pytest.mark.parametrize(
    "seconds",
    [
        5.0,
        pytest.param(60.0, marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
        pytest.param(360.0, marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_a_server_that_hangs(feeder: Feeder, server: LocalPostgres, database: str, seconds: float):
    with following(TradesSink(database), feeder.books.folder) as status:
        feeder.until(lambda: status.written > 50)
        server.signal(signal.SIGSTOP)
        until = time.monotonic() + seconds
        try:
            feeder.step()
            written = feeder.books.position().quantity
            eventually(lambda: time.monotonic() > until, timeout=seconds + 5)
            feeder.step()
            assert feeder.books.position().quantity > written, "the books go on"
        finally:
            server.signal(signal.SIGCONT)
        ties(feeder, database)


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(Cut(bytes_sent=20_000), id="in the middle of a copy"),
        pytest.param(Cut(text=b"BEGIN;"), id="after begin"),
        pytest.param(Cut(text=b"COMMIT;"), id="the commit is sent, and maybe done"),
        pytest.param(Cut(text=b"COMMIT;", answered=True), id="the commit is done, and its answer lost"),
    ],
)
def test_a_connection_that_breaks(
    feeder: Feeder, proxy: Proxy, server: LocalPostgres, database: str, cut: Cut
):
    through = database.replace(f":{server.port}/", f":{proxy.port}/")
    with following(TradesSink(through), feeder.books.folder, events_max=50) as status:
        feeder.until(lambda: status.written > 20)
        proxy.plan(cut)
        feeder.until(lambda: proxy.cuts)
        ties(feeder, database)
        assert value(database, "select count(*) from back_office.rejected") == 0, (
            "nothing came as another's repeat"
        )


def test_credentials_withdrawn_and_given_back(feeder: Feeder, server: LocalPostgres, database: str):
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
        ties(feeder, database)
        # The right to write alone is taken: that is no fault of any event.
        execute(database, "revoke pks_writer from withdrawn")
        feeder.until(lambda: "InsufficientPrivilege" in status.trouble)
        execute(database, "grant pks_writer to withdrawn")
        ties(feeder, database)
        assert status.refused == 0


def test_a_database_of_another_revision_is_waited_for(feeder: Feeder, server: LocalPostgres, tmp_path: Path):
    import asyncio

    empty = make_database(server, "template1")
    with following(TradesSink(empty), feeder.books.folder) as status:
        feeder.until(lambda: "pks postgres migrate" in status.trouble)
        asyncio.run(migrate(empty))
        ties(feeder, empty)
