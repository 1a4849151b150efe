"""Ledger, cash, movements, payments and rules by their commands, from files to balances."""

import json
from pathlib import Path
from typing import Any

import pytest

from topology.cli.application import run

FILLS = """trade_id,book,instrument,side,quantity,price,fee,currency,executed_at,instrument_class,account
t1,B1,X,BUY,100,10,1,USD,2026-01-05T09:30:00Z,equity,A
t2,B1,X,BUY,50,10.2,1,USD,2026-01-05T10:00:00Z,equity,A
t3,B1,X,SELL,120,10.25,1,USD,2026-01-05T11:00:00Z,equity,A
"""
MOVEMENTS = """movement_id,kind,currency,amount,trade_date,entity,account,book,by_payment,user,counterparty,settlement_date
m1,deposit,USD,5000,2026-01-05,E,A,,false,,,
m2,payment,USD,-400,2026-01-05,E,A,,true,anna,bank,2026-01-06
"""


class Desk:
    """`pks` on one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def run(self, *arguments: str, code: int = 0) -> Any:
        self._capsys.readouterr()
        assert run([*arguments, "--json", "--data", str(self.folder / "data")]) == code
        said = self._capsys.readouterr()
        return said.err if code else json.loads(said.out)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path, capsys)
    desk.run("book-define", desk.file("books.csv", "book,entity\nB1,E\n"))
    desk.run("import", desk.file("fills.csv", FILLS), "--format", "canonical")
    return desk


def test_cash_is_the_sum_of_its_ledger_now_and_then(desk: Desk):
    desk.run("cash-book", desk.file("moved.csv", MOVEMENTS))
    entries = desk.run("ledger", "--account", "cash")["ledger"]
    moved = sum((1 if entry["debit_account"] == "cash" else -1) * float(entry["amount"]) for entry in entries)
    (held,) = desk.run("cash", "--ladder")["cash"]
    assert held["trade_date_balance"] == "4317" and moved == 4317
    assert (held["settled_balance"], held["pending"]) == ("5000", "-683")
    assert [step["amount"] for step in held["ladder"]][:2] == ["-683", "0"]
    (then,) = desk.run("cash", "--as-of", "2026-01-05T10:30:00Z")["cash"]
    assert then["trade_date_balance"] == str(5000 - 400 - 1000 - 510 - 2)
    assert desk.run("ledger", "--trade", "t3", "--as-of", "2026-01-05T10:30:00Z")["ledger"] == []
    whole = desk.run("ledger-hash")
    assert desk.run("ledger-hash", "--as-of", "2027-01-01T00:00:00Z") == whole
    checks = {check["name"]: check for check in desk.run("verify")["checks"]}
    for name in ("double entry", "transfers", "cash", "ledger"):
        assert checks[name]["ok"] and checks[name]["checked"] > 0, checks[name]


def test_what_a_book_and_an_instrument_moved(desk: Desk):
    desk.run("cash-book", desk.file("moved.csv", MOVEMENTS))
    (of_book,) = desk.run("cash", "--book", "B1", "--ladder")["cash"]
    assert (of_book["trade_date_balance"], of_book["settled_balance"]) == ("-283", "0")
    assert of_book["ladder"][0]["amount"] == "-283"
    assert desk.run("cash", "--instrument", "X")["cash"][0]["trade_date_balance"] == "-283"
    (then,) = desk.run("cash", "--book", "B1", "--as-of", "2026-01-05T09:45:00Z")["cash"]
    assert then["trade_date_balance"] == "-1001"
    assert desk.run("cash", "--book", "B2")["cash"] == []


def test_what_was_known_before_a_correction(desk: Desk):
    (before,) = desk.run("cash")["cash"]
    sequence = desk.run("book-hash")["sequence"]
    header, first, *_ = FILLS.splitlines()
    cancel = f"{header},action,original_trade_id\n{first.replace('t1', 'c1')},CANCEL,t1\n"
    desk.run("import", desk.file("cancel.csv", cancel), "--format", "canonical")
    (after,) = desk.run("cash")["cash"]
    assert after["trade_date_balance"] == str(-510 + 1230 - 2)
    (known,) = desk.run("cash", "--known-at", str(sequence))["cash"]
    assert known["trade_date_balance"] == before["trade_date_balance"] == "-283"


def test_a_payment_through_its_life(desk: Desk):
    assert desk.run("cash-book", desk.file("moved.csv", MOVEMENTS)) == {
        "movements": 2, "posted": 2, "refused": [],
    }  # fmt: skip
    (order,) = desk.run("payments", "list")["payments"]
    assert (order["state"], order["amount"], order["drafted_by"]) == ("draft", "400.00", "anna")
    assert "another user than anna" in desk.run("payments", "approve", "m2", "--user", "anna", code=2)
    assert "approve or cancel" in desk.run("payments", "send", "m2", "--user", "anna", code=2)
    for step, state in (("approve", "approved"), ("send", "sent"), ("settle", "settled")):
        assert desk.run("payments", step, "m2", "--user", "boris")["state"] == state
    assert desk.run("payments", "list", "--state", "draft") == {"payments": []}
    (held,) = desk.run("cash")["cash"]
    assert (held["trade_date_balance"], held["settled_balance"]) == ("4317", "4600")


def test_movements_again_change_nothing_and_faults_refuse_the_file(desk: Desk):
    path = desk.file("moved.csv", MOVEMENTS)
    desk.run("cash-book", path)
    whole = desk.run("ledger-hash")
    assert desk.run("cash-book", path)["refused"] == []
    assert desk.run("ledger-hash") == whole
    other = desk.file("other.csv", MOVEMENTS.replace("5000", "6000"))
    assert desk.run("cash-book", other) == {"movements": 2, "posted": 1, "refused": ["m1"]}
    assert desk.run("ledger-hash") == whole
    wrong = desk.file("wrong.csv", MOVEMENTS.replace("5000", "5e3").replace("payment", "pay"))
    said = desk.run("cash-book", wrong, code=2).splitlines()
    assert [line.split(": ")[1:3] for line in said] == [["line 2", "amount"], ["line 3", "kind"]]


def test_rules_are_defined_and_hold_for_what_is_captured_from_then_on(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()
    assert run(["posting-rules"]) == 0
    text = capsys.readouterr().out
    path = desk.file("rules.yaml", text.replace("  commission: commissions", "  commission: exchange_fees"))
    assert desk.run("posting-rules-define", path)["version"] == 1
    assert desk.run("posting-rules-define", path) == {
        "version": 1, "defined": False, "accounts": 26, "classes": 16,
    }  # fmt: skip
    said = desk.run(
        "posting-rules-define", desk.file("bad.yaml", text.replace("{type: asset}", "{type: as}")), code=2
    )
    assert said.startswith(f"{desk.folder}/bad.yaml: line ") and "accounts.positions.type" in said
    later = FILLS.splitlines()[0] + "\nt9,B1,X,BUY,1,10,1,USD,2026-01-06T09:30:00Z,equity,A\n"
    desk.run("import", desk.file("later.csv", later), "--format", "canonical")
    fees = [
        entry["debit_account"] for entry in desk.run("ledger")["ledger"] if entry["leg"] == "fee:commission"
    ]
    assert fees == ["commissions"] * 3 + ["exchange_fees"]


def test_a_locked_period(desk: Desk):
    desk.run("cash")
    assert (
        desk.run("period-lock", "2026-01-31", "--entity", "E", "--user", "anna")["locked_through"]
        == "2026-01-31"
    )
    assert "through" in desk.run("period-lock", "January", "--user", "anna", code=2)
    later = FILLS.splitlines()[0] + "\nt9,B1,X,BUY,1,10,1,USD,2026-01-06T09:30:00Z,equity,A\n"
    desk.run("import", desk.file("later.csv", later), "--format", "canonical")
    entry = desk.run("ledger", "--trade", "t9")["ledger"][0]
    assert (entry["posting_date"], entry["reference"]) == ("2026-02-01", "closed: 2026-01-06")


def test_what_a_deposit_is_called_decides_its_sign_and_no_date_is_mistyped(desk: Desk):
    head = "movement_id,kind,currency,amount,trade_date,value_date,reverses\n"
    rows = (
        "m1,withdrawal,USD,5,2026-01-05,,", "m2,deposit,USD,-5,2026-01-05,,", "m3,fee,USD,5,2999-01-05,,",
        "m4,fee,USD,-5,2026-01-05,2999-01-05,", "m5,fee,USD,5,2026-01-05,,", "m6,deposit,USD,-5,2026-01-05,,m0",
    )  # fmt: skip
    said = desk.run("cash-book", desk.file("moved.csv", head + "\n".join(rows) + "\n"), code=2)
    assert [line.split(": ")[1:3] for line in said.splitlines()] == [
        ["line 2", "amount"], ["line 3", "amount"], ["line 4", "trade_date"], ["line 5", "value_date"],
    ]  # fmt: skip
    assert "a withdrawal" in said and "found 5\n" in said
    assert len(desk.run("cash")["cash"]) == 1, "nothing of the file is booked"


def test_a_day_that_is_far_ahead_is_said(desk: Desk, capsys: pytest.CaptureFixture[str]):
    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert run(["cash", *arguments, "--data", str(desk.folder / "data")]) == 0
        return capsys.readouterr().err

    assert said() == ""
    far = FILLS.splitlines()[0] + "\nt9,B1,X,BUY,1,10,1,USD,2199-01-05T09:30:00Z,equity,A\n"
    desk.run("import", desk.file("far.csv", far), "--format", "canonical")
    assert "the newest day of the ledger is 2199-01-" in (remark := said("--json")) and "--date" in remark
    assert said("--date", "2026-01-05") == ""


def test_amounts_that_are_rounded_are_said(desk: Desk, capsys: pytest.CaptureFixture[str]):
    head = "movement_id,kind,currency,amount,trade_date\n"
    path = desk.file(
        "moved.csv", head + "m1,deposit,USD,1.23456,2026-01-05\nm2,deposit,USD,1.2300,2026-01-05\n"
    )
    capsys.readouterr()
    assert run(["cash-book", path, "--data", str(desk.folder / "data")]) == 0
    assert "rounded: 1 of 2 amounts" in (said := capsys.readouterr().err) and "m1: 1.23456" in said
    assert run(["cash-book", path, "--data", str(desk.folder / "data"), "--json"]) == 0
    assert "rounded: 1 of 2" in capsys.readouterr().err


def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert run([*arguments, "--data", str(desk.folder / "data")]) == 0
        return capsys.readouterr().err

    found = said("ledger", "--account", "CASH")
    assert "account 'CASH'; there are A, cash, commissions, positions" in found
    assert "book 'NOPE'; there are B1" in said("ledger", "--book", "NOPE", "--json")
    assert "movement 'nope'" in said("ledger", "--trade", "nope")
    assert said("ledger", "--account", "cash", "--json") == ""
    assert "pending is what a transfer was" in said("ledger", "--account", "cash")
    assert "book 'NOPE'; there are B1" in said("pnl", "--book", "NOPE")
    assert "instrument 'Z'; there are X" in said("pnl", "--instrument", "Z")


def test_the_table_of_the_ledger_says_whose_transfers_they_are(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()
    assert run(["ledger", "--trade", "t1", "--data", str(desk.folder / "data")]) == 0
    header, first = (
        line for line in capsys.readouterr().out.splitlines() if "leg" in line or "1000.00" in line
    )
    assert [name in header for name in ("entity", "book", "instrument")] == [True] * 3
    assert [cell.strip() for cell in first.strip("│").split("│")][:4] == ["E", "B1", "X", "t1"]


def test_corrections_before_their_trades_give_the_same_ledger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    header = (
        "trade_id,action,original_trade_id,book,instrument,side,quantity,price,fee,currency,executed_at\n"
    )
    trades = "t1,NEW,,B1,X,BUY,10,10,1,JPY,2024-02-29T10:00:00Z\nt2,NEW,,B1,X,SELL,4,12.4,0,JPY,2024-02-29T11:00:00Z\n"
    corrections = (
        "c2,CANCEL,t2,B1,X,SELL,4,12.4,0,JPY,2024-02-29T11:00:00Z\n"
        "c1,AMEND,t1,B1,X,BUY,7,9.5,1,JPY,2024-02-29T10:00:00Z\n"
    )
    hashes = []
    for name, parts in (("in order", (trades, corrections)), ("before", (corrections, trades))):
        data = str(tmp_path / name)
        for number, rows in enumerate(parts):
            path = tmp_path / f"{number}.csv"
            path.write_text(header + rows)
            assert run(["import", str(path), "--format", "canonical", "--data", data]) == 0
        capsys.readouterr()
        assert run(["ledger-hash", "--data", data, "--json"]) == 0
        hashes.append(json.loads(capsys.readouterr().out))
        assert run(["verify", "--data", data]) == 0
        assert run(["cash", "--data", data, "--json"]) == 0
        # 7 x 9.5 is rounded half to even in whole yen, and the fee.
        assert '"trade_date_balance": "-67"' in capsys.readouterr().out
    assert hashes[0] == hashes[1] and hashes[0]["accounts"] > 0


def test_a_movement_of_a_book_is_of_its_entity(desk: Desk):
    rows = "movement_id,kind,entity,book,currency,amount,trade_date\nm1,deposit,F,B1,USD,5,2026-01-05\n"
    said = desk.run("cash-book", desk.file("elsewhere.csv", rows), code=2)
    assert said == "m1: entity: expected E, to which book B1 belongs, or none, found 'F'\n"
    assert desk.run("cash-book", desk.file("there.csv", rows.replace(",F,", ",E,")))["posted"] == 1


def test_a_trade_is_never_blocked_and_what_it_overdraws_is_told(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()
    assert run(["posting-rules", "--json"]) == 0
    rules = json.loads(capsys.readouterr().out)
    rules["accounts"]["cash"]["below_zero"] = "block"
    desk.run("posting-rules-define", desk.file("block.json", json.dumps(rules)))
    row = "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
    desk.run(
        "import",
        desk.file("fill.csv", f"{row}b1,B1,Y,BUY,3,100,GBP,2026-01-05T12:00:00Z\n"),
        "--format",
        "canonical",
    )
    entries = desk.run("ledger", "--trade", "b1")["ledger"]
    assert [entry["warning"] for entry in entries] == ["below zero"]
    capsys.readouterr()
    assert run(["verify", "--json", "--data", str(desk.folder / "data")]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check["name"] for check in checks if not check["ok"]] == ["below zero"]
    held = "movement_id,kind,entity,account,currency,amount,trade_date\n"
    for number, (account, currency, amount) in enumerate(
        [("", "GBP", 300), ("", "USD", 9999), ("A", "USD", 9999)]
    ):
        text = f"{held}d{number},deposit,E,{account},{currency},{amount},2026-01-05\n"
        desk.run("cash-book", desk.file("held.csv", text))
    assert all(check["ok"] for check in desk.run("verify")["checks"])
