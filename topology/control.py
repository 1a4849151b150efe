"""The owner's Unix socket: how another process writes into a log that a worker owns.

Owns: the wire form (a length of four bytes, then msgpack), the requests, and both ends of the socket
`control.sock` in the data folder (mode 0600: who may read the folder may write the books).
Guarantees: an append is answered after it is durable (unless the sender asks for less), so that what was
acknowledged survives a power cut; requests of a connection are answered in their order, so a sender may send ahead;
one that is faster than the stages waits here.
"""

import asyncio
import contextlib
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

SOCKET_NAME = "control.sock"
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Most bytes of one message; a batch of frames is far below."""

_PATH_BYTES_MAX = 100
_BACKLOG = 128
_AHEAD_MAX = 64
"""Requests of a connection that may wait for their answers; then no more is read from it."""

_LENGTH = struct.Struct(">I")


class Outgoing(msgspec.Struct, frozen=True, array_like=True):
    """A record to append: topic, partition, key and value (a frame)."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client asks: `append` (records), `settle`, `counts` (of sources), or `status`.

    An append is answered when it is durable, or, with `durable` false, when it is committed.
    """

    operation: str
    records: Sequence[Outgoing] = ()
    sources: Sequence[str] = ()
    durable: bool = True


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer: an error's text, or the sequence of an append, or a document."""

    error: str = ""
    sequence: int = 0
    document: Any = None


Answer = Callable[[Request], Awaitable["Reply | Awaitable[Reply]"]]
"""Takes a request, in turn; what it gives may be an answer that is still to come."""


class ControlError(Exception):
    """The owner refused a request, or went away."""


_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(Request).decode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode


@contextlib.contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """The socket's path, in a form that fits the kernel's limit of 108 bytes."""
    path = str(folder / SOCKET_NAME)
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


class ControlClient:
    """One connection to the owner of a data folder."""

    def __init__(self, folder: Path, timeout_seconds: float = 60.0) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_seconds)
        try:
            with _short_path(folder) as path:
                self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise ControlError(
                f"{folder}: expected the owner of this folder to listen on {SOCKET_NAME}, found: {error}; is it "
                "still starting, or another command at work? Try again in a moment"
            ) from error

    def ask(self, request: Request) -> Reply:
        """Send a request and wait for its answer. Raises ControlError where the owner refused or went away."""
        self.send(request)
        return self.receive()

    def send(self, request: Request) -> None:
        """Send a request ahead, to be answered by a later `receive`."""
        message = _encode(request)
        try:
            self._socket.sendall(_LENGTH.pack(len(message)) + message)
        except OSError as error:
            raise self._gone(error) from error

    def receive(self) -> Reply:
        """The answer to the earliest request that has none yet."""
        try:
            reply = _decode_reply(self._receive(_LENGTH.unpack(self._receive(_LENGTH.size))[0]))
        except (OSError, EOFError) as error:
            raise self._gone(error) from error
        if reply.error:
            raise ControlError(reply.error)
        return reply

    def _gone(self, error: Exception) -> ControlError:
        return ControlError(
            f"{self._folder}: expected an answer of the owner, found: {str(error) or 'end of connection'}; run the "
            "command again: what is in the log already counts as duplicate"
        )

    def answered(self) -> bool:
        """Whether an answer has arrived."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            part = self._socket.recv(size - len(received))
            if not part:
                raise EOFError
            received += part
        return bytes(received)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def listen_control(folder: Path) -> socket.socket:
    """The listening socket of a folder's owner; clients may connect from now on, and are answered once it serves."""
    (folder / SOCKET_NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _short_path(folder) as path:
            listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


async def serve_control(listener: socket.socket, answer: Answer) -> None:
    """Serve requests until cancelled."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio calls this in a task"
        connections.add(task)
        try:
            await _converse(reader, writer, answer)
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client went away: nothing of an unfinished request was applied.
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(connected, sock=listener)
    try:
        await asyncio.Event().wait()
    finally:
        server.close()
        for task in list(connections):
            task.cancel()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Take requests one after the other; those that wait for the disk do not hold up the next ones."""
    pending: asyncio.Queue[Reply | Awaitable[Reply]] = asyncio.Queue(_AHEAD_MAX)
    async with asyncio.TaskGroup() as group:
        replying = group.create_task(_reply(writer, pending))
        await _take(reader, pending, answer)
        await pending.join()
        replying.cancel()


async def _take(
    reader: asyncio.StreamReader, pending: asyncio.Queue[Reply | Awaitable[Reply]], answer: Answer
) -> None:
    while head := await reader.read(_LENGTH.size):
        if len(head) < _LENGTH.size:
            head += await reader.readexactly(_LENGTH.size - len(head))
        size = _LENGTH.unpack(head)[0]
        if size > MESSAGE_BYTES_MAX:
            expected = f"expected a message of at most {MESSAGE_BYTES_MAX} bytes, found one of {size}"
            await pending.put(Reply(expected))
            return
        try:
            request = _decode_request(await reader.readexactly(size))
        except msgspec.MsgspecError as error:
            await pending.put(Reply(f"expected a request, found: {error}"))
        else:
            await pending.put(await answer(request))


async def _reply(writer: asyncio.StreamWriter, pending: asyncio.Queue[Reply | Awaitable[Reply]]) -> None:
    while True:
        found = await pending.get()
        message = _encode(found if isinstance(found, Reply) else await found)
        writer.write(_LENGTH.pack(len(message)) + message)
        await writer.drain()
        pending.task_done()
