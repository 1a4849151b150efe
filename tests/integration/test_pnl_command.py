"""`pks pnl`, from files to figures: the day by cause, what was told before, closed days, and a picture."""

import json
import sys
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs
from msgspec.json import encode as json_encode

from agents.pnl_state import OPEN, scan_kept
from connectors.embedded.log import EmbeddedLog
from schemas.events import DayClosed
from schemas.frames import encode_frames, wire
from schemas.murmur2 import partition_of_key
from schemas.pnl import BUCKETS
from schemas.times import format_time
from schemas.topics import BOOKINGS, PNL
from tests.support import MONDAY, SECOND
from topology.cli.application import run
from topology.log_reading import table_partition

DAY = 86_400 * SECOND

FILES = {
    "fills.csv": """trade_id,book,instrument,side,quantity,price,fee,currency,executed_at
t1,B1,X,BUY,100,10,1,USD,2026-01-05T09:30:00Z
t2,B1,X,SELL,40,11,1,USD,2026-01-05T10:00:00Z
t3,B1,Y,SELL,10,5,0,GBP,2026-01-05T10:00:00Z
""",
    "books.csv": "book,base_currency\nB1,EUR\n",
    "rates.csv": """instrument,price,time,instrument_class,underlying,currency
EURUSD,1.25,2026-01-05T11:00:00Z,FX,EUR,USD
""",
    "before.csv": "instrument,price,time\nX,12,2026-01-05T11:00:00Z\n",
    "after.csv": "instrument,price,time\nX,13,2026-01-05T12:00:00Z\n",
}


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    data = ["--data", str(tmp_path / "data")]
    for command in (
        ["book-define", str(tmp_path / "books.csv")],
        ["import", str(tmp_path / "fills.csv"), "--format", "canonical"],
        ["import", str(tmp_path / "rates.csv"), "--format", "csv-marks"],
        ["import", str(tmp_path / "before.csv"), "--format", "csv-marks"],
        # Who reads brings the stages to the end of the log: this is a valuation of its own.
        ["pnl", "--json"],
        ["import", str(tmp_path / "after.csv"), "--format", "csv-marks"],
    ):
        assert run([*command, *data]) == 0
    capsys.readouterr()
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> dict[str, dict]:
    capsys.readouterr()
    assert run(["pnl", "--json", "--data", str(folder / "data"), *options]) == 0
    return {each["instrument"]: each for each in json.loads(capsys.readouterr().out)["pnl"]}


def test_the_day_by_cause(folder: Path, capsys: pytest.CaptureFixture[str]):
    day = shown(capsys, folder)["X"]
    assert (day["realised"], day["gross_realised"], day["fees"], day["unrealised"]) == (
        "38",
        "40",
        "2",
        "180",
    )
    assert day["total"] == "218" == str(sum(Decimal(day["buckets"][name]) for name in BUCKETS))
    assert (day["positional"], day["trading"]) == ("0", "218")
    assert (day["buckets"]["delta"], day["buckets"]["new_trades"], day["buckets"]["fees"]) == (
        "60",
        "160",
        "-2",
    )
    assert day["day"]["business_date"] == "2026-01-05"
    assert day["book_total"] == "174.4"


def test_no_price_is_no_pnl(folder: Path, capsys: pytest.CaptureFixture[str]):
    day = shown(capsys, folder, "--instrument", "Y")["Y"]
    assert (day["total"], day["buckets"], day["reason"]) == (
        None,
        None,
        "no mark of Y; no rate of GBP/EUR or GBP/USD",
    )


def test_what_was_told_up_to_a_time(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, folder)["X"]["total"] == "218"
    assert shown(capsys, folder, "--as-of", "2026-01-05T11:30:00Z")["X"]["total"] == "158"
    assert shown(capsys, folder, "--known-at", "2000-01-01T00:00:00Z") == {}


def test_a_business_date_is_shown_whole_and_as_it_was_known(folder: Path, capsys: pytest.CaptureFixture[str]):
    data = ["--data", str(folder / "data")]
    monday = ["--as-of", "2026-01-05", "--instrument", "X"]
    assert shown(capsys, folder, *monday)["X"]["day"]["closed"] is False
    assert run(["day-close", "--date", "2026-01-05", *data]) == 0
    known = format_time(time.time_ns())
    (folder / "late.csv").write_text(
        "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "t0,B1,X,BUY,10,10,USD,2026-01-05T09:00:00Z\n"
    )
    (folder / "tuesday.csv").write_text("instrument,price,time\nX,20,2026-01-06T12:00:00Z\n")
    assert run(["import", str(folder / "tuesday.csv"), "--format", "csv-marks", *data]) == 0
    assert run(["import", str(folder / "late.csv"), "--format", "canonical", *data]) == 0
    now = shown(capsys, folder, *monday)["X"]
    assert (now["total"], now["mark"], now["day"]) == (
        "248",
        "13",
        {"business_date": "2026-01-05", "since_close_of": None, "closed": True, "restatement": 1},
    )
    before = shown(capsys, folder, *monday, "--known-at", known)["X"]
    assert (before["total"], before["day"]["closed"], before["day"]["restatement"]) == ("218", True, 0)
    assert shown(capsys, folder, "--as-of", "2026-01-06")["X"]["total"] == "490"
    assert shown(capsys, folder, "--as-of", "2026-01-04") == {}


def test_income_is_explained(folder: Path, capsys: pytest.CaptureFixture[str]):
    data = ["--data", str(folder / "data")]
    (folder / "cash.csv").write_text(
        "movement_id,kind,currency,amount,trade_date,book,instrument\nd1,dividend,USD,7,2026-01-05,B1,X\n"
        "d2,dividend,USD,8,2026-01-05,B1,Z\n"
    )
    assert run(["cash-book", str(folder / "cash.csv"), *data]) == 0
    day = shown(capsys, folder, "--instrument", "X")["X"]
    assert (day["total"], day["buckets"]["carry"], day["income"], day["gross_realised"]) == (
        "225",
        "7",
        "7",
        "40",
    )
    assert run(["pnl", *data]) == 0
    assert "without a trade, and are in no P&L: B1/Z" in capsys.readouterr().err
    realised = child(explained(capsys, folder, "pnl:B1/X"), "realised in the day")
    assert child(realised, "carry and funding")["value"] == "7" and realised["value"] == "45"


def test_a_picture(folder: Path):
    path = folder / "out.png"
    assert run(["pnl", "--plot", str(path), "--data", str(folder / "data")]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_the_library_a_picture_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(["pnl", "--plot", str(folder / "out.png"), "--data", str(folder / "data")]) == 1
    assert "pip install 'pks[plot]'" in capsys.readouterr().err
    assert not (folder / "out.png").exists()


def explained(capsys: pytest.CaptureFixture[str], folder: Path, figure: str, code: int = 0) -> dict:
    capsys.readouterr()
    assert run(["explain", figure, "--json", "--data", str(folder / "data")]) == code
    return json.loads(capsys.readouterr().out)["explain"]


def child(node: dict, name: str) -> dict:
    (found,) = [each for each in node["children"] if name in each["figure"]]
    return found


def total(nodes: list[dict]) -> Decimal:
    return sum((Decimal(each["value"]) for each in nodes), Decimal(0))


def test_explain_goes_down_to_trades_marks_and_rates(folder: Path, capsys: pytest.CaptureFixture[str]):
    tree = explained(capsys, folder, "pnl:B1/X")
    assert (tree["value"], tree["unit"]) == ("218", "USD")
    assert total(tree["children"][:2]) == 218
    realised = child(child(tree, "realised in the day"), "realised P&L")
    assert total(realised["children"]) == Decimal(realised["value"]) == 40
    assert realised["children"][0]["figure"] == "t1 closed by t2"
    unrealised = child(child(tree, "change of unrealised"), "unrealised P&L")
    value = child(unrealised, "market value")
    assert child(value, "EUR for one USD")["value"] == "0.8"
    assert child(child(value, "price of X"), "mark of X")["value"] == "13"
    assert total(child(tree, "by cause")["children"]) == 218
    assert child(child(tree, "in the book's currency"), "delta")["value"] == "48"


def test_explain_adds_up_a_book(folder: Path, capsys: pytest.CaptureFixture[str]):
    tree = explained(capsys, folder, "pnl:B1")
    assert (tree["value"], tree["unit"]) == ("174.4", "EUR")
    assert "1 of them" in tree["how"]
    assert [each["value"] for each in tree["children"]] == ["174.4", None]


def test_explain_reprices_an_option_that_was_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = ["--data", str(tmp_path / "data")]
    texts = {
        "instruments.csv": "instrument,class,underlying,currency,multiplier,model,option_type,strike,expiry,volatility,rate\n"
        "S,equity,,USD,1,,,,,,\nC,option,S,USD,100,bsm,call,100,2027-01-05T12:00:00Z,0.2,0.05\n",
        "fills.csv": "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "t1,B1,C,BUY,10,9,USD,2026-01-05T09:30:00Z\n",
        "monday.csv": "instrument,price,time\nS,100,2026-01-05T12:00:00Z\n",
        "tuesday.csv": "instrument,price,time\nS,103,2026-01-06T12:00:00Z\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert run(["instrument-define", str(tmp_path / "instruments.csv"), *data]) == 0
    assert run(["import", str(tmp_path / "fills.csv"), "--format", "canonical", *data]) == 0
    assert run(["import", str(tmp_path / "monday.csv"), "--format", "csv-marks", *data]) == 0
    assert run(["pnl", *data]) == 0
    with closing(EmbeddedLog.owner(tmp_path / "data")) as log:
        end = wire(DayClosed)(
            event_id="B1@2026-01-05", book="B1", business_date="2026-01-05", event_time=MONDAY + DAY
        )
        partition = partition_of_key(b"B1", log.topics()[BOOKINGS.name].partitions)
        transaction = log.transaction()
        transaction.append(BOOKINGS.name, partition, None, encode_frames([end])[0])
        transaction.commit()
    assert run(["pnl", *data]) == 0
    assert run(["import", str(tmp_path / "tuesday.csv"), "--format", "csv-marks", *data]) == 0
    tree = explained(capsys, tmp_path, "pnl:B1/C")
    revalued = child(tree, "by full revaluation")
    assert total(revalued["children"]) == Decimal(revalued["value"]) == Decimal(tree["value"])
    parts = {each["figure"]: Decimal(each["value"]) for each in revalued["children"]}
    causes = {each["figure"]: Decimal(each["value"]) for each in child(tree, "by cause")["children"]}
    assert abs(parts["unexplained"]) < Decimal("1e-6") < parts["spot"]
    # Delta and gamma are the spot's part to the second order, and theta that of the day.
    assert abs(parts["spot"] - causes["delta"] - causes["gamma"]) < 10
    assert parts["time"] < 0 and abs(parts["time"] - causes["theta"]) < Decimal("0.1")


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("position:B1/X", "60"),
        ("realised:B1/X", "40"),
        ("unrealised:B1/X", "180"),
        ("unrealised:B1/Y", None),
        ("mark:X", "13"),
        ("mark:NONE", None),
        ("trade:t2", "-40"),
        ("cash://USD", "-562"),
        ("ocp:", "449.6"),
    ],
)
def test_explain_of_each_kind(
    folder: Path, capsys: pytest.CaptureFixture[str], figure: str, value: str | None
):
    assert explained(capsys, folder, figure)["value"] == value


def test_explain_for_people_is_a_tree(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["explain", "position:B1/X", "--data", str(folder / "data")]) == 0
    first, lot, trade = capsys.readouterr().out.splitlines()
    assert first.startswith("position B1/X: 60 X") and "lot of t1: 60 X" in lot and "trade t1: 100 X" in trade


def test_explain_for_people_folds_long_lists(folder: Path, capsys: pytest.CaptureFixture[str]):
    rows = [f"n{number},B1,X,BUY,{number},10,USD,2026-01-05T13:00:{number:02}Z" for number in range(1, 16)]
    header = "trade_id,book,instrument,side,quantity,price,currency,executed_at"
    (folder / "more.csv").write_text("\n".join([header, *rows]) + "\n")
    data = ["--data", str(folder / "data")]
    assert run(["import", str(folder / "more.csv"), "--format", "canonical", *data]) == 0
    capsys.readouterr()
    assert run(["explain", "position:B1/X", *data]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("lot of" in line for line in lines) == 10
    assert "lot of t1: 60 X" in lines[1] and "lot of n7: 7 X" in lines[3]
    assert lines[-1].endswith("6 more: --all or --json shows them")
    assert run(["explain", "position:B1/X", "--all", *data]) == 0
    assert capsys.readouterr().out.count("lot of") == 16


@pytest.mark.parametrize(
    "figure", ["X", "pnl", "total:B1/X", "pnl:B1/Z", "pnl:B9", "pnl:B1/X@2026-01-01", "trade:t9", "cash:EUR"]
)
def test_a_figure_that_nobody_knows_is_bad_input(
    folder: Path, capsys: pytest.CaptureFixture[str], figure: str
):
    assert run(["explain", figure, "--data", str(folder / "data")]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("FIGURE: expected") and not captured.out


def verified(capsys: pytest.CaptureFixture[str], folder: Path, code: int) -> dict[str, dict]:
    capsys.readouterr()
    assert run(["verify", "--quick", "--json", "--data", str(folder / "data")]) == code
    checks = json.loads(capsys.readouterr().out)["checks"]
    return {each["name"]: each for each in checks if each["name"].startswith("P&L")}


def test_verify_holds_the_identities(folder: Path, capsys: pytest.CaptureFixture[str]):
    shown(capsys, folder)
    checks = verified(capsys, folder, 0)
    assert {name: each["residual"] for name, each in checks.items()} == {
        "P&L": "0",
        "P&L days": "0",
        "P&L books": "0",
        "P&L told": "0",
    }
    assert checks["P&L"]["checked"] >= 4 and checks["P&L books"]["checked"] == 6


def test_verify_finds_what_was_tampered_with(folder: Path, capsys: pytest.CaptureFixture[str]):
    shown(capsys, folder)
    with closing(EmbeddedLog.owner(folder / "data")) as log:
        for partition in range(log.topics()[PNL.name].partitions):
            for key, kept in scan_kept(table_partition(log, "pnl", partition)):
                if key == b"B1\x00X":
                    kept.day.buckets[0] += 1
                    changed = structs.replace(kept.day.now, fees=Decimal(3))
                    kept.day.now = changed
                    transaction = log.transaction()
                    transaction.put("pnl", partition, OPEN + key, json_encode(kept))
                    transaction.commit()
    checks = verified(capsys, folder, 1)
    # A fee more, by which total and buckets differ in both currencies; a delta more, in one.
    assert checks["P&L"]["residual"] != "0" and checks["P&L"]["findings"]
    assert checks["P&L books"]["findings"] == ["B1/X: fees: expected 2, found 3"]
    assert checks["P&L told"]["residual"] == "0"


@pytest.mark.parametrize(
    "options",
    [
        ["--plot", "out.unknown"],
        ["--as-of", "yesterday"],
        ["--known-at", "99999999"],
        ["--days", "--as-of", "2026-01-05T11:30:00Z"],
    ],
)
def test_what_cannot_be_read_is_bad_input(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]
):
    assert run(["pnl", "--data", str(folder / "data"), *options]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.strip().splitlines()[-1].startswith(options[0])
