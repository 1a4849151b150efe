"""Whatever happens to what Redis has, or on the way to it, it ends with the newest mark of each instrument of the log."""

import shutil
from collections.abc import Iterator

import pytest

from tests.faults.sinks.far_sides import RedisSide, until
from tests.proxy import Cut, Proxy, proxied
from tests.redis_support import plain_client
from tests.sink_support import following
from tests.support import eventually


@pytest.fixture
def proxy(redis_side: RedisSide) -> Iterator[Proxy]:
    with proxied(lambda: redis_side.server.port) as running:
        yield running


def test_started_again_with_nothing_it_is_filled_from_the_log(redis_side: RedisSide):
    following_sink = redis_side.sink()
    with following(following_sink, redis_side.books.folder) as status:
        until(redis_side, lambda: status.written > 50)
        redis_side.ties()
        redis_side.server.kill()
        shutil.rmtree(redis_side.server.folder)
        redis_side.server.start()
        # No mark comes any more: the sink finds out by itself.
        redis_side.ties()
        assert following_sink.complaints["lost"] == 1


def test_emptied_by_somebody_it_is_filled_from_the_log(redis_side: RedisSide):
    with following(redis_side.sink(), redis_side.books.folder) as status:
        until(redis_side, lambda: status.written > 50)
        redis_side.ties()
        with plain_client(redis_side.server) as client:
            client.flushall()
        redis_side.ties()
        assert status.refused == 0


@pytest.mark.parametrize(
    "cut",
    [
        Cut(bytes_sent=20_000),
        Cut(text=b"EVALSHA"),
        Cut(text=b"md:mark:v1:I3", answered=True),
        Cut(text=b"pks:sink:redis"),
    ],
    ids=["in bytes", "in a batch", "before the answer", "on connecting"],
)
def test_a_connection_that_is_reset(redis_side: RedisSide, proxy: Proxy, cut: Cut):
    proxy.plan(cut)
    with following(redis_side.sink(proxy.port), redis_side.books.folder) as status:
        until(redis_side, lambda: proxy.cuts)
        eventually(lambda: status.state == "running", 60)
        redis_side.ties()
        assert status.refused == 0


def test_credentials_withdrawn_and_given_back(redis_side: RedisSide):
    with plain_client(redis_side.server) as client:
        client.execute_command("ACL", "SETUSER", "withdrawn", "on", ">first", "~*", "+@all")
        with following(redis_side.sink(user="withdrawn:first@"), redis_side.books.folder) as status:
            until(redis_side, lambda: status.written > 50)
            client.execute_command("ACL", "SETUSER", "withdrawn", "resetpass", ">second")
            client.execute_command("CLIENT", "KILL", "USER", "withdrawn")
            until(redis_side, lambda: "AuthenticationError" in status.trouble)
            assert "first" not in status.trouble
            client.execute_command("ACL", "SETUSER", "withdrawn", "resetpass", ">first")
            redis_side.ties()
            # The right to write alone is taken: that is no fault of any mark.
            client.execute_command("ACL", "SETUSER", "withdrawn", "-@write")
            until(redis_side, lambda: "NoPermission" in status.trouble or "NOPERM" in status.trouble)
            client.execute_command("ACL", "SETUSER", "withdrawn", "+@all")
            redis_side.ties()
            assert status.refused == 0


def test_a_server_without_memory_is_waited_for(redis_side: RedisSide):
    with (
        plain_client(redis_side.server) as client,
        following(redis_side.sink(), redis_side.books.folder) as status,
    ):
        until(redis_side, lambda: status.written > 50)
        client.config_set("maxmemory", "1")
        client.config_set("maxmemory-policy", "noeviction")
        until(redis_side, lambda: "OutOfMemory" in status.trouble or "OOM" in status.trouble)
        client.config_set("maxmemory", "0")
        redis_side.ties()
        assert status.refused == 0
