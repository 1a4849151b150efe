"""Samples of every kind of input, mutants of them, and what became of a file."""

import gzip
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from connectors.files.book_map import read_book_map
from connectors.files.definitions import read_definitions
from connectors.files.faults import InputFaults
from connectors.files.source import open_source
from connectors.venues.decoding import DecodeOptions
from connectors.venues.formats import decode
from schemas import reference

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
BOOKS = (
    b"book,entity,base_currency,lot_methods,fee_policy,calendar,time_zone,cut_off,active\n"
    b"B1,E,USD,equity=fifo;*=average,expensed,weekdays,Europe/London,17:30,true\n"
)
INSTRUMENTS = (
    b"instrument,class,currency,multiplier,inverse,settlement_days,isin,symbol:XNAS\n"
    b"X,equity,USD,1,false,2,US0378331005,AAPL\n"
)
RULES = b'{"rule":"r","book":"B1","priority":1,"venue":"XNAS"}\n{"rule":"s","book":"B2"}\n'

Reader = Callable[[Path], object]


def importing(format_name: str) -> Reader:
    """Reads every fill of a file."""
    return lambda path: decode(format_name, [str(path)], DecodeOptions(book="B1")).fills()


def defining(kind: type) -> Reader:
    """Reads definitions."""
    return lambda path: read_definitions(open_source(str(path)), kind)


def mapping(path: Path) -> object:
    """Reads a map of books."""
    return read_book_map(open_source(str(path)))


IMPORTS = {
    "canonical.csv": ("canonical", CSV),
    "canonical.jsonl": ("canonical", JSON_LINE),
    "canonical.json": ("canonical", b"[" + JSON_LINE.strip() + b"]"),
    "flex.xml": ("ibkr-flex", FLEX),
    "btcusdt.jsonl": ("binance-stream", TRADE),
    "20260105_trade.csv": ("lean-tick", TICKS),
}
PARSERS: dict[str, tuple[Reader, bytes]] = {
    **{name: (importing(format_name), sample) for name, (format_name, sample) in IMPORTS.items()},
    "packed.csv.gz": (importing("canonical"), gzip.compress(CSV, mtime=0)),
    "books.csv": (defining(reference.Book), BOOKS),
    "instruments.csv": (defining(reference.Instrument), INSTRUMENTS),
    "rules.jsonl": (defining(reference.RoutingRule), RULES),
    "map.csv": (mapping, b"instrument,book\nX,B1\nY,B2\n"),
    "map.json": (mapping, b'{"X":"B1","Y":"B2","*":"REST"}'),
    "books.yaml": (
        defining(reference.Book),
        b"- book: B1\n  lot_methods: {equity: fifo}\n  cut_off: '17:00'\n",
    ),
    "map.yaml": (mapping, b"X: B1\nY: B2\n"),
}
FEWER = {
    **dict.fromkeys(
        ("packed.csv.gz", "books.csv", "instruments.csv", "rules.jsonl", "map.csv", "map.json"), 5_000
    ),
    **dict.fromkeys(("books.yaml", "map.yaml"), 300),
}
"""Mutants of what shares its reader of rows with others, and of YAML, which is read 50 times as slowly; the soak run
makes no difference."""

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


def read(path: Path, reader: Reader) -> str:
    """What became of a file: `read`, or `refused` with every fault placed in it, on one line that can be shown."""
    try:
        reader(path)
    except InputFaults as refused:
        lines = [str(fault) for fault in refused.faults]
        assert lines and all(line.isprintable() and path.name in line for line in lines), lines
        return "refused"
    return "read"
