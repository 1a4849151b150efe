"""Updates of positions from NATS, in order, from any place that the stream still has.

    async with PositionStream("nats://127.0.0.1:4222", from_sequence=1) as updates:
        async for update in updates:
            print(update.sequence, update.book, update.instrument, update.quantity)

Needs the extra `nats`: `pip install 'pks-client[nats]'`.

Guarantees: updates of a position come in the order of its revisions; one that was published twice comes once, within
the last `IDS_MAX`; after a lost connection or a restart of the server reading goes on behind the last update that was
handed out, by itself. An update says the whole position, so that one that is skipped (the stream had dropped it,
`update.skipped`) is made good by the next.
"""

import asyncio
import contextlib
import json
import random
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Self, TypeVar
from uuid import uuid4

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from .errors import NotAvailable
from .events_pb2 import PositionUpdated

STREAM = "POSITIONS"
SUBJECT = "bo.position.updated.v1"

IDS_MAX = 100_000
"""Event ids that are remembered, by which a repeat is known."""

BATCH_MESSAGES = 500
"""Messages that are asked for and have not come, at most. More are asked for when half of them have come, so that the server
need not wait for us."""

HEARTBEAT_SECONDS = 2.0
RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 0.1, 5.0
_EXPIRES_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_PATIENCE = {"connect_timeout": _CONNECT_SECONDS, "reconnect_time_wait": RETRY_SECONDS_FIRST}
_NANOSECONDS = 1_000_000_000
_STATUS = b"NATS/1.0 "
_PENDING = re.compile(rb"Nats-Pending-Messages: *(\d+)")
_REPLY_TOKENS = 9
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class PositionUpdate:
    """A position after one applied event. `sequence` is its place in the stream, `revision` counts the events applied to
    the position; `skipped` says how many revisions before it did not come. `message` has every field."""

    sequence: int
    book: str
    instrument: str
    quantity: Decimal
    average_price: Decimal | None
    realised_pnl: Decimal
    executed_at: int
    revision: int
    skipped: int
    message: Any


class _Message(NamedTuple):
    """What came: the subject that says its place in the stream, its payload, its headers as they came."""

    reply: bytes
    data: bytes
    headers: bytes | None


class _Arrivals:
    """What came and was not read yet; None is the loss of the connection."""

    def __init__(self) -> None:
        self.waiting: deque[_Message | None] = deque()
        self._some: asyncio.Future[None] | None = None

    def add(self, message: _Message | None) -> None:
        """Take one in, and wake whoever waits."""
        self.waiting.append(message)
        if self._some is not None and not self._some.done():
            self._some.set_result(None)

    async def some(self, seconds_max: float) -> None:
        """Wait until there is one. Raises TimeoutError."""
        if not self.waiting:
            self._some = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(seconds_max):
                await self._some


class _Connection(Client):
    """A client that says at once that it was lost, and lets go of its socket in any case: nats-py does neither where it
    trips over what it had still to send. What comes to the inbox that is listened to goes straight to the arrivals: nats-py
    makes an object, an entry of a queue and a turn of a task of each message, which cost more than to read it.
    """

    def __init__(self, arrivals: _Arrivals) -> None:
        super().__init__()
        self._arrivals = arrivals
        self._listened = 0

    async def listen(self, inbox: str) -> None:
        self._listened = (await self.subscribe(inbox, cb=_arrived))._id

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        if sid == self._listened:
            self._arrivals.add(_Message(reply, data, headers))
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    async def _process_op_err(self, e: Exception) -> None:
        self._arrivals.add(None)
        with contextlib.suppress(OSError):
            await super()._process_op_err(e)

    async def end(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.close()
        # Whatever it waits for (the end of a handshake that failed, a peer that takes nothing), its socket goes.
        for name in ("_io_writer", "_bare_io_writer"):
            writer = getattr(self._transport, name, None)
            if writer is not None:
                writer.transport.abort()
        await asyncio.sleep(0)


async def _arrived(_: Msg) -> None:
    """What nats-py would call; the messages go another way."""


class PositionStream:
    """Updates of all positions, or of one book's, from a sequence of the stream on (None: from now on).

    `consumer` is the name that the server's configuration allows us, for one stream at a time; None takes a new one.
    `options` go to `nats.connect`: `nkeys_seed_str` or `nkeys_seed` (a file), `tls` (an SSL context), `inbox_prefix`.
    """

    def __init__(
        self,
        url: str,
        *,
        book: str | None = None,
        from_sequence: int | None = None,
        consumer: str | None = None,
        **options: Any,
    ) -> None:
        self._url = url
        self._subject = f"{SUBJECT}.{'*' if book is None else _token(book)}"
        self._next = from_sequence
        self._options: Mapping[str, Any] = options
        self._client: _Connection | None = None
        self._arrivals = _Arrivals()
        self._inbox = ""
        self._name = consumer
        self._consumer = ""
        self._remaining = 0
        self._revisions: dict[tuple[str, str], int] = {}
        self._ids: set[str] = set()
        self._ids_in_order: deque[str] = deque()
        self._refused: asyncio.Future[str] | None = None
        self.reconnects = 0

    async def __aenter__(self) -> Self:
        """Connect. Raises NotAvailable where there is no such server, stream or right."""
        try:
            await self._open()
        except (OSError, nats.errors.Error, ssl.SSLError) as error:
            await self._close()
            found = str(error) or type(error).__name__
            raise NotAvailable(f"expected the stream {STREAM} on {self._url}, found: {found}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._close()

    async def __aiter__(self) -> AsyncIterator[PositionUpdate]:
        """Updates without end."""
        pause = RETRY_SECONDS_FIRST
        while True:
            try:
                if self._client is None:
                    await self._open()
                    self.reconnects += 1
                await self._arrivals.some(3 * HEARTBEAT_SECONDS)
                # What is not read when the loop over the updates is left stays for the next.
                while self._arrivals.waiting:
                    message = self._arrivals.waiting.popleft()
                    if message is None:
                        raise nats.errors.ConnectionClosedError
                    is_update = self._is_update(message)
                    if self._remaining <= BATCH_MESSAGES // 2:
                        await self._ask()
                    update = self._update(message) if is_update else None
                    if update is not None:
                        pause = RETRY_SECONDS_FIRST
                        yield update
            except (OSError, nats.errors.Error, TimeoutError):
                await self._close()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                pause = min(2 * pause, RETRY_SECONDS_MAX)

    async def _open(self) -> None:
        self._arrivals = _Arrivals()
        # Ours before it connects: what fails half way has a socket to close.
        client = self._client = _Connection(self._arrivals)
        await client.connect(
            self._url,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # of each address; the loop above tries again
            error_cb=self._complained,
            **{**_PATIENCE, **self._options},
        )
        start: dict[str, Any] = {"deliver_policy": DeliverPolicy.NEW}
        if self._next is not None:
            start = {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": max(1, self._next)}
        jetstream = client.jetstream(timeout=_CONNECT_SECONDS)
        self._consumer = self._name or f"client_{uuid4().hex}"
        if self._name is not None:
            with contextlib.suppress(NotFoundError):  # what an earlier connection left
                await self._unless_refused(jetstream.delete_consumer(STREAM, self._name))
        config = ConsumerConfig(
            name=self._consumer,
            ack_policy=AckPolicy.NONE,
            filter_subject=self._subject,
            inactive_threshold=2 * _EXPIRES_SECONDS,
            mem_storage=True,
            **start,
        )
        made = await self._unless_refused(jetstream.add_consumer(STREAM, config))
        if self._next is None and made.delivered is not None:
            # What comes while the connection is lost is not missed, even before the first update.
            self._next = made.delivered.stream_seq + 1
        self._inbox = client.new_inbox()
        self._remaining = 0
        await client.listen(self._inbox)
        await self._ask()

    async def _complained(self, error: Exception) -> None:
        refused = self._refused
        if refused is not None and not refused.done() and "violation" in str(error).lower():
            refused.set_result(str(error))

    async def _unless_refused(self, asked: Coroutine[Any, Any, _Answer]) -> _Answer:
        """The answer to a request. A subject that is not allowed has none: the server says so aside."""
        refused = self._refused = asyncio.get_running_loop().create_future()
        answer = asyncio.ensure_future(asked)
        await asyncio.wait((answer, refused), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            raise nats.errors.Error(refused.result())
        return answer.result()

    async def _ask(self) -> None:
        """Ask for as many more as may be on their way."""
        assert self._client is not None, "it is open"
        more = BATCH_MESSAGES - self._remaining
        self._remaining += more
        asked = {
            "batch": more,
            "expires": int(_EXPIRES_SECONDS * _NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * _NANOSECONDS),
        }
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._consumer}",
            json.dumps(asked).encode(),
            reply=self._inbox,
        )

    def _is_update(self, message: _Message) -> bool:
        """Whether a message is one of the stream. Raises nats.errors.Error where the server says that no more will come."""
        headers = message.headers or b""
        if message.data or not headers.startswith(_STATUS):
            self._remaining -= 1
            return True
        status, _, description = headers[len(_STATUS) :].partition(b"\r\n")[0].decode().partition(" ")
        if status == "408":  # the end of a request, and how many of it did not come
            pending = _PENDING.search(headers)
            self._remaining -= int(pending[1]) if pending else BATCH_MESSAGES
        elif status != "100":  # a heartbeat
            raise nats.errors.Error(f"{status} {description}")
        return False

    def _update(self, message: _Message) -> PositionUpdate | None:
        """The update that a message holds; None where it came before."""
        sequence = _sequence(message.reply)
        self._next = sequence + 1
        found = PositionUpdated.FromString(message.data)
        if self._came_before(found.event_id):
            return None
        key = (found.book, found.instrument)
        revision = found.revision
        before = self._revisions.get(key, revision - 1)
        self._revisions[key] = revision
        average_price = found.average_price
        return PositionUpdate(
            sequence,
            *key,
            Decimal(found.quantity),
            Decimal(average_price) if average_price else None,
            Decimal(found.realised_pnl),
            found.executed_at,
            revision,
            max(0, revision - before - 1),
            found,
        )

    def _came_before(self, event_id: str) -> bool:
        """Whether an id came before; it is remembered."""
        if event_id in self._ids:
            return True
        self._ids.add(event_id)
        self._ids_in_order.append(event_id)
        if len(self._ids) > IDS_MAX:
            self._ids.remove(self._ids_in_order.popleft())
        return False

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.end()


def _sequence(reply: bytes) -> int:
    """The place in the stream that a message's reply subject says: `$JS.ACK.STREAM.CONSUMER.DELIVERED.PLACE.…`, in a later
    form with the domain and the account before the stream."""
    tokens = reply.split(b".")
    return int(tokens[5 if len(tokens) == _REPLY_TOKENS else 7])


def _token(book: str) -> str:
    """A book as one token of a subject."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in letter.encode())
        if letter in ".*>%" or letter.isspace()
        else letter
        for letter in book
    )
