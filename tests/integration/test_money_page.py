"""The figures of docs/concepts/money.md: one trade from its fill to the open currency position."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from topology.cli.application import run

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "money.md"


def pks(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--data", str(data), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder that the page's files and commands make."""
    [files, *_] = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    name = ""
    for line in files.splitlines():
        name, text = (line[:15].strip() or name), line[15:]
        with (tmp_path / name).open("a") as file:
            file.write(text + "\n")
    books = tmp_path / "books"
    for command in (
        ("book-define", "books.yaml"),
        ("instrument-define", "x.yaml"),
        ("ocp-define", "policy.yaml"),
        ("import", "--format", "ecb-rates", "rates.csv"),
        ("import", "--format", "csv-marks", "marks.csv"),
        ("cash-book", "cash.csv"),
        ("import", "--format", "canonical", "fills.csv"),
    ):
        pks(capsys, books, *command[:-1], str(tmp_path / command[-1]))
    return books


def test_every_figure_of_the_page(data: Path, capsys: pytest.CaptureFixture[str]):
    page = PAGE.read_text(encoding="utf-8")
    [position] = pks(capsys, data, "positions")["positions"]
    assert (position["realised_pnl"], position["quantity"], position["cost_basis"]) == ("100", "60", "600")
    transfers = pks(capsys, data, "ledger", "--trade", "t2")["ledger"]
    assert [(each["debit_account"], each["credit_account"], each["amount"]) for each in transfers] == [
        ("cash", "positions", "500.00"),
        ("commissions", "cash", "1.00"),
        ("positions", "realised_pnl", "100.00"),
    ]
    assert {(each["status"], each["settlement_date"]) for each in transfers} == {("pending", "2025-12-31")}
    [balance] = pks(capsys, data, "cash")["cash"]
    assert (balance["trade_date_balance"], balance["settled_balance"]) == ("4498", "5000")
    [found] = pks(capsys, data, "ocp-live")["ocp-live"]
    beside = found["with_market_value"]
    assert (found["net_open_position"], beside["net_open_position"]) == (
        "3828.085106382978723404",
        "4440.851063829787234043",
    )
    assert beside["market_values"] == {"USD": "720"} and len(found["warnings"]) == 1
    assert found["net_open_position"] in page and beside["net_open_position"] in page
    tree = pks(capsys, data, "explain", "ocp:E1")["explain"]
    told = []

    def walk(node: dict[str, Any]) -> None:
        told.append(f"{node['figure']}: {node['value']} {node['unit']}  (")
        for child in node["children"]:
            walk(child)

    walk(tree)
    assert len(told) == 10
    walk(pks(capsys, data, "explain", "trade:t2")["explain"])
    assert len(told) == 18 and [line for line in told if line not in page] == []
    rates = str(data.parent / "rates.csv")
    [share] = pks(capsys, data, "fx-lots", "--rates", rates, "--currency", "EUR")["instruments"]
    assert (share["price_part"][:7], share["fx_part"][:6]) == ("85.0557", "0.2602")
    assert share["price_part"][:7] in page and share["fx_part"][:6] in page
    assert all(check["ok"] for check in pks(capsys, data, "verify")["checks"])


def test_a_late_trade_moves_them_all(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    late = tmp_path / "late.csv"
    late.write_text(
        "trade_id,book,account,instrument,side,quantity,price,fee,currency,executed_at\n"
        "t0,B1,A1,X,BUY,20,9,1,USD,2025-12-28T15:00:00Z\n"
    )
    pks(capsys, data, "import", "--format", "canonical", str(late))
    # 20 of the sale are matched with the late trade now: 20 x 3.5 + 20 x 2.5.
    [position] = pks(capsys, data, "positions")["positions"]
    assert position["realised_pnl"] == "120"
    [balance] = pks(capsys, data, "cash")["cash"]
    assert balance["trade_date_balance"] == "4317"
    [found] = pks(capsys, data, "ocp-live")["ocp-live"]
    assert found["exposures"][0]["with_pending"] == "4317"
    assert all(check["ok"] for check in pks(capsys, data, "verify")["checks"])
