"""Malformed input: each parser and import refuses it with its place, and none ends in a crash."""

import gzip
import os
import random
import resource
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.files.faults import InputFaults
from connectors.venues.decoding import DecodeOptions
from connectors.venues.formats import decode
from schemas import topics
from tests.faults.up_support import pks
from tests.support import Books, fill

MUTANTS = 20_000

CSV = b"""trade_id,book,instrument,side,quantity,price,executed_at
t1,B1,X,BUY,10,100.25,2026-01-05T10:00:00Z
t2,B1,X,SELL,4,101,2026-01-05T10:00:01Z
"""
JSON_LINE = (
    b'{"trade_id":"t1","book":"B1","instrument":"X","side":"BUY","quantity":"10","price":"100.25",'
    b'"executed_at":"2026-01-05T10:00:00Z"}\n'
)
FLEX = b"""<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1">
<FlexStatement accountId="U1"><Trades><Trade accountId="U1" symbol="AAPL" conid="1" assetCategory="STK"
currency="USD" tradeID="7" ibExecID="0001.1" dateTime="20260105;100000" buySell="BUY" quantity="10"
tradePrice="100.25" ibCommission="-1" ibCommissionCurrency="USD" transactionType="ExchTrade"/></Trades>
</FlexStatement></FlexStatements></FlexQueryResponse>
"""
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1767571200000,"s":"BTCUSDT","t":1,"p":"100.5","q":"0.1",'
    b'"T":1767571200000,"m":true,"M":true}}\n'
)
TICKS = b"34200000,1000000,100,Q,0,0\n34200001,1000100,50,Q,0,0\n"
SAMPLES = {
    "canonical.csv": ("canonical", CSV),
    "canonical.jsonl": ("canonical", JSON_LINE),
    "canonical.json": ("canonical", b"[" + JSON_LINE.strip() + b"]"),
    "flex.xml": ("ibkr-flex", FLEX),
    "btcusdt.jsonl": ("binance-stream", TRADE),
    "20260105_trade.csv": ("lean-tick", TICKS),
}
NASTY = (
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"'",
    b"\n",
    b",,,",
    b"=1+1",
    b"1e999999",
    b"NaN",
    b"{" * 50,
    b"[" * 3000,
)


def mutants(sample: bytes, number: int, seed: str) -> Iterator[bytes]:
    """The sample with bytes flipped, cut, repeated or replaced by what parsers dislike."""
    choose = random.Random(seed)
    for _ in range(number):
        content = bytearray(sample)
        for _ in range(choose.randint(1, 4)):
            place = choose.randrange(len(content) or 1)
            kind = choose.randrange(5)
            if kind == 0 and content:
                content[place] ^= 1 << choose.randrange(8)
            elif kind == 1:
                del content[place : place + choose.randint(1, 20)]
            elif kind == 2:
                content[place:place] = choose.choice(NASTY)
            elif kind == 3:
                content[place:place] = content[place : place + 40]
            else:
                del content[place:]
        yield bytes(content)


def fills_of(path: Path, format_name: str) -> int:
    """How many fills a file holds."""
    return sum(1 for _ in decode(format_name, [str(path)], DecodeOptions(book="B1")).fills())


def read(path: Path, format_name: str) -> str:
    """What became of a file: `read`, or `refused` with every fault placed in it."""
    try:
        fills_of(path, format_name)
    except InputFaults as refused:
        return "refused" if refused.faults else "refused without a fault"
    return "read"


@pytest.mark.parametrize("name", SAMPLES)
def test_no_mutant_ends_in_a_crash(tmp_path: Path, name: str):
    format_name, sample = SAMPLES[name]
    path = tmp_path / name
    path.write_bytes(sample)
    assert fills_of(path, format_name) > 0
    seen = {"read": 0, "refused": 0}
    for content in mutants(sample, MUTANTS, name):
        path.write_bytes(content)
        seen[read(path, format_name)] += 1
    assert seen["read"] > 0 and seen["refused"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("name", SAMPLES)
def test_no_mutant_of_a_million_ends_in_a_crash(tmp_path: Path, name: str):
    format_name, sample = SAMPLES[name]
    path = tmp_path / name
    ends = time.monotonic() + 60 * float(os.environ.get("PKS_SOAK_MINUTES", "10")) / len(SAMPLES)
    seen = {"read": 0, "refused": 0}
    for content in mutants(sample, 1_000_000, f"soak {name}"):
        path.write_bytes(content)
        seen[read(path, format_name)] += 1
        if time.monotonic() > ends:
            break
    assert seen["read"] > 0 and seen["refused"] > 0


@pytest.mark.parametrize("name", SAMPLES)
def test_the_import_command_refuses_what_it_cannot_read_and_touches_no_log(tmp_path: Path, name: str):
    format_name, sample = SAMPLES[name]
    path = tmp_path / name
    path.write_bytes(sample[: len(sample) // 4] + b"\xff\x00<{")
    done = pks(tmp_path / "data", "import", str(path), "--format", format_name, "--book", "B1", "--json")
    assert done.returncode == 2, done.stderr
    assert name in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "log").exists()


def test_bytes_that_reach_the_log_are_dead_letters_with_their_bytes(tmp_path: Path):
    choose = random.Random(1)
    values = [choose.randbytes(choose.randint(1, 200)) for _ in range(20_000)]
    with Books(tmp_path / "data") as books:
        for start in range(0, len(values), 1_000):
            books.append(topics.FILLS, None, values[start : start + 1_000])
        books.book(fill("sound"))
        counts = books.counts()
        assert (counts.refused, counts.applied) == (len(values), 1)
        assert sorted(bytes(letter.original) for letter in books.dead_letters()) == sorted(values)
        assert books.position().quantity == 10


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp037", "shift_jis"])
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, encoding: str):
    path = tmp_path / "fills.csv"
    path.write_bytes(
        CSV.decode().replace("X", "é" if encoding == "cp037" else "本").encode(encoding, "replace")
    )
    assert read(path, "canonical") == "refused"


GIGABYTE = 64


def gigabyte_of_one_line(path: Path) -> Path:
    """A gigabyte without an end of line, as members of a gzip file that repeat."""
    member = gzip.compress(b"0" * (16 << 20), compresslevel=1)
    with path.open("wb") as file:
        for _ in range(GIGABYTE):
            file.write(member)
    return path


@pytest.mark.parametrize("name", ["fills.csv.gz", "fills.jsonl.gz"])
def test_a_gigabyte_in_one_line_is_refused_in_bounded_memory(tmp_path: Path, name: str):
    path = gigabyte_of_one_line(tmp_path / name)
    assert path.stat().st_size < 8 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(path, "canonical") == "refused"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_a_sparse_gigabyte_is_refused(tmp_path: Path):
    path = tmp_path / "fills.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert read(path, "canonical") == "refused"


def test_a_zip_bomb_is_refused(tmp_path: Path):
    path = tmp_path / "fills.csv.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("fills.csv", "w") as member,
    ):
        for _ in range(128):
            member.write(b"0" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    assert read(path, "canonical") == "refused"


@pytest.mark.parametrize("text", ["=1+1", "@SUM(1)"])
def test_a_formula_in_a_number_is_refused_by_the_command(tmp_path: Path, text: str):
    path = tmp_path / "fills.csv"
    path.write_bytes(CSV.replace(b"100.25", text.encode()))
    done = pks(tmp_path / "data", "import", str(path), "--format", "canonical")
    assert done.returncode == 2 and "price" in done.stderr
    assert not (tmp_path / "data" / "log").exists()
