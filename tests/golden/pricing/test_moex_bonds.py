"""The Moscow Exchange's own yields, durations and accrued interest of 15 February 2024, reproduced.

Federal bonds with a fixed coupon and no amortisation (OFZ-PD, numbers 26...): the exchange's effective yield compounds
annually over actual / 365 days of each payment, for settlement on the next day.
"""

import gzip
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.pricing_support import priced

pytestmark = pytest.mark.tapes

USUAL_PERIOD_DAYS = 182


def _rows(document: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    """The rows of the main board of federal bonds, by security; numbers as their digits."""
    columns = document[table]["columns"]
    rows = (dict(zip(columns, row, strict=True)) for row in document[table]["data"])
    return {row["SECID"]: row for row in rows if row["BOARDID"] == "TQOB"}


def _request(bond: dict[str, Any], price: float) -> dict[str, Any]:
    next_coupon, maturity = date.fromisoformat(bond["NEXTCOUPON"]), date.fromisoformat(bond["MATDATE"])
    terms: dict[str, Any] = {}
    period = bond["COUPONPERIOD"]
    # Coupons are whole kopecks: what is paid is not quite what the rate says.
    coupon = bond["COUPONVALUE"] / bond["FACEVALUE"] * 365 / period
    if (maturity - next_coupon).days % period:
        # The first period is an odd one.
        terms["first_coupon_date"] = str(next_coupon)
    return {
        "evaluation_date": "2024-02-15",
        "settlement_date": bond["SETTLEDATE"],
        "start_date": str(next_coupon - timedelta(days=period)),
        "maturity_date": str(maturity),
        "coupon_period_days": USUAL_PERIOD_DAYS if terms else period,
        "coupon": f"{coupon:.12f}",
        "day_count": "Act/365F",
        "face": bond["FACEVALUE"],
        "clean_price": f"{price * bond['FACEVALUE'] / 100:.8f}",
        "compounding": "annual",
        **terms,
    }


def test_federal_bonds_with_a_fixed_coupon(tapes: Path):
    with gzip.open(tapes / "moex_iss" / "bonds.json.gz", "rt", encoding="utf-8") as file:
        document = json.load(file)
    bonds, yields = _rows(document, "securities"), _rows(document, "marketdata_yields")
    compared = 0
    for code, bond in bonds.items():
        said = yields.get(code)
        if not bond["SHORTNAME"].startswith("ОФЗ 26") or said is None or said["YIELDDATETYPE"] != "MATDATE":
            continue
        answer = priced("fixed_rate_bond", **_request(bond, said["PRICE"]))
        name = bond["SHORTNAME"]
        assert answer["accrued_interest"] == pytest.approx(bond["ACCRUEDINT"], abs=0.006), name
        # So is accrued interest, which shows in a bond that is paid back soon.
        remaining_years = answer["macaulay_duration"]
        tolerance = 0.0001 + 0.0007 / remaining_years
        assert 100 * answer["yield"] == pytest.approx(said["EFFECTIVEYIELD"], abs=tolerance), name
        assert 365 * remaining_years == pytest.approx(said["DURATION"], abs=1.5), name
        compared += 1
    assert compared == 27
