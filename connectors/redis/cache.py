"""Reading marks and curves out of Redis, by programs that must not wait for it.

Owns: what a reader is told when Redis does not answer, and what it answered last.
Guarantees: an answer comes within `READ_SECONDS`, and at once while Redis is known not to answer (one call a second
tries again); an answer says whether it is Redis's own, or the last that Redis gave. At most `known_max` are remembered.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.redis.keys import Curve, Mark, curve_key, mark_key, read_back
from connectors.redis.link import FAILURES, READ_SECONDS, client_of, said

AGAIN_SECONDS = 1.0
"""Between two attempts while Redis does not answer."""


class Standing(StrEnum):
    """Where an answer comes from."""

    CURRENT = "current"
    """Redis has it now."""

    ABSENT = "absent"
    """Redis has none."""

    LAST_KNOWN = "last_known"
    """Redis does not answer, or lost it before its time: it is what Redis said `age_seconds` ago."""

    UNAVAILABLE = "unavailable"
    """Redis does not answer, and has not before."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer: `value` is the mark or curve (wire twin), None where there is none; `trouble` says what is wrong."""

    standing: Standing
    value: Any | None = None
    age_seconds: float = 0.0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    value: Any
    read_at: float
    expires_at: float


class MarketDataCache:
    """Marks and curves, as Redis has them; `clock` counts seconds and never goes back."""

    def __init__(
        self, url: str, *, known_max: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client_of(url, READ_SECONDS, "pks reader")
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._known_max = known_max
        self._clock = clock
        self._again_at = 0.0
        self._trouble = ""

    async def mark(self, instrument: str) -> Reading:
        """The newest mark of an instrument."""
        return (await self.marks([instrument]))[instrument]

    async def marks(self, instruments: Sequence[str]) -> dict[str, Reading]:
        """The newest marks of instruments, by instrument."""
        readings = await self._read(Mark, [mark_key(instrument) for instrument in instruments])
        return dict(zip(instruments, readings, strict=True))

    async def curve(self, curve: str) -> Reading:
        """A curve in its newest version."""
        return (await self._read(Curve, [curve_key(curve)]))[0]

    async def _read(self, kind: Any, keys: Sequence[str]) -> list[Reading]:
        now = self._clock()
        if now < self._again_at:
            return [self._remembered(key, now) for key in keys]
        if self._trouble:
            # The others go on without Redis while this one tries.
            self._again_at = now + AGAIN_SECONDS
        try:
            async with asyncio.timeout(READ_SECONDS):
                ask = self._client.pipeline(transaction=False)
                for key in keys:
                    ask.hgetall(key).pttl(key)
                found = await ask.execute()
        except FAILURES as error:
            self._trouble = f"Redis: expected an answer within {READ_SECONDS} s, found: {said(error)}"
            self._again_at = self._clock() + AGAIN_SECONDS
            return [self._remembered(key, now) for key in keys]
        self._trouble, self._again_at = "", 0.0
        return [
            self._reading(kind, key, fields, ttl, now)
            for key, fields, ttl in zip(keys, found[::2], found[1::2], strict=True)
        ]

    def _reading(self, kind: Any, key: str, fields: dict[str, str], ttl: int, now: float) -> Reading:
        if not fields:
            known = self._known.get(key)
            if known is not None and now < known.expires_at:
                trouble = f"{key}: expected what Redis had, found none before its time: it lost its contents"
                return Reading(Standing.LAST_KNOWN, known.value, now - known.read_at, trouble)
            self._known.pop(key, None)
            return Reading(Standing.ABSENT)
        try:
            value = read_back(kind, key, fields)
        except ValueError as error:
            return Reading(Standing.UNAVAILABLE, trouble=str(error))
        self._known[key] = _Known(value, now, now + ttl / 1_000)
        self._known.move_to_end(key)
        if len(self._known) > self._known_max:
            self._known.popitem(last=False)
        return Reading(Standing.CURRENT, value)

    def _remembered(self, key: str, now: float) -> Reading:
        known = self._known.get(key)
        if known is None:
            return Reading(Standing.UNAVAILABLE, trouble=self._trouble)
        return Reading(Standing.LAST_KNOWN, known.value, now - known.read_at, self._trouble)

    async def close(self) -> None:
        """Disconnect; never raises."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.aclose(), READ_SECONDS)
