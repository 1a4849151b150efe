"""`pks payments draft`: trades that are settled by payment get orders, those of a venue and internal ones do not."""

import json
from pathlib import Path
from typing import Any

import pytest

from topology.cli.application import run

FILLS = """trade_id,book,account,instrument,instrument_class,underlying,side,quantity,price,fee,currency,executed_at,settlement_date,regime,counterparty,venue
f1,B1,A1,EUR/USD,fx,EUR,BUY,1000,1.1,0,USD,2026-01-05T10:00:00Z,2026-01-07,otc,bank,
f2,B1,A1,EUR/USD,fx,EUR,SELL,400,1.2,0,USD,2026-01-05T11:00:00Z,2026-01-08,otc,bank,
f3,B1,A1,EUR/USD,fx,EUR,BUY,5,1.1,0,USD,2026-01-05T12:00:00Z,2026-01-07,exchange,clearer,IDEALFX
s1,B1,A1,X,equity,,BUY,10,10,0,USD,2026-01-05T12:00:00Z,,exchange,,XNYS
i1,B1,A1,X,equity,,BUY,10,10,0,USD,2026-01-05T13:00:00Z,2026-01-07,internal,B2,
i2,B2,A1,X,equity,,SELL,10,10,0,USD,2026-01-05T13:00:00Z,2026-01-07,internal,B1,
"""


@pytest.fixture
def pks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*arguments: str, text: str = "", code: int = 0) -> Any:
        if text:
            (tmp_path / "given.csv").write_text(text)
            arguments = (*arguments, str(tmp_path / "given.csv"))
        capsys.readouterr()
        assert run([*arguments, "--data", str(tmp_path / "books"), "--json"]) == code
        said = capsys.readouterr()
        return said.err if code else json.loads(said.out)

    command("import", "--format", "canonical", text=FILLS)
    return command


def test_orders_of_what_settles_by_a_day_once(pks: Any):
    first = pks("payments", "draft", "--date", "2026-01-07", "--user", "anna")
    assert [(each["order_id"], each["amount"], each["currency"]) for each in first["payments"]] == [
        ("f1/USD/1", "1100", "USD")
    ]
    assert pks("payments", "draft", "--date", "2026-01-07", "--user", "anna")["drafted"] == 0
    rest = pks("payments", "draft", "--date", "2026-01-31", "--user", "anna", "--book", "B1")
    assert [(each["order_id"], each["amount"]) for each in rest["payments"]] == [("f2/EUR/1", "400")]
    assert "another user than anna" in pks("payments", "approve", "f1/USD/1", "--user", "anna", code=2)
    for step in ("approve", "send", "settle"):
        pks("payments", step, "f1/USD/1", "--user", "boris")
    states = {each["order_id"]: each["state"] for each in pks("payments", "list")["payments"]}
    assert states == {"f1/USD/1": "settled", "f2/EUR/1": "draft"}
    pks("day-close", "--date", "2026-01-08")
    cash = {
        each["currency"]: (each["trade_date_balance"], each["settled_balance"])
        for each in pks("cash")["cash"]
    }
    # Euros: 1005 came in; 400 are owed and wait for their payment. Dollars: all but what the payment moved settled with the day.
    assert cash["EUR"] == ("605", "1005")
    assert cash["USD"][0] == cash["USD"][1]
    amend = FILLS.splitlines()[0] + ",action,original_trade_id\n"
    amend += "c2,B1,A1,EUR/USD,fx,EUR,SELL,300,1.2,0,USD,2026-01-05T11:00:00Z,2026-01-12,otc,bank,,AMEND,f2\n"
    pks("import", "--format", "canonical", text=amend)
    again = pks("payments", "draft", "--date", "2026-01-31", "--user", "anna")
    assert [(each["order_id"], each["amount"]) for each in again["payments"]] == [("f2/EUR/2", "300")]
    assert all(check["ok"] for check in pks("verify")["checks"])


def test_what_is_no_day_or_nobody(pks: Any):
    assert "--date: expected a day" in pks("payments", "draft", "--date", "7.1.", "--user", "anna", code=2)
    assert "--user" in pks("payments", "draft", "--date", "2026-01-07", "--user", " ", code=2)
