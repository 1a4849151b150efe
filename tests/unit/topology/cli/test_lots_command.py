"""`pks lots`, as another program calls it: exit codes, one document on stdout, one line a fault on stderr."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from topology.cli.application import run
from topology.cli.output import ROWS_SHOWN_MAX

HEADER = "trade_id,book,instrument,side,quantity,price,fee,executed_at"
ROWS = """t1,B1,X,BUY,100,10,1,2026-01-05T09:00:00Z
t2,B1,X,BUY,50,10.2,1,2026-01-05T10:00:00Z
t3,B1,X,SELL,100,10.25,1,2026-01-05T11:00:00Z
"""


@pytest.fixture
def trades(tmp_path: Path) -> str:
    path = tmp_path / "trades.csv"
    path.write_text(f"{HEADER}\n{ROWS}")
    return str(path)


def _document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["lots", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(["lots", *arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err
    return err.splitlines()


def test_the_document(capsys: pytest.CaptureFixture[str], trades: str):
    document = _document(capsys, trades)
    assert (document["method"], document["fee_policy"], "steps" in document) == ("fifo", "excluded", False)
    [position] = document["positions"]
    assert (position["quantity"], position["realised_pnl"], position["fees"]) == ("50", "25", "3")


def test_options(capsys: pytest.CaptureFixture[str], trades: str):
    options = ("--method", "average", "--fee-policy", "expensed", "--multiplier", "10", "--steps")
    document = _document(capsys, trades, *options)
    assert (document["method"], document["fee_policy"], len(document["steps"])) == ("average", "expensed", 3)
    [position] = document["positions"]
    assert (position["multiplier"], position["lots"][0]["trade_id"]) == ("10", "t1")
    assert document["steps"][-1]["net_realised_pnl"] == position["net_realised_pnl"]
    assert _document(capsys, trades, "--inverse")["positions"][0]["inverse"] is True


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trades: str, kind: str
):
    expected = _document(capsys, trades)
    text = Path(trades).read_text()
    if kind != "csv":
        names = HEADER.split(",")
        objects = [json.dumps(dict(zip(names, row.split(","), strict=True))) for row in ROWS.splitlines()]
        text = "\n".join(objects) if kind == "jsonl" else f"[{','.join(objects)}]"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert _document(capsys, "-", "--input-format", kind) == expected


def test_faults_of_rows_alone_and_together(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "bad.csv"
    path.write_text(
        f"{HEADER},action,original_trade_id\n"
        "t1,B1,X,BUY,0,10,,2026-01-05T09:00:00Z,,\n"
        "c1,B1,X,BUY,1,10,,2026-01-05T09:00:00Z,CANCEL,t9\n"
        "c2,B1,X,BUY,1,10,,2026-01-05T09:00:00Z,CANCEL,t1\n"
        "t2,B1,X,BUY,1,10\x1b[2J,,2026-01-05T09:00:00Z,,\n"
        "t3,B1,X,BUY,1,10,,2026-01-05T09:00:00Z,,\n"
        "t3,B1,X,BUY,2,10,,2026-01-05T09:00:00Z,,\n",
        newline="",
    )
    lines = _refused(capsys, str(path))
    assert [line.split(": ")[1:3] for line in lines] == [
        ["line 2", "quantity"],
        ["line 3", "original_trade_id"],
        ["line 5", "price"],
        ["line 7", "trade_id"],
    ]
    assert all(line.startswith(f"{path}: ") for line in lines)
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nope"],
        ["--method", "hifo"],
        ["--fee-policy", "none"],
        ["--multiplier", "1e3"],
        ["--multiplier", "0"],
        ["--input-format", "xml"],
    ],
)
def test_bad_options(capsys: pytest.CaptureFixture[str], trades: str, arguments: list[str]):
    assert arguments[0] in "".join(_refused(capsys, trades, *arguments))


def test_a_missing_file_and_a_missing_argument(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert "none.csv" in _refused(capsys, str(tmp_path / "none.csv"))[0]
    assert _refused(capsys)


def test_figures_stand_to_the_right_also_where_they_are_cut_or_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    path = tmp_path / "trades.csv"
    thirds = "t4,B1,Y,BUY,3,1,0,2026-01-05T09:00:00Z\nt5,B1,Y,BUY,4,2,0,2026-01-05T09:00:00Z\n"
    flat = "t6,B1,Z,BUY,1,1,0,2026-01-05T09:00:00Z\nt7,B1,Z,SELL,1,1,0,2026-01-05T09:00:00Z\n"
    path.write_text(f"{HEADER}\n{ROWS}{thirds}{flat}")
    assert run(["lots", str(path), "--method", "average"]) == 0
    out = capsys.readouterr().out
    assert "│  10.06666666… │" in out and "            - │" in out


def test_tables_show_identifiers_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "trades.csv"
    path.write_text(f"{HEADER}\n{ROWS}".replace("t3", "[red]t3[/x]"))
    assert run(["lots", str(path), "--steps"]) == 0
    out, _ = capsys.readouterr()
    assert "[red]t3[/x]" in out and "10.25" in out


def test_tables_stop_and_positions_stand_last(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "trades.csv"
    rows = [f"t{n:04},B1,X,BUY,1,10,1,2026-01-05T09:00:00Z" for n in range(ROWS_SHOWN_MAX + 1_042)]
    path.write_text("\n".join([HEADER, *rows, "s,B1,X,SELL,1,10,1,2026-01-05T09:00:01Z"]))
    assert run(["lots", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == "Open lots: 1,041 more: --json shows all\n"
    assert out.index("t0000") < out.index("Open lots") < out.index("t0200") < out.index("Positions (fifo")
    assert "t0201" not in out and "1241" in out
    assert len(_document(capsys, str(path))["positions"][0]["lots"]) == ROWS_SHOWN_MAX + 1_041


def test_nothing_to_match_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "trades.csv"
    path.write_text(HEADER)
    assert run(["lots", str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["positions"] == []
    assert err == f"{path}: no rows\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\n <FlexQueryResponse>\n</FlexQueryResponse>\n",
            "found XML: use pks import FILE --format ibkr-flex",
        ),
        (
            f"{HEADER}\n{ROWS}".replace("price", "rate"),
            "line 1: price: expected a column of this name (the first line must",
        ),
    ],
)
def test_another_kind_of_file_is_one_fault(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, expected: str
):
    path = tmp_path / "trades.csv"
    path.write_text(text)
    [line] = _refused(capsys, str(path))
    assert expected in line


def test_a_missing_column_hides_no_other_fault(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "trades.csv"
    path.write_text(f"{HEADER}\n{ROWS}".replace("price", "rate").replace("BUY", "BYE", 1))
    assert [line.split(": ")[1] for line in _refused(capsys, str(path))] == ["line 1", "line 2"]


def test_lines_of_which_one_is_broken_are_read_on(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "trades.jsonl"
    path.write_text('{"trade_id": }\n{"book"\n{"price": 1}\n')
    assert [line.split(": ")[1] for line in _refused(capsys, str(path))][:3] == ["line 1", "line 2", "line 3"]


def test_any_script_on_a_terminal_of_another_encoding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trades: str
):
    path = Path(trades)
    path.write_text(path.read_text().replace("B1", "книга"), encoding="utf-8")
    assert _document(capsys, trades)["positions"][0]["book"] == "книга"
    narrow = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(narrow, "ascii", write_through=True))
    assert run(["lots", trades, "--json"]) == 0
    assert json.loads(narrow.getvalue())["positions"][0]["book"] == "книга"
