"""Yields of MOEX bonds, against the exchange's own: an analysis of the recorded document of bonds.

`python -m tests.golden.moex_yields FOLDER_OF_TAPES` prints how many agree, and by class why the others do not.

The exchange's yield is effective: price + accrued interest = sum of payments / (1 + yield)^(days from settlement / 365). So
here: `domain.pricing` prices a fixed-rate bond (Act/365F, annual compounding, on `SETTLEDATE`), whose clean price is taken
so that its dirty price is `LAST` and `ACCRUEDINT` of the file. Two yields agree within 0.02 percentage points, twice the
step in which the file states them.

What the file does not say: whether the face value is paid back in parts, and what later coupons are. Both show in the
duration that the exchange states, so a bond that looks like a bullet and is none is told by that.
"""

import gzip
import json
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from connectors.marks.moex_iss import MAIN_BOARDS
from domain.pricing.calculate import price

AGREES_POINTS = 0.02
DURATION_RATIO = 0.03
"""A stated duration that differs from that of the payments that the file tells by more says that there are others."""

_FREQUENCIES = {
    range(359, 367): "annual",
    range(178, 187): "semiannual",
    range(88, 94): "quarterly",
    range(28, 32): "monthly",
}
_NO_DATE = "0000-00-00"


@dataclass(frozen=True, slots=True)
class Bond:
    """What the file says of a bond on its main board."""

    security: str
    board: str
    name: str
    face: float
    face_currency: str
    currency: str
    coupon: float
    coupon_days: int
    next_coupon: str
    maturity: str
    last: float
    accrued: float
    settlement: str
    stated_yield: float
    yield_to: str
    stated_duration: float
    put_date: str


def read_bonds(tapes: Path) -> list[Bond]:
    """Bonds that were traded, and have a yield."""
    document = json.loads(gzip.decompress((tapes / "moex_iss/bonds.json.gz").read_bytes()))
    blocks = {
        name: {
            (row["SECID"], row["BOARDID"]): row
            for row in (dict(zip(block["columns"], data, strict=True)) for data in block["data"])
        }
        for name, block in document.items()
        if name in ("securities", "marketdata", "marketdata_yields")
    }
    found = []
    for place, terms in blocks["securities"].items():
        market, yields = blocks["marketdata"][place], blocks["marketdata_yields"].get(place, {})
        if place[1] in MAIN_BOARDS and market["LAST"] is not None and market["YIELD"]:
            found.append(_bond(terms, market, yields))
    return found


def _bond(terms: dict[str, Any], market: dict[str, Any], yields: dict[str, Any]) -> Bond:
    return Bond(
        security=terms["SECID"],
        board=terms["BOARDID"],
        name=terms["SECNAME"],
        face=float(terms["FACEVALUE"]),
        face_currency=terms["FACEUNIT"],
        currency=terms["CURRENCYID"],
        coupon=float(terms["COUPONVALUE"] or 0),
        coupon_days=int(terms["COUPONPERIOD"] or 0),
        next_coupon=terms["NEXTCOUPON"],
        maturity=terms["MATDATE"],
        last=float(market["LAST"]),
        accrued=float(terms["ACCRUEDINT"]),
        settlement=terms["SETTLEDATE"],
        stated_yield=float(market["YIELD"]),
        yield_to=yields.get("YIELDDATETYPE") or "",
        stated_duration=float(yields.get("DURATION") or 0),
        put_date=terms["BUYBACKDATE"] or _NO_DATE,
    )


def outside(bond: Bond) -> str | None:
    """Why a bond is no bullet to its maturity, by what the file says of it; None where it says nothing against it."""
    if bond.face_currency != bond.currency:
        return "accrued interest in another currency than the face"
    if bond.maturity == _NO_DATE or bond.yield_to not in ("", "MATDATE"):
        return "the yield is to an offer"
    if bond.put_date != _NO_DATE:
        return "the issuer buys back before maturity"
    if bond.currency == "SUR" and bond.face < 1_000:
        return "paid back in parts (face below 1,000)"
    if not bond.coupon or frequency_of(bond) is None:
        return "no coupon, or no regular one"
    return None


def frequency_of(bond: Bond) -> str | None:
    """How often a bond pays, by the days of a period."""
    return next((name for days, name in _FREQUENCIES.items() if bond.coupon_days in days), None)


def computed(bond: Bond) -> dict[str, float] | None:
    """Yield (percent) and duration (days) that `domain.pricing` gives; None where it gives none."""
    frequency = frequency_of(bond)
    start = date.fromisoformat(bond.next_coupon) - timedelta(days=bond.coupon_days)
    periods = 365 / bond.coupon_days
    request = {
        "id": bond.security,
        "model": "fixed_rate_bond",
        "evaluation_date": bond.settlement,
        "settlement_date": bond.settlement,
        "issue_date": min(start, date.fromisoformat(bond.settlement)).isoformat(),
        "start_date": start.isoformat(),
        "maturity_date": bond.maturity,
        "frequency": frequency,
        "coupon": bond.coupon * periods / bond.face,
        "day_count": "Act/365F",
        "compounding": "annual",
        "face": bond.face,
    }
    clean = bond.face * bond.last / 100
    first = price({**request, "clean_price": clean})
    if "error" in first:
        return None
    # The dirty price is the market's: its own accrued interest, not that of a schedule in months.
    found = price({**request, "clean_price": clean + bond.accrued - first["accrued_interest"]})
    if "error" in found:
        return None
    return {"yield": 100 * found["yield"], "duration": 365 * found["macaulay_duration"]}


def classify(bond: Bond) -> str:
    """`agrees`, or why it does not."""
    why = outside(bond)
    if why is not None:
        return why
    found = computed(bond)
    if found is None:
        return "no yield found"
    if abs(found["yield"] - bond.stated_yield) <= AGREES_POINTS:
        return "agrees"
    if bond.stated_duration and abs(bond.stated_duration / found["duration"] - 1) > DURATION_RATIO:
        return "paid back in parts, or earlier (by its stated duration)"
    if bond.next_coupon == bond.settlement:
        return "settles on the day of a coupon"
    if abs(found["yield"] - bond.stated_yield) <= 0.1:
        return "days of the schedule (within 0.1 points)"
    return "other coupons later than the one that the file states"


def table(tapes: Path) -> Counter[str]:
    """How many bonds there are of each class."""
    return Counter(classify(bond) for bond in read_bonds(tapes))


def main() -> int:
    """Print the table."""
    tapes = Path(sys.argv[1])
    bonds = read_bonds(tapes)
    counted = Counter(classify(bond) for bond in bonds)
    bullets = sum(outside(bond) is None for bond in bonds)
    print(f"{len(bonds)} bonds traded with a yield; {bullets} that look like bullets to maturity")
    for why, number in counted.most_common():
        print(f"{number:6}  {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
