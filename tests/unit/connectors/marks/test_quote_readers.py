"""Each reader of quotes on small files: what becomes a quote, what is skipped by name, and what refuses the file."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.marks.formats import QUOTE_FORMATS, open_quotes
from connectors.marks.moex_iss import choose_board
from connectors.marks.reading import QuoteOptions, decimal_of, faults_of
from schemas.quotes import Quote
from schemas.times import parse_time

NO_OPTIONS = QuoteOptions()


class Found:
    """What a format makes of files."""

    def __init__(self, format_name: str, *paths: Path, options: QuoteOptions = NO_OPTIONS) -> None:
        streams = open_quotes(format_name, [str(path) for path in paths], options)
        self.quotes: list[Quote] = [quote for stream in streams for quote in stream]
        self.faults = [str(fault).partition(": ")[2] for fault in faults_of(streams)]
        self.skipped: dict[str, int] = {}
        self.read = self.rejected = 0
        self.rejections = []
        for stream in streams:
            self.read += stream.reading.counts.read
            self.rejected += stream.reading.counts.rejected
            self.skipped.update(stream.reading.counts.skipped)
            self.rejections += [str(why).partition(": ")[2] for why in stream.reading.rejections]


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_every_format_has_a_name_of_its_own():
    assert list(QUOTE_FORMATS) == [
        "binance-quotes",
        "lean-quotes",
        "moex-iss-marks",
        "alor-quotes",
        "csv-marks",
    ]


@pytest.mark.parametrize("value", ["1E+308", "NaN", "Infinity", "x", "", True, 1.5, [], {}])
def test_what_is_no_number_of_a_venue(value: Any):
    with pytest.raises(ValueError, match=r"a .*number"):
        decimal_of(value)


def test_numbers_of_a_venue_keep_their_digits():
    assert decimal_of("2e-05") == Decimal("0.00002") and decimal_of(None) is None
    assert str(decimal_of("162.010")) == "162.010"


# -- Binance ------------------------------------------------------------------------------------------------------

SPOT = '{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"10.10","B":"1","a":"10.20","A":"1"}}'
PERP = '{"e":"bookTicker","u":7,"s":"BTCUSDT","b":"10","a":"11","T":1723161256313}'
COIN = '{"e":"bookTicker","u":8,"s":"BTCUSD_PERP","ps":"BTCUSD","b":"10","a":"11","T":1723161256313}'


def test_book_tickers_of_three_markets(tmp_path: Path):
    trade = '{"e":"trade","s":"BTCUSDT","t":1,"b":2,"a":3}'
    found = Found("binance-quotes", written(tmp_path, "b.jsonl", f"17 {SPOT}\n{PERP}\n{COIN}\n{trade}\n"))
    assert [
        (q.instrument, q.event_time, q.bid, q.ask, q.source_sequence, q.underlying, q.currency)
        for q in found.quotes
    ] == [
        ("BTCUSDT.BINANCE", 17, Decimal("10.1"), Decimal("10.2"), 5, "BTC", "USDT"),
        ("BTCUSDT-PERP.BINANCE", 1723161256313_000_000, 10, 11, 7, "BTC", "USDT"),
        ("BTCUSD_PERP.BINANCE", 1723161256313_000_000, 10, 11, 8, "BTC", "USD"),
    ]
    assert (found.read, found.skipped) == (4, {"trade": 1})


def test_a_side_without_orders_is_none(tmp_path: Path):
    [quote] = Found(
        "binance-quotes", written(tmp_path, "b.jsonl", "17 " + SPOT.replace("10.10", "0.00"))
    ).quotes
    assert (quote.bid, quote.ask) == (None, Decimal("10.2"))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            SPOT,
            "line 1: T: expected a time (T), or the recorder's before the event, in nanoseconds, found neither",
        ),
        (
            "17 " + SPOT.replace('"10.10"', '"NaN"'),
            "line 1: b: expected a plain decimal number (optional sign, ASCII digits, optional point), found NaN",
        ),
        ("17 " + SPOT.replace('"b":"10.10"', '"x":1'), "line 1: b: expected a value, found nothing"),
        (
            PERP.replace("1723161256313", "-1"),
            "line 1: T: expected a time in milliseconds, from 1970 to 2200, found -1",
        ),
        (PERP.replace("BTCUSDT", ""), "line 1: s: expected a symbol, found an empty text"),
        ("[]", "line 1: expected an event, after its local time in nanoseconds or alone, found []"),
        ("{}", "line 1: expected a Binance event (`stream` and `data`, or an event type `e`), found {}"),
    ],
)
def test_a_line_at_fault_refuses_the_recording(tmp_path: Path, line: str, fault: str):
    assert fault in Found("binance-quotes", written(tmp_path, "b.jsonl", line + "\n")).faults


# -- Lean ---------------------------------------------------------------------------------------------------------


def seen(found: Found) -> list[tuple[str, str, str]]:
    from schemas.times import format_time

    return [(format_time(q.event_time), str(q.bid), str(q.ask)) for q in found.quotes]


def test_ticks_of_an_equity_change_one_side_each(tmp_path: Path):
    content = "\n".join(
        [
            "34200000,0,0,140200,500,Q,1,0",  # no bid yet
            "34200001,138400,700,0,0,P,1,0",
            "34200002,138500,700,0,0,P,1,0",
            "34200002,0,0,139500,20000,P,1,0",  # the same millisecond: one quote
            "34200003,0,0,1,1,P,1,1",  # the vendor does not believe it
            "34200004,0,0,139600,20000,P,1,0",
        ]
    )
    found = Found("lean-quotes", written(tmp_path, "20131007_bac_Quote_Tick.csv", content))
    assert seen(found) == [
        ("2013-10-07T13:30:00.001Z", "13.84", "14.02"),
        ("2013-10-07T13:30:00.002Z", "13.85", "13.95"),
        ("2013-10-07T13:30:00.004Z", "13.85", "13.96"),
    ]
    assert found.skipped == {"one side": 1, "same time": 1, "suspicious": 1}
    assert {(q.instrument, q.instrument_class, q.underlying, q.currency) for q in found.quotes} == {
        ("BAC", "equity", "BAC", "USD")
    }


def test_bars_are_quoted_at_their_end(tmp_path: Path):
    second = written(
        tmp_path,
        "equity/usa/second/spy/20131007_spy_second_quote.csv",
        "14400000,1672700,1672700,1672700,1672700,100,1680000,1680000,1674100,1674100,600\n"
        "14401000,,,,,,1674100,1674100,1672600,1672800,200\n",
    )
    assert seen(Found("lean-quotes", second)) == [
        ("2013-10-07T08:00:01Z", "167.27", "167.41"),
        ("2013-10-07T08:00:02Z", "167.27", "167.28"),
    ]
    future = written(
        tmp_path,
        "future/comex/minute/gc/20131007_gc_minute_quote_201312.csv",
        "0,1308.2,1313.7,1308.2,1312.9,23,1317.7,1317.7,1313.1,1313.1,5\n",
    )
    found = Found("lean-quotes", future)
    assert seen(found) == [("2013-10-07T04:01:00Z", "1312.9", "1313.1")]
    assert (found.quotes[0].instrument, found.quotes[0].underlying) == ("GC201312", "GC")


def test_forex_is_in_utc_and_its_days_have_their_dates(tmp_path: Path):
    daily = written(
        tmp_path, "forex/oanda/daily/eurusd.csv", "20070101 00:00,1,1,1,1.32095,0,1,1,1,1.32195,0\n"
    )
    ticks = written(
        tmp_path, "forex/fxcm/tick/eurusd/20140507_eurusd_tick_quote.csv", "1014,1.39248,1.39250\n"
    )
    found = Found("lean-quotes", daily, ticks)
    assert seen(found) == [
        ("2007-01-02T00:00:00Z", "1.32095", "1.32195"),
        ("2014-05-07T00:00:01.014Z", "1.39248", "1.3925"),
    ]
    assert {(q.instrument, q.instrument_class, q.underlying, q.currency) for q in found.quotes} == {
        ("EURUSD", "FX", "EUR", "USD")
    }


@pytest.mark.parametrize(
    ("name", "line", "fault"),
    [
        ("20131007_bac_Quote_Tick.csv", "86400000,1,1,1,1,P,1,0", "line 1: time: expected milliseconds"),
        ("20131007_bac_Quote_Tick.csv", "-1,1,1,1,1,P,1,0", "line 1: time: expected milliseconds"),
        ("20131007_bac_Quote_Tick.csv", "1,NaN,1,1,1,P,1,0", "line 1: bid: expected a plain decimal number"),
        ("20131007_bac_Quote_Tick.csv", "1,1,1,1", "line 1: expected 8 columns (milliseconds, bid, bid size"),
        ("20131307_bac_Quote_Tick.csv", "1", "file name: expected a day as yyyymmdd, found 20131307"),
        (
            "forex/daily/eurusd.csv",
            "20070101,1,1,1,1,0,1,1,1,1,0",
            "line 1: time: expected a time as yyyymmdd HH:MM",
        ),
        (
            "forex/daily/eur.csv",
            "1",
            "symbol: expected a pair of two currencies of three letters each, found EUR",
        ),
        ("eurusd.csv", "1", "file name: expected a folder that says equity, forex, future, crypto"),
        ("future/minute/20131007_gc_minute_quote.csv", "1", "file name: expected one CSV a contract"),
        ("notes.txt", "1", "file name: expected a CSV named as Lean names quotes"),
    ],
)
def test_what_refuses_a_file_of_lean(tmp_path: Path, name: str, line: str, fault: str):
    assert any(fault in found for found in Found("lean-quotes", written(tmp_path, name, line + "\n")).faults)


# -- MOEX ---------------------------------------------------------------------------------------------------------


def iss(*rows: dict[str, Any]) -> str:
    """A document of ISS: what is said of each (security, board) in both blocks."""
    blocks = {}
    for name in ("securities", "marketdata"):
        columns = ["SECID", "BOARDID", *sorted({key for row in rows for key in row} - {"SECID", "BOARDID"})]
        blocks[name] = {"columns": columns, "data": [[row.get(column) for column in columns] for row in rows]}
    return json.dumps(blocks)


def share(board: str = "TQBR", last: Any = 162.01, **fields: Any) -> dict[str, Any]:
    return {
        "SECID": "GAZP", "BOARDID": board, "LAST": last, "BID": 162, "OFFER": 162.02, "TIME": "17:53:40",
        "UPDATETIME": "17:53:55", "SYSTIME": "2024-02-15 18:08:56", "PREVPRICE": 160.5, "PREVDATE": "2024-02-14",
        "CURRENCYID": "SUR", "VALTODAY": 5, **fields,
    }  # fmt: skip


def test_the_main_board_makes_the_mark_and_a_null_last_falls_back(tmp_path: Path):
    document = iss(share("SMAL", 161.65), share("TQBR"), share("SPEQ", None))
    found = Found("moex-iss-marks", written(tmp_path, "m.json", document))
    [quote] = found.quotes
    assert (quote.instrument, quote.price, quote.bid, quote.ask, quote.currency) == (
        "GAZP.MOEX", Decimal("162.01"), Decimal(162), Decimal("162.02"), "RUB",
    )  # fmt: skip
    assert quote.event_time == parse_time("2024-02-15T17:53:40+03:00")
    assert quote.observed_at == parse_time("2024-02-15T17:53:55+03:00")
    assert found.skipped == {"board SMAL, not the main one": 1, "board SPEQ, not the main one": 1}


@pytest.mark.parametrize(
    ("fields", "price", "fallback", "time"),
    [
        ({}, "162.01", False, "2024-02-15T17:53:40+03:00"),
        ({"LAST": None, "LCURRENTPRICE": 162.5}, "162.5", True, "2024-02-15T17:53:40+03:00"),
        ({"LAST": None, "MARKETPRICETODAY": 161}, "161", True, "2024-02-15T17:53:40+03:00"),
        ({"LAST": None}, "160.5", True, "2024-02-14T18:50:00+03:00"),
        ({"LAST": None, "PREVPRICE": None}, None, False, "2024-02-15T17:53:55+03:00"),
    ],
)
def test_which_price_a_security_has(
    tmp_path: Path, fields: Any, price: str | None, fallback: bool, time: str
):
    document = iss(share(**{"LCURRENTPRICE": None, "MARKETPRICETODAY": None, **fields}))
    [quote] = Found("moex-iss-marks", written(tmp_path, "m.json", document)).quotes
    assert quote.price == (None if price is None else Decimal(price))
    assert (quote.fallback, quote.no_price) == (fallback, price is None)
    assert quote.event_time == parse_time(time)


def test_the_rule_of_boards():
    def board(*rows: dict[str, Any], preferred: tuple[str, ...] = ()) -> str:
        return str(choose_board(rows, preferred)["BOARDID"])

    assert board(share("SMAL", VALTODAY="9999"), share("TQBR", VALTODAY=None)) == "TQBR"
    assert board(share("AAAA", VALTODAY="1"), share("BBBB", VALTODAY="2")) == "BBBB"
    assert board(share("BBBB"), share("AAAA")) == "AAAA"
    assert board(share("TQBR"), share("SMAL"), preferred=("SMAL",)) == "SMAL"
    assert board(share("AAAA", VALTODAY="x"), share("BBBB", VALTODAY="0")) == "AAAA"


def test_bonds_and_currencies(tmp_path: Path):
    bond = {**share("TQOB", 91.1687), "ACCRUEDINT": 31.63}
    pair = {**share("CETS", 58.11), "SECID": "USD000UTSTOM", "MARKETCODE": "CURR", "FACEUNIT": "USD"}
    [quote] = Found("moex-iss-marks", written(tmp_path, "b.json", iss(bond))).quotes
    assert (quote.instrument_class, quote.accrued_interest) == ("bond", Decimal("31.63"))
    [quote] = Found("moex-iss-marks", written(tmp_path, "c.json", iss(pair))).quotes
    assert (quote.instrument_class, quote.underlying, quote.currency) == ("FX", "USD", "RUB")


def test_a_future_falls_back_to_its_settlement(tmp_path: Path):
    future = {
        **share("RFUD", None),
        "SECID": "SiZ7",
        "LASTTRADEDATE": "2017-12-21",
        "ASSETCODE": "Si",
        "SETTLEPRICE": 58358,
    }
    [quote] = Found("moex-iss-marks", written(tmp_path, "f.json", iss(future))).quotes
    assert (quote.instrument, quote.instrument_class, quote.underlying) == ("SiZ7.MOEX", "future", "Si")
    assert (quote.price, quote.fallback) == (Decimal(58358), True)


def test_a_row_with_a_bad_number_is_rejected_alone(tmp_path: Path):
    document = iss(share(LAST=1e308), {**share(), "SECID": "SBER"}, {**share(TIME="25:00"), "SECID": "X"})
    found = Found("moex-iss-marks", written(tmp_path, "m.json", document))
    assert [quote.instrument for quote in found.quotes] == ["SBER.MOEX"]
    assert found.rejections == [
        "GAZP TQBR: LAST: expected a number of at most 60 digits, found 1e+308",
        "X TQBR: TIME: expected a date and a time of day, found 2024-02-15 25:00",
    ]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"securities": {"columns": ["A"], "data": [[1, 2]]}}'])
def test_what_is_no_document_of_iss(tmp_path: Path, content: str):
    [fault] = Found("moex-iss-marks", written(tmp_path, "m.json", content)).faults
    assert fault.startswith("expected a document of ISS with blocks securities and marketdata")


# -- ALOR ---------------------------------------------------------------------------------------------------------

ALOR = {
    "symbol": "SBER", "exchange": "MOEX", "prev_close_price": 313.49, "last_price": 314.51, "ask": 314.71,
    "last_price_timestamp": 1715603781, "bid": 314.7, "type": "CS", "ob_ms_timestamp": None,
}  # fmt: skip
HEAVY = {
    "symbol": "SBER", "exchange": "MOEX", "prevClosePrice": 313.49, "lastPrice": None, "ask": 314.71, "currency": "RUB",
    "lastPriceTimestamp": 1715603781, "bid": 314.7, "type": "CS", "obMsTimestamp": 1715603781999,
}  # fmt: skip


def test_both_forms_of_alor(tmp_path: Path):
    found = Found("alor-quotes", written(tmp_path, "a.json", json.dumps([ALOR, HEAVY])))
    simple, heavy = found.quotes
    assert (simple.instrument, simple.price, simple.fallback) == ("SBER.MOEX", Decimal("314.51"), False)
    assert simple.event_time == 1715603781 * 10**9
    assert (heavy.price, heavy.fallback, heavy.currency) == (Decimal("313.49"), True, "RUB")
    assert heavy.source_sequence == 1715603781999


def test_an_item_of_alor_at_fault_is_rejected_alone(tmp_path: Path):
    items = [{**ALOR, "bid": "NaN"}, ALOR, {**ALOR, "symbol": ""}, {**ALOR, "last_price_timestamp": None}, 7]
    found = Found("alor-quotes", written(tmp_path, "a.json", json.dumps(items)))
    assert len(found.quotes) == 1 and found.rejected == 4 and found.read == 5
    assert found.rejections[0] == "index 0: bid: expected a finite number, found NaN"
    assert Found("alor-quotes", written(tmp_path, "b.json", "7")).faults == [
        "expected an array of quotes, found 7"
    ]


# -- CSV ----------------------------------------------------------------------------------------------------------


def test_marks_of_a_desk(tmp_path: Path):
    content = (
        "instrument,time,price,bid,ask,quality,accrued_interest\n"
        "X,2026-01-05T09:30:00Z,10.10,,,,\n"
        "Y,2026-01-05T09:30:00Z,,9,11,indicative,1.5\n"
        "Z,2026-01-05T09:30:00Z,,,,missing,\n"
    )
    x, y, z = Found("csv-marks", written(tmp_path, "m.csv", content)).quotes
    assert (x.price, x.fallback, x.source_sequence, x.place) == (Decimal("10.10"), False, 2, "line 2")
    assert (y.bid, y.ask, y.fallback, y.accrued_interest) == (9, 11, True, Decimal("1.5"))
    assert (z.price, z.no_price) == (None, True)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("X,2026-01-05T09:30:00Z,1e308,", "line 2: price: expected a plain decimal number"),
        ("X,2026-01-05,1,", "line 2: time: expected an ISO 8601 time with its time zone"),
        ("=X,2026-01-05T09:30:00Z,1,", "line 2: instrument: expected a first character other than"),
        (",2026-01-05T09:30:00Z,1,", "line 2: instrument: expected a value, found none"),
        ("X,2026-01-05T09:30:00Z,1,good", "line 2: quality: expected live or stale or indicative or missing"),
        ("X,2026-01-05T09:30:00Z,1,missing", "line 2: price: expected no price beside the quality missing"),
    ],
)
def test_a_malformed_row_refuses_the_file(tmp_path: Path, row: str, fault: str):
    content = f"instrument,time,price,quality\n{row}\n"
    assert any(
        found.startswith(fault) for found in Found("csv-marks", written(tmp_path, "m.csv", content)).faults
    )


def test_rows_with_one_side_are_among_the_faults_of_a_file_that_is_refused(tmp_path: Path):
    rows = ["X,2026-01-05T10:00:00Z,9,,", "X,2026-01-05T10:00:01Z,,,", "X,2026-01-05T10:00:02Z,9,10,"]
    head = "instrument,time,bid,ask,price\n"
    alone = Found("csv-marks", written(tmp_path, "alone.csv", head + "\n".join(rows) + "\n"))
    assert alone.faults == [] and len(alone.quotes) == 3
    rows.append("X,yesterday,9,10,")
    found = Found("csv-marks", written(tmp_path, "marks.csv", head + "\n".join(rows) + "\n")).faults
    assert [fault.split(": ")[:2] for fault in found] == [
        ["line 2", "price"], ["line 3", "price"], ["line 5", "time"],
    ]  # fmt: skip
    assert found[0].endswith("found a bid alone") and found[1].endswith("found neither")
