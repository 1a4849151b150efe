"""The recorded Binance streams: every trade once, the files' own counts by instrument, inverse P&L in the coin."""

import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.venues.decoding import DecodeOptions
from connectors.venues.formats import decode
from tests.support import Books

pytestmark = pytest.mark.tapes

INSTRUMENTS = {
    ("usdm", "BTCUSDT"): ("BTCUSDT-PERP.BINANCE", 21_313),
    ("usdm", "ETHUSDT"): ("ETHUSDT-PERP.BINANCE", 14_076),
    ("spot", "BTCUSDT"): ("BTCUSDT.BINANCE", 9_757),
    ("spot", "ETHUSDT"): ("ETHUSDT.BINANCE", 6_106),
    ("cm", "BTCUSD_PERP"): ("BTCUSD_PERP.BINANCE", 2_286),
    ("cm", "ETHUSD_PERP"): ("ETHUSD_PERP.BINANCE", 1_732),
}


def files(tapes: Path, kind: str = "*", market: str = "*") -> list[Path]:
    return sorted((tapes / "binance_hftbacktest").glob(f"{market}/*.{kind}.jsonl.gz"))


def test_every_trade_of_the_tape_is_one_fill_of_its_market(tapes: Path):
    said: Counter[tuple[str, str]] = Counter()
    volumes: Counter[str] = Counter()
    for path in files(tapes, "trade"):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                data = json.loads(line.partition(" ")[2])["data"]
                instrument, _ = INSTRUMENTS[path.parent.name, data["s"]]
                said[instrument, "SELL" if data["m"] else "BUY"] += 1
                volumes[instrument] += Decimal(data["q"])
    decoded = decode("binance-stream", [str(path) for path in files(tapes)])
    found: Counter[tuple[str, str]] = Counter()
    found_volumes: Counter[str] = Counter()
    ids, events = set(), set()
    for batch in decoded:
        for fill in batch:
            found[fill.instrument, fill.side.value] += 1
            found_volumes[fill.instrument] += fill.quantity
            ids.add(fill.trade_id)
            events.add(fill.event_id)
    assert decoded.counts.document() == {
        "read": 262_416, "fills": 55_270, "duplicates": 0, "rejected": 0, "skipped": {"bookTicker": 207_146},
    }  # fmt: skip
    assert found == said
    assert found_volumes == volumes
    assert len(ids) == len(events) == 55_270
    totals = dict(INSTRUMENTS.values())
    assert {name: found[name, "BUY"] + found[name, "SELL"] for name in totals} == totals


def test_a_second_decode_gives_the_same_ids_and_one_decode_of_two_copies_gives_duplicates(tapes: Path):
    paths = [str(path) for path in files(tapes, "trade", "cm")]
    first = [(fill.trade_id, fill.event_id) for fill in decode("binance-stream", paths).fills()]
    assert first == [(fill.trade_id, fill.event_id) for fill in decode("binance-stream", paths).fills()]
    twice = decode("binance-stream", [*paths, *paths])
    assert len(twice.fills()) == len(first) == 4_018
    assert twice.counts.duplicates == 4_018


def test_coin_margined_perpetuals_are_booked_once_with_their_pnl_in_the_coin(tapes: Path, books: Books):
    paths = [str(path) for path in files(tapes, "trade", "cm")]
    for _ in range(2):
        for batch in decode("binance-stream", paths, DecodeOptions(book="COINS")):
            books.book(*batch)
    assert (books.counts().applied, books.counts().duplicates) == (4_018, 4_018)
    for symbol, coin, contract in (("BTCUSD_PERP", "BTC", 100), ("ETHUSD_PERP", "ETH", 10)):
        position = books.position("COINS", f"{symbol}.BINANCE")
        assert (position.terms.currency, position.terms.multiplier, position.terms.inverse) == (
            coin, contract, True,
        )  # fmt: skip
        # A hedged day's trading in contracts of some USD earns or loses a small part of a coin's notional.
        assert position.realised_pnl != 0
        assert abs(position.realised_pnl) < 10
