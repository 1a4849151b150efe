"""The owner's end of the control socket: takes requests as they come, and answers each connection in its order.

Owns: the framing of the owner's side, its bounds, and the coalescing of what has arrived: appends that wait
together, of whatever connections, are one commit with one frame a partition.
Guarantees: an append is answered when it is durable, or when it is committed if its sender asks for no more; while
the stages are behind by too much nothing is appended, and of a sender that is too far ahead, or that leaves its
answers unread, nothing is read (it is slowed, never dropped); a message that is no request is answered as such, and
harms no other.
"""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Protocol, cast

import msgspec

from topology.control.protocol import (
    LENGTH,
    MESSAGE_BYTES_MAX,
    SOCKET_NAME,
    Reply,
    Request,
    decode_request,
    encode,
    socket_path,
)

AHEAD_MAX = 1_024
"""Requests of a connection that may wait for their answers; then no more is read from it."""

AHEAD_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of such requests; one larger request is taken when no other waits."""

_BACKLOG = 128
_PAUSE_SECONDS = 0.001


class Answers(Protocol):
    """What the owner does about requests."""

    def lagging(self) -> bool:
        """Whether the stages are behind by so much that appends must wait."""

    def append(self, requests: Sequence[Request]) -> list[Reply]:
        """Append for each request, together where that goes; the answers that hold once it is durable."""

    def durable_sequence(self) -> int:
        """Up to which sequence the log is durable."""

    def wait_durable(self, sequence: int) -> Awaitable[str]:
        """Wait until the log is durable up to `sequence`; what is wrong, or nothing."""

    def answer(self, request: Request) -> Awaitable[Reply]:
        """Answer any other request."""


def listen_control(folder: Path) -> socket.socket:
    """The listening socket of a folder's owner; clients may connect from now on, and are answered once it serves."""
    (folder / SOCKET_NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with socket_path(folder) as path:
            listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


async def serve_control(listener: socket.socket, answers: Answers) -> None:
    """Serve requests until cancelled."""
    server = _Server(answers)
    loop = asyncio.get_running_loop()
    listening = await loop.create_unix_server(lambda: _Connection(server), sock=listener)
    try:
        await server.watch_durable()
    finally:
        listening.close()
        for connection in list(server.connections):
            connection.close()


class _Server:
    """What the connections share: the appends that wait for one commit, and the watch on the disk."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.connections: set[_Connection] = set()
        self._waiting: list[tuple[_Connection, _Pending]] = []
        self._scheduled = False
        self._wanted = asyncio.Event()
        self._wanted_sequence = 0

    def append_soon(self, connection: "_Connection", pending: "_Pending") -> None:
        """Append with whatever else arrives before the loop comes round."""
        self._waiting.append((connection, pending))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._append)

    def _append(self) -> None:
        if self.answers.lagging():
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._append)
            return
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        replies = self.answers.append([pending.request for _, pending in waiting])
        for (_, pending), reply in zip(waiting, replies, strict=True):
            pending.reply = reply
            if pending.request.durable and not reply.error:
                pending.sequence = reply.sequence
                self._wanted_sequence = max(self._wanted_sequence, reply.sequence)
        if self._wanted_sequence > self.answers.durable_sequence():
            self._wanted.set()
        for connection in {connection for connection, _ in waiting}:
            connection.flush()

    async def watch_durable(self) -> None:
        """Answer what waits for the disk, whenever the disk is done."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            sequence = self._wanted_sequence
            fault = await self.answers.wait_durable(sequence)
            for connection in list(self.connections):
                if fault:
                    connection.fail(sequence, fault)
                connection.flush()


class _Pending:
    """A request whose answer has not been sent: `sequence` is what must be durable first, `size` its bytes."""

    __slots__ = ("reply", "request", "sequence", "size")

    def __init__(self, request: Request, reply: Reply | None = None, size: int = 0) -> None:
        self.request = request
        self.reply = reply
        self.sequence = 0
        self.size = size


class _Connection(asyncio.Protocol):
    def __init__(self, server: _Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._answers_unread = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's, not their class.
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._server.connections.discard(self)
        self._pending.clear()
        for task in self._tasks:
            task.cancel()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def eof_received(self) -> bool:
        self._ending = True
        self.flush()
        return True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._ending and len(self._buffer) >= LENGTH.size:
            size = LENGTH.unpack_from(self._buffer)[0]
            if size > MESSAGE_BYTES_MAX:
                self._ending = True
                expected = f"expected a message of at most {MESSAGE_BYTES_MAX} bytes, found one of {size}"
                self._pending.append(_Pending(Request(""), Reply(expected)))
                break
            end = LENGTH.size + size
            if len(self._buffer) < end:
                break
            self._take(bytes(self._buffer[LENGTH.size : end]))
            del self._buffer[:end]
        if self._too_far_ahead():
            self._transport.pause_reading()
        self.flush()

    def _too_far_ahead(self) -> bool:
        return (
            self._answers_unread or len(self._pending) >= AHEAD_MAX or self._pending_bytes >= AHEAD_BYTES_MAX
        )

    def pause_writing(self) -> None:
        """The other side does not read its answers: read no more of its requests."""
        self._answers_unread = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads them again."""
        self._answers_unread = False
        self._read_on()

    def _read_on(self) -> None:
        if not self._too_far_ahead():
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()

    def _take(self, message: bytes) -> None:
        try:
            request = decode_request(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._pending.append(_Pending(Request(""), Reply(f"expected a request, found: {error}")))
            return
        pending = _Pending(request, size=len(message))
        self._pending.append(pending)
        self._pending_bytes += pending.size
        if request.operation == "append":
            self._server.append_soon(self, pending)
        else:
            task = asyncio.get_running_loop().create_task(self._answer(pending))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, pending: _Pending) -> None:
        pending.reply = await self._server.answers.answer(pending.request)
        self.flush()

    def fail(self, sequence: int, fault: str) -> None:
        """What waited for the disk up to `sequence` may be lost."""
        for pending in self._pending:
            if pending.sequence and pending.sequence <= sequence:
                pending.reply, pending.sequence = Reply(fault), 0

    def flush(self) -> None:
        """Send the answers that are due, in order."""
        durable = self._server.answers.durable_sequence()
        found = []
        while self._pending:
            first = self._pending[0]
            if first.reply is None or first.sequence > durable:
                break
            message = encode(first.reply)
            found.append(LENGTH.pack(len(message)) + message)
            self._pending.popleft()
            self._pending_bytes -= first.size
        if found:
            self._transport.write(b"".join(found))
            self._read_on()
        if self._ending and not self._pending:
            self._transport.close()
