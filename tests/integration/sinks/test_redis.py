"""Marks, curves and revoked tokens in a real Redis: the newest stands, readers are never held up."""

import asyncio
import re
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.redis.blocklist import TokenBlocklist, TokenState
from connectors.redis.cache import MarketDataCache, Standing
from connectors.redis.keys import Curve, curve_key, mark_key
from connectors.redis.sink import KEYS_MAX, RedisSink
from connectors.servers.redis import LocalRedis
from connectors.sink import Batch, Unavailable
from schemas import topics
from tests.redis_support import (
    Quoter,
    append,
    item_of,
    mark,
    plain_client,
    running_redis,
    stored_marks,
)
from tests.sink_support import write_all
from tests.support import Books

WEEK = 7 * 86_400
READ_BOUND = 2.0
"""Seconds: more than a reader's own bound by what a busy machine may add."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalRedis]:
    with running_redis(tmp_path / "redis") as running:
        yield running


def curve(version: int, rate: str, at: int = 0) -> Any:
    definition = f'{{"type": "flat", "rate": {rate}}}'
    return Curve(
        event_id=f"c{version}.{rate}", curve="EUR", version=version, event_time=at, definition=definition
    )


def reading(
    server: LocalRedis, ask: Callable[[MarketDataCache], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    async def run() -> Any:
        cache = MarketDataCache(server.url, **options)
        try:
            return await ask(cache)
        finally:
            await cache.close()

    return asyncio.run(run())


def test_the_newest_stands_whatever_comes_again_and_in_which_order(books: Books, server: LocalRedis):
    quoter = Quoter(books, instruments=11)
    for _ in range(30):
        quoter.step()
    for _ in range(2):
        write_all(RedisSink(server.url, WEEK), books.folder, events_max=40)
        with plain_client(server) as client:
            assert stored_marks(client) == quoter.newest()
            client.hdel("pks:sink:redis", *client.hkeys("pks:sink:redis"))
    assert len(quoter.newest()) == 11


def test_an_older_mark_never_overwrites_and_an_absent_bid_is_not_left_over(books: Books, server: LocalRedis):
    append(books, mark("X", "101", at=9, bid=Decimal("100.9")))
    write_all(RedisSink(server.url, WEEK), books.folder)
    append(books, mark("X", "50", at=8))
    write_all(RedisSink(server.url, WEEK), books.folder)
    with plain_client(server) as client:
        assert client.hget(mark_key("X"), "price") == "101"
        append(books, mark("X", None, at=9))
        write_all(RedisSink(server.url, WEEK), books.folder)
        assert client.hgetall(mark_key("X")).keys() & {"price", "bid"} == set()
        assert client.hget(mark_key("X"), "quality") == "missing"


def test_a_curve_stands_in_its_highest_version_digit_by_digit(books: Books, server: LocalRedis):
    append(books, curve(2, "0.0250", at=5), curve(1, "0.01", at=9), topic=topics.CURVES)
    write_all(RedisSink(server.url, WEEK), books.folder)
    found = reading(server, lambda cache: cache.curve("EUR"))
    assert (found.standing, found.value) == (Standing.CURRENT, curve(2, "0.0250", at=5))
    with plain_client(server) as client:
        assert 0 < client.pttl(curve_key("EUR")) <= WEEK * 1_000


def test_more_keys_than_a_script_takes(books: Books, server: LocalRedis):
    append(books, *(mark(f"I{number}") for number in range(2 * KEYS_MAX + 1)))
    write_all(RedisSink(server.url, WEEK), books.folder)
    with plain_client(server) as client:
        assert len(stored_marks(client)) == 2 * KEYS_MAX + 1


def test_a_mark_expires_as_long_after_it_came_as_the_setting_says(server: LocalRedis):
    async def run() -> None:
        sink = RedisSink(server.url, 60)
        await sink.open()
        now = time.time_ns()
        await sink.write(
            Batch([item_of(mark("old"), 0, now - 61 * 10**9), item_of(mark("new"), 1, now - 10 * 10**9)])
        )
        await sink.close()

    asyncio.run(run())
    with plain_client(server) as client:
        assert set(stored_marks(client)) == {"new"}
        assert 40_000 < client.pttl(mark_key("new")) <= 50_000


def test_places_are_moved_with_the_last_keys_or_not_at_all(server: LocalRedis):
    async def run() -> None:
        sink = RedisSink(server.url, WEEK)
        assert await sink.open() == {}
        place = (topics.MARKS.name, 0)
        await sink.write(Batch([item_of(mark("X"), 0, time.time_ns())], {place: 1}))
        with plain_client(server) as client:
            client.set(mark_key("Y"), "somebody else's")
        with pytest.raises(Unavailable, match="WRONGTYPE"):
            await sink.write(Batch([item_of(mark("Y"), 1, time.time_ns())], {place: 2}))
        await sink.close()
        assert await sink.open() == {place: 1}
        await sink.close()

    asyncio.run(run())


def test_a_sink_that_another_replaced_writes_nothing_any_more(server: LocalRedis):
    """An old process that hung, and wakes up, cannot undo what the new one wrote."""

    async def run() -> None:
        old, new = RedisSink(server.url, WEEK), RedisSink(server.url, WEEK)
        place = (topics.MARKS.name, 0)
        await old.open()
        await new.open()
        await new.write(Batch([item_of(mark("X", "2", at=2), 1, time.time_ns())], {place: 2}))
        with pytest.raises(Unavailable, match="another sink writes"):
            await old.write(Batch([item_of(mark("Y"), 0, time.time_ns())], {place: 1}))
        with pytest.raises(Unavailable, match="another sink writes"):
            await old.look()
        await new.look()
        await old.close()
        await new.close()
        with plain_client(server) as client:
            assert set(stored_marks(client)) == {"X"}
            assert client.hget("pks:sink:redis", f"{place[0]}/0") == "2"

    asyncio.run(run())


def test_a_reader_is_told_what_redis_has_and_what_it_has_not(books: Books, server: LocalRedis):
    append(books, mark("X", "1.50"))
    write_all(RedisSink(server.url, WEEK), books.folder)
    with plain_client(server) as client:
        client.hset(mark_key("BAD"), "price", "?")

    found = reading(server, lambda cache: cache.marks(["X", "Y", "BAD"]))
    assert (found["X"].standing, found["X"].value) == (Standing.CURRENT, mark("X", "1.50"))
    assert found["Y"].standing is Standing.ABSENT
    assert found["BAD"].standing is Standing.UNAVAILABLE
    assert "expected the fields of a Mark" in found["BAD"].trouble


@pytest.mark.parametrize("fault", ["killed", "hangs"])
def test_a_reader_goes_on_with_what_it_knows_and_says_so(books: Books, server: LocalRedis, fault: str):
    append(books, mark("X"))
    write_all(RedisSink(server.url, WEEK), books.folder)

    async def ask(cache: MarketDataCache) -> None:
        assert (await cache.mark("X")).standing is Standing.CURRENT
        if fault == "killed":
            server.kill()
        else:
            server.signal(signal.SIGSTOP)
        began = time.monotonic()
        known, unknown = await cache.mark("X"), await cache.mark("Y")
        # Many callers at once, while one of them tries: none waits longer than the bound.
        together = await asyncio.gather(*(cache.mark("X") for _ in range(200)))
        assert time.monotonic() - began < READ_BOUND
        assert (known.standing, known.value) == (Standing.LAST_KNOWN, mark("X"))
        assert known.age_seconds >= 0 and known.trouble
        assert (unknown.standing, unknown.value) == (Standing.UNAVAILABLE, None)
        assert {each.standing for each in together} == {Standing.LAST_KNOWN}
        if fault == "killed":
            server.start()
        else:
            server.signal(signal.SIGCONT)
        async with asyncio.timeout(20):
            while (await cache.mark("X")).standing is not Standing.CURRENT:
                await asyncio.sleep(0.01)

    try:
        reading(server, ask)
    finally:
        if fault == "hangs":
            server.signal(signal.SIGCONT)


def test_a_reader_knows_that_redis_lost_what_it_had(books: Books, server: LocalRedis):
    append(books, mark("X"))
    write_all(RedisSink(server.url, WEEK), books.folder)

    async def ask(cache: MarketDataCache) -> None:
        await cache.mark("X")
        with plain_client(server) as client:
            client.flushall()
        lost = await cache.mark("X")
        assert (lost.standing, lost.value) == (Standing.LAST_KNOWN, mark("X"))
        assert "lost its contents" in lost.trouble

    reading(server, ask)


def test_a_reader_remembers_no_more_than_it_may(books: Books, server: LocalRedis):
    append(books, *(mark(f"I{number}") for number in range(20)))
    write_all(RedisSink(server.url, WEEK), books.folder)

    async def ask(cache: MarketDataCache) -> list[Standing]:
        for number in range(20):
            await cache.mark(f"I{number}")
        server.kill()
        return [(await cache.mark(f"I{number}")).standing for number in range(20)]

    standings = reading(server, ask, known_max=5)
    assert standings == [Standing.UNAVAILABLE] * 15 + [Standing.LAST_KNOWN] * 5


def test_a_revoked_token_stays_revoked_until_it_would_expire(server: LocalRedis):
    now = time.time_ns()
    moment = [now]

    async def run() -> None:
        gateway, other = TokenBlocklist(server.url, lambda: moment[0]), TokenBlocklist(server.url)
        assert await other.state("j1") is TokenState.VALID
        await gateway.add("j1", now + 60 * 10**9)
        await gateway.add("j2", now - 1)
        assert await gateway.state("j1") is TokenState.REVOKED
        assert await other.state("j1") is TokenState.REVOKED
        assert await other.state("j2") is TokenState.VALID
        with plain_client(server) as client:
            assert 0 < client.pttl("jwt:blocklist:j1") <= 60_000
            assert not client.exists("jwt:blocklist:j2")
            client.delete("jwt:blocklist:j1")
        # What a process revoked, or saw revoked, it remembers until the token's end.
        assert await gateway.state("j1") is TokenState.REVOKED
        assert await other.state("j1") is TokenState.REVOKED
        moment[0] = now + 61 * 10**9
        assert await gateway.state("j1") is TokenState.VALID
        await gateway.close()
        await other.close()

    asyncio.run(run())


def test_without_redis_a_token_is_not_said_to_be_valid(server: LocalRedis):
    async def run() -> None:
        blocklist = TokenBlocklist(server.url)
        server.kill()
        assert await blocklist.state("j1") is TokenState.UNKNOWN
        with pytest.raises(Unavailable):
            await blocklist.add("j2", time.time_ns() + 60 * 10**9)
        assert await blocklist.state("j2") is TokenState.REVOKED
        server.start()
        async with asyncio.timeout(20):
            while await blocklist.state("j1") is not TokenState.VALID:
                await asyncio.sleep(0.01)
        await blocklist.close()

    asyncio.run(run())


def test_the_rights_that_the_page_names_are_enough(books: Books, server: LocalRedis):
    page = Path("docs/operating/redis.md").read_text(encoding="utf-8")
    sink_rights = re.search(r"ACL SETUSER pks-sink on >PASSWORD ([^`]+)`", page)
    reader_rights = re.search(r"Readers need `([^`]+)`", page)
    blocklist_rights = re.search(r"blocklist `([^`]+)`", page)
    assert sink_rights and reader_rights and blocklist_rights
    with plain_client(server) as client:
        users = {"sink": sink_rights, "reader": reader_rights, "gateway": blocklist_rights}
        for user, rights in users.items():
            client.execute_command("ACL", "SETUSER", user, "on", ">secret", *rights[1].split())
        client.execute_command("ACL", "SETUSER", "default", "off")

    def url(user: str) -> str:
        return server.url.replace("//", f"//{user}:secret@")

    append(books, mark("X"))
    status = write_all(RedisSink(url("sink"), WEEK), books.folder)
    assert (status.written, status.trouble) == (1, "")

    async def run() -> None:
        cache, sink = MarketDataCache(url("reader")), RedisSink(url("reader"), WEEK)
        blocklists = [TokenBlocklist(url("gateway")) for _ in range(2)]
        assert (await cache.mark("X")).standing is Standing.CURRENT
        await blocklists[0].add("j", time.time_ns() + 60 * 10**9)
        assert await blocklists[1].state("j") is TokenState.REVOKED
        with pytest.raises(Unavailable, match="NoPermission"):
            await sink.open()
        for each in (cache, sink, *blocklists):
            await each.close()

    asyncio.run(run())


def test_what_is_no_address_says_what_was_expected():
    with pytest.raises(Unavailable, match="expected redis://host:port or rediss://host:port"):
        asyncio.run(RedisSink("localhost:6379", WEEK).open())
