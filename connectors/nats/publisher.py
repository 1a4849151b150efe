"""Publishing in bulk: many messages on their way at once, each confirmed by the server, counted on an inbox of our own.

Owns: when a publication is confirmed, and what a refusal means.
Assumes: one publication at a time, on a connection that does not reconnect by itself; subjects and names of headers that
need no check.
Guarantees: `publish` returns when every message is stored (or was before, under the same id); messages are sent in
their order; at most `OUTSTANDING_MAX` are unconfirmed. (nats-py's own `publish_async` has a future for each message,
which costs half of the speed.)
"""

import asyncio
import json
from collections.abc import Sequence
from typing import NamedTuple

import nats.errors

from connectors.nats.link import Complaints, Connection
from connectors.sink import Refused, Unavailable

OUTSTANDING_MAX = 2_000
CONFIRM_SECONDS = 5.0
"""A server that confirms nothing for so long counts as gone."""

_TOGETHER = 64
"""Messages that are sent at once; then the loop reads what has arrived, so that confirmations are taken while we send."""

_LINE_ENDS = str.maketrans("\r\n", "  ")

_CONTENT_FAULTS = frozenset({10054})
"""Error codes of JetStream that speak of the message itself: it is larger than its stream takes."""


class Outgoing(NamedTuple):
    """A message to publish."""

    subject: str
    payload: bytes
    headers: dict[str, str]


class Publisher:
    """Publishes through a connection; `open` first. `duplicates` counts what the server had already."""

    def __init__(self, client: Connection, complaints: Complaints) -> None:
        self._client = client
        self._complaints = complaints
        self._inbox = client.new_inbox()
        self._outstanding = self._most = 0
        self._changed = asyncio.Event()
        self._fault: Exception | None = None
        complaints.on_change = self._changed.set
        self.duplicates = 0

    async def open(self) -> None:
        """Subscribe to the inbox of confirmations."""
        await self._client.listen(self._inbox, self._answered)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages in order; returns when all are stored.

        Raises Refused where the server does not take one for what it is (the others are stored), and Unavailable where
        it does not answer or lacks the stream, the room or the right: any of them may be stored then.
        """
        self._fault = None
        try:
            for start in range(0, len(messages), _TOGETHER):
                if start:
                    await asyncio.sleep(0)
                if self._outstanding > OUTSTANDING_MAX - _TOGETHER:
                    await self._wait(OUTSTANDING_MAX // 2)
                await self._send(messages[start : start + _TOGETHER])
            await self._wait(0)
        except (OSError, nats.errors.Error) as error:
            raise Unavailable(f"NATS: expected to publish, found: {error or type(error).__name__}") from error
        if self._fault is not None:
            raise self._fault

    async def _send(self, messages: Sequence[Outgoing]) -> None:
        """Send messages; one that is larger than the server takes is left out, and noted as the fault."""
        commands = []
        for message in messages:
            head = _head(message.headers)
            size = len(head) + len(message.payload)
            if size > self._client.max_payload:
                self._fault = self._fault or Refused(
                    f"expected a message of at most {self._client.max_payload} bytes, found {size}"
                )
                continue
            commands += [
                f"HPUB {message.subject} {self._inbox} {len(head)} {size}\r\n".encode(),
                head,
                message.payload,
                b"\r\n",
            ]
            self._outstanding += 1
        await self._client.send_many(b"".join(commands))

    async def _wait(self, most: int) -> None:
        """Wait until at most so many messages are unconfirmed. Raises Unavailable."""
        self._most = most
        while self._outstanding > most:
            if self._complaints.denied:
                denied, self._complaints.denied = self._complaints.denied, ""
                raise Unavailable(f"NATS: expected the right to publish, found: {denied}")
            if self._complaints.gone or self._client.is_closed:
                raise Unavailable("NATS: expected confirmations, found that the connection was lost")
            before = self._outstanding
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), CONFIRM_SECONDS)
            except TimeoutError:
                if self._outstanding < before:
                    continue
                raise Unavailable(
                    f"NATS: expected {self._outstanding} confirmations, found none in {CONFIRM_SECONDS:.0f} s"
                ) from None

    def _answered(self, data: bytes) -> None:
        self._outstanding -= 1
        if b'"error"' in data or not data:
            self._fault = self._fault or _fault_of(data)
        elif b'"duplicate"' in data:
            self.duplicates += 1
        # Whoever waits is woken once, not by each confirmation.
        if self._outstanding <= self._most:
            self._changed.set()


def _head(headers: dict[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        lines = "".join([f"{name}: {value.translate(_LINE_ENDS)}\r\n" for name, value in headers.items()])
    return f"NATS/1.0\r\n{lines}\r\n".encode()


def _fault_of(data: bytes) -> Exception:
    if not data:
        return Unavailable("NATS: expected a stream that takes the subject, found none")
    error = json.loads(data)["error"]
    text = f"NATS: expected the message to be stored, found: {error.get('description')} ({error.get('err_code')})"
    return Refused(text) if error.get("err_code") in _CONTENT_FAULTS else Unavailable(text)
