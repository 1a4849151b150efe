"""A real NATS server for tests: skipped with the reason where none can be started, a failure in CI."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import nats
import pytest

from connectors.nats.link import NatsSettings
from connectors.nats.sink import NatsSink
from connectors.servers.nats import LocalNats, available
from connectors.sink import Batch, Item
from schemas import events, topics
from schemas.frames import wire
from tests.support import MONDAY, SECOND

PositionUpdated: Any = wire(events.PositionUpdated)


@contextmanager
def running_nats(folder: Path, **options: Any) -> Iterator[LocalNats]:
    """A server with its streams in `folder`."""
    if not available() and not os.environ.get("CI"):
        pytest.skip("expected the program nats-server, found none")
    with LocalNats(folder, **options) as server:
        yield server


def sink_of(server: LocalNats, **settings: Any) -> NatsSink:
    """The sink of PKS on a server."""
    return NatsSink(NatsSettings(server.url, **settings), batch_events_max=500)


def updated(number: int, book: str = "B1", **fields: Any) -> Any:
    """The update number `number` (from 1) of a position."""
    return PositionUpdated(
        event_id=fields.pop("event_id", f"e{number}.c0.p0"),
        book=book,
        instrument="X",
        trade_id=f"t{number}",
        revision=number,
        executed_at=MONDAY + number * SECOND,
        quantity=Decimal(number),
        average_price=Decimal("100.50"),
        currency=fields.pop("currency", "USD"),
        **fields,
    )


def batch(*found: Any, topic: topics.Topic = topics.POSITIONS, first: int = 0, age_seconds: int = 0) -> Batch:
    """Events as the runtime of sinks hands them over, appended so long ago."""
    appended_at = time.time_ns() - age_seconds * SECOND
    items = [
        Item(topic.name, 0, first + at, 0, first + at, appended_at, event) for at, event in enumerate(found)
    ]
    return Batch(items, {(topic.name, 0): first + len(found)})


@asynccontextmanager
async def connected(server: LocalNats, **options: Any) -> AsyncIterator[Any]:
    """A plain client of a server."""
    client = await nats.connect(server.url, allow_reconnect=False, **options)
    try:
        yield client
    finally:
        await client.close()


async def count(client: Any, stream: str, subjects: str = "") -> int:
    """How many messages a stream has, of all subjects or of those that match."""
    state = (await client.jetstream().stream_info(stream, subjects_filter=subjects or None)).state
    return sum((state.subjects or {}).values()) if subjects else int(state.messages)


async def come_true(predicate: Callable[[], Coroutine[Any, Any, Any]], seconds: float = 10.0) -> Any:
    """`eventually` for a coroutine."""
    async with asyncio.timeout(seconds):
        while not (found := await predicate()):
            await asyncio.sleep(0.005)
        return found
