"""Servers that are these tests' own to break, each with books that its sink is fed from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.servers.nats import LocalNats
from connectors.servers.postgres import LocalPostgres
from connectors.servers.questdb import LocalQuestdb
from connectors.servers.redis import LocalRedis
from tests.faults.sinks.far_sides import NatsSide, PostgresSide, QuestdbSide, RedisSide
from tests.faults.sinks.feeding import Feeder
from tests.nats_support import running_nats
from tests.postgres_support import make_database, make_template, running_postgres
from tests.questdb_support import drop_tables, running_questdb
from tests.redis_support import Quoter, running_redis
from tests.support import Books


@pytest.fixture
def feeder(books: Books) -> Feeder:
    return Feeder(books)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[LocalNats]:
    with running_nats(tmp_path / "nats") as running:
        yield running


@pytest.fixture
def nats_side(feeder: Feeder, nats_server: LocalNats) -> NatsSide:
    return NatsSide(feeder, nats_server)


@pytest.fixture(scope="module")
def breakable_postgres() -> Iterator[LocalPostgres]:
    with running_postgres() as running:
        make_template(running)
        yield running


@pytest.fixture
def postgres_side(feeder: Feeder, breakable_postgres: LocalPostgres) -> PostgresSide:
    return PostgresSide(feeder, breakable_postgres, make_database(breakable_postgres))


@pytest.fixture(scope="module")
def questdb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalQuestdb]:
    with running_questdb(tmp_path_factory.mktemp("questdb") / "server") as running:
        yield running


@pytest.fixture
def questdb_side(feeder: Feeder, questdb_server: LocalQuestdb) -> QuestdbSide:
    side = QuestdbSide(feeder, questdb_server)
    drop_tables(side.settings)
    return side


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[LocalRedis]:
    with running_redis(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def redis_side(books: Books, redis_server: LocalRedis) -> RedisSide:
    return RedisSide(Quoter(books), redis_server)
