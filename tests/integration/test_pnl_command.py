"""`pks pnl`, from files to figures: the day by cause, what was told before, closed days, and a picture."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.pnl import BUCKETS
from topology.cli.application import run

FILES = {
    "fills.csv": """trade_id,book,instrument,side,quantity,price,fee,currency,executed_at
t1,B1,X,BUY,100,10,1,USD,2026-01-05T09:30:00Z
t2,B1,X,SELL,40,11,1,USD,2026-01-05T10:00:00Z
t3,B1,Y,SELL,10,5,0,GBP,2026-01-05T10:00:00Z
""",
    "books.csv": "book,base_currency\nB1,EUR\n",
    "before.csv": """instrument,price,time,instrument_class,underlying,currency
X,12,2026-01-05T11:00:00Z,,,
EURUSD,1.25,2026-01-05T11:00:00Z,FX,EUR,USD
""",
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
        "no mark of Y; no rate of GBP/EUR or GBP/USD and USD/EUR",
    )


def test_what_was_told_up_to_a_time(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, folder)["X"]["total"] == "218"
    assert shown(capsys, folder, "--as-of", "2026-01-05T11:30:00Z")["X"]["total"] == "158"
    assert shown(capsys, folder, "--known-at", "2000-01-01T00:00:00Z") == {}


def test_a_picture(folder: Path):
    path = folder / "out.png"
    assert run(["pnl", "--plot", str(path), "--data", str(folder / "data")]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


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
