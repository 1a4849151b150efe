"""The strategies' package on a real NATS server, and its example beside a real worker."""

import asyncio
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from clients.python.pks_client import NotAvailable
from clients.python.pks_client.stream import PositionStream
from schemas.topics import escape_token
from tests.faults.up_support import connect, request_of, running, settle
from tests.nats_support import batch, connected, running_nats, sink_of, updated
from tests.support import eventually, fill

CLIENT = Path(__file__).parents[2] / "clients" / "python"


@pytest.fixture
def server(tmp_path):
    with running_nats(tmp_path / "nats") as started:
        yield started


async def first(updates: PositionStream, number: int) -> list:
    """The next updates."""
    found = []
    async with asyncio.timeout(30):
        async for update in updates:
            found.append(update)
            if len(found) == number:
                return found
    raise AssertionError("the stream ended")


def test_updates_come_in_order_from_any_sequence_and_go_on_after_a_restart(server):
    async def follow():
        sink = sink_of(server)
        await sink.open()
        await sink.write(batch(*(updated(number) for number in range(1, 1_201))))
        async with PositionStream(server.url, from_sequence=101) as updates:
            before = await first(updates, 1_100)
            server.kill()
            server.start()
            await sink.close()
            await sink.open()
            # The last ones again, as a sink that was interrupted might.
            await sink.write(batch(*(updated(number) for number in range(1_100, 1_301))))
            await sink.close()
            after = await first(updates, 100)
            return before, after, updates.reconnects

    before, after, reconnects = asyncio.run(follow())
    found = before + after
    assert [update.revision for update in found] == list(range(101, 1_301))
    assert [update.sequence for update in found] == list(range(101, 1_301))
    assert {update.skipped for update in found} == {0}
    assert (found[0].quantity, found[0].average_price, found[0].book) == (
        Decimal(101),
        Decimal("100.50"),
        "B1",
    )
    assert reconnects == 1


def test_an_update_that_was_published_twice_comes_once_and_a_gap_is_told(server):
    async def follow():
        sink = sink_of(server)
        await sink.open()
        await sink.write(batch(updated(1), updated(2), updated(5)))
        async with connected(server) as client:
            twice = await client.jetstream().get_msg("POSITIONS", seq=2)
            await client.jetstream().publish(twice.subject, twice.data)
        await sink.write(batch(updated(6)))
        await sink.close()
        async with PositionStream(server.url, from_sequence=1) as updates:
            # A loop that is left does not take along what has come already.
            return await first(updates, 2) + await first(updates, 2)

    found = asyncio.run(follow())
    assert [(update.revision, update.sequence, update.skipped) for update in found] == [
        (1, 1, 0),
        (2, 2, 0),
        (5, 3, 2),
        (6, 5, 0),
    ]


def test_one_book_alone_from_now_on(server):
    book = "a.b *"

    async def follow():
        sink = sink_of(server)
        await sink.open()
        await sink.write(batch(updated(1, book=book)))
        async with PositionStream(server.url, book=book) as updates:
            others = [updated(number, book="B2", event_id=f"o{number}") for number in range(1, 4)]
            await sink.write(batch(*others, updated(2, book=book)))
            await sink.close()
            return await first(updates, 1)

    assert [(update.book, update.revision) for update in asyncio.run(follow())] == [(book, 2)]
    assert escape_token(book) == "a%2Eb%20%2A"


def test_no_server_and_no_stream_are_not_available(server):
    async def enter():
        async with PositionStream(server.url):
            pass

    with pytest.raises(NotAvailable, match="stream not found"):
        asyncio.run(enter())
    server.stop()
    with pytest.raises(NotAvailable, match="expected the stream POSITIONS"):
        asyncio.run(enter())


def test_the_example_follows_its_book_by_both_ways(server, tmp_path, shared_memory_name):
    """Thirty lines: each update from NATS, and the figure of this moment from shared memory."""
    example = CLIENT / "examples" / "strategy.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 30
    source = example.read_text(encoding="utf-8").replace(
        "PositionReader()", f"PositionReader({shared_memory_name!r})"
    )
    folder = tmp_path / "data"
    with running(folder, PKS_NATS=server.url, PKS_SHARED_MEMORY=shared_memory_name):
        client = connect(folder)
        client.ask(request_of([fill(f"t{number}", 1, 10, at=number) for number in range(3)]))
        settle(client)
        client.close()
        eventually((folder / "sinks" / "nats.offsets").exists, timeout=60)
        done = subprocess.run(
            [sys.executable, "-c", source, server.url, "B1", "1", "3"],
            env={**os.environ, "PYTHONPATH": str(CLIENT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1 X 1 now 3 (live)",
        "2 X 2 now 3 (live)",
        "3 X 3 now 3 (live)",
    ]
