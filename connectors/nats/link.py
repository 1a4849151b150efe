"""A connection to NATS: address, key, certificates, and what the server complains about.

Owns: how a `NatsSettings` becomes a connection, and the last complaint that came aside of any answer.
Guarantees: a fault says what was expected and found and never a secret; a refused subject, which the server answers
with nothing but a complaint, is told as such.
"""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from connectors.sink import Unavailable

CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_AGAIN_SECONDS = 0.1
PENDING_BYTES_MAX = 32 * 1024 * 1024
"""Most bytes that wait to be sent; beyond it a publish waits."""


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Where NATS is and who we are: `url` (`nats://` or `tls://`, several by commas), the file of the NKey seed, for TLS
    the files of the authority, our certificate and its key, and what the inboxes of our user begin with."""

    url: str
    seed_file: Path | None = None
    authority_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    inbox: str = "_INBOX_pks"

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context; None where nothing asks for TLS."""
        if (
            self.authority_file is None
            and self.certificate_file is None
            and not self.url.startswith("tls://")
        ):
            return None
        context = ssl.create_default_context(cafile=self.authority_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


class Complaints:
    """What the server said aside of any answer: counts by kind, and the last text.

    `denied` is the last refusal of a subject, `gone` whether the connection was lost; `on_change` is called after each.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.last = ""
        self.denied = ""
        self.gone = False
        self.on_change: Callable[[], None] = lambda: None

    async def note(self, error: Exception) -> None:
        """What nats-py calls with every such error."""
        self.last = str(error) or type(error).__name__
        if isinstance(error, nats.errors.SlowConsumerError):
            self.counts["slow_consumer"] += 1
        elif "permissions violation" in self.last.lower():
            self.counts["permission"] += 1
            self.denied = self.last
        else:
            self.counts["other"] += 1
        self.on_change()

    async def lost(self) -> None:
        """The connection was lost."""
        self.gone = True
        self.counts["disconnected"] += 1
        self.on_change()


class Connection(Client):
    """A client that does not reconnect, says at once that it was lost, and lets go of its socket in any case.

    nats-py keeps the socket of a connection that fails after its first byte, and, where it trips over what it had still to
    send when the connection breaks, says nobody that it did. It also makes an object, an entry of a queue and a turn of a
    task of each message: `listen` and `send_many` do without, for the confirmations and messages of a publisher.
    """

    def __init__(self, complaints: Complaints) -> None:
        super().__init__()
        self._complaints = complaints
        self._made = self._given_up = False
        self._takers: dict[int, Callable[[bytes], None]] = {}

    async def listen(self, inbox: str, taker: Callable[[bytes], None]) -> None:
        """Hand the payload of whatever comes to an inbox to `taker`, which is not awaited."""
        subscription = await self.subscribe(inbox, cb=_taken)
        self._takers[subscription._id] = taker

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """What nats-py calls with each message."""
        taker = self._takers.get(sid)
        if taker is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            taker(data)

    async def send_many(self, commands: bytes) -> None:
        """Send commands of the protocol, whole ones. Raises nats.errors.ConnectionClosedError."""
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        await self._send_command(commands)
        await self._flush_pending()

    async def make(self, servers: list[str], **options: Any) -> None:
        """Connect. Raises what nats-py raises; nothing is left then."""
        try:
            await self.connect(servers, allow_reconnect=False, error_cb=self._failed, **options)
        except BaseException:
            await self.end()
            raise
        self._made = True

    async def _failed(self, error: Exception) -> None:
        # What comes of closing one that failed is not why it failed.
        if not self._given_up:
            await self._complaints.note(error)

    async def _process_op_err(self, e: Exception) -> None:
        """What nats-py calls when the connection breaks."""
        if self._made and not self.is_closed:
            await self._complaints.lost()
        with contextlib.suppress(OSError):
            await super()._process_op_err(e)

    async def end(self) -> None:
        """Disconnect; never raises. Returns when the socket is closed, also where nats-py was at it already."""
        self._given_up = True
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.close()
        # Whatever it waits for (the end of a handshake that failed, a peer that takes nothing), its socket goes.
        for name in ("_io_writer", "_bare_io_writer"):
            writer = getattr(self._transport, name, None)
            if writer is not None:
                writer.transport.abort()
        await asyncio.sleep(0)


async def _taken(_: Msg) -> None:
    """What would be called for messages that a taker has."""


async def connect(settings: NatsSettings, name: str, complaints: Complaints) -> Connection:
    """A connection, which fails rather than reconnects. Raises Unavailable."""
    client = Connection(complaints)
    try:
        given: dict[str, Any] = {"pending_size": PENDING_BYTES_MAX}
        # nats-py tries each address again and again by itself: the runtime does that, at its own pace.
        given |= {"max_reconnect_attempts": 1, "reconnect_time_wait": _AGAIN_SECONDS}
        # Our subjects are made of tokens that were escaped.
        given |= {"inbox_prefix": settings.inbox, "skip_subject_validation": True}
        if settings.seed_file is not None:
            given["nkeys_seed_str"] = settings.seed_file.read_text(encoding="ascii").strip()
        context = settings.tls()
        if context is not None:
            given["tls"] = context
        await client.make(settings.url.split(","), name=name, connect_timeout=CONNECT_SECONDS, **given)
    except (OSError, nats.errors.Error, ValueError) as error:
        # A refused key is told aside, and the connection ends without a reason of its own.
        found = complaints.last or str(error) or type(error).__name__
        complaints.last = ""
        raise Unavailable(f"NATS: expected a connection to {settings.url}, found: {found}") from error
    return client
