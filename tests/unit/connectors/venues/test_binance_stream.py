"""`binance-stream`: which lines are trades, of which market, on which side, under which id."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.files.faults import InputFaults
from connectors.venues.binance_markets import terms_of
from connectors.venues.binance_stream import decode
from connectors.venues.decoding import DecodeOptions

FUTURES = {"e": "trade", "E": 1, "T": 1723161256560, "s": "BTCUSDT", "t": 7, "p": "61800.30", "q": "0.006", "X": "MARKET", "m": False}  # fmt: skip
SPOT = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 7, "p": "61837.63000000", "q": "0.02000000", "T": 1723161255342, "m": True, "M": True}  # fmt: skip


def combined(event, kind="trade") -> str:
    return json.dumps({"stream": f"{event['s'].lower()}@{kind}", "data": event})


def read(folder: Path, *lines, name: str = "tape.jsonl", options: DecodeOptions | None = None):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(line if isinstance(line, str) else combined(line) for line in lines) + "\n")
    decoded = decode([str(path)], options or DecodeOptions())
    return decoded.fills(), decoded


def faults_of(folder: Path, *lines) -> list[str]:
    with pytest.raises(InputFaults) as raised:
        read(folder, *lines)
    return [str(fault).partition("tape.jsonl: ")[2] for fault in raised.value.faults]


def test_a_trade_becomes_the_fill_of_its_aggressor(tmp_path: Path):
    fills, decoded = read(tmp_path, f"1723161255088176367 {combined(FUTURES)}")
    (found,) = fills
    assert (found.trade_id, found.instrument, found.side) == (
        "binance:usdm:btcusdt:7", "BTCUSDT-PERP.BINANCE", "BUY",
    )  # fmt: skip
    assert (str(found.quantity), str(found.price)) == ("0.006", "61800.3")
    assert found.executed_at == 1_723_161_256_560_000_000
    assert (found.source, found.source_sequence, found.book) == ("binance-stream:tape.jsonl", 7, "BINANCE")
    assert (found.multiplier, found.inverse, found.currency) == (Decimal(1), False, "USDT")
    assert decoded.counts.document() == {"read": 1, "fills": 1, "duplicates": 0, "rejected": 0, "skipped": {}}


def test_one_symbol_on_two_markets_is_two_instruments_with_ids_of_their_own(tmp_path: Path):
    fills, _ = read(tmp_path, FUTURES, SPOT)
    assert [(found.instrument, found.trade_id, found.side) for found in fills] == [
        ("BTCUSDT-PERP.BINANCE", "binance:usdm:btcusdt:7", "BUY"),
        ("BTCUSDT.BINANCE", "binance:spot:btcusdt:7", "SELL"),
    ]


@pytest.mark.parametrize(
    ("symbol", "market", "expected"),
    [
        ("BTCUSDT", "spot", ("BTCUSDT.BINANCE", "spot", "BTC", "USDT", "1", False)),
        ("ETHBTC", "spot", ("ETHBTC.BINANCE", "spot", "ETH", "BTC", "1", False)),
        ("ODDPAIR", "spot", ("ODDPAIR.BINANCE", "spot", "", None, "1", False)),
        ("ETHUSDC", "futures", ("ETHUSDC-PERP.BINANCE", "perpetual", "ETH", "USDC", "1", False)),
        ("BTCUSDT_240927", "futures", ("BTCUSDT_240927.BINANCE", "future", "BTC", "USDT", "1", False)),
        ("BTCUSD_PERP", "futures", ("BTCUSD_PERP.BINANCE", "perpetual", "BTC", "BTC", "100", True)),
        ("ETHUSD_PERP", "futures", ("ETHUSD_PERP.BINANCE", "perpetual", "ETH", "ETH", "10", True)),
        ("BTCUSD_240927", "futures", ("BTCUSD_240927.BINANCE", "future", "BTC", "BTC", "100", True)),
        ("ADAUSD_240927", "futures", ("ADAUSD_240927.BINANCE", "future", "ADA", "ADA", "10", True)),
    ],
)
def test_terms_of_a_symbol(symbol: str, market: str, expected: tuple):
    terms = terms_of(symbol, market)
    found = (
        terms.instrument, terms.instrument_class, terms.underlying, terms.currency, str(terms.multiplier),
        terms.inverse,
    )  # fmt: skip
    assert found == expected


def test_a_trade_without_its_market_takes_the_folders(tmp_path: Path):
    bare = {name: value for name, value in FUTURES.items() if name != "X"}
    assert read(tmp_path, bare, name="spot/a.jsonl")[0][0].instrument == "BTCUSDT.BINANCE"
    assert read(tmp_path, bare, name="usdm/a.jsonl")[0][0].instrument == "BTCUSDT-PERP.BINANCE"
    (fault,) = faults_of(tmp_path, bare)
    assert fault.startswith("line 1: X: expected `M` (a spot trade) or `X`")


def test_every_other_kind_is_skipped_by_name(tmp_path: Path):
    ticker = {"u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
    fills, decoded = read(
        tmp_path,
        combined(ticker, "bookTicker"),
        json.dumps(ticker),
        combined({"e": "depthUpdate", "s": "BTCUSDT"}, "depth@100ms"),
        combined({"s": "BTCUSDT", "bids": []}, "depth20@100ms"),
        '{"stream":"!ticker@arr","data":[{"e":"24hrTicker"}]}',
        combined({**FUTURES, "e": "aggTrade"}, "aggTrade"),
        '{"result":null,"id":1}',
        "",
        json.dumps(FUTURES),
    )
    assert len(fills) == 1
    assert decoded.counts.document() == {
        "read": 8, "fills": 1, "duplicates": 0, "rejected": 0,
        "skipped": {"bookTicker": 2, "depthUpdate": 1, "depth20": 1, "ticker": 1, "aggTrade": 1, "response": 1},
    }  # fmt: skip


def test_the_same_trade_again_is_a_duplicate_and_another_under_its_id_is_rejected(tmp_path: Path):
    fills, decoded = read(tmp_path, FUTURES, FUTURES, {**FUTURES, "p": "61800.31"}, {**FUTURES, "t": 8})
    assert [found.source_sequence for found in fills] == [7, 8]
    assert (decoded.counts.duplicates, decoded.counts.rejected) == (1, 1)
    assert str(decoded.rejections[0]).endswith("line 3: t: expected the same content for the same trade, found another trade binance:usdm:btcusdt:7")  # fmt: skip


def test_a_trade_without_quantity_is_none(tmp_path: Path):
    fills, decoded = read(tmp_path, {**FUTURES, "X": "NA", "p": "0", "q": "0"})
    assert (fills, decoded.counts.skipped) == ([], {"trade without quantity": 1})


def test_numbers_are_read_digit_by_digit(tmp_path: Path):
    text = json.dumps({**FUTURES, "p": "P", "q": "Q"}).replace('"P"', "61800.123456789012345678901234567890")
    fills, _ = read(tmp_path, text.replace('"Q"', "0.1"))
    assert (str(fills[0].price), str(fills[0].quantity)) == ("61800.12345678901234567890123456789", "0.1")


def test_microseconds_are_told_by_their_size(tmp_path: Path):
    fills, _ = read(tmp_path, {**FUTURES, "T": 1723161256560123})
    assert fills[0].executed_at == 1_723_161_256_560_123_000


def test_an_id_is_the_same_at_every_import_and_of_its_content(tmp_path: Path):
    (first,), _ = read(tmp_path, FUTURES)
    (_, again), _ = read(tmp_path, SPOT, FUTURES, name="other.jsonl")
    (other,), _ = read(tmp_path, {**FUTURES, "q": "0.007"})
    assert first.event_id == again.event_id
    assert first.event_id != other.event_id


def test_the_book_is_the_options(tmp_path: Path):
    options = DecodeOptions(book="MM", books={"BTCUSDT.BINANCE": "SPOT"})
    fills, _ = read(tmp_path, FUTURES, SPOT, options=options)
    assert [found.book for found in fills] == ["MM", "SPOT"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("garbage", "line 1: expected an event, after its local time in nanoseconds or alone, found garbage"),
        ("[1]", "line 1: expected an event, after its local time in nanoseconds or alone, found [1]"),
        ('{"a":1}', 'line 1: expected a Binance event (`stream` and `data`, or an event type `e`), found {"a":1}'),
        ({**FUTURES, "p": "1e5"}, "line 1: p: expected a plain decimal number (optional sign, ASCII digits, optional point), found 1e5"),
        ({**FUTURES, "q": "NaN"}, "line 1: q: expected a plain decimal number (optional sign, ASCII digits, optional point), found NaN"),
        ({**FUTURES, "q": "-1"}, "line 1: q: expected a number above 0, found -1"),
        ({**FUTURES, "p": "0"}, "line 1: p: expected a number above 0, found 0"),
        ({**FUTURES, "t": -1}, "line 1: t: expected a trade number from 0 to 2^63 - 1, found -1"),
        ({**FUTURES, "t": 2**63}, "line 1: t: expected a trade number from 0 to 2^63 - 1, found 9223372036854775808"),
        ({**FUTURES, "T": -5}, "line 1: T: expected a time in milliseconds, from 1970 to 2200, found -5"),
        ({**FUTURES, "m": 1}, "line 1: m: expected `bool`, got `int`, found 1"),
        ({**FUTURES, "s": "@BTC"}, "line 1: s: expected a first character other than = + - @, found @BTC-PERP.BINANCE"),
        ({**FUTURES, "s": ""}, "line 1: s: expected a symbol, found an empty text"),
        ({name: value for name, value in FUTURES.items() if name != "q"}, "line 1: q: expected a value, found nothing"),
    ],
)  # fmt: skip
def test_a_malformed_line_refuses_the_file(tmp_path: Path, line, fault: str):
    assert faults_of(tmp_path, line, FUTURES) == [fault]


def test_broken_json_says_where(tmp_path: Path):
    (fault,) = faults_of(tmp_path, '{"stream":"btcusdt@trade","data":{"e":"trade"')
    assert fault.startswith("line 1: expected an event in JSON (")


def test_every_fault_is_said(tmp_path: Path):
    assert len(faults_of(tmp_path, {**FUTURES, "p": "x", "q": "y"}, FUTURES, "z")) == 3


@pytest.mark.parametrize(
    "lines", [json.dumps(SPOT, indent=1).splitlines(), ["t,s,p,q", "7,BTCUSDT,1,2", "8,BTCUSDT,1,2"]]
)
def test_what_has_not_one_event_a_line_is_one_fault(tmp_path: Path, lines):
    (fault,) = faults_of(tmp_path, *lines)
    assert fault.startswith("line 1: expected one event a line, found ")
