"""`pks accruals run` over a log: booked once, missed days caught up, corrected rates reversed; a kill in between loses nothing."""

import json
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.log import EmbeddedLog
from schemas import topics
from topology.cli.application import run
from topology.log_reading import partition_count, read_events

D = Decimal

FILLS = """trade_id,book,instrument,side,quantity,price,currency,executed_at,settlement_date
t1,B1,BOND,BUY,10,990,RUB,2024-02-14T09:30:00Z,2024-02-16
t2,B1,BTC,SELL,2,27000,USDC,2024-02-28T07:59:59Z,
"""
TERMS = """
- {kind: coupon, instrument: BOND, currency: RUB, day_count: Act/365F, start_date: 2023-08-28, maturity_date: 2025-02-28,
   frequency: semiannual, face: 1000, rate: 0.0775, calendar: Russia}
- {kind: funding, instrument: BTC, currency: USDC, rate: BTC.funding, interval_seconds: 28800}
- {kind: funding, instrument: NOBODY HAS IT, currency: USDC, rate: X.funding}
"""
RATES = """rate,fixed_at,value,price
BTC.funding,2024-02-28T00:00:00Z,0.01,30000
BTC.funding,2024-02-28T08:00:00Z,0.0001,30000
BTC.funding,2024-02-28T16:00:00Z,-0.0002,30000
BTC.funding,2024-02-29T00:00:00Z,0.0001,
"""


def pks(data: Path, *arguments: str) -> None:
    assert run([*arguments, "--data", str(data)]) == 0


def booked(data: Path, day: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    pks(data, "accruals", "run", "--date", day, "--json")
    return json.loads(capsys.readouterr().out)


def enter(data: Path, name: str, text: str, *command: str) -> None:
    path = data.parent / name
    path.write_text(text)
    pks(data, *command, str(path))


def movements(data: Path) -> list[Any]:
    log = EmbeddedLog.reader(data)
    try:
        return [
            event
            for partition in range(partition_count(log))
            for _, event in read_events(log, topics.LEDGER_INPUT, partition)
            if type(event).__name__ == "CashMovement"
        ]
    finally:
        log.close()


def sums(data: Path) -> dict[tuple[str, str], Decimal]:
    found: dict[tuple[str, str], Decimal] = {}
    for each in {each.movement_id: each for each in movements(data)}.values():
        place = (each.kind.value, each.currency)
        found[place] = found.get(place, D(0)) + each.amount
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    enter(folder, "fills.csv", FILLS, "import", "--format", "canonical")
    enter(folder, "terms.yaml", TERMS, "accruals", "define")
    enter(folder, "rates.csv", RATES, "accruals", "rates")
    return folder


def test_a_run_books_what_is_due_once_and_catches_up(data: Path, capsys: pytest.CaptureFixture[str]):
    first = booked(data, "2024-02-20", capsys)
    # Settled on 16 February: five days.
    assert first["by_kind"] == {"coupon_accrual": {"movements": 5, "amounts": {"RUB": "10.6"}}}
    assert booked(data, "2024-02-20", capsys)["booked"] == 0
    # The runs in between were missed: their days are booked now, the leap day among them.
    second = booked(data, "2024-03-01", capsys)
    days = [each["date"] for each in second["movements"] if each["kind"] == "coupon_accrual"]
    assert days == [f"2024-02-{day}" for day in range(21, 30)] + ["2024-03-01"]
    assert second["by_kind"]["coupon"] == {"movements": 1, "amounts": {"RUB": "390.7"}}
    # Short two at 30,000: 6 received, 12 paid; the last has no price.
    assert second["by_kind"]["funding"] == {"movements": 2, "amounts": {"USDC": "-6"}}
    assert second["missing"] == [
        {
            "reason": "BTC: no price for its funding",
            "count": 1,
            "first": "2024-02-29T00:00:00Z",
            "last": "2024-02-29T00:00:00Z",
        }
    ]
    again = booked(data, "2024-03-01", capsys)
    assert again["booked"] == 0 and again["movements"] == [] and again["missing"] == second["missing"]
    assert len(movements(data)) == 5 + second["booked"]


def test_a_corrected_rate_reverses_and_books_again(data: Path, capsys: pytest.CaptureFixture[str]):
    booked(data, "2024-02-28", capsys)
    corrected = "rate,fixed_at,value,price\nBTC.funding,2024-02-28T08:00:00Z,0.0003,30000\n"
    enter(data, "corrected.csv", corrected, "accruals", "rates")
    done = booked(data, "2024-02-28", capsys)
    assert [(each["amount"], bool(each["reverses"])) for each in done["movements"]] == [
        ("-6", True),
        ("18", False),
    ]
    assert done["reversed"] == 1 and booked(data, "2024-02-28", capsys)["booked"] == 0
    assert sums(data)["funding", "USDC"] == 18 - 12
    # The same again, back to where it was: the ids go on.
    enter(data, "rates.csv", RATES, "accruals", "rates")
    assert booked(data, "2024-02-28", capsys)["booked"] == 2
    assert sums(data)["funding", "USDC"] == 6 - 12
    identities = [each.movement_id for each in movements(data)]
    assert len(identities) == len(set(identities))


def test_a_cancelled_trade_takes_its_accruals_back(data: Path, capsys: pytest.CaptureFixture[str]):
    booked(data, "2024-02-28", capsys)
    cancel = (
        "trade_id,action,original_trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "c1,CANCEL,t2,B1,BTC,SELL,2,27000,USDC,2024-02-28T07:59:59Z\n"
    )
    enter(data, "cancel.csv", cancel, "import", "--format", "canonical")
    done = booked(data, "2024-02-28", capsys)
    assert done["reversed"] == 2 and sums(data)["funding", "USDC"] == 0


def test_cash_bears_interest_and_what_is_paid_bears_it_too(data: Path, capsys: pytest.CaptureFixture[str]):
    enter(
        data,
        "margin.yaml",
        "- {kind: margin, currency: RUB, rate: KEY, debit_spread: 0.02, day_count: Act/365F}\n",
        "accruals",
        "define",
    )
    enter(data, "key.csv", "rate,fixed_at,value\nKEY,2024-01-01T00:00:00Z,0.16\n", "accruals", "rates")
    first = booked(data, "2024-02-18", capsys)["by_kind"]["margin_interest_accrual"]
    # 9,900 owed from 16 February on, at 18 %.
    assert first == {"movements": 3, "amounts": {"RUB": "-14.64"}}
    whole = booked(data, "2024-03-20", capsys)
    assert whole["by_kind"]["margin_interest"] == {"movements": 1, "amounts": {"RUB": "-67.94"}}
    assert booked(data, "2024-03-20", capsys)["booked"] == 0
    # Run by run or at once: the same.
    late = {
        each["date"]: D(each["amount"])
        for each in whole["movements"]
        if "accrual" in each["kind"] and "margin" in each["kind"]
    }
    # The coupon of 28 February came in, the interest of February went out on 1 March.
    assert late["2024-03-01"] == round(-(D(9900) - D("390.7") + D("67.94")) * D("0.18") / 365, 2)


KILLED = """
import os, signal, sys
from topology.accruals import running
from topology.cli.application import run

entered, left = running.enter, [int(sys.argv[2])]

def enter(entry, movements):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    entered(entry, movements)

running.enter, running.CHUNK_MOVEMENTS = enter, 3
run(["accruals", "run", "--date", "2024-03-01", "--data", sys.argv[1]])
"""


@pytest.mark.parametrize("chunks", [0, 3])
def test_a_run_that_is_killed_is_completed_by_the_next(
    data: Path, chunks: int, capsys: pytest.CaptureFixture[str]
):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(data), str(chunks)], check=False, capture_output=True, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(movements(data)) == 3 * chunks
    done = booked(data, "2024-03-01", capsys)
    assert 3 * chunks + done["booked"] == 18
    assert booked(data, "2024-03-01", capsys)["booked"] == 0
    assert sums(data) == {
        # 39.07 - 36.52 until the coupon date, then three days, 0.64: of ten bonds.
        ("coupon_accrual", "RUB"): D("31.9"),
        ("coupon", "RUB"): D("390.7"),
        ("funding", "USDC"): D(-6),
    }


def test_what_is_no_date_and_what_are_no_terms(data: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["accruals", "run", "--date", "2024-02-30", "--data", str(data)]) == 2
    bad = data.parent / "bad.yaml"
    bad.write_text(
        "- {kind: swap, instrument: X}\n"
        "- {kind: coupon, instrument: X, currency: RUB, day_count: Act/365F, start_date: 2024-01-01}\n"
        "- {kind: coupon, instrument: X, currency: RUB, day_count: Act/1, periods: []}\n"
        "- {kind: borrow, instrument: X, currency: rub, rate: X}\n"
        "- {kind: funding, instrument: X, currency: USD, rate: X, interval_seconds: 5}\n"
        "- {kind: borrow, instrument: Z, currency: USD, rate: X, spread: 1e-2}\n"
        "- {kind: coupon, instrument: Y, currency: RUB, day_count: 30/360,"
        " periods: [{start: 2024-01-01, end: 2024-07-01, face: 1e3}]}\n"
    )
    capsys.readouterr()
    assert run(["accruals", "define", str(bad), "--data", str(data)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("bad.yaml: ")[2].partition(" expected")[0] for line in lines] == [
        "index 0: kind:",
        "index 1: periods:",
        "index 2: day_count:",
        "index 3: currency:",
        "index 4: interval_seconds:",
        "index 5: spread:",
        "index 6: periods.0.face:",
    ]
    rates = data.parent / "bad.csv"
    rates.write_text("rate,fixed_at,value\nX,2024-01-01,1e5\n,2024-01-01T00:00:00Z,1\n")
    assert run(["accruals", "rates", str(rates), "--data", str(data)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


AMORTISING = """
- {kind: coupon, instrument: BOND, currency: RUB, day_count: Act/365F, start_date: 2023-08-28, maturity_date: 2024-08-28,
   frequency: semiannual, face: 1000, rate: 0.08, calendar: Russia, amortisation: {2024-02-28: 400}}
"""


def test_a_bond_pays_back_and_its_position_is_closed(data: Path, capsys: pytest.CaptureFixture[str]):
    enter(data, "amortising.yaml", AMORTISING, "accruals", "define")
    assert booked(data, "2024-08-27", capsys)["by_kind"]["redemption"]["amounts"] == {"RUB": "4000"}
    done = booked(data, "2024-08-28", capsys)
    [redeemed] = done["redemptions"]
    assert (redeemed["action"], redeemed["quantity"], redeemed["price"]) == ("NEW", "-10", "600")
    assert booked(data, "2024-08-28", capsys)["redemptions"] == []

    def position() -> Any:
        capsys.readouterr()
        pks(data, "positions", "--instrument", "BOND", "--json")
        return json.loads(capsys.readouterr().out)["positions"][0]

    assert (position()["quantity"], position()["realised_pnl"]) == ("0", "-3900")
    late = (
        "trade_id,book,instrument,side,quantity,price,currency,executed_at,settlement_date\n"
        "t9,B1,BOND,SELL,3,1000,RUB,2024-02-20T09:30:00Z,2024-02-21\n"
    )
    enter(data, "late.csv", late, "import", "--format", "canonical")
    again = booked(data, "2024-08-28", capsys)
    assert [(each["action"], each["quantity"]) for each in again["redemptions"]] == [("AMEND", "-7")]
    assert position()["quantity"] == "0" and booked(data, "2024-08-28", capsys)["booked"] == 0
    # 2,800 of 7 were paid back before; 7 at 600 then, against a cost of 990; 3 were sold at 1,000.
    assert sums(data)["redemption", "RUB"] == 2800
    assert D(position()["realised_pnl"]) == 7 * (600 - 990) + 3 * 10
    cancel = (
        "trade_id,action,original_trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "c1,CANCEL,t1,B1,BOND,BUY,10,990,RUB,2024-02-14T09:30:00Z\n"
        "c9,CANCEL,t9,B1,BOND,SELL,3,1000,RUB,2024-02-20T09:30:00Z\n"
    )
    enter(data, "cancel.csv", cancel, "import", "--format", "canonical")
    assert [each["action"] for each in booked(data, "2024-08-28", capsys)["redemptions"]] == ["CANCEL"]
    assert position()["quantity"] == "0" and sums(data)["redemption", "RUB"] == 0
    pks(data, "verify")
