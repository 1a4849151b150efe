"""`lean-tick`: sides by the tick test, times of New York, names that say day and symbol."""

import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.files.faults import InputFaults
from connectors.venues.decoding import BATCH_FILLS, DecodeOptions
from connectors.venues.lean_files import clock_of, tick_file
from connectors.venues.lean_tick import decode
from schemas.times import format_time

DAY = "20131007"
OPEN = 34_200_000


def line(price: int | str, quantity: int | str = 100, at: int | str = OPEN) -> str:
    return f"{at},{price},{quantity},P,20002000,0"


def tape(
    folder: Path, *lines: str, day: str = DAY, symbol: str = "spy", kind: str = "equity/usa/tick"
) -> str:
    path = folder / kind / symbol / f"{day}_trade.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{day}_{symbol}_Trade_Tick.csv", "\n".join(lines))
    return str(path)


def read(*paths: str, options: DecodeOptions | None = None):
    decoded = decode(paths, options or DecodeOptions())
    return decoded.fills(), decoded


def faults_of(*paths: str) -> list[str]:
    with pytest.raises(InputFaults) as raised:
        read(*paths)
    return [str(fault) for fault in raised.value.faults]


def sides(fills) -> str:
    return "".join(found.side[0] for found in fills)


def test_a_print_becomes_a_fill(tmp_path: Path):
    (found,), decoded = read(tape(tmp_path, "34200123,1674150,1400,P,20002000,1"))
    assert (found.trade_id, found.instrument, found.book) == ("lean:spy:20131007:1", "SPY", "LEAN")
    assert (str(found.price), str(found.quantity)) == ("167.415", "1400")
    assert format_time(found.executed_at) == "2013-10-07T13:30:00.123Z"
    assert (found.venue, found.currency, found.instrument_class) == ("P", "USD", "equity")
    assert (found.source, found.source_sequence) == ("lean-tick:20131007_trade.zip", 1)
    assert decoded.counts.document() == {"read": 1, "fills": 1, "duplicates": 0, "rejected": 0, "skipped": {}}


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([10], "B"),
        ([10, 10, 10], "BBB"),
        ([10, 11, 11, 10, 10, 10, 11], "BBBSSSB"),
        ([10, 9, 9, 8, 9], "BSSSB"),
    ],
)
def test_the_tick_test(tmp_path: Path, prices: list[int], expected: str):
    fills, _ = read(tape(tmp_path, *(line(price) for price in prices)))
    assert sides(fills) == expected


def test_the_tick_test_runs_on_over_days_for_each_instrument_in_any_order_of_files(tmp_path: Path):
    paths = [
        tape(tmp_path, line(12), line(12), day="20131008"),
        tape(tmp_path, line(10), line(9), day="20131007"),
        tape(tmp_path, line(20), line(21), day="20131007", symbol="ibm"),
        tape(tmp_path, line(21), line(20), day="20131008", symbol="ibm"),
    ]
    fills, _ = read(*paths)
    by_instrument = {name: [found for found in fills if found.instrument == name] for name in ("SPY", "IBM")}
    assert sides(by_instrument["SPY"]) == "BSBB"
    assert sides(by_instrument["IBM"]) == "BBBS"
    assert [found.trade_id for found in by_instrument["SPY"]] == [
        "lean:spy:20131007:1", "lean:spy:20131007:2", "lean:spy:20131008:1", "lean:spy:20131008:2",
    ]  # fmt: skip
    assert sides(found for found in read(str(tmp_path))[0] if found.instrument == "SPY") == "BSBB"


def test_equal_prints_are_not_duplicates(tmp_path: Path):
    fills, decoded = read(tape(tmp_path, line(10), line(10)))
    assert len({found.trade_id for found in fills}) == len({found.event_id for found in fills}) == 2
    assert decoded.counts.duplicates == 0


def test_a_file_named_twice_is_read_once(tmp_path: Path):
    path = tape(tmp_path, line(10))
    assert len(read(path, path, str(tmp_path))[0]) == 1


def test_ids_are_the_same_at_every_import_and_of_the_content(tmp_path: Path):
    first = [found.event_id for found in read(tape(tmp_path, line(10), line(9)))[0]]
    again = [found.event_id for found in read(tape(tmp_path / "b", line(10), line(9)))[0]]
    other = [found.event_id for found in read(tape(tmp_path / "c", line(10), line(8)))[0]]
    assert first == again
    assert first[0] == other[0] and first[1] != other[1]


def test_prints_without_quantity_or_price_are_skipped_and_do_not_move_the_tick_test(tmp_path: Path):
    fills, decoded = read(tape(tmp_path, line(10), line(12, 0), line(0), line(10), line(9)))
    assert sides(fills) == "BBS"
    assert decoded.counts.skipped == {"print without quantity": 1, "print without price": 1}


def test_batches_are_bounded(tmp_path: Path):
    decoded = decode([tape(tmp_path, *(line(10) for _ in range(BATCH_FILLS + 1)))], DecodeOptions())
    assert [len(batch) for batch in decoded] == [BATCH_FILLS, 1]


def test_futures_have_a_file_a_contract_and_prices_as_they_are(tmp_path: Path):
    path = tmp_path / "future/comex/tick/gc/20131007_trade.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "20131007_gc_tick_trade_201312.csv", "4933381,1313.8,1,usa,,0\n4933382,1313.7,2,usa,,0"
        )
        archive.writestr("20131007_gc_tick_trade_201402.csv", "4933381,-1.5,0,usa,,0\n4933381,-1.5,3,usa,,0")
    fills, decoded = read(str(tmp_path))
    assert [(found.trade_id, found.instrument, str(found.price), found.side) for found in fills] == [
        ("lean:gc201312:20131007:1", "GC201312", "1313.8", "BUY"),
        ("lean:gc201312:20131007:2", "GC201312", "1313.7", "SELL"),
        ("lean:gc201402:20131007:2", "GC201402", "-1.5", "BUY"),
    ]
    assert {(found.multiplier, found.venue, found.underlying) for found in fills} == {
        (Decimal(100), "COMEX", "GC")
    }
    assert decoded.counts.skipped == {"print without quantity": 1}


def test_a_bare_csv_says_enough_by_its_name(tmp_path: Path):
    path = tmp_path / "20131007_spy_Trade_Tick.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join((line(10), "", line(11))).encode())
    fills, decoded = read(str(path))
    assert [found.trade_id for found in fills] == ["lean:spy:20131007:1", "lean:spy:20131007:3"]
    assert decoded.counts.read == 2


def test_a_folder_names_the_symbol_where_the_csv_does_not(tmp_path: Path):
    path = tmp_path / "brk.b" / "20131007_trade.csv"
    path.parent.mkdir()
    path.write_text(line(10))
    assert read(str(path))[0][0].trade_id == "lean:brk.b:20131007:1"


@pytest.mark.parametrize(
    ("day", "elapsed", "expected"),
    [
        ("20131007", 0, "2013-10-07T04:00:00Z"),
        ("20130107", 0, "2013-01-07T05:00:00Z"),
        ("20130310", 7_199_999, "2013-03-10T06:59:59.999Z"),
        ("20130310", 10_800_000, "2013-03-10T07:00:00Z"),
        ("20130310", 86_399_999, "2013-03-11T03:59:59.999Z"),
        ("20131103", 3_600_000, "2013-11-03T05:00:00Z"),
        ("20131103", 7_200_000, "2013-11-03T07:00:00Z"),
        ("20131103", 86_399_999, "2013-11-04T04:59:59.999Z"),
    ],
)
def test_new_york_keeps_its_daylight_saving_time(tmp_path: Path, day: str, elapsed: int, expected: str):
    (found,), _ = read(tape(tmp_path, line(10, at=elapsed), day=day))
    assert format_time(found.executed_at) == expected


def test_a_clock_has_a_figure_an_hour():
    assert len(clock_of(date(2013, 10, 7))) == 24
    assert len(set(clock_of(date(2013, 10, 7)))) == 1
    assert len(set(clock_of(date(2013, 11, 3)))) == 2


def test_fractions_of_a_millisecond(tmp_path: Path):
    (found,), _ = read(tape(tmp_path, line(10, at="34200000.123456")))
    assert format_time(found.executed_at) == "2013-10-07T13:30:00.000123456Z"


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        ("1,2,3", ["line 2: expected 6 columns (milliseconds, price, quantity, exchange, condition, suspicious), found 3: 1,2,3"]),
        (line("x"), ["line 2: price: expected a plain decimal number (optional sign, ASCII digits, optional point), found x"]),
        (line("1e5"), ["line 2: price: expected a plain decimal number (optional sign, ASCII digits, optional point), found 1e5"]),
        (line(-1), ["line 2: price: expected a number not below 0, found -1"]),
        (line(10, -1), ["line 2: quantity: expected a number not below 0, found -1"]),
        (line(10, at=86_400_000), ["line 2: milliseconds: expected milliseconds from 0 to 86399999, found 86400000"]),
        (line(10, at="-1"), ["line 2: milliseconds: expected milliseconds from 0 to 86399999, found -1"]),
        (line(10, at="1.1234567"), ["line 2: milliseconds: expected milliseconds from 0 to 86399999, found 1.1234567"]),
        (line(10, at="١٢"), ["line 2: milliseconds: expected milliseconds from 0 to 86399999, found ١٢"]),
        (f"{OPEN},10,100,{'P' * 33},,0", [f"line 2: exchange: expected at most 32 printable characters, found {'P' * 33}"]),
        (line("y", "z"), [
            "line 2: price: expected a plain decimal number (optional sign, ASCII digits, optional point), found y",
            "line 2: quantity: expected a plain decimal number (optional sign, ASCII digits, optional point), found z",
        ]),
    ],
)  # fmt: skip
def test_a_bad_line_refuses_the_files(tmp_path: Path, row: str, faults: list[str]):
    path = tape(tmp_path, line(10), row, line(11))
    shown = f"{path}/20131007_spy_Trade_Tick.csv: "
    assert [fault.removeprefix(shown) for fault in faults_of(path)] == faults


def test_a_price_too_fine_is_a_fault_not_a_wrong_number(tmp_path: Path):
    (fault,) = faults_of(tape(tmp_path, line("0." + "0" * 58 + "1")))
    assert "price: expected a number of at most 60 digits" in fault


@pytest.mark.parametrize(
    ("path", "member", "found"),
    [
        ("usa/tick/ibm/20131007_quote.zip", "20131007_ibm_Quote_Tick.csv", "Quote_Tick"),
        ("crypto/coinbase/tick/btcusd/20170903_trade.zip", "20170903_btcusd_trade_tick.csv", "crypto"),
        ("equity/usa/tick/spy/20131399_trade.zip", "20131399_spy_Trade_Tick.csv", "20131399"),
        ("future/comex/tick/gc/20131007_trade.zip", "20131007_gc_trade_tick.csv", "GC"),
        ("future/x/tick/zz/20131007_trade.zip", "20131007_zz_tick_trade_201312.csv", "ZZ"),
        ("20131007_trade.csv", "20131007_trade.csv", "20131007_trade.csv"),
        ("-", "-", "-"),
    ],
)
def test_names_that_say_too_little_are_refused(path: str, member: str, found: str):
    with pytest.raises(InputFaults) as raised:
        tick_file(path, member)
    assert found in raised.value.faults[0].found


def test_two_files_of_one_day_are_refused(tmp_path: Path):
    first, second = tape(tmp_path / "a", line(10)), tape(tmp_path / "b", line(10))
    assert faults_of(first, second) == [
        f"{second}: file name: expected one file of SPY on 2013-10-07 ({first}), found another"
    ]


def test_all_files_that_are_missing_are_named(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    paths = [str(tmp_path / name) for name in ("empty", "a_trade.zip", "b_trade.zip")]
    assert [fault.partition(":")[0] for fault in faults_of(*paths)] == paths
