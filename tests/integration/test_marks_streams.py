"""Marks of Binance's web sockets, against a local venue that speaks them: conflation, order, pings, silence, new connections."""

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from clients.python.pks_client import MarkReader
from connectors.marks import binance_source
from connectors.marks.binance_source import NOT_ASKED_FOR, BinanceQuotes
from connectors.marks.reading import Reading
from connectors.sink import Unavailable
from domain.marks.classes import ClassRules
from schemas.quotes import Quote
from tests.marks_sockets import Venue, venue
from tests.support import eventually
from topology.cli.application import run
from topology.demo.stack import Stack
from topology.marks.loader import MarkLoader

TICKERS = 4_000
"""Of each recording."""

SYMBOLS = ["spot:BTCUSDT", "usdm:btcusdt", "cm:BTCUSD_PERP"]


def ticker(symbol: str, update: int, bid: str = "10.10", ask: str = "10.30", **fields: Any) -> str:
    """A message as the venue sends it; with a time `T` it is of a future."""
    kind = {"e": "bookTicker"} if "T" in fields else {}
    data = {**kind, "u": update, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "2", **fields}
    return json.dumps({"stream": f"{symbol.lower()}@bookTicker", "data": data})


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def source(kept: Venue, symbols: list[str] = SYMBOLS) -> BinanceQuotes:
    return BinanceQuotes(
        {market: f"{kept.address}/{market}" for market in ("spot", "usdm", "cm")}, symbols, 0.01
    )


def looked(
    quotes: BinanceQuotes,
    act: Callable[[Callable[[], Awaitable[list[Quote]]]], Awaitable[Any]],
    reading: Reading | None = None,
) -> Reading:
    """One connection: `act` looks as often as it likes; the account of all looks."""
    reading = reading or Reading("binance-marks")

    async def look() -> list[Quote]:
        found = list(await quotes.poll(reading, time.time_ns()))
        reading.counts.fills += len(found)
        return found

    async def scenario() -> None:
        await quotes.open()
        try:
            await act(look)
        finally:
            await quotes.close()

    asyncio.run(scenario())
    return reading


def test_each_market_has_a_connection_and_its_own_instruments():
    now = milliseconds()
    messages = {
        "spot": [ticker("BTCUSDT", 7)],
        "usdm": [ticker("BTCUSDT", 8, T=now)],
        "cm": [ticker("BTCUSD_PERP", 9, T=now)],
    }

    async def act(look: Any) -> None:
        spot, usdm, coin = sorted(await look(), key=lambda quote: quote.source_sequence)
        assert (spot.instrument, spot.bid, spot.ask) == (
            "BTCUSDT.BINANCE",
            Decimal("10.10"),
            Decimal("10.30"),
        )
        assert spot.event_time == spot.observed_at > 0, "spot says no time: when it came"
        assert (usdm.instrument, usdm.event_time) == ("BTCUSDT-PERP.BINANCE", now * 1_000_000)
        assert (coin.instrument, coin.currency) == ("BTCUSD_PERP.BINANCE", "USD")
        assert {quote.source for quote in (spot, usdm, coin)} == {"binance-marks"}

    with venue(messages) as kept:
        looked(source(kept), act)
        assert sorted(kept.asked) == [
            ("cm", ["btcusd_perp@bookTicker"]), ("spot", ["btcusdt@bookTicker"]), ("usdm", ["btcusdt@bookTicker"]),
        ]  # fmt: skip


def test_between_two_looks_the_newest_of_a_symbol_is_left_and_the_rest_is_counted():
    messages = [
        *(ticker("BTCUSDT", update, bid=f"{update}.5", ask="99") for update in (1, 2, 5, 3, 5)),
        ticker("ETHUSDT", 6), "no JSON", '{"data": {"s": "BTCUSDT", "u": "x"}}',
        ticker("BTCUSDT", 8, bid="x"),
    ]  # fmt: skip

    async def act(look: Any) -> None:
        await asyncio.to_thread(kept.send, *messages)
        while quotes._arrived.counts["read"] < len(messages):
            await asyncio.sleep(0)
        assert await look() == []
        await asyncio.to_thread(kept.send, ticker("BTCUSDT", 7), ticker("BTCUSDT", 9, bid="9.5"))
        while quotes._arrived.counts["read"] < 2:
            await asyncio.sleep(0)
        [quote] = await look()
        assert (quote.source_sequence, quote.bid) == (9, Decimal("9.5"))

    with venue({}) as kept:
        quotes = source(kept, ["spot:BTCUSDT"])
        reading = looked(quotes, act)
    counts = reading.counts
    assert counts.ties() and counts.read == len(messages) + 2
    assert counts.skipped == {"conflated": 3, "late": 3, NOT_ASKED_FOR: 1}
    # The message that is the newest has no number, and two could not be read.
    assert counts.rejected == 3 and len(reading.rejections) == 2
    assert "b: expected a plain decimal number" in str(reading.rejections[0])


def test_pings_are_answered_and_a_venue_that_answers_none_is_left(monkeypatch: pytest.MonkeyPatch):
    async def answers(look: Any) -> None:
        await asyncio.to_thread(kept.ping)
        await asyncio.to_thread(eventually, lambda: kept.pongs == 1)

    async def silent(look: Any) -> None:
        async def for_long() -> None:
            for _ in range(1_000):
                await look()

        with pytest.raises(Unavailable, match=r"expected quotes from .*/spot, found the connection"):
            await for_long()

    with venue({}) as kept:
        looked(source(kept, ["spot:BTCUSDT"]), answers)
        kept.answers_pings = False
        monkeypatch.setattr(binance_source, "HEARTBEAT_SECONDS", 0.05)
        monkeypatch.setattr(binance_source, "QUIET_SECONDS", 0.02)
        monkeypatch.setattr(binance_source, "FIRST_SECONDS", 0.02)
        looked(source(kept, ["spot:BTCUSDT"]), silent)


def test_a_look_ends_where_nothing_comes_and_many_symbols_share_connections(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binance_source, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(binance_source, "STREAMS_A_CONNECTION_MAX", 2)

    async def act(look: Any) -> None:
        assert await look() == []

    with venue({}) as kept:
        looked(source(kept, ["spot:A", "spot:B", "spot:a", "spot:C"]), act)
        assert sorted(kept.asked) == [
            ("spot", ["a@bookTicker", "b@bookTicker"]),
            ("spot", ["c@bookTicker"]),
        ]


@pytest.mark.tapes
def test_recorded_book_tickers_are_taken_as_they_were_sent(tapes: Path):
    """The recordings of six instruments over the web sockets: each message is accounted for, and the last ones are left."""
    recorded: dict[str, list[str]] = {}
    last: dict[str, dict[str, Any]] = {}
    symbols = []
    for path in sorted((tapes / "binance_hftbacktest").glob("*/*.bookTicker.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            messages = [line.partition(" ")[2].strip() for line in islice(stream, TICKERS)]
        market = path.parent.name
        recorded.setdefault(market, []).extend(messages)
        data = json.loads(messages[-1])["data"]
        last[f"{market}:{data['s']}"] = data
        symbols.append(f"{market}:{data['s']}")
    sent = sum(map(len, recorded.values()))
    newest: dict[str, Quote] = {}

    async def act(look: Any) -> None:
        while reading.counts.read < sent:
            newest.update((quote.instrument, quote) for quote in await look())

    with venue(recorded) as kept:
        reading = Reading("binance-marks")
        looked(source(kept, symbols), act, reading)
    assert (reading.counts.read, reading.counts.rejected) == (sent, 0) and reading.counts.ties()
    assert reading.counts.skipped.get("late", 0) == 0
    assert len(newest) == len(symbols) == 6
    left = {(quote.source_sequence, quote.bid, quote.ask) for quote in newest.values()}
    assert left == {(data["u"], Decimal(data["b"]), Decimal(data["a"])) for data in last.values()}


class Log:
    """Takes marks."""

    def __init__(self) -> None:
        self.marks: list[Any] = []

    def append(self, marks: Any) -> None:
        self.marks += marks

    def close(self) -> None:
        """Nothing to let go."""


def test_after_a_connection_ends_another_is_made_and_meanwhile_marks_grow_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("topology.marks.loader.SWEEP_SECONDS", 0.02)
    monkeypatch.setattr("topology.sinks.sessions.RETRY_SECONDS_MAX", 0.05)
    monkeypatch.setattr("topology.sinks.sessions.RETRY_JITTER_SECONDS", 0.01)
    log = Log()

    def scenario(loader: MarkLoader, kept: Venue) -> None:
        eventually(lambda: log.marks)
        kept.refuses = True
        kept.drop()
        eventually(lambda: loader.status.state == "open")
        eventually(lambda: log.marks[-1].quality == "stale")
        kept.messages["spot"] = [ticker("BTCUSDT", 3)]
        kept.refuses = False
        eventually(lambda: loader.status.state == "running")
        eventually(lambda: log.marks[-1].source_sequence == 3)

    async def run_it(kept: Venue) -> MarkLoader:
        rules = ClassRules({"*": 2.0})
        loader = MarkLoader(source(kept, ["spot:BTCUSDT"]), log, rules, tmp_path, time.time_ns)
        (tmp_path / "sinks").mkdir()
        running = asyncio.create_task(loader.run())
        try:
            await asyncio.to_thread(scenario, loader, kept)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return loader

    with venue({"spot": [ticker("BTCUSDT", 5), ticker("BTCUSDT", 4)]}) as kept:
        loader = asyncio.run(run_it(kept))
    assert [mark.source_sequence for mark in log.marks][:3] == [5, 5, 3]
    assert [mark.quality for mark in log.marks][:2] == ["live", "stale"]
    assert loader.complaints["late"] == 1, "numbers are compared within a connection"


def test_one_look_from_the_command_line_and_a_worker_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, shared_memory_name: str
):
    assert run(["marks-load", "binance-marks", "--data", str(tmp_path / "data")]) == 2
    assert "expected the setting that turns it on" in capsys.readouterr().err
    with venue({"spot": [ticker("BTCUSDT", 5)], "cm": [ticker("BTCUSD_PERP", 1, T=milliseconds())]}) as kept:
        settings = {f"binance_{market}": f"{kept.address}/{market}" for market in ("spot", "usdm", "cm")}
        for name, value in settings.items():
            monkeypatch.setenv(f"PKS_{name.upper()}", value)
        monkeypatch.setenv("PKS_BINANCE_SYMBOLS", '["spot:BTCUSDT", "cm:BTCUSD_PERP"]')
        assert run(["marks-load", "binance-marks", "--data", str(tmp_path / "data"), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["read"], document["marks"], document["qualities"]) == (2, 2, {"live": 2})
        stack = Stack(
            tmp_path / "data", 0, shared_memory_name, binance_symbols='["spot:BTCUSDT"]', **settings
        )
        stack.start()
        try:
            reader = MarkReader(stack.addresses["shared_memory_marks"])
            eventually(lambda: kept.sockets, 20)
            kept.send(ticker("BTCUSDT", 6, bid="11.10", ask="11.20"))

            def taken() -> bool:
                mark = reader.read("BTCUSDT.BINANCE")
                return mark is not None and (mark.price, mark.quality) == (Decimal("11.15"), "live")

            eventually(taken, 20)
        finally:
            stack.stop()
    refused = run(["marks-load", "binance-marks", "--data", str(tmp_path / "other")])
    assert refused == 1 and "expected a web socket at" in capsys.readouterr().err
