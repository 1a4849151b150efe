"""Sinks that tell people of dead letters: one message at a time, and not too many.

What comes while a message may not be sent yet waits in the log, and is in the next one: so the rate is limited without
anything being left out, and a burst of thousands is two messages.

Guarantees: at least once; nothing that is logged or raised holds an address, which may hold a secret.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from connectors.alerts.messages import document_of, letters_of, text_of
from connectors.sink import Batch, TopicPartition, Unavailable
from schemas import topics

ANSWER_SECONDS_MAX = 10.0
RETRY_AFTER_SECONDS_MAX = 300.0
"""The longest that a server which asks for patience is given at a time."""

_TOO_MANY = 429


class AlertsSink(ABC):
    """What both channels have in common; `seconds` is the least between two messages."""

    keeps_offsets = False
    name: str
    topics: Sequence[str] = (
        topics.FILL_DEAD_LETTERS.name,
        topics.BOOKING_DEAD_LETTERS.name,
        topics.STAGE_DEAD_LETTERS.name,
        topics.SINK_DEAD_LETTERS.name,
    )

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next_at = 0.0
        self._session: aiohttp.ClientSession | None = None

    @abstractmethod
    def _request(self, letters: Sequence[Any]) -> tuple[str, dict[str, Any]]:
        """Address and JSON document of a message."""

    async def open(self) -> Mapping[TopicPartition, int]:
        """Nothing is asked before there is something to say."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX))
        return {}

    async def write(self, batch: Batch) -> None:
        """Send one message about all letters of a batch, as soon as one may be sent. Raises Unavailable."""
        letters = letters_of([item.event for item in batch.items])
        if not letters:
            return
        await asyncio.sleep(self._next_at - time.monotonic())
        await self._send(*self._request(letters))
        self._next_at = time.monotonic() + self._seconds

    async def _send(self, address: str, document: dict[str, Any]) -> None:
        assert self._session is not None, "open came first"
        try:
            async with self._session.post(address, json=document) as answer:
                status = answer.status
                if status == _TOO_MANY:
                    self._next_at = time.monotonic() + await _patience(answer)
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise Unavailable(f"{self.name}: expected an answer, found {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise Unavailable(f"{self.name}: expected the message to be taken, found HTTP status {status}")

    async def close(self) -> None:
        """Let the connection go."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _patience(answer: aiohttp.ClientResponse) -> float:
    """How many seconds a server asks to wait: `parameters.retry_after` of its document, or its header."""
    asked: Any = answer.headers.get("Retry-After", "1")
    try:
        found = await answer.json(content_type=None)
        asked = found["parameters"]["retry_after"]
    except (ValueError, KeyError, TypeError):
        pass
    try:
        return min(max(float(asked), 0.0), RETRY_AFTER_SECONDS_MAX)
    except (TypeError, ValueError):
        return 1.0


class WebhookSink(AlertsSink):
    """Posts a JSON document: `text`, `count`, and the first `dead_letters`."""

    name = "alerts-webhook"

    def __init__(self, address: str, seconds: float) -> None:
        super().__init__(seconds)
        self._address = address

    def _request(self, letters: Sequence[Any]) -> tuple[str, dict[str, Any]]:
        return self._address, document_of(letters)


class TelegramSink(AlertsSink):
    """Posts `sendMessage` to a bot of an endpoint in the shape of Telegram's."""

    name = "alerts-telegram"

    def __init__(self, address: str, token: str, chat: str, seconds: float) -> None:
        super().__init__(seconds)
        self._address = f"{address.rstrip('/')}/bot{token}/sendMessage"
        self._chat = chat

    def _request(self, letters: Sequence[Any]) -> tuple[str, dict[str, Any]]:
        return self._address, {"chat_id": self._chat, "text": text_of(letters)}
