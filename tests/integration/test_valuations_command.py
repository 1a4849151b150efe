"""`pks valuations`, from files to values: positions, options by model, currencies, and what has no price."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from topology.cli.application import run

FILES = {
    "fills.csv": """trade_id,book,instrument,side,quantity,price,currency,executed_at
t1,B1,X,BUY,100,10,USD,2026-01-05T09:30:00Z
t2,B1,XC,BUY,10,1,USD,2026-01-05T09:30:00Z
t3,B1,Y,SELL,10,5,GBP,2026-01-05T09:30:00Z
t4,B2,NONE,BUY,1,1,JPY,2026-01-05T09:30:00Z
""",
    "instruments.csv": """instrument,class,underlying,currency,model,option_type,strike,expiry,volatility,rate
XC,option,X,USD,bsm,call,10,2027-01-05T12:00:00Z,0.2,0.05
X,equity,,USD,,,,,,
""",
    "books.csv": "book,base_currency,desk\nB1,EUR,rates\nB2,EUR,rates\n",
    "marks.csv": """instrument,price,time,instrument_class,underlying,currency
X,11,2026-01-05T12:00:00Z,,,
Y,4.5,2026-01-05T12:00:00Z,,,
EURUSD,1.25,2026-01-05T12:00:00Z,FX,EUR,USD
GBPUSD,1.5,2026-01-05T12:00:01Z,FX,GBP,USD
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    data = ["--data", str(tmp_path / "data")]
    for command in (
        ["instrument-define", str(tmp_path / "instruments.csv")],
        ["book-define", str(tmp_path / "books.csv")],
        ["import", str(tmp_path / "fills.csv"), "--format", "canonical"],
        ["import", str(tmp_path / "marks.csv"), "--format", "csv-marks"],
    ):
        assert run([*command, *data]) == 0
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> dict[tuple[str, str], dict]:
    capsys.readouterr()
    assert run(["valuations", "--json", "--data", str(folder / "data"), *options]) == 0
    found = json.loads(capsys.readouterr().out)["valuations"]
    return {(each["book"], each["instrument"]): each for each in found}


def test_what_positions_are_worth(folder: Path, capsys: pytest.CaptureFixture[str]):
    found = shown(capsys, folder)
    share = found["B1", "X"]
    assert (share["market_value"], share["unrealised_pnl"], share["mark"]) == ("1100", "100", "11")
    assert (share["fx_rate"], share["book_market_value"], share["book_unrealised_pnl"]) == (
        "0.8",
        "880",
        "80",
    )
    assert (share["mark_age_seconds"], share["desk"], share["delta"]) == (0.0, "rates", 100.0)
    option = found["B1", "XC"]
    assert option["valued_by"] == "model"
    assert Decimal(option["market_value"]) == Decimal(option["mark"]) * 10
    assert (option["spot"], option["time_to_expiry"]) == (11.0, 1.0)
    other = found["B1", "Y"]
    assert (other["market_value"], other["fx_rate"], other["book_market_value"]) == ("-45", "1.2", "-54")
    none = found["B2", "NONE"]
    assert (none["market_value"], none["fx_rate"], none["book_market_value"]) == (None, None, None)
    assert none["reason"] == "no mark of NONE; no rate of JPY/EUR or JPY/USD"
    assert set(shown(capsys, folder, "--book", "B2")) == {("B2", "NONE")}
    assert set(shown(capsys, folder, "--instrument", "X")) == {("B1", "X")}


def test_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["valuations", "--data", str(folder / "data")]) == 0
    assert "1100" in capsys.readouterr().out


def test_what_was_told_at_another_time(folder: Path, capsys: pytest.CaptureFixture[str]):
    data = ["--data", str(folder / "data")]
    now = shown(capsys, folder)
    assert run(["book-hash", "--json", *data]) == 0
    sequence = json.loads(capsys.readouterr().out)["sequence"]
    (folder / "later.csv").write_text("instrument,price,time\nX,12,2026-01-05T13:00:00Z\n")
    assert run(["import", str(folder / "later.csv"), "--format", "csv-marks", *data]) == 0
    assert shown(capsys, folder)["B1", "X"]["market_value"] == "1200"
    for option, at in (("--as-of", "2026-01-05T12:30:00Z"), ("--known-at", str(sequence))):
        then = shown(capsys, folder, option, at)
        assert then.keys() == now.keys()
        assert [then["B1", "X"][name] for name in ("market_value", "mark_time")] == [
            "1100",
            "2026-01-05T12:00:00Z",
        ]
        assert set(shown(capsys, folder, option, at, "--book", "B2")) == {("B2", "NONE")}
    assert shown(capsys, folder, "--as-of", "2026-01-05T13:00:00Z")["B1", "X"]["market_value"] == "1200"
    assert run(["valuations", "--as-of", "2026-01-04T00:00:00Z", *data]) == 0
    assert "no values were told by then" in capsys.readouterr().err
    assert run(["valuations", "--known-at", "99999", *data]) == 2
    assert "expected a sequence number of at most" in capsys.readouterr().err
