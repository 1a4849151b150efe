"""A broker's statement as its reader would use it: `pks import --out`, then `pks lots`, against the broker's figures."""

import gzip
import json
from decimal import Decimal
from pathlib import Path

import defusedxml.ElementTree
import pytest

from topology.cli.application import run

CENTS = Decimal("0.02")


@pytest.mark.tapes
def test_the_pipe_gives_the_brokers_own_pnl(tapes: Path, tmp_path: Path, capsys):
    statement = tapes / "ibkr_flex" / "opensteuerauszug_eTax_2025.xml.gz"
    lines = str(tmp_path / "fills.jsonl")
    assert run(["import", str(statement), "--format", "ibkr-flex", "--out", lines, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fills"] == 671
    assert run(["lots", lines, "--fee-policy", "capitalised", "--steps", "--json"]) == 0
    said = capsys.readouterr()
    assert "28 rows have a fee in another currency" in said.err
    realised, before = {}, {}
    for step in json.loads(said.out)["steps"]:
        place, total = (step["book"], step["instrument"]), Decimal(step["net_realised_pnl"])
        realised[step["trade_id"]] = total - before.get(place, 0)
        before[place] = total
    closes = [
        trade
        for trade in defusedxml.ElementTree.fromstring(gzip.decompress(statement.read_bytes())).iter("Trade")
        if trade.get("levelOfDetail") == "EXECUTION"
        and trade.get("assetCategory") != "CASH"
        and "C" in trade.get("openCloseIndicator", "")
    ]
    apart = [
        trade.get("tradeID")
        for trade in closes
        if abs(realised[trade.get("tradeID")] - Decimal(trade.get("fifoPnlRealized"))) > CENTS
    ]
    assert (len(closes), len(apart)) == (185, 5)


@pytest.mark.parametrize(("currency", "fees", "left_out"), [("USD", "1.50", False), ("CHF", "0", True)])
def test_a_fee_of_another_currency_is_left_out_and_said(tmp_path: Path, capsys, currency, fees, left_out):
    row = {
        "trade_id": "t",
        "book": "B",
        "instrument": "X",
        "side": "BUY",
        "quantity": "1",
        "price": "10",
        "executed_at": "2026-01-05T10:00:00Z",
        "currency": "USD",
        "fee": "1.50",
        "fee_currency": currency,
    }
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(row) + "\n")
    assert run(["lots", str(file), "--fee-policy", "capitalised", "--json"]) == 0
    said = capsys.readouterr()
    assert Decimal(json.loads(said.out)["positions"][0]["fees"]) == Decimal(fees)
    assert ("1 row has a fee" in said.err) is left_out
