"""Four whole days of four shares, with their quotes and the rates of two currencies, through the whole program.

2.3 million prints are booked as whoever was the aggressor traded them (the tick test), in a book of euros and one of
pounds; each day is closed. What is expected is worked out here from the raw files alone, in whole numbers of
ten-thousandths of a dollar.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests.golden.test_valuation_tapes import TOLERANCE, middle_of, pks, rows_of

pytestmark = [pytest.mark.tapes, pytest.mark.soak]

DAYS = ("20131007", "20131008", "20131009", "20131010")
BOOKS = {"EUROS": ("EUR", "EURUSD", ("SPY", "IBM")), "POUNDS": ("GBP", "GBPUSD", ("AIG", "BAC"))}
QUOTES = {"SPY": "second", "AIG": "second", "IBM": "tick", "BAC": "tick"}
SCALE = 10_000
CONFLATE_SECONDS = 5


def lines_of(path: Path) -> Iterator[list[str]]:
    """The rows of the one file in a zip."""
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as stream:
        yield from csv.reader(io.TextIOWrapper(stream))


class Traded:
    """What buying and selling by the tick test made of a share: its cash and what is left, in ten-thousandths."""

    def __init__(self) -> None:
        self.cash = self.held = self.prints = 0
        self.middle = Fraction(0)

    def trade(self, path: Path) -> None:
        """The prints of a day, the first of which is bought."""
        sign, last = 1, None
        for row in lines_of(path):
            price, quantity = int(row[1]), int(row[2])
            if not quantity:
                continue
            if last is not None and price != last:
                sign = 1 if price > last else -1
            last = price
            self.held += sign * quantity
            self.cash -= sign * quantity * price
            self.prints += 1

    def quote(self, path: Path, resolution: str) -> None:
        """The last quotes of a day: ticks that tell of either side, or bars of both."""
        bid = ask = 0
        places = (1, 3) if resolution == "tick" else (4, 9)
        for row in lines_of(path):
            if resolution == "tick" and row[7] == "1":
                continue
            bid, ask = int(row[places[0]] or 0) or bid, int(row[places[1]] or 0) or ask
            if bid and ask:
                self.middle = Fraction(bid + ask, 2)

    @property
    def profit(self) -> Fraction:
        """All of it at the last middle, in dollars."""
        return (self.cash + self.held * self.middle) / SCALE


def rate_of(path: Path, day: str, target: Path) -> Fraction:
    """The middle of a daily bar, which is put into a file of its own."""
    ((name, rows),) = rows_of(path).items()
    [row] = [row for row in rows if row[0][:8] == day]
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, ",".join(row) + "\n")
    return middle_of(row, 1)


def test_four_days_of_shares_make_what_they_would_be_sold_for(
    tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lean, data = tapes / "lean", tmp_path / "data"
    definitions = "".join(f"{book},{currency}\n" for book, (currency, _, _) in BOOKS.items())
    (tmp_path / "books.csv").write_text(f"book,base_currency\n{definitions}")
    pks(capsys, data, "book-define", tmp_path / "books.csv")
    expected = {share: Traded() for share in QUOTES}
    rates: dict[str, Fraction] = {}
    for day in DAYS:
        for book, (currency, pair, shares) in BOOKS.items():
            prints = [lean / f"equity/usa/tick/{share.lower()}/{day}_trade.zip" for share in shares]
            pks(capsys, data, "import", *prints, "--format", "lean-tick", "--book", book)
            bar = tmp_path / day / f"forex/oanda/daily/{pair.lower()}.zip"
            rates[currency] = rate_of(lean / f"forex/oanda/daily/{pair.lower()}.zip", day, bar)
            quotes = [
                lean / f"equity/usa/{QUOTES[share]}/{share.lower()}/{day}_quote.zip" for share in shares
            ]
            conflate = ("--conflate", CONFLATE_SECONDS)
            pks(capsys, data, "import", *quotes, bar, "--format", "lean-quotes", *conflate)
            for share, printed, quoted in zip(shares, prints, quotes, strict=True):
                expected[share].trade(printed)
                expected[share].quote(quoted, QUOTES[share])
        _check(pks(capsys, data, "valuations")["valuations"], expected, rates, day)
        pks(capsys, data, "day-close", "--date", f"{day[:4]}-{day[4:6]}-{day[6:]}")
    _check_days(pks(capsys, data, "pnl", "--days")["pnl"], expected, rates)
    checks = pks(capsys, data, "verify", "--quick")["checks"]
    assert [each for each in checks if not each["ok"]] == []
    for share, traded in expected.items():
        print(f"{share}: {traded.prints} prints, {traded.held} left, {float(traded.profit):.4f} USD")


def _check(valuations: list[dict], expected: dict[str, Traded], rates: dict[str, Fraction], day: str) -> None:
    """Total P&L and its translation, as valuation has them."""
    found = {each["instrument"]: each for each in valuations}
    assert set(found) == set(expected)
    for book, (currency, _, shares) in BOOKS.items():
        for share in shares:
            each, traded = found[share], expected[share]
            assert (each["book"], each["reason"], Fraction(each["quantity"])) == (book, "", traded.held)
            total = Fraction(each["realised_pnl"]) + Fraction(each["unrealised_pnl"])
            assert abs(total - traded.profit) < TOLERANCE, (share, day)
            value = traded.held * traded.middle / SCALE / rates[currency]
            assert abs(Fraction(each["book_market_value"]) - value) < TOLERANCE, (share, day)


def _check_days(pnl: list[dict], expected: dict[str, Traded], rates: dict[str, Fraction]) -> None:
    """The days of P&L together, in dollars and in the books' currencies."""
    currency_of = {share: currency for currency, _, shares in BOOKS.values() for share in shares}
    for each in pnl:
        share, days = each["instrument"], each["days"]
        assert len(days) == len(DAYS)
        for name, worth in (
            ("total", expected[share].profit),
            ("book_total", expected[share].profit / rates[currency_of[share]]),
        ):
            assert abs(sum(Fraction(day[name]) for day in days) - worth) < TOLERANCE, (share, name)
        for day in days:
            total = Fraction(day["total"])
            assert total == Fraction(day["positional"]) + Fraction(day["trading"])
            assert total == sum(map(Fraction, day["buckets"].values()))
            assert Fraction(day["book_total"]) == sum(map(Fraction, day["book_buckets"].values()))
