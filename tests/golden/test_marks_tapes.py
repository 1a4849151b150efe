"""Marks of the real recordings, counted and compared by an independent look at the raw files."""

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents import bars
from connectors.marks.formats import open_quotes
from connectors.marks.reading import QuoteOptions, faults_of
from domain.marks.classes import ClassRules
from schemas.numbers import exact_arithmetic
from schemas.times import parse_time
from tests.golden import moex_yields
from tests.stage_support import StageInMemory, emitted
from topology.marks.importing import Judge

pytestmark = pytest.mark.tapes

NO_OPTIONS = QuoteOptions()
NOW = parse_time("2026-01-01T00:00:00Z")


def marks_of(format_name: str, *paths: Path, options: QuoteOptions = NO_OPTIONS) -> tuple[list[Any], Judge]:
    streams = open_quotes(format_name, [str(path) for path in paths], options)
    judge = Judge(ClassRules(), NOW)
    with exact_arithmetic():
        found = [mark for stream in streams for mark in judge.marks(stream, stream.reading.file)]
    assert faults_of(streams) == []
    judge.take_account(streams)
    return found, judge


def test_every_book_ticker_of_binance_is_a_mark_and_the_last_ones_are_the_files_last_lines(tapes: Path):
    files = sorted((tapes / "binance_hftbacktest").glob("*/*.bookTicker.jsonl.gz"))
    marks, judge = marks_of("binance-quotes", *files)
    last: dict[tuple[str, str], Decimal] = {}
    lines = 0
    for path in files:
        with gzip.open(path, "rt") as stream:
            for line in stream:
                data = json.loads(line.partition(" ")[2])["data"]
                last[path.parent.name, data["s"]] = (Decimal(data["b"]) + Decimal(data["a"])) / 2
                lines += 1
    names = {
        "spot": lambda symbol: f"{symbol}.BINANCE",
        "usdm": lambda symbol: f"{symbol}-PERP.BINANCE",
        "cm": lambda symbol: f"{symbol}.BINANCE",
    }
    assert len(marks) == lines == 207_146 == judge.counts.read
    newest = {mark.instrument: mark.price for mark in marks}
    assert newest == {names[market](symbol): price for (market, symbol), price in last.items()}


def test_lean_quotes_of_four_kinds(tapes: Path):
    lean = tapes / "lean"
    marks, judge = marks_of(
        "lean-quotes",
        lean / "equity/usa/tick/ibm/20131007_quote.zip",
        lean / "equity/usa/second/spy/20131007_quote.zip",
        lean / "forex/oanda/daily/eurusd.zip",
        lean / "future/comex/minute/gc/20131007_quote.zip",
    )
    counted = Counter(mark.instrument_class for mark in marks)
    assert counted["FX"] == 3_738
    assert judge.counts.read == len(marks) + sum(judge.counts.skipped.values())
    last = {mark.instrument: mark for mark in marks}
    with zipfile.ZipFile(lean / "forex/oanda/daily/eurusd.zip") as archive:
        rows = list(csv.reader(io.StringIO(archive.read("eurusd.csv").decode())))
    assert last["EURUSD"].price == (Decimal(rows[-1][4]) + Decimal(rows[-1][9])) / 2
    assert (str(last["GC201312"].price), last["GC201312"].event_time) == (
        "1323.35",
        parse_time("2013-10-08T04:00:00Z"),
    )
    assert len({mark.instrument for mark in marks if mark.instrument_class == "future"}) == 21


def test_shares_of_moex_by_their_main_board(tapes: Path):
    path = tapes / "moex_iss/shares.json.gz"
    marks, judge = marks_of("moex-iss-marks", path)
    by_name = {mark.instrument: mark for mark in marks}
    assert str(by_name["GAZP.MOEX"].price) == "162.01"
    odd_lots, _ = marks_of("moex-iss-marks", path, options=QuoteOptions(("SMAL",)))
    assert str({mark.instrument: mark for mark in odd_lots}["GAZP.MOEX"].price) == "161.65"
    document = json.loads(gzip.decompress(path.read_bytes()), parse_float=Decimal)
    securities = {row[0] for row in document["securities"]["data"]}
    assert {name.removesuffix(".MOEX") for name in by_name} == securities and len(marks) == 439
    assert judge.counts.read == 696 == len(marks) + sum(judge.counts.skipped.values())
    # A null LAST is no price: what stands in for it says so, and nothing at all is missing, never zero.
    place = document["marketdata"]["columns"].index("LAST")
    last = {(row[0], row[1]): row[place] for row in document["marketdata"]["data"]}
    for mark in marks:
        assert (mark.price is None) == (mark.quality == "missing")
        name = mark.instrument.removesuffix(".MOEX")
        if mark.quality == "live":
            assert mark.price in {price for (security, _), price in last.items() if security == name}


def test_bonds_of_moex_bring_their_accrued_interest(tapes: Path):
    marks, judge = marks_of("moex-iss-marks", tapes / "moex_iss/bonds.json.gz")
    assert (len(marks), judge.counts.read, judge.counts.rejected) == (2_398, 2_520, 0)
    by_name = {mark.instrument: mark for mark in marks}
    assert by_name["SU26238RMFS4.MOEX"].accrued_interest is not None
    assert all(mark.accrued_interest is not None for mark in marks)


def test_the_examples_of_alor(tapes: Path):
    examples = tapes / "alor/examples"
    marks, _ = marks_of("alor-quotes", examples / "Symbols_Simple.json", examples / "Symbols_Heavy.json")
    assert [(mark.instrument, str(mark.price), mark.currency) for mark in marks] == [
        ("SBER.MOEX", "314.51", ""),
        ("SBER.MOEX", "314.51", "RUB"),
    ]


def test_yields_of_bullet_bonds_are_the_exchanges_own(tapes: Path):
    bonds = moex_yields.read_bonds(tapes)
    assert sum(moex_yields.outside(bond) is None for bond in bonds) == 608
    assert moex_yields.table(tapes) == {
        "agrees": 417,
        "the yield is to an offer": 202,
        "paid back in parts (face below 1,000)": 162,
        "the issuer buys back before maturity": 154,
        "paid back in parts, or earlier (by its stated duration)": 136,
        "accrued interest in another currency than the face": 71,
        "other coupons later than the one that the file states": 35,
        "no coupon, or no regular one": 13,
        "days of the schedule (within 0.1 points)": 12,
        "settles on the day of a coupon": 8,
    }
    # Federal loans with fixed coupons: all but one, whose period is no whole number of months.
    federal = Counter(moex_yields.classify(bond) for bond in bonds if bond.name.startswith("ОФЗ-ПД"))
    assert federal == {"agrees": 26, "no coupon, or no regular one": 1}


def test_bars_of_the_binance_tape_are_those_of_the_raw_lines(tapes: Path):
    path = tapes / "binance_hftbacktest/usdm/ethusdt_20240808.bookTicker.jsonl.gz"
    marks, _ = marks_of("binance-quotes", path)
    stage = StageInMemory(bars.stage())
    shown: dict[tuple[str, int], Any] = {}
    for start in range(0, len(marks), 1_000):
        for bar in emitted(stage.step(*marks[start : start + 1_000]), "md.ohlc.v1"):
            shown[bar["interval"], bar["opened_at"]] = bar
    raw: dict[tuple[str, int], list[tuple[int, int, Decimal]]] = {}
    with gzip.open(path, "rt") as stream:
        for line in stream:
            data = json.loads(line.partition(" ")[2])["data"]
            middle = (Decimal(data["b"]) + Decimal(data["a"])) / 2
            at = data["T"] * 1_000_000
            for interval, seconds in (("1s", 1), ("1m", 60), ("1d", 86_400)):
                begin = at - at % (seconds * 10**9)
                raw.setdefault((interval, begin), []).append((at, data["u"], middle))
    assert shown.keys() == raw.keys()
    for key, ticks in raw.items():
        prices = [price for _, _, price in sorted(ticks)]
        expected = (prices[0], max(prices), min(prices), prices[-1])
        assert tuple(Decimal(shown[key][name]) for name in ("open", "high", "low", "close")) == expected
    assert {interval for interval, _ in shown} == {"1s", "1m", "1d"} and len(shown) > 300
