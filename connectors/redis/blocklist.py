"""Tokens that were revoked before their time: `jwt:blocklist:{jti}`, each until the token would have expired anyway.

Owns: the keys of the blocklist.
Guarantees: an answer within `READ_SECONDS`; where Redis does not answer it is `unknown`, never `valid`. What this process
revoked, or saw revoked, stays revoked for it though Redis loses it; what nobody else knows is lost with Redis, so keep its
append-only file and tokens that live for minutes.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from connectors.redis.keys import blocked_key
from connectors.redis.link import FAILURES, READ_SECONDS, client_of, unavailable
from connectors.sink import Unavailable

KNOWN_MAX = 100_000


class TokenState(StrEnum):
    """What the blocklist says of a token."""

    VALID = "valid"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    """Redis does not answer: whoever asks decides, and should refuse."""


class TokenBlocklist:
    """The revoked tokens; `clock` is the time in nanoseconds."""

    def __init__(self, url: str, clock: Callable[[], int] = time.time_ns) -> None:
        self._client = client_of(url, READ_SECONDS, "pks blocklist")
        self._clock = clock
        self._known: OrderedDict[str, int] = OrderedDict()

    async def add(self, token_id: str, expires_at: int) -> None:
        """Revoke a token (its `jti`) that expires at `expires_at`, in nanoseconds.

        Raises Unavailable where Redis did not take it: then only this process knows. ValueError for what is no id.
        """
        key = blocked_key(token_id)
        if expires_at <= self._clock():
            return
        self._note(token_id, expires_at)
        # Rounded up: it must not end before the token.
        await self._ask(self._client.set(key, "1", pxat=-(-expires_at // 1_000_000)))

    async def state(self, token_id: str) -> TokenState:
        """Whether a token is revoked. Raises ValueError for what is no id."""
        key = blocked_key(token_id)
        now = self._clock()
        if self._known.get(token_id, 0) > now:
            return TokenState.REVOKED
        try:
            # -2: there is no such key.
            ttl = int(await self._ask(self._client.pttl(key)))
        except Unavailable:
            return TokenState.UNKNOWN
        if ttl == -2:
            return TokenState.VALID
        self._note(token_id, now + max(ttl, 0) * 1_000_000)
        return TokenState.REVOKED

    def _note(self, token_id: str, expires_at: int) -> None:
        self._known[token_id] = expires_at
        self._known.move_to_end(token_id)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def _ask(self, call: Any) -> Any:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await call
        except FAILURES as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Disconnect; never raises."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.aclose(), READ_SECONDS)
