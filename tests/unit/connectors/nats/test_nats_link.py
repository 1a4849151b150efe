"""A connection to NATS leaves no socket open, however it ends."""

import asyncio
import gc
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from clients.python.pks_client import NotAvailable
from clients.python.pks_client.stream import PositionStream
from connectors.nats.link import Complaints, NatsSettings, connect
from connectors.sink import Unavailable

GREETING = b'INFO {"server_id":"S","version":"2.11.0","max_payload":1048576,"headers":true}\r\n'


async def hang_up_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def hang_up_after_the_greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    while (line := await reader.readline()) and not line.startswith(b"PING"):
        pass
    writer.write(b"PONG\r\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def warned_of(serve: Any, work: Callable[[str], Coroutine[Any, Any, None]]) -> list[str]:
    """What Python says is left open after some work with a server."""

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await work(f"nats://127.0.0.1:{port}")

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(run())
        gc.collect()
    return [str(each.message) for each in found if each.category is ResourceWarning]


async def failing_to_connect(url: str) -> None:
    complaints = Complaints()
    with pytest.raises(Unavailable, match="expected a connection"):
        await connect(NatsSettings(url), "test", complaints)
    assert not complaints.gone
    assert complaints.counts["disconnected"] == 0


async def failing_to_follow(url: str) -> None:
    with pytest.raises(NotAvailable):
        async with PositionStream(url):
            pass


async def losing_it(url: str) -> None:
    """The client is closing by itself when it is closed, and the loop ends after that."""
    complaints = Complaints()
    client = await connect(NatsSettings(url), "test", complaints)
    while not client.is_closed:
        await asyncio.sleep(0)
    await client.end()
    assert complaints.gone
    assert complaints.counts["disconnected"] == 1


@pytest.mark.parametrize(
    ("serve", "work"),
    [
        (hang_up_at_once, failing_to_connect),
        (hang_up_at_once, failing_to_follow),
        (hang_up_after_the_greeting, losing_it),
    ],
)
def test_no_socket_is_left_open(serve: Any, work: Any) -> None:
    assert warned_of(serve, work) == []
