"""Migrations go up and down, each revision by itself, and the roles have the rights that they need and no other."""

import asyncio

import asyncpg
import pytest

from connectors.postgres.migrating import migrate, newest_revision, revisions
from connectors.postgres.schema import REVISION
from connectors.servers.postgres import LocalPostgres
from tests.postgres_support import as_user, fetch, make_database, value

_CONTENTS = """
select table_schema || '.' || table_name || '.' || column_name || ' ' || data_type as line
from information_schema.columns
where table_schema in ('back_office', 'trade', 'position', 'auth', 'report') order by 1
"""
_SCHEMAS = "select count(*) from pg_namespace where nspname in ('back_office', 'trade', 'position', 'auth', 'report')"


def test_the_sinks_expect_the_newest_revision():
    assert newest_revision() == REVISION


def test_each_revision_up_and_down_and_up_again(postgres_server: LocalPostgres):
    url = make_database(postgres_server, "template1")
    found = {}
    for revision in revisions():
        asyncio.run(migrate(url, revision))
        found[revision] = fetch(url, _CONTENTS)
        assert found[revision]
    for revision in revisions()[::-1]:
        assert fetch(url, _CONTENTS) == found[revision]
        asyncio.run(
            migrate(url, revisions()[revisions().index(revision) - 1] if revision != "0001" else "base")
        )
    assert value(url, _SCHEMAS) == 0
    assert asyncio.run(migrate(url)) == (None, REVISION)
    assert fetch(url, _CONTENTS) == found[REVISION]
    assert value(url, _SCHEMAS) == 5


def test_migrating_twice_at_once_is_migrating_once(postgres_server: LocalPostgres):
    url = make_database(postgres_server, "template1")

    async def both() -> list[tuple[str | None, str | None]]:
        return await asyncio.gather(migrate(url), migrate(url))

    assert sorted(asyncio.run(both()), key=str) == sorted([(None, REVISION), (REVISION, REVISION)], key=str)


_ALLOWED = {
    "pks_writer": {
        "select * from public.alembic_version",
        "insert into back_office.sink_offset values ('s', 't', 0, 1)",
        "delete from back_office.sink_offset",
        "delete from position.lot",
        "truncate position.position, position.lot, position.effect",
        "select * from position.at()",
        "select * from position.open_lot",
        "update back_office.sink_offset set next_offset = 2",
        "select * from trade.trade",
        "select * from trade.current",
        "select * from trade.at()",
        "select * from back_office.dead_letter",
        "select * from back_office.dead_letters",
        "select * from back_office.ledger_entry",
        "update back_office.cash_balance set overdrawn = true",
        "update position.valuation set reason = ''",
        "select * from position.pnl_attribution",
    },
    "pks_reader": {
        "select * from position.pnl_attribution",
        "select * from position.at()",
        "select * from position.open_lot",
        "select * from public.alembic_version",
        "select * from trade.trade",
        "select * from trade.current",
        "select * from trade.at()",
    },
    "pks_reporter": {
        "select * from position.at()",
        "select * from position.open_lot",
        "select * from public.alembic_version",
        "select * from trade.trade",
        "select * from trade.current",
        "select * from trade.at()",
        "select * from back_office.dead_letters",
        "select * from back_office.dead_letter",
        "select * from back_office.ledger_entry",
        "select * from back_office.trial_balance",
        "select * from back_office.payment_order",
        "select * from position.pnl_attribution",
        "create table report.mine (line text)",
    },
}
_TRIED = (
    *sorted({statement for statements in _ALLOWED.values() for statement in statements}),
    "delete from trade.trade",
    "update trade.trade set price = 0",
    "truncate trade.trade",
    "delete from back_office.audit",
    "update back_office.audit set subject = ''",
    "update back_office.ledger_entry set amount = 0",
    "delete from back_office.payment_order_step",
    "delete from position.valuation",
    "drop table trade.trade",
    "create table trade.mine (line text)",
    "create table auth.mine (line text)",
    "create table public.mine (line text)",
)


@pytest.mark.parametrize("role", sorted(_ALLOWED))
def test_each_role_may_do_what_it_needs_and_nothing_else(
    postgres_server: LocalPostgres, postgres: str, role: str
):
    url = as_user(postgres_server, postgres, role)

    async def attempts() -> set[str]:
        connection = await asyncpg.connect(url)
        done = set()
        for statement in _TRIED:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(statement)
                done.add(statement)
            except asyncpg.InsufficientPrivilegeError:
                pass
            await transaction.rollback()
        await connection.close()
        return done

    assert asyncio.run(attempts()) == _ALLOWED[role]
