"""A local venue that sends recorded events over real web sockets: combined streams, as Binance has them."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web


@dataclass
class Venue:
    """Its address; what each connection asked for; and what a test has it do.

    Every connection is sent the messages of its market (the path before `/stream`), each as text; then it stays open.
    """

    messages: dict[str, Sequence[str]]
    address: str = ""
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    pongs: int = 0
    answers_pings: bool = True
    refuses: bool = False
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)

    def send(self, *messages: str) -> None:
        """Send to every connection that is open."""
        self._call(self._send(messages))

    def ping(self) -> None:
        """Ping every connection."""

        async def all_of_them() -> None:
            for socket in self.sockets:
                await socket.ping()

        self._call(all_of_them())

    def drop(self) -> None:
        """Close every connection, as the venue does after a day."""

        async def all_of_them() -> None:
            for socket in list(self.sockets):
                await socket.close(code=1001)

        self._call(all_of_them())

    async def _send(self, messages: Sequence[str]) -> None:
        for socket in self.sockets:
            for message in messages:
                await socket.send_str(message)

    def _call(self, work: "asyncio._CoroutineLike[None]") -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, until it ends."""
        if self.refuses:
            return web.Response(status=503)
        market = request.match_info["market"]
        self.asked.append((market, request.query["streams"].split("/")))
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        for message in self.messages.get(market, ()):
            await socket.send_str(message)
        self.sockets.append(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.PONG:
                    self.pongs += 1
                elif message.type is WSMsgType.PING and self.answers_pings:
                    await socket.pong(message.data)
        finally:
            self.sockets.remove(socket)
        return socket


@contextmanager
def venue(messages: dict[str, Sequence[str]]) -> Iterator[Venue]:
    """A venue that runs as long as the context."""
    kept = Venue(messages)
    application = web.Application()
    application.router.add_get("/{market}/stream", kept.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)

    async def begin() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    async def end() -> None:
        for socket in list(kept.sockets):
            await socket.close()
        await runner.cleanup()

    thread = threading.Thread(target=kept.loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(begin(), kept.loop).result(30)
        kept.address = f"http://127.0.0.1:{port}"
        yield kept
    finally:
        asyncio.run_coroutine_threadsafe(end(), kept.loop).result(30)
        kept.loop.call_soon_threadsafe(kept.loop.stop)
        thread.join()
        kept.loop.close()
