"""Twenty-seven years of reference rates: every day crossed through the euro, holes named."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.files.ecb_rates import fx_rate, read_ecb_rates
from connectors.files.source import open_source
from domain.fx import Conversion, FxTable, MissingRate, Way
from schemas.numbers import divide_price, exact_arithmetic
from topology.cli.application import run

pytestmark = pytest.mark.tapes

FILE = "ecb/eurofxref-hist_1999_2025.csv.gz"
CROSSED = ("USD", "JPY", "CHF", "RUB")


def test_every_day_is_crossed_through_the_euro(tapes: Path):
    history = read_ecb_rates(open_source(str(tapes / FILE)))
    assert len(history.days) == 6913 and len(history.currencies) == 41
    missing = dict.fromkeys(CROSSED, 0)
    with exact_arithmetic():
        for day in history.days:
            table = FxTable("EUR")
            for currency in CROSSED:
                if currency in day.rates:
                    table.take(fx_rate(currency, day.day, day.rates[currency], history.name))
            for base in CROSSED:
                euro = table.find(base, "EUR")
                missing[base] += isinstance(euro, MissingRate)
                for quote in CROSSED:
                    found = table.find(base, quote)
                    if base == quote:
                        continue
                    if base not in day.rates or quote not in day.rates:
                        assert isinstance(found, MissingRate) and base in found.reason + quote, day.day
                        continue
                    assert isinstance(found, Conversion) and found.way is Way.CROSS
                    assert found.rate == divide_price(day.rates[quote], day.rates[base])
                    back = table.find(quote, base)
                    assert isinstance(back, Conversion)
                    assert abs(found.rate * back.rate - 1) < Decimal("1e-18")
    assert missing == {
        "USD": 0,
        "JPY": 0,
        "CHF": 0,
        "RUB": sum("RUB" not in day.rates for day in history.days),
    }
    # From the second of March 2022 on there is none for the rouble.
    assert all("RUB" not in day.rates for day in history.days if day.day > "2022-03-01")
    assert history.ended()["RUB"] == "2022-03-01"


def test_the_import_names_what_has_ended(tapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["import", str(tapes / FILE), "--format", "ecb-rates", "--data", str(tmp_path), "--json"]
    for _ in range(2):
        assert run(arguments) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["read"] == found["rates"] + sum(found["skipped"].values()) == 6913 * 41
        assert (found["rates"], found["days"], found["ended"]["RUB"]) == (41, 6913, "2022-03-01")
