"""A TCP proxy between a client and a real server, that breaks connections at chosen moments.

Each connection is relayed until a `Cut` that is planned says otherwise; then both ends are reset, as by a network that
lost its state. A cut happens once.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends a reset."""

_CHUNK_BYTES = 65_536


@dataclass
class Cut:
    """Where a connection breaks: after `bytes_sent` of the client, or where it sent `text`.

    With `answered` the server gets all of it and answers, and the answer is lost; otherwise what the client sent from
    there on is lost.
    """

    bytes_sent: int | None = None
    text: bytes | None = None
    answered: bool = False

    def place(self, before: int, chunk: bytes) -> int | None:
        """How much of a chunk still goes to the server; None where the cut is not in it."""
        if self.text is not None:
            found = chunk.find(self.text)
            return None if found < 0 else found + len(self.text)
        assert self.bytes_sent is not None
        return self.bytes_sent - before if before + len(chunk) >= self.bytes_sent else None


@dataclass
class Proxy:
    """A running proxy: `port` to connect to, `plan(cut)` to break the next connection that it fits."""

    port: int
    cuts: int = 0
    _planned: list[Cut] = field(default_factory=list)
    _connections: list[asyncio.StreamWriter] = field(default_factory=list)

    def connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Callable[[], int]
    ) -> Coroutine[Any, Any, None]:
        """Relay a connection that was taken in."""
        self._connections.append(writer)
        return self.relay(reader, writer, target)

    def abort(self) -> None:
        """Close both ends of every connection, those whose relay had no turn yet, or still something to send, too."""
        for writer in self._connections:
            writer.transport.abort()

    def plan(self, cut: Cut) -> None:
        """Break a connection, once."""
        self._planned.append(cut)

    def _taken(self, before: int, chunk: bytes) -> tuple[Cut, int] | None:
        for cut in self._planned:
            place = cut.place(before, chunk)
            if place is not None:
                self._planned.remove(cut)
                return cut, place
        return None

    async def relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Callable[[], int]
    ) -> None:
        """One connection, until either end closes it or a cut is met."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target())
        except OSError:
            _reset(writer)
            return
        self._connections.append(far_writer)
        back = asyncio.ensure_future(_copy(far_reader, writer))
        try:
            sent = 0
            while chunk := await reader.read(_CHUNK_BYTES):
                taken = self._taken(sent, chunk)
                if taken is not None:
                    cut, place = taken
                    back.cancel()
                    await asyncio.gather(back, return_exceptions=True)
                    # The rest of the message that the text is in goes along, for else the server would wait for it.
                    far_writer.write(chunk if cut.answered else chunk[:place])
                    await far_writer.drain()
                    if cut.answered:
                        await far_reader.read(_CHUNK_BYTES)
                    self.cuts += 1
                    _reset(far_writer)
                    _reset(writer)
                    return
                far_writer.write(chunk)
                await far_writer.drain()
                sent += len(chunk)
        except OSError:
            pass
        finally:
            # Before anything is waited for: the proxy may end in that wait.
            far_writer.close()
            writer.close()
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@contextmanager
def proxied(target: Callable[[], int]) -> Iterator[Proxy]:
    """A proxy to a port of the loopback address, which is asked for at each connection."""
    loop = asyncio.new_event_loop()
    proxy = Proxy(0)

    async def start() -> asyncio.Server:
        return await asyncio.start_server(
            lambda reader, writer: proxy.connected(reader, writer, target), "127.0.0.1", 0
        )

    server = loop.run_until_complete(start())
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def end() -> None:
        # A connection that is just being taken in is let begin: it keeps its socket where the server closes before.
        for listener in server.sockets:
            loop.remove_reader(listener.fileno())
        await asyncio.sleep(0.01)
        server.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        proxy.abort()
        await asyncio.sleep(0)

    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
