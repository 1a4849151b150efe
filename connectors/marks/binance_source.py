"""The best bid and ask of Binance as they change, over its web sockets: of each instrument the newest since the last look.

A symbol is `MARKET:CODE` (`spot:BTCUSDT`, `usdm:BTCUSDT`, `cm:BTCUSD_PERP`); each market has an address of its own.

Owns: the connections (one for `STREAMS_A_CONNECTION_MAX` symbols of a market), and what came since the last look.
Assumes: the venue's update numbers of a symbol grow for as long as a connection lives.
Guarantees: at most one message of a symbol waits, the newest by its update number; what it replaced is skipped as
`conflated`, what came after a newer one as `late`; the venue's pings are answered, and a connection that does not answer
ours within half of `HEARTBEAT_SECONDS` is over; where one connection is over, all are, and `poll` says so: the runtime of
sources makes them anew, with growing pauses.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote as quoted

import aiohttp
import msgspec

from connectors.marks.binance_quotes import TickerReader
from connectors.marks.reading import CONFLATED, LATE, Reading
from connectors.sink import Unavailable
from connectors.venues.binance_lines import BROKEN, Line
from schemas.quotes import Quote

NAME = "binance-marks"

STREAMS_A_CONNECTION_MAX = 200
"""As many as futures may have; spot may have 1,024."""

HEARTBEAT_SECONDS = 20.0
CONNECT_SECONDS_MAX, CLOSE_SECONDS_MAX = 10.0, 1.0
MESSAGE_BYTES_MAX = 64 * 1024

NOT_ASKED_FOR = "a symbol that was not asked for"

QUIET_SECONDS = 1.0
"""A look ends after so long where nothing came."""

FIRST_SECONDS = 2.0
"""The first look waits so long for every symbol: only changes are sent, and a quiet one has none for a while."""


class _Numbered(msgspec.Struct):
    """The fields that tell which message is newer, under the venue's names."""

    symbol: str = msgspec.field(name="s")
    update: int = msgspec.field(name="u")


class _Message(msgspec.Struct):
    """A message of a combined stream."""

    data: _Numbered


_decode = msgspec.json.Decoder(_Message).decode


_Key = tuple[str, str]
"""A market and a symbol of it, as the venue spells it."""


class _Arrived:
    """What came since the last look for symbols that were asked for. `updates` has the greatest update number of each."""

    def __init__(self, asked: Collection[_Key]) -> None:
        self.updates: dict[_Key, int] = {}
        self.counts: Counter[str] = Counter()
        self._asked = asked
        self._newest: dict[_Key, tuple[int, bytes]] = {}
        self._unreadable: tuple[int, bytes] | None = None

    def put(self, market: str, message: bytes, now: int) -> None:
        """A message comes, at `now` in nanoseconds."""
        self.counts["read"] += 1
        try:
            numbered = _decode(message).data
        except BROKEN:
            self.counts["unreadable"] += 1
            self._unreadable = now, message
            return
        key = market, numbered.symbol
        if key not in self._asked:
            self.counts[NOT_ASKED_FOR] += 1
            return
        if numbered.update <= self.updates.get(key, -1):
            self.counts[LATE] += 1
            return
        self.updates[key] = numbered.update
        if key in self._newest:
            self.counts[CONFLATED] += 1
        self._newest[key] = now, message

    def take(self) -> tuple[list[tuple[int, bytes]], Counter[str]]:
        """The newest message of each symbol and the last one that could not be read, each with its time; and the counts."""
        found = list(self._newest.values()) + ([] if self._unreadable is None else [self._unreadable])
        counts, self.counts = self.counts, Counter()
        self._newest, self._unreadable = {}, None
        return found, counts


class BinanceQuotes:
    """The book tickers of some symbols; `addresses` by market, of which `wss://stream.binance.com:9443` is one."""

    name = NAME

    def __init__(self, addresses: Mapping[str, str], symbols: Sequence[str], poll_seconds: float) -> None:
        self.poll_seconds = poll_seconds
        self._addresses = addresses
        self._asked = dict.fromkeys(
            (market, code.upper()) for market, _, code in (symbol.partition(":") for symbol in symbols)
        )
        self._session: aiohttp.ClientSession | None = None
        self._receiving: list[asyncio.Task[None]] = []
        self._arrived = _Arrived(self._asked)
        self._wake = asyncio.Event()
        self._looked = False

    async def open(self) -> None:
        """Connect. Raises Unavailable."""
        self._session = aiohttp.ClientSession()
        self._arrived, self._looked = _Arrived(self._asked), False
        self._wake.clear()
        for market, streams in self._connections():
            socket = await self._connected(
                self._session, f"{self._addresses[market]}/stream?streams={streams}"
            )
            task = asyncio.create_task(self._receive(market, socket))
            task.add_done_callback(lambda _: self._wake.set())
            self._receiving.append(task)

    def _connections(self) -> Iterator[tuple[str, str]]:
        """The market and the names of the streams of each connection."""
        streams: dict[str, list[str]] = {}
        for market, code in self._asked:
            streams.setdefault(market, []).append(f"{quoted(code.lower())}@bookTicker")
        for market, names in streams.items():
            for start in range(0, len(names), STREAMS_A_CONNECTION_MAX):
                yield market, "/".join(names[start : start + STREAMS_A_CONNECTION_MAX])

    async def _connected(
        self, session: aiohttp.ClientSession, address: str
    ) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                return await session.ws_connect(
                    address,
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=MESSAGE_BYTES_MAX,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS_MAX),
                )
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            found = str(error) or type(error).__name__
            raise Unavailable(f"{NAME}: expected a web socket at {address:.200}, found {found}") from error

    async def _receive(self, market: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take messages until the connection is over. Raises Unavailable then."""
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._arrived.put(market, message.data.encode(), time.time_ns())
                    self._wake.set()
        finally:
            await socket.close()
        why = socket.exception() or f"closed with code {socket.close_code}"
        raise Unavailable(
            f"{NAME}: expected quotes from {self._addresses[market]}, found the connection {why}"
        )

    async def poll(self, reading: Reading, now: int) -> Iterable[Quote]:
        """The newest quote of each symbol that came since the last look. Raises Unavailable."""
        await self._wait()
        for task in self._receiving:
            if task.done():
                task.result()
        messages, counts = self._arrived.take()
        reading.counts.read += counts["read"]
        for kind in (CONFLATED, LATE, NOT_ASKED_FOR):
            if counts[kind]:
                reading.counts.skip(kind, counts[kind])
        # Of those that could not be read the last one is said; the others are counted here.
        reading.counts.rejected += max(0, counts["unreadable"] - 1)
        return self._quotes(messages, reading)

    def _quotes(self, messages: Sequence[tuple[int, bytes]], reading: Reading) -> list[Quote]:
        found = []
        for number, (at, message) in enumerate(messages, start=1):
            said = Reading(NAME)
            quote = TickerReader(said, NAME, observed=True).quote(Line(number, at, message))
            if quote is not None:
                found.append(quote)
            elif said.faults:
                fault = said.faults.sorted()[0]
                reading.reject("message", "", fault.field, fault.expected, fault.found)
            else:
                for kind in said.counts.skipped:
                    reading.counts.skip(kind)
        return found

    async def _wait(self) -> None:
        """Until something came; the first time until every symbol has; and not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_SECONDS if self._looked else FIRST_SECONDS):
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    over = any(task.done() for task in self._receiving)
                    if self._looked or over or len(self._arrived.updates) >= len(self._asked):
                        break
        self._looked = True

    async def close(self) -> None:
        """Disconnect; never raises."""
        receiving, self._receiving = self._receiving, []
        for task in receiving:
            task.cancel()
        await asyncio.gather(*receiving, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()
