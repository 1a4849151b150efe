"""Whatever happens to NATS or on the way to it, its streams end with what the log has, each event once."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js.errors import NotFoundError

from connectors.nats.link import NatsSettings
from connectors.nats.sink import NatsSink
from connectors.servers.nats import LocalNats
from schemas import topics
from schemas.subjects import MESSAGE_ID
from tests.faults.sinks.feeding import Feeder
from tests.nats_support import connected, running_nats
from tests.proxy import Cut, Proxy, proxied
from tests.sink_support import following
from tests.support import Books, eventually

STREAMS = {"BOOKINGS": topics.BOOKINGS, "POSITIONS": topics.POSITIONS}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalNats]:
    with running_nats(tmp_path / "nats") as running:
        yield running


@pytest.fixture
def proxy(server: LocalNats) -> Iterator[Proxy]:
    with proxied(lambda: server.port) as running:
        yield running


@pytest.fixture
def feeder(books: Books) -> Feeder:
    return Feeder(books)


def sink(port: int) -> NatsSink:
    return NatsSink(NatsSettings(f"nats://127.0.0.1:{port}"), batch_events_max=500)


def stored(server: LocalNats, stream: str) -> Counter[str]:
    """The ids of a stream's messages."""

    async def read() -> Counter[str]:
        async with connected(server) as client:
            jetstream = client.jetstream()
            try:
                number = (await jetstream.stream_info(stream)).state.messages
            except NotFoundError:  # the sink has not connected yet
                return Counter()
            subscription = await jetstream.subscribe(">", stream=stream, ordered_consumer=True)
            found = [await subscription.next_msg(10) for _ in range(number)]
            return Counter(message.headers[MESSAGE_ID] for message in found)

    return asyncio.run(read())


def ties(feeder: Feeder, server: LocalNats) -> None:
    """What the streams have is what the log has, each event once."""
    for stream, topic in STREAMS.items():
        logged = Counter(event.event_id for event in feeder.books.events(topic))
        assert set(logged.values()) == {1}
        eventually(lambda stream=stream, logged=logged: stored(server, stream) == logged, timeout=60)


def test_killed_and_started_again(feeder: Feeder, server: LocalNats):
    with following(sink(server.port), feeder.books.folder) as status:
        for _ in range(2):
            written = status.written
            feeder.until(lambda before=written: status.written > before + 50)
            server.kill()
            feeder.until(lambda: status.failures)
            server.start()
        ties(feeder, server)
        assert status.refused == 0


def test_stopped_and_started_again_in_order(feeder: Feeder, server: LocalNats):
    with following(sink(server.port), feeder.books.folder) as status:
        feeder.until(lambda: status.written > 50)
        server.stop()
        feeder.until(lambda: status.failures)
        server.start()
        ties(feeder, server)


@pytest.mark.parametrize(
    "seconds",
    [
        5.0,
        pytest.param(60.0, marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
        # Beyond the two minutes for which the server remembers ids.
        pytest.param(360.0, marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_a_server_that_hangs(feeder: Feeder, server: LocalNats, seconds: float):
    with following(sink(server.port), feeder.books.folder) as status:
        feeder.until(lambda: status.written > 50)
        server.signal(signal.SIGSTOP)
        until = time.monotonic() + seconds
        try:
            feeder.step()
            before = feeder.books.position().quantity
            eventually(lambda: time.monotonic() > until, timeout=seconds + 5)
            feeder.step()
            assert feeder.books.position().quantity > before, "the books go on"
        finally:
            server.signal(signal.SIGCONT)
        ties(feeder, server)


@pytest.mark.parametrize(
    "cut",
    [
        Cut(bytes_sent=40_000),
        Cut(text=b".c0.p0"),
        Cut(text=b"HPUB backoffice.booking.v1.LifecycleEventApplied"),
        Cut(text=b"HPUB bo.position", answered=True),
        Cut(text=b"STREAM.INFO.POSITIONS"),
    ],
    ids=["in bytes", "in an id", "in a correction", "before the answer", "on connecting"],
)
def test_a_connection_that_is_reset(feeder: Feeder, server: LocalNats, proxy: Proxy, cut: Cut):
    proxy.plan(cut)
    with following(sink(proxy.port), feeder.books.folder) as status:
        feeder.until(lambda: proxy.cuts)
        feeder.until(lambda: status.state == "running", 20_000)
        ties(feeder, server)
        assert status.refused == 0


def test_a_sink_that_was_killed_before_its_note_publishes_nothing_twice(feeder: Feeder, server: LocalNats):
    """The note of where it goes on is older than what it published."""
    folder = feeder.books.folder
    offsets = folder / "sinks" / "nats.offsets"
    feeder.step(100)
    with following(sink(server.port), folder):
        ties(feeder, server)
        noted = eventually(lambda: offsets.exists() and offsets.read_bytes())
        feeder.step(100)
        ties(feeder, server)
    offsets.write_bytes(noted)
    feeder.step(10)
    with following(sink(server.port), folder):
        ties(feeder, server)
