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
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self, TypeVar
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


class _Connection(Client):
    """A client that says at once that it was lost (`on_loss`), and lets go of its socket in any case: nats-py does neither
    where it trips over what it had still to send."""

    def __init__(self, on_loss: Callable[[], None]) -> None:
        super().__init__()
        self._on_loss = on_loss

    async def _process_op_err(self, e: Exception) -> None:
        self._on_loss()
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
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._inbox = ""
        self._name = consumer
        self._consumer = ""
        self._remaining = 0
        self._revisions: dict[tuple[str, str], int] = {}
        self._ids: dict[str, None] = {}
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
                async for message in self._messages():
                    pause = RETRY_SECONDS_FIRST
                    update = self._update(message)
                    if update is not None:
                        yield update
            except (OSError, nats.errors.Error, TimeoutError):
                await self._close()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                pause = min(2 * pause, RETRY_SECONDS_MAX)

    async def _open(self) -> None:
        arrived = self._arrived = asyncio.Queue()
        # Ours before it connects: what fails half way has a socket to close.
        client = self._client = _Connection(lambda: arrived.put_nowait(None))
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
        await client.subscribe(self._inbox, cb=self._arrive)
        await self._ask()

    async def _arrive(self, message: Msg) -> None:
        self._arrived.put_nowait(message)

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

    async def _messages(self) -> AsyncIterator[Msg]:
        """Messages as they come. Raises TimeoutError where the server is silent, nats.errors.Error where it is gone."""
        arrived = self._arrived
        while True:
            if arrived.empty():
                message = await asyncio.wait_for(arrived.get(), 3 * HEARTBEAT_SECONDS)
            else:
                message = arrived.get_nowait()
            if message is None:
                raise nats.errors.ConnectionClosedError
            headers = message.headers or {}
            status = headers.get("Status") if not message.data else None
            if status is None:
                self._remaining -= 1
                yield message
            elif status == "408":  # the end of a request, and how many of it did not come
                self._remaining -= int(headers.get("Nats-Pending-Messages", BATCH_MESSAGES))
            elif status != "100":  # a heartbeat
                raise nats.errors.Error(f"{status} {headers.get('Description')}")
            if self._remaining <= BATCH_MESSAGES // 2:
                await self._ask()

    def _update(self, message: Msg) -> PositionUpdate | None:
        """The update that a message holds; None where it came before."""
        sequence = message.metadata.sequence.stream
        self._next = sequence + 1
        found = PositionUpdated.FromString(message.data)
        if found.event_id in self._ids:
            return None
        self._ids[found.event_id] = None
        if len(self._ids) > IDS_MAX:
            del self._ids[next(iter(self._ids))]
        key = (found.book, found.instrument)
        before = self._revisions.get(key, found.revision - 1)
        self._revisions[key] = found.revision
        return PositionUpdate(
            sequence,
            found.book,
            found.instrument,
            Decimal(found.quantity),
            Decimal(found.average_price) if found.HasField("average_price") else None,
            Decimal(found.realised_pnl),
            found.executed_at,
            found.revision,
            max(0, found.revision - before - 1),
            found,
        )

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.end()


def _token(book: str) -> str:
    """A book as one token of a subject."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in letter.encode())
        if letter in ".*>%" or letter.isspace()
        else letter
        for letter in book
    )
