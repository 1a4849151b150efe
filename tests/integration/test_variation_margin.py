"""Futures settled day by day: `pks accruals run` moves what settlement prices make, and what trades realise is not moved twice."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from topology.cli.application import run

D = Decimal

FILLS = """trade_id,book,account,instrument,side,quantity,price,fee,currency,executed_at
t1,B1,A1,F,BUY,2,100,0,USD,2024-02-26T15:00:00Z
t2,B1,A1,F,SELL,1,104,0,USD,2024-02-28T15:00:00Z
"""
LATE = """trade_id,book,account,instrument,side,quantity,price,fee,currency,executed_at
t0,B1,A1,F,BUY,1,90,0,USD,2024-02-26T14:00:00Z
"""
TERMS = "- {kind: variation_margin, instrument: F, currency: USD, rate: F.settlement}\n"
PRICES = """rate,fixed_at,value
F.settlement,2024-02-26T21:00:00Z,101
F.settlement,2024-02-27T21:00:00Z,103
F.settlement,2024-02-28T21:00:00Z,99
F.settlement,2024-02-29T21:00:00Z,98
"""


class Desk:
    """A folder with one future, and the commands on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = folder / "books"
        self._folder = folder
        self._capsys = capsys

    def pks(self, *arguments: str) -> Any:
        self._capsys.readouterr()
        assert run([*arguments, "--data", str(self.data), "--json"]) == 0
        return json.loads(self._capsys.readouterr().out)

    def enter(self, name: str, text: str, *command: str) -> None:
        path = self._folder / name
        path.write_text(text)
        self.pks(*command, str(path))

    def standard_rules(self) -> Any:
        self._capsys.readouterr()
        assert run(["posting-rules", "--json"]) == 0
        return json.loads(self._capsys.readouterr().out)

    def accrue(self, day: str) -> Any:
        return self.pks("accruals", "run", "--date", day)

    def cash(self) -> tuple[Decimal, Decimal]:
        """By trade date, and settled."""
        [found] = self.pks("cash")["cash"]
        return D(found["trade_date_balance"]), D(found["settled_balance"])

    def held(self, account: str) -> Decimal:
        return sum(
            (
                D(entry["amount"])
                * ((entry["debit_account"] == account) - (entry["credit_account"] == account))
                for entry in self.pks("ledger")["ledger"]
                if not entry["pending_id"]
            ),
            D(0),
        )


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    found = Desk(tmp_path, capsys)
    found.enter("books.yaml", "- {book: B1, entity: E1, base_currency: EUR}\n", "book-define")
    found.enter(
        "f.yaml",
        "- {instrument: F, instrument_class: future, multiplier: 10, currency: USD}\n",
        "instrument-define",
    )
    found.enter("terms.yaml", TERMS, "accruals", "define")
    found.enter("prices.csv", PRICES, "accruals", "rates")
    found.enter("fills.csv", FILLS, "import", "--format", "canonical")
    return found


def test_days_are_settled_at_their_prices_and_realised_pnl_once(desk: Desk):
    first = desk.accrue("2024-02-27")
    assert [(each["date"], each["amount"]) for each in first["movements"]] == [
        ("2024-02-26", "20"),
        ("2024-02-27", "40"),
    ]
    rest = desk.accrue("2024-02-29")
    # One was sold at 104: 40 of what was paid ahead is realised now. The other has lost four, then one.
    assert [(each["date"], each["amount"]) for each in rest["movements"]] == [
        ("2024-02-28", "-70"),
        ("2024-02-29", "-10"),
    ]
    assert desk.accrue("2024-02-29")["booked"] == 0
    # 1 x 4 realised and 1 x -2 open, each times ten.
    assert desk.cash()[0] == 40 - 20
    assert (desk.held("realised_pnl"), desk.held("variation_margin")) == (-40, 20)
    desk.pks("day-close", "--date", "2024-02-28")
    # What is of 26 to 28 February but the last settles by then (next day, New York).
    assert desk.cash()[1] == 20 + 40
    desk.pks("day-close", "--date", "2024-03-01")
    assert desk.cash() == (20, 20)
    assert run(["verify", "--data", str(desk.data)]) == 0


def test_a_late_trade_and_another_price_restate_the_days_that_they_change(desk: Desk):
    desk.accrue("2024-02-29")
    desk.enter("late.csv", LATE, "import", "--format", "canonical")
    corrected = "rate,fixed_at,value\nF.settlement,2024-02-27T21:00:00Z,104\n"
    desk.enter("corrected.csv", corrected, "accruals", "rates")
    again = desk.accrue("2024-02-29")
    # The lot at 90 is the one that was sold: 140 are realised by it, and two of 100 are open.
    by_day: dict[str, Decimal] = {}
    for each in again["movements"]:
        by_day[each["date"]] = by_day.get(each["date"], D(0)) + D(each["amount"])
    assert by_day == {
        "2024-02-26": D(130 - 20),
        "2024-02-27": D(90 - 40),
        "2024-02-28": D(-20 - 220) + 70,
        "2024-02-29": D(-20) + 10,
    }
    assert again["reversed"] == 4 and desk.accrue("2024-02-29")["booked"] == 0
    assert desk.cash()[0] == 140 + 2 * -20
    identities = [each["entry_id"] for each in desk.pks("ledger")["ledger"]]
    assert len(identities) == len(set(identities))
    assert run(["verify", "--data", str(desk.data)]) == 0


def test_what_was_paid_ahead_is_no_exposure_twice(desk: Desk):
    desk.accrue("2024-02-29")
    desk.enter(
        "marks.csv", "instrument,time,price\nF,2024-02-29T22:00:00Z,97\n", "import", "--format", "csv-marks"
    )
    [found] = desk.pks("ocp-live")["ocp-live"]
    # Unrealised -30, of which -20 were paid: the cash of 20 has them.
    assert [each["with_pending"] for each in found["exposures"]] == ["20"]
    assert found["with_market_value"]["market_values"] == {"USD": "-10"}


def test_rules_that_have_no_such_movement_are_named_and_the_days_booked_once_they_have(desk: Desk):
    rules = desk.standard_rules()
    lacking = {
        **rules,
        "movements": {name: rule for name, rule in rules["movements"].items() if name != "variation_margin"},
    }
    desk.enter("lacking.json", json.dumps(lacking), "posting-rules-define")
    done = desk.accrue("2024-02-29")
    assert done["booked"] == 0
    assert [each["reason"].partition(":")[0] for each in done["missing"]] == [
        "version 1 of the posting rules has no movement variation_margin"
    ]
    desk.enter("whole.json", json.dumps(rules), "posting-rules-define")
    assert desk.accrue("2024-02-29")["booked"] == 4
    assert desk.cash()[0] == 40 - 20
