"""Bonds of the Moscow Exchange held to maturity: the last coupon and the face come in to the kopeck, and nothing is left."""

import gzip
import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.files.moex_bonds import read_moex_bonds
from connectors.files.source import open_source
from domain.accruals.coupons import CouponBond, CouponPeriod, accrued_interest, coupon
from schemas.numbers import exact_arithmetic
from topology.cli.application import run

pytestmark = pytest.mark.tapes

D = Decimal
UNTIL = "2024-04-30"
QUANTITY = 10


def in_their_last_period(file: Path) -> list[dict[str, Any]]:
    """Rouble bonds whose next coupon is their last, and whose accrued interest and coupon are those of their rate."""
    stated = {(bond.instrument, bond.board): bond for bond in read_moex_bonds(open_source(str(file)))}
    securities = json.loads(gzip.decompress(file.read_bytes()), parse_float=str)["securities"]
    found: dict[str, dict[str, Any]] = {}
    for values in securities["data"]:
        row = dict(zip(securities["columns"], values, strict=True))
        bond = stated[row["SECID"], row["BOARDID"]]
        matures = row["MATDATE"] == row["NEXTCOUPON"] and row["SETTLEDATE"] < row["MATDATE"] <= UNTIL
        roubles = bond.currency == bond.settlement_currency == "RUB"
        if not (matures and roubles and bond.rate and bond.amount and row["PREVPRICE"]):
            continue
        end = date.fromisoformat(bond.next_coupon)
        period = CouponPeriod(end - timedelta(bond.period_days), end, end, bond.face, rate=bond.rate)
        terms = CouponBond("Act/365F", (period,))
        with exact_arithmetic():
            exact = (coupon(terms, period), accrued_interest(terms, date.fromisoformat(row["SETTLEDATE"])))
        if exact == (bond.amount, bond.accrued):
            found[bond.instrument] = {**row, "bond": bond, "period": period}
    return list(found.values())


def test_each_gives_its_coupon_and_its_face_back_and_leaves_nothing(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bonds = in_their_last_period(tapes / "moex_iss" / "bonds.json.gz")
    # Faces that were partly paid back before are among them.
    assert len(bonds) > 40 and any(each["bond"].face < 1000 for each in bonds)
    terms, fills, instruments = [], [], []
    expected = D(0)
    for each in bonds:
        bond, period = each["bond"], each["period"]
        instruments.append(
            {
                "instrument": bond.instrument,
                "instrument_class": "bond",
                "currency": "RUB",
                "multiplier": str(bond.face / 100),
            }
        )
        terms.append(
            {
                "kind": "coupon",
                "instrument": bond.instrument,
                "currency": "RUB",
                "day_count": "Act/365F",
                "periods": [
                    {
                        "start": str(period.start),
                        "end": str(period.end),
                        "face": str(bond.face),
                        "rate": str(bond.rate),
                        "redemption": str(bond.face),
                    }
                ],
            }
        )
        # Quoted in percent of the face, with the accrued interest that the exchange states.
        fills.append(
            f"t-{bond.instrument},B1,{bond.instrument},BUY,{QUANTITY},{each['PREVPRICE']},RUB,2024-02-15T09:00:00Z,"
            f"{each['SETTLEDATE']},{QUANTITY * bond.accrued}"
        )
        cost = QUANTITY * D(str(each["PREVPRICE"])) * bond.face / 100
        expected += QUANTITY * (bond.face + bond.amount - bond.accrued) - round(cost, 2)
    data = str(tmp_path / "books")

    def enter(name: str, text: str, *command: str) -> None:
        (tmp_path / name).write_text(text)
        assert run([*command, str(tmp_path / name), "--data", data]) == 0

    enter("instruments.json", json.dumps(instruments), "instrument-define")
    enter("terms.json", json.dumps(terms), "accruals", "define")
    header = (
        "trade_id,book,instrument,side,quantity,price,currency,executed_at,settlement_date,accrued_interest"
    )
    enter("fills.csv", "\n".join((header, *fills)), "import", "--format", "canonical")
    capsys.readouterr()
    assert run(["accruals", "run", "--date", UNTIL, "--data", data, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert len(done["redemptions"]) == len(bonds) and done["missing"] == []
    assert run(["cash", "--data", data, "--json"]) == 0
    [cash] = json.loads(capsys.readouterr().out)["cash"]
    assert D(cash["trade_date_balance"]) == expected
    assert run(["ledger", "--data", data, "--json"]) == 0
    held: dict[str, Decimal] = {}
    for entry in json.loads(capsys.readouterr().out)["ledger"]:
        if not entry["pending_id"]:
            for account, sign in ((entry["debit_account"], 1), (entry["credit_account"], -1)):
                held[account] = held.get(account, D(0)) + sign * D(entry["amount"])
    assert held["positions"] == held["accrued_interest"] == 0
    assert run(["verify", "--data", data]) == 0
