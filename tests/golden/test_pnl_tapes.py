"""P&L of real tapes through the whole program, against independent figures from the raw files, and its parts.

What is expected is worked out by `profit` of the valuation's tapes: fractions over the lines of the files.
"""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from schemas.pnl import BUCKETS
from tests.golden.test_valuation_tapes import INSTRUMENTS, TOLERANCE, lines, pks, profit
from topology.cli.application import run

pytestmark = [pytest.mark.tapes, pytest.mark.usefixtures("exact")]


@pytest.mark.parametrize(
    ("markets", "parts"), [(("cm",), 4), pytest.param(("usdm", "spot", "cm"), 12, marks=pytest.mark.soak)]
)
def test_the_pnl_of_the_binance_tape_is_what_it_would_be_sold_for(
    tapes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    markets: tuple[str, ...],
    parts: int,
):
    folder, data = tapes / "binance_hftbacktest", tmp_path / "data"
    held = {key: found for key, found in INSTRUMENTS.items() if key[0] in markets}
    recorded = {
        key: {
            kind: lines(folder / key[0] / f"{key[1]}_20240808.{kind}.jsonl.gz")
            for kind in ("trade", "bookTicker")
        }
        for key in held
    }
    times = sorted(at for of in recorded.values() for at, _ in of["trade"])
    bounds = [times[len(times) * part // parts - 1] for part in range(1, parts)] + [times[-1] + 10**12]
    seen: dict[tuple[str, str], list[bytes]] = {key: [] for key in held}
    newest: dict[tuple[str, str], bytes] = {}
    before = 0
    for part, bound in enumerate(bounds):
        for kind, formatted in (("trade", "binance-stream"), ("bookTicker", "binance-quotes")):
            options = ("--conflate", "1") if kind == "bookTicker" else ("--book", "TAPE")
            for market in markets:
                files = []
                for key in (each for each in held if each[0] == market):
                    some = [line for at, line in recorded[key][kind] if before < at <= bound]
                    if kind == "trade":
                        seen[key] += some
                    elif some:
                        newest[key] = some[-1]
                    path = tmp_path / f"{part}" / market / f"{key[1]}_20240808.{kind}.jsonl"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(b"".join(some))
                    files.append(path)
                pks(capsys, data, "import", *files, "--format", formatted, *options)
        before = bound
        found = {each["instrument"]: each for each in pks(capsys, data, "pnl")["pnl"]}
        assert set(found) == {name for name, _ in held.values()}
        for key, (name, contract) in held.items():
            day = found[name]
            total = Decimal(day["total"])
            assert abs(Fraction(total) - profit(seen[key], newest[key], contract)) < TOLERANCE, (name, part)
            assert total == Decimal(day["realised"]) + Decimal(day["unrealised"])
            assert total == Decimal(day["positional"]) + Decimal(day["trading"])
            buckets = {bucket: Decimal(day["buckets"][bucket]) for bucket in BUCKETS}
            assert sum(buckets.values()) == total
            # A linear instrument is explained whole, but for the roundings of floats; an inverse one to the second order.
            most = Decimal("1e-6") if contract is None else abs(buckets["delta"]) / 1000 + Decimal("1e-6")
            assert abs(buckets["unexplained"]) < most, (name, buckets)
    picture = tmp_path / "out.png"
    assert (
        run(["pnl", "--instrument", "BTCUSD_PERP.BINANCE", "--plot", str(picture), "--data", str(data)]) == 0
    )
    assert picture.stat().st_size > 10_000
    checks = {each["name"]: each for each in pks(capsys, data, "verify", "--quick")["checks"]}
    for name in ("P&L", "P&L days", "P&L books", "P&L told"):
        assert checks[name]["ok"], checks[name]
