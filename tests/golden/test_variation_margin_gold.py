"""Three days of real prints of a gold future, settled at each day's last one: cash is what the settlement price makes of them."""

import json
import zipfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from topology.cli.application import run

pytestmark = pytest.mark.tapes

D = Decimal
DAYS = ("2013-10-07", "2013-10-08", "2013-10-09")
OUNCES = 100
EVERY = 100
"""Which prints are taken as fills of the desk."""


def prints(tapes: Path, day: str) -> list[tuple[int, Decimal, int]]:
    """Milliseconds of the day in New York, price and size of each print of the December contract that has one."""
    name = day.replace("-", "")
    with zipfile.ZipFile(tapes / "lean/future/comex/tick/gc" / f"{name}_trade.zip") as packed:
        rows = packed.read(f"{name}_gc_tick_trade_201312.csv").decode().splitlines()
    found = [(int(row[0]), D(row[1]), int(row[2])) for row in (line.split(",") for line in rows)]
    return [each for each in found if each[2]]


def test_realised_pnl_and_variation_margin_are_what_the_settlement_price_makes(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    header = "trade_id,book,account,instrument,side,quantity,price,currency,executed_at"
    fills, rates, expected = [header], ["rate,fixed_at,value"], {}
    trades: list[tuple[int, Decimal]] = []
    before = D(0)
    for day in DAYS:
        found = prints(tapes, day)
        midnight = datetime.combine(
            date.fromisoformat(day), datetime.min.time(), ZoneInfo("America/New_York")
        )
        for milliseconds, price, size in found[::EVERY]:
            side = "SELL" if price < before else "BUY"
            before = price
            at = (midnight + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
            fills.append(f"t{len(trades)},B1,A1,GCZ3,{side},{size},{price},USD,{at}")
            trades.append((size if side == "BUY" else -size, price))
        settlement = found[-1][1]
        rates.append(f"GCZ3.settlement,{day}T21:15:00Z,{settlement}")
        expected[day] = sum((quantity * (settlement - price) * OUNCES for quantity, price in trades), D(0))
    assert len(trades) > 1_500
    data = str(tmp_path / "books")

    def enter(name: str, text: str, *command: str) -> None:
        (tmp_path / name).write_text(text)
        assert run([*command, str(tmp_path / name), "--data", data]) == 0

    enter("books.yaml", "- {book: B1, time_zone: America/New_York}\n", "book-define")
    enter(
        "gold.yaml",
        f"- {{instrument: GCZ3, instrument_class: future, multiplier: {OUNCES}, currency: USD}}\n",
        "instrument-define",
    )
    terms = "- {kind: variation_margin, instrument: GCZ3, currency: USD, rate: GCZ3.settlement}\n"
    enter("terms.yaml", terms, "accruals", "define")
    enter("rates.csv", "\n".join(rates), "accruals", "rates")
    enter("fills.csv", "\n".join(fills), "import", "--format", "canonical")
    capsys.readouterr()
    assert run(["accruals", "run", "--date", DAYS[-1], "--data", data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_kind"]["variation_margin"]["movements"] == 3
    assert run(["ledger", "--account", "cash", "--data", data, "--json"]) == 0
    paid = dict.fromkeys(DAYS, D(0))
    for entry in json.loads(capsys.readouterr().out)["ledger"]:
        sign = 1 if entry["debit_account"] == "cash" else -1
        for day in DAYS:
            if entry["trade_date"] <= day:
                paid[day] += sign * D(entry["amount"])
    assert paid == expected
    assert run(["verify", "--data", data]) == 0
