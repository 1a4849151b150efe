"""Funding of Hyperliquid: 218 payments booked once, 1,038 rates that a position pays, gaps that are there."""

import json
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.log import EmbeddedLog
from connectors.files.hyperliquid_funding import read_funding_payments, read_funding_rates
from connectors.files.source import open_source
from schemas import topics
from topology.cli.application import run
from topology.log_reading import partition_count, read_events

pytestmark = pytest.mark.tapes
D = Decimal


def answer(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*arguments, "--data", str(data), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_payments_are_read_whole_and_have_ids_of_their_own(tapes: Path):
    found = read_funding_payments(open_source(str(tapes / "hyperliquid/user_funding_history.json")), "HL")
    assert len(found) == len({each.movement_id for each in found}) == 218
    assert sum(each.amount for each in found) == D("695.136103")


def test_payments_are_in_the_ledgers_input_once_whatever_is_sent(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = str(tapes / "hyperliquid/user_funding_history.json")
    for _ in range(2):
        sent = answer(capsys, tmp_path, "accruals", "payments", file, "--account", "HL")
        assert sent == {"movements": 218, "amounts": {"USDC": "695.136103"}}
    log = EmbeddedLog.reader(tmp_path)
    found = [
        event
        for partition in range(partition_count(log))
        for _, event in read_events(log, topics.LEDGER_INPUT, partition)
    ]
    log.close()
    assert len(found) == 436 and len({each.movement_id for each in found}) == 218
    # Booked once: the balance is their sum.
    [balance] = answer(capsys, tmp_path, "cash")["cash"]
    assert (balance["account"], balance["currency"]) == ("HL", "USDC")
    assert balance["trade_date_balance"] == balance["settled_balance"] == "695.136103"


def test_a_position_pays_every_rate(tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A short of 0.00785 BTC, as the account had, over all 1,038 rates at one mark, against the sum by hand."""
    file = str(tapes / "hyperliquid/funding_rate_history_BTC.json")
    (tmp_path / "fills.csv").write_text(
        "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "t1,HL,BTC,SELL,0.00785,26951,USDC,2023-05-11T00:00:00Z\n"
    )
    (tmp_path / "terms.yaml").write_text(
        "- {kind: funding, instrument: BTC, currency: USDC, rate: BTC.HYPERLIQUID.funding, interval_seconds: 3600}\n"
    )
    mids = json.loads((tapes / "hyperliquid/all_mids.json").read_text())
    (tmp_path / "marks.csv").write_text(f"instrument,time,price\nBTC,2023-05-11T00:00:00Z,{mids['BTC']}\n")
    data = tmp_path / "books"
    answer(capsys, data, "import", str(tmp_path / "fills.csv"), "--format", "canonical")
    answer(capsys, data, "import", str(tmp_path / "marks.csv"), "--format", "csv-marks")
    answer(capsys, data, "accruals", "define", str(tmp_path / "terms.yaml"))
    assert answer(capsys, data, "accruals", "rates", file, "--format", "hyperliquid")["fixed"] == 1038
    done = answer(capsys, data, "accruals", "run", "--date", "2023-12-31")
    expected = sum(
        (D("0.00785") * D(mids["BTC"]) * D(each["fundingRate"])).quantize(D("0.000001"), ROUND_HALF_UP)
        for each in json.loads(Path(file).read_text())
    )
    assert D(done["by_kind"]["funding"]["amounts"]["USDC"]) == expected
    # One of the hourly rates is not there; the change from every eight hours to every hour is no gap.
    assert done["missing"] == [
        {
            "reason": "BTC: no funding rate between two that are there",
            "count": 1,
            "first": "2023-07-02T19:00:00.235Z to 2023-07-02T21:00:00.18Z",
            "last": "2023-07-02T19:00:00.235Z to 2023-07-02T21:00:00.18Z",
        }
    ]
    assert answer(capsys, data, "accruals", "run", "--date", "2023-12-31")["booked"] == 0
    zero = sum(each.value == 0 for each in read_funding_rates(open_source(file)))
    assert done["booked"] <= 1038 - zero
