"""Asking a service over HTTP, as good neighbours do: at a bounded rate, with what is known already, and not at once again.

Owns: the pace of requests, what was answered last to each (by `ETag` or `Last-Modified`), and short retries.
Assumes: one event loop; an adapter that is tried again as a whole by the runtime of sources, with its breaker.
Guarantees: no two requests closer than `seconds_between`; a service that asks to wait (`Retry-After`) is asked no sooner;
an answer is at most `BODY_BYTES_MAX`, and at most `KEPT_MAX` are kept; whatever fails is `Unavailable`, in words.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
import stamina

from connectors.sink import Unavailable

ANSWER_SECONDS_MAX = 30.0
BODY_BYTES_MAX = 64 * 1024**2
KEPT_MAX = 256
"""Most answers that are kept to be asked for by their tags; those that were asked for first go."""

KEPT_BYTES_MAX = 64 * 1024**2
ATTEMPTS_MAX = 3
"""Attempts at one request; after that the whole source is tried again, later and later."""

RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 0.2, 2.0
RETRY_AFTER_SECONDS_MAX = 300.0

_NOT_MODIFIED, _UNAUTHORISED, _TOO_MANY, _UNAVAILABLE = 304, 401, 429, 503


class _Passing(Exception):
    """A failure that may be over in a moment."""


class Unauthorised(Unavailable):
    """The service does not know who asks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and whether it is another one than the last time."""

    body: bytes
    changed: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    tags: Mapping[str, str]


class HttpClient:
    """Asks one service. `address` is what paths are put behind."""

    def __init__(self, name: str, address: str, *, requests_per_second: float) -> None:
        self._name = name
        self._address = address.rstrip("/")
        self._seconds_between = 1.0 / requests_per_second
        self._next_at = 0.0
        self._kept: dict[str, _Kept] = {}
        self._kept_bytes = 0
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        self.unchanged = 0

    async def open(self) -> None:
        """Begin; nothing is asked yet."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX), raise_for_status=False
        )

    async def close(self) -> None:
        """Let connections go."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(
        self, path: str, parameters: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """What is answered to GET. Raises Unavailable."""
        return await self._ask("GET", path, parameters or {}, headers or {})

    async def post(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """What is answered to POST without a body. Raises Unavailable."""
        return await self._ask("POST", path, parameters, {})

    async def _ask(
        self, method: str, path: str, parameters: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        try:
            async for attempt in stamina.retry_context(
                on=_Passing,
                attempts=ATTEMPTS_MAX,
                wait_initial=RETRY_SECONDS_FIRST,
                wait_max=RETRY_SECONDS_MAX,
            ):
                with attempt:
                    return await self._ask_once(method, path, parameters, headers)
        except _Passing as error:
            raise Unavailable(f"{self._name}: expected an answer to {path}, found {error}") from error
        raise AssertionError("the last attempt returns or raises")

    async def _ask_once(
        self, method: str, path: str, parameters: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        assert self._session is not None, "open came first"
        await self._wait_for_turn()
        key = f"{path}?{sorted(parameters.items())}"
        kept = self._kept.get(key) if method == "GET" else None
        asked = {**headers, **({} if kept is None else kept.tags)}
        self.requests += 1
        try:
            async with self._session.request(
                method, self._address + path, params=parameters, headers=asked
            ) as answer:
                if answer.status == _NOT_MODIFIED and kept is not None:
                    self.unchanged += 1
                    return Answer(kept.body, changed=False)
                self._check(answer, path)
                body = await self._body(answer, path)
                if method == "GET":
                    self._keep(key, body, answer.headers)
                return Answer(body, changed=kept is None or kept.body != body)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise _Passing(str(error) or type(error).__name__) from error

    async def _wait_for_turn(self) -> None:
        now = time.monotonic()
        turn = max(now, self._next_at)
        self._next_at = turn + self._seconds_between
        await asyncio.sleep(turn - now)

    def _check(self, answer: aiohttp.ClientResponse, path: str) -> None:
        """Raises for any status but success."""
        status = answer.status
        if 200 <= status < 300:
            return
        found = f"HTTP status {status}"
        if status in (_TOO_MANY, _UNAVAILABLE):
            seconds = retry_after_seconds(answer.headers.get("Retry-After"), time.time())
            if seconds is not None:
                self._next_at = max(self._next_at, time.monotonic() + seconds)
                raise Unavailable(
                    f"{self._name}: expected an answer to {path}, found {found}: asked to wait {seconds:.0f} s"
                )
        if status == _UNAUTHORISED:
            raise Unauthorised(f"{self._name}: expected to be let in at {path}, found {found}")
        if status >= 500 or status == _TOO_MANY:
            raise _Passing(found)
        raise Unavailable(
            f"{self._name}: expected an answer to {path}, found {found}: look at the address and what is asked for"
        )

    async def _body(self, answer: aiohttp.ClientResponse, path: str) -> bytes:
        parts = bytearray()
        async for part in answer.content.iter_chunked(64 * 1024):
            parts += part
            if len(parts) > BODY_BYTES_MAX:
                raise Unavailable(
                    f"{self._name}: expected at most {BODY_BYTES_MAX} bytes from {path}, found more"
                )
        return bytes(parts)

    def _keep(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        tags = {}
        for asked, said in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
            if headers.get(said):
                tags[asked] = headers[said]
        before = self._kept.pop(key, None)
        self._kept_bytes -= 0 if before is None else len(before.body)
        if not tags or len(body) > KEPT_BYTES_MAX:
            return
        self._kept[key] = _Kept(body, tags)
        self._kept_bytes += len(body)
        while len(self._kept) > KEPT_MAX or self._kept_bytes > KEPT_BYTES_MAX:
            first = next(iter(self._kept))
            self._kept_bytes -= len(self._kept.pop(first).body)


def retry_after_seconds(text: str | None, now: float) -> float | None:
    """How long `Retry-After` asks to wait: seconds, or until a date; within bounds. None where it says nothing."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
