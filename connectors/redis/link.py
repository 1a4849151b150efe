"""A connection to Redis: its bounds, and what its failures say.

Guarantees: the library tries nothing again by itself (in its version 8 it would take seconds to say that a server is
gone); a fault holds no password. How long an answer may take is said by who asks, with `asyncio.timeout`: the library's own
bound is a `wait_for`, which on Python 3.11 may swallow that the task was cancelled.
"""

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from connectors.sink import Unavailable

SINK_SECONDS = 5.0
"""The longest that a sink waits for an answer."""

READ_SECONDS = 0.25
"""The longest that a reader waits: for a connection, and for an answer."""

CONNECTIONS_MAX = 16

FAILURES = (RedisError, OSError, TimeoutError, UnicodeError)
"""What a call to Redis may raise."""


def client_of(url: str, seconds: float, name: str) -> Any:
    """A client of `redis://user:password@host:port/number` (or `rediss://`), which connects when it is used.

    Raises Unavailable where that is no address.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=seconds,
            socket_timeout=None,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            client_name=name.replace(" ", "-"),
            decode_responses=True,
        )
    except ValueError as error:
        raise Unavailable(
            f"Redis: expected redis://host:port or rediss://host:port, found: {error}"
        ) from error
    return Redis.from_pool(pool)


def unavailable(error: BaseException) -> Unavailable:
    """What a failure is to the runtime of sinks: Redis is a cache, and refuses nothing for its content."""
    return Unavailable(f"Redis: expected an answer, found: {said(error)}")


def said(error: BaseException) -> str:
    """A failure in words."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
