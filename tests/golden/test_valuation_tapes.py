"""Valuations of real tapes through the whole program, against independent figures from the raw files.

Nothing of PKS works out what is expected here: fractions over the lines of the files, and nothing else.
"""

import csv
import gzip
import io
import json
import zipfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest

from topology.cli.application import run

pytestmark = pytest.mark.tapes

TOLERANCE = Fraction(1, 10**9)
PARTS = 3


def pks(capsys: pytest.CaptureFixture[str], data: Path, *arguments: object) -> dict:
    """A command's document."""
    capsys.readouterr()
    code = run([*(str(each) for each in arguments), "--data", str(data), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


# -- Binance ------------------------------------------------------------------------------------------------------

INSTRUMENTS = {
    ("usdm", "btcusdt"): ("BTCUSDT-PERP.BINANCE", None),
    ("usdm", "ethusdt"): ("ETHUSDT-PERP.BINANCE", None),
    ("spot", "btcusdt"): ("BTCUSDT.BINANCE", None),
    ("spot", "ethusdt"): ("ETHUSDT.BINANCE", None),
    ("cm", "btcusd_perp"): ("BTCUSD_PERP.BINANCE", 100),
    ("cm", "ethusd_perp"): ("ETHUSD_PERP.BINANCE", 10),
}
"""Each recording, its instrument, and what a contract is worth in dollars where it is inverse."""


def lines(path: Path) -> list[tuple[int, bytes]]:
    """The lines of a recording with the time at which they were recorded."""
    with gzip.open(path) as stream:
        return [(int(line.split(b" ", 1)[0]), line) for line in stream]


def profit(trades: list[bytes], quote: bytes, contract: int | None) -> Fraction:
    """What buying and selling as the aggressors did has made at the middle of a quote: cash, and what is left."""
    book = json.loads(quote.split(b" ", 1)[1])["data"]
    middle = (Fraction(book["b"]) + Fraction(book["a"])) / 2
    cash = held = Fraction(0)
    for line in trades:
        trade = json.loads(line.split(b" ", 1)[1])["data"]
        quantity = Fraction(trade["q"]) * (-1 if trade["m"] else 1)
        price = Fraction(trade["p"])
        held += quantity
        cash -= quantity * price if contract is None else quantity * contract / price
    # In coin, what was bought with dollars pays coin when it is dear: the signs turn round.
    return cash + held * middle if contract is None else -(cash + held * contract / middle)


@pytest.mark.soak
def test_the_profit_of_the_binance_tape_is_what_it_would_be_sold_for(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder, data = tapes / "binance_hftbacktest", tmp_path / "data"
    recorded = {
        key: {
            kind: lines(folder / key[0] / f"{key[1]}_20240808.{kind}.jsonl.gz")
            for kind in ("trade", "bookTicker")
        }
        for key in INSTRUMENTS
    }
    times = sorted(at for of in recorded.values() for at, _ in of["trade"])
    bounds = [times[len(times) * part // PARTS - 1] for part in range(1, PARTS)] + [times[-1] + 10**12]
    seen: dict[tuple[str, str], list[bytes]] = {key: [] for key in INSTRUMENTS}
    newest: dict[tuple[str, str], bytes] = {}
    before = 0
    for part, bound in enumerate(bounds):
        for kind, formatted in (("trade", "binance-stream"), ("bookTicker", "binance-quotes")):
            files = []
            for key in INSTRUMENTS:
                some = [line for at, line in recorded[key][kind] if before < at <= bound]
                if kind == "trade":
                    seen[key] += some
                elif some:
                    newest[key] = some[-1]
                path = tmp_path / f"{part}" / key[0] / f"{key[1]}_20240808.{kind}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"".join(some))
                files.append(path)
            for market in ("usdm", "spot", "cm"):
                of_market = [path for path in files if path.parent.name == market]
                options = ("--conflate", "1") if kind == "bookTicker" else ("--book", "TAPE")
                pks(capsys, data, "import", *of_market, "--format", formatted, *options)
        before = bound
        found = {each["instrument"]: each for each in pks(capsys, data, "valuations")["valuations"]}
        assert set(found) == {name for name, _ in INSTRUMENTS.values()}
        for key, (name, contract) in INSTRUMENTS.items():
            each = found[name]
            assert (each["mark_quality"], each["reason"], each["inverse"]) == (
                "live",
                "",
                contract is not None,
            )
            total = Fraction(each["realised_pnl"]) + Fraction(each["unrealised_pnl"])
            assert abs(total - profit(seen[key], newest[key], contract)) < TOLERANCE, (name, part)


# -- Lean ---------------------------------------------------------------------------------------------------------


def rows_of(path: Path) -> dict[str, list[list[str]]]:
    """The rows of each file in a zip of Lean."""
    with zipfile.ZipFile(path) as archive:
        return {
            name: list(csv.reader(io.StringIO(archive.read(name).decode()))) for name in archive.namelist()
        }


def by_tick_test(prints: list[tuple[Fraction, Fraction]], middle: Fraction, multiplier: int) -> Fraction:
    """What was made by whoever traded each print: a higher price was bought, a lower one sold, an equal one as before."""
    cash = held = Fraction(0)
    sign, last = 1, None
    for price, quantity in prints:
        if last is not None and price != last:
            sign = 1 if price > last else -1
        last = price
        held += sign * quantity
        cash -= sign * quantity * price * multiplier
    return cash + held * middle * multiplier


def up_to(path: Path, day: str, target: Path) -> Path:
    """A daily file of currencies up to a day, as a file of its own."""
    ((name, rows),) = rows_of(path).items()
    kept = [row for row in rows if row[0][:8] <= day]
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, "".join(",".join(row) + "\n" for row in kept))
    return target


def middle_of(row: list[str], scale: int) -> Fraction:
    """The middle of the closes of a bar of bid and ask."""
    return (Fraction(row[4]) + Fraction(row[9])) / 2 / scale


@pytest.mark.soak
def test_shares_and_futures_of_lean_and_what_they_are_in_euros_and_pounds(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lean, data = tapes / "lean", tmp_path / "data"
    (tmp_path / "books.csv").write_text("book,base_currency\nSHARES,EUR\nGOLD,GBP\n")
    pks(capsys, data, "book-define", tmp_path / "books.csv")
    pairs = {
        pair: up_to(
            lean / f"forex/oanda/daily/{pair.lower()}.zip",
            "20131009",
            tmp_path / f"forex/oanda/daily/{pair.lower()}.zip",
        )
        for pair in ("EURUSD", "GBPUSD")
    }
    shares = [lean / f"equity/usa/tick/aig/2013100{day}_trade.zip" for day in (7, 8)]
    gold = lean / "future/comex/tick/gc/20131009_trade.zip"
    pks(capsys, data, "import", *shares, "--format", "lean-tick", "--book", "SHARES")
    pks(capsys, data, "import", gold, "--format", "lean-tick", "--book", "GOLD")
    quotes = {
        "AIG": lean / "equity/usa/second/aig/20131008_quote.zip",
        "GC": lean / "future/comex/minute/gc/20131009_quote.zip",
    }
    pks(
        capsys,
        data,
        "import",
        *quotes.values(),
        *pairs.values(),
        "--format",
        "lean-quotes",
        "--conflate",
        "60",
    )
    found = {each["instrument"]: each for each in pks(capsys, data, "valuations")["valuations"]}
    prints: dict[str, list[tuple[Fraction, Fraction]]] = {"AIG": []}
    for path in shares:
        ((_, rows),) = rows_of(path).items()
        prints["AIG"] += [(Fraction(row[1]) / 10_000, Fraction(row[2])) for row in rows if int(row[2])]
    middles = {"AIG": middle_of(next(iter(rows_of(quotes["AIG"]).values()))[-1], 10_000)}
    for name, rows in rows_of(quotes["GC"]).items():
        contract = f"GC{name.rpartition('_')[2].removesuffix('.csv')}"
        both = [row for row in rows if row[4] and row[9]]
        middles[contract] = middle_of(both[-1], 1)
    for name, rows in rows_of(gold).items():
        contract = f"GC{name.rpartition('_')[2].removesuffix('.csv')}"
        traded = [(Fraction(row[1]), Fraction(row[2])) for row in rows if int(row[2])]
        if traded:
            prints[contract] = traded
    rates = {pair: middle_of(next(iter(rows_of(path).values()))[-1], 1) for pair, path in pairs.items()}
    assert set(found) == set(prints)
    for instrument, each in found.items():
        multiplier, pair = (1, "EURUSD") if instrument == "AIG" else (100, "GBPUSD")
        assert (each["multiplier"], each["mark_quality"], each["reason"]) == (str(multiplier), "live", "")
        total = Fraction(each["realised_pnl"]) + Fraction(each["unrealised_pnl"])
        expected = by_tick_test(prints[instrument], middles[instrument], multiplier)
        assert abs(total - expected) < TOLERANCE, instrument
        translated = Fraction(each["market_value"]) / rates[pair]
        assert abs(Fraction(each["book_market_value"]) - translated) < TOLERANCE, instrument
    assert sum(each["book"] == "GOLD" for each in found.values()) > 5


# -- Moscow -------------------------------------------------------------------------------------------------------


def of_moex(path: Path) -> tuple[dict[str, list[dict]], dict[str, list[dict]]]:
    """Securities and market data of a file, by security."""
    document = json.loads(gzip.decompress(path.read_bytes()), parse_float=Decimal)
    found = []
    for part in ("securities", "marketdata"):
        names, by_name = document[part]["columns"], {}
        for row in document[part]["data"]:
            by_name.setdefault(row[0], []).append(dict(zip(names, row, strict=True)))
        found.append(by_name)
    return found[0], found[1]


def test_shares_and_bonds_of_moex_clean_and_dirty(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = tmp_path / "data"
    shares, _ = of_moex(tapes / "moex_iss/shares.json.gz")
    bonds, market = of_moex(tapes / "moex_iss/bonds.json.gz")
    fills = ["trade_id,book,instrument,side,quantity,price,multiplier,currency,executed_at"]
    at = "2024-02-15T06:00:00Z"
    fills += [f"s{name},M,{name}.MOEX,BUY,10,100,1,RUB,{at}" for name in shares]
    for name, rows in bonds.items():
        face = Decimal(rows[0]["FACEVALUE"]) / 100
        fills.append(f"b{name},M,{name}.MOEX,SELL,3,99.5,{face:f},RUB,{at}")
    (tmp_path / "fills.csv").write_text("\n".join(fills) + "\n")
    pks(capsys, data, "import", tmp_path / "fills.csv", "--format", "canonical")
    files = [tapes / "moex_iss" / f"{kind}.json.gz" for kind in ("shares", "bonds")]
    pks(capsys, data, "import", *files, "--format", "moex-iss-marks")
    found = {each["instrument"]: each for each in pks(capsys, data, "valuations")["valuations"]}
    assert found["GAZP.MOEX"]["market_value"] == "1620.1"
    assert found["GAZP.MOEX"]["unrealised_pnl"] == "620.1"
    valued = 0
    for name, rows in bonds.items():
        each = found[f"{name}.MOEX"]
        if each["mark"] is None:
            assert each["market_value"] is None
            assert each["reason"] == f"the mark of {name}.MOEX is missing" or each["reason"].startswith(
                "no mark"
            )
            continue
        valued += 1
        face, mark = Fraction(rows[0]["FACEVALUE"]), Fraction(each["mark"])
        prices = {value for row in market[name] for value in row.values() if isinstance(value, Decimal | int)}
        prices |= {row["PREVPRICE"] for row in rows} | {row["PREVWAPRICE"] for row in rows}
        assert mark in {Fraction(price) for price in prices if price is not None}, name
        clean = -3 * face * mark / 100
        dirty, accrued = Fraction(each["market_value"]), Fraction(each["accrued_interest"])
        assert accrued in {-3 * Fraction(row["ACCRUEDINT"]) for row in rows}, name
        assert dirty - accrued == clean, name
        assert Fraction(each["unrealised_pnl"]) == clean + 3 * face * Fraction(199, 200), name
    assert valued > 2_000


# -- Interactive Brokers ------------------------------------------------------------------------------------------


def test_open_positions_of_a_statement_are_worth_what_the_broker_says(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """284 shares were held before the statement begins (`SOURCES.md`); they are sold in it, at whatever cost they had."""
    data, statement = tmp_path / "data", tapes / "ibkr_flex/opensteuerauszug_eTax_2025.xml.gz"
    (tmp_path / "books.csv").write_text("book,lot_method,fee_policy,base_currency\nIB,fifo,capitalised,CHF\n")
    (tmp_path / "held.csv").write_text(
        "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "held,IB,MSTR,BUY,284,300,USD,2024-12-31T12:00:00Z\n"
    )
    pks(capsys, data, "book-define", tmp_path / "books.csv")
    pks(capsys, data, "import", tmp_path / "held.csv", "--format", "canonical")
    pks(capsys, data, "import", statement, "--format", "ibkr-flex", "--book", "IB")
    root = ElementTree.fromstring(gzip.decompress(statement.read_bytes()))
    stated = {
        each.attrib["symbol"]: each.attrib
        for each in root.iter("OpenPosition")
        if each.attrib["levelOfDetail"] == "SUMMARY"
    }
    marks = ["instrument,price,time"]
    marks += [f"{name},{of['markPrice']},2025-12-31T21:00:00Z" for name, of in stated.items()]
    (tmp_path / "marks.csv").write_text("\n".join(marks) + "\n")
    pks(capsys, data, "import", tmp_path / "marks.csv", "--format", "csv-marks")
    found = {each["instrument"]: each for each in pks(capsys, data, "valuations")["valuations"]}
    assert len(stated) == 2
    for name, of in stated.items():
        each = found[name]
        assert Fraction(each["quantity"]) == Fraction(of["position"])
        assert Fraction(each["market_value"]) == Fraction(of["positionValue"])
        assert Fraction(each["cost_basis"]) == Fraction(of["costBasisMoney"])
        # The broker's is net of the commissions that the cost holds.
        net = Fraction(each["unrealised_pnl"]) - Fraction(each["held_fees"])
        assert net == Fraction(of["fifoPnlUnrealized"])
