"""The owner's Unix socket: how another process writes into a log that a worker owns.

Owns: the wire form (a length of four bytes, then msgpack), the requests, and the client's end of the socket
`control.sock` in the data folder (mode 0600: who may read the folder may write the books). The owner's end is
`topology.control.server`.
Guarantees: an append is answered after it is durable (unless the sender asks for less), so that what was
acknowledged survives a power cut; requests of a connection are answered in their order, so a sender may send ahead;
one that is faster than the stages waits here.
"""

import contextlib
import os
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

SOCKET_NAME = "control.sock"
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Most bytes of one message; a batch of frames is far below."""

_PATH_BYTES_MAX = 100
LENGTH = struct.Struct(">I")


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


class ControlError(Exception):
    """The owner refused a request, or went away."""


encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode


@contextlib.contextmanager
def socket_path(folder: Path) -> Iterator[str]:
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
            with socket_path(folder) as path:
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
        message = encode(request)
        try:
            self._socket.sendall(LENGTH.pack(len(message)) + message)
        except OSError as error:
            raise self._gone(error) from error

    def receive(self) -> Reply:
        """The answer to the earliest request that has none yet."""
        try:
            reply = _decode_reply(self._receive(LENGTH.unpack(self._receive(LENGTH.size))[0]))
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
