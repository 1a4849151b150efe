"""Open currency positions as documents: cash, and what positions are worth beside it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.numbers import exact_arithmetic
from topology.cli.application import run
from topology.documents.currency_positions import values_of

D = Decimal


def valued(**changes: Any) -> dict[str, Any]:
    return {
        "book": "B",
        "instrument": "X",
        "entity": "E",
        "instrument_class": "equity",
        "quantity": "10",
        "currency": "USD",
        "inverse": False,
        "market_value": "100.5",
        "unrealised_pnl": "7",
        "reason": "",
        **changes,
    }


def test_what_is_paid_for_counts_whole_and_what_is_margined_by_its_pnl():
    with exact_arithmetic():
        found, unvalued = values_of(
            [
                valued(),
                valued(instrument_class="future"),
                valued(instrument_class="perpetual", inverse=True, currency="BTC", unrealised_pnl="-0.5"),
                valued(instrument_class="fx"),
                valued(quantity="0", market_value=None),
                valued(entity="", currency="EUR", market_value="-1"),
                valued(instrument="Y", market_value=None, reason="no mark"),
            ]
        )
    assert found == {"E": {"USD": D("107.5"), "BTC": D("-0.5")}, "": {"EUR": D("-1")}}
    assert unvalued == ["B/Y: no mark"]


def test_policies_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "policies.csv"
    file.write_text("entity,reporting_currency,capital_rate,limits\nE,EUR,0.1,USD=5;*=9\n*,CHF,,\n")
    assert run(["ocp-define", str(file), "--data", str(tmp_path / "books"), "--json"]) == 0
    assert '"entities": ["E", "*"]' in capsys.readouterr().out
    file.write_text(
        "entity,reporting_currency,limits\nE,eur,\nF,EUR,USD=1e5\nG,EUR,usd=1\nH,EUR,USD=-1\nI,EUR,USD\n"
    )
    assert run(["ocp-define", str(file), "--data", str(tmp_path / "books")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("policies.csv: ")[2][:6] for line in lines] == [f"line {n}" for n in range(2, 7)]


def test_rates_and_policies_hold_at_once_without_a_tick(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    books = str(tmp_path / "books")

    def pks(*arguments: str) -> Any:
        capsys.readouterr()
        assert run([*arguments, "--data", books, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    def file(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    head = "movement_id,kind,currency,amount,trade_date,entity\n"
    pks("cash-book", file("moved.csv", f"{head}m,deposit,USD,5,2026-01-05,E\n"))
    pks("import", file("rates.csv", "Date,USD,CHF\n2026-01-05,1.25,0.75\n"), "--format", "ecb-rates")
    [found] = pks("ocp-live")["ocp-live"]
    assert (found["reporting_currency"], found["net_open_position"]) == ("EUR", "4")
    policy = "entity,reporting_currency,capital_rate,limits\nE,CHF,0.1,USD=2\n"
    pks("ocp-define", file("policies.csv", policy))
    [found] = pks("ocp-live")["ocp-live"]
    assert (found["reporting_currency"], found["net_open_position"], len(found["warnings"])) == (
        "CHF",
        "3",
        1,
    )
    assert pks("explain", "ocp:E")["explain"]["value"] == "3"
    assert found["with_market_value"]["net_open_position"] == "3"


def test_where_nothing_has_a_rate_there_is_no_sum_rather_than_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file, books = tmp_path / "moved.csv", str(tmp_path / "books")
    file.write_text("movement_id,kind,currency,amount,trade_date,entity\nm,deposit,CHF,5,2026-01-05,E\n")
    assert run(["cash-book", str(file), "--data", books]) == 0
    capsys.readouterr()
    assert run(["ocp-live", "--data", books, "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["ocp-live"]
    names = ("sum_long", "sum_short", "net_open_position", "capital_charge")
    assert [found[name] for name in (*names, "settled_net_open_position")] == [None] * 5
    assert [found["with_market_value"][name] for name in names] == [None] * 4
    assert found["unrated"] == ["CHF"] and "pks import FILE --format ecb-rates" in found["reason"]
    assert run(["ocp-live", "--data", books]) == 0
    assert found["reason"] in capsys.readouterr().err
    assert run(["explain", "ocp:E", "--data", books, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explain"]["value"] is None


def test_an_empty_log_has_no_positions(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "policies.csv"
    file.write_text("entity,reporting_currency\n*,CHF\n")
    assert run(["ocp-define", str(file), "--data", str(tmp_path / "books"), "--json"]) == 0
    capsys.readouterr()
    assert run(["ocp-live", "--data", str(tmp_path / "books"), "--json"]) == 0
    assert capsys.readouterr().out == '{"ocp-live": [], "unvalued": []}\n'
