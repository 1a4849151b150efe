"""Each outside system with the books that it is fed from: its sink, and whether it has what the log has."""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError
from redis.exceptions import RedisError

from connectors.nats.link import NatsSettings
from connectors.nats.sink import NatsSink
from connectors.postgres.trades import TradesSink
from connectors.questdb.bookings import CURRENT, BookingsSink
from connectors.questdb.server import QuestdbSettings
from connectors.redis.sink import RedisSink
from connectors.servers.nats import LocalNats
from connectors.servers.postgres import LocalPostgres
from connectors.servers.questdb import LocalQuestdb
from connectors.servers.redis import LocalRedis
from connectors.sink import Sink, Unavailable
from schemas import topics
from schemas.subjects import MESSAGE_ID
from tests.faults.sinks.feeding import Feeder
from tests.nats_support import connected
from tests.postgres_support import fetch, value
from tests.questdb_support import rows
from tests.redis_support import Quoter, plain_client, stored_marks
from tests.support import Books, eventually

STREAMS = {"BOOKINGS": topics.BOOKINGS, "POSITIONS": topics.POSITIONS}
WEEK = 7 * 86_400
_ROWS = "select (select count(*) from trade.trade) + (select count(*) from trade.correction)"


class FarSide(Protocol):
    """A server with a sink that writes into it from books."""

    server: Any
    books: Books

    def sink(self) -> Sink:
        """A sink of its own."""

    def step(self) -> None:
        """Put something into the log that the sink will write."""

    def ties(self) -> None:
        """Wait until what the server has is what the log has, each once."""


def until(side: FarSide, predicate: Callable[[], object]) -> None:
    """Go on until something is true, no faster than a sink in a thread beside can follow: all of it is read back."""

    def stepped() -> object:
        side.step()
        return predicate()

    eventually(stepped, 60)


class _OfBookings:
    """What those have in common that are fed with bookings."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        self.books = feeder.books

    def step(self) -> None:
        self.feeder.step()


class NatsSide(_OfBookings):
    """The streams of NATS."""

    def __init__(self, feeder: Feeder, server: LocalNats) -> None:
        super().__init__(feeder)
        self.server = server

    def sink(self, port: int | None = None) -> NatsSink:
        address = f"nats://127.0.0.1:{port or self.server.port}"
        return NatsSink(NatsSettings(address), batch_events_max=500)

    def stored(self, stream: str, wanted: int) -> Counter[str] | None:
        """The ids of a stream's messages; None while there are fewer than wanted."""

        async def read() -> Counter[str] | None:
            async with connected(self.server) as client:
                jetstream = client.jetstream()
                try:
                    number = (await jetstream.stream_info(stream)).state.messages
                except NotFoundError:  # the sink has not connected yet
                    return None
                if number < wanted:
                    return None
                config = ConsumerConfig(ack_policy=AckPolicy.NONE, headers_only=True, mem_storage=True)
                subscription = await jetstream.pull_subscribe(">", stream=stream, config=config)
                found: Counter[str] = Counter()
                while found.total() < number:
                    messages = await subscription.fetch(min(1_000, number - found.total()), timeout=10)
                    found.update(message.headers[MESSAGE_ID] for message in messages)
                return found

        return asyncio.run(read())

    def ties(self) -> None:
        for stream, topic in STREAMS.items():
            logged = Counter(event.event_id for event in self.books.events(topic))
            assert set(logged.values()) == {1}
            assert eventually(partial(self.stored, stream, len(logged)), timeout=60) == logged


class PostgresSide(_OfBookings):
    """The trades of a database."""

    def __init__(self, feeder: Feeder, server: LocalPostgres, database: str) -> None:
        super().__init__(feeder)
        self.server = server
        self.database = database

    def sink(self) -> TradesSink:
        return TradesSink(self.database)

    def ties(self) -> None:
        database = self.database
        eventually(lambda: value(database, _ROWS) == self.feeder.logged(), timeout=60)
        names = {event.event_id for event in self.books.events(topics.BOOKINGS)}
        stored = fetch(
            database,
            "select event_id from trade.trade union all select correction_event_id from trade.correction",
        )
        assert sorted(row[0] for row in stored) == sorted(names)
        assert value(database, "select count(*) from trade.current") == self.feeder.number
        quantity = sum(position.position.quantity for position in self.books.positions().values())
        assert value(database, "select sum(quantity) from trade.current") == quantity


class QuestdbSide(_OfBookings):
    """The bookings of a QuestDB."""

    def __init__(self, feeder: Feeder, server: LocalQuestdb, user: str = "") -> None:
        super().__init__(feeder)
        self.server = server
        self.settings = QuestdbSettings(f"http://{user}{server.address}")

    def rows(self, sql: str) -> list[list[Any]]:
        """The rows of a statement over the bookings, after all that was confirmed is applied."""
        return rows(self.settings, sql)

    def sink(self) -> BookingsSink:
        return BookingsSink(self.settings)

    def ties(self) -> None:
        logged = sorted(event.event_id for event in self.books.events(topics.BOOKINGS))

        def stored() -> bool:
            try:
                found = self.rows("select event_id from bo_positions")
            except Unavailable:
                return False
            return sorted(row[0] for row in found) == logged

        eventually(stored, timeout=90)
        found = {(row[0], row[1]): Decimal(row[2]) for row in self.rows(CURRENT)}
        assert found == {key: held.position.quantity for key, held in self.books.positions().items()}


class RedisSide:
    """The marks of a Redis."""

    def __init__(self, quoter: Quoter, server: LocalRedis) -> None:
        self.quoter = quoter
        self.books = quoter.books
        self.server = server

    def sink(self, port: int | None = None, user: str = "") -> RedisSink:
        return RedisSink(f"redis://{user}127.0.0.1:{port or self.server.port}/0", WEEK)

    def step(self) -> None:
        self.quoter.step()

    def ties(self) -> None:
        newest = self.quoter.newest()

        def tied() -> bool:
            try:
                with plain_client(self.server) as client:
                    return stored_marks(client) == newest
            except RedisError:
                return False

        eventually(tied, timeout=60)
