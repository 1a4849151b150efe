"""What commands say where there is nothing to do, or where another one does it."""

import json
from pathlib import Path

import pytest

from domain.ledger.rules import Rules
from topology.cli import currency
from topology.cli.application import run
from topology.cli.loading import age_text
from topology.money import rules as money_rules
from topology.settings import Settings


def test_a_run_without_terms_says_what_to_define(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    books = str(tmp_path / "books")
    fills = tmp_path / "fills.csv"
    fills.write_text(
        "trade_id,book,instrument,side,quantity,price,executed_at\nt,B,X,BUY,1,1,2026-01-05T00:00:00Z\n"
    )
    assert run(["import", str(fills), "--format", "canonical", "--data", books]) == 0
    capsys.readouterr()
    assert run(["accruals", "run", "--date", "2026-01-06", "--data", books, "--json"]) == 0
    said = capsys.readouterr()
    assert "pks accruals define FILE" in said.err and json.loads(said.out)["booked"] == 0


def test_days_that_no_clock_closed_and_books_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    books = str(tmp_path / "books")
    fills = tmp_path / "fills.csv"
    fills.write_text(
        "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "t1,B,X,BUY,1,1,USD,2026-01-05T00:00:00Z\nt2,B,X,BUY,1,1,USD,2026-01-07T00:00:00Z\n"
    )
    assert run(["import", str(fills), "--format", "canonical", "--data", books]) == 0

    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert run([*arguments, "--data", books]) == 0
        return capsys.readouterr().err

    assert "B 2026-01-05 to 2026-01-07: pks day-close --date 2026-01-05" in said("pnl")
    said("day-close", "--date", "2026-01-05")
    assert "days not closed" not in said("pnl")
    missing = "nothing found: book 'NOPE'; there are B"
    assert missing in said("cash", "--ladder", "--book", "NOPE")
    assert missing in said("payments", "draft", "--date", "2026-01-08", "--user", "me", "--book", "NOPE")
    assert "nothing found: currency 'GBP'; there are USD" in said("cash", "--currency", "GBP")
    assert "no values were told by then" in said("valuations", "--as-of", "2026-01-01")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1.5, "-2 s"), (59.4, "59 s"), (60, "1 min"), (7_199, "1 h"), (328.5 * 86_400, "328 d")],
)
def test_ages_are_in_whole_units(seconds: float, text: str):
    assert age_text(seconds) == text


@pytest.mark.parametrize("group", ["accruals", "payments"])
def test_a_group_alone_prints_its_help_and_no_empty_message(group: str, capsys: pytest.CaptureFixture[str]):
    assert run([group]) == 2
    said = capsys.readouterr()
    assert "Usage" in said.out + said.err and f"pks {group}: " not in said.err


def test_a_stream_of_quotes_is_led_to_its_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    stream = tmp_path / "btcusdt.bookTicker.jsonl"
    ticker = {"u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
    stream.write_text(json.dumps({"stream": "btcusdt@bookTicker", "data": ticker}) + "\n")
    assert run(["import", str(stream), "--format", "binance-stream", "--data", str(tmp_path / "books")]) == 0
    assert "--format binance-quotes" in capsys.readouterr().err


@pytest.mark.parametrize(("broken", "said"), [("0.000123", True), ("0.01", False), ("0", False)])
def test_breaks_below_a_minor_unit_lead_to_scales(
    broken: str, said: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    standard: Rules = money_rules.standard_rules()
    monkeypatch.setattr(money_rules, "latest_rules", lambda log: (standard, ""))
    stated = [("USD", broken), ("CHF", "-0.01"), ("EUR", "0")]
    currency._say_what_rounds([{"currency": name, "break": each} for name, each in stated], Settings())
    assert ("add CHF: 9, USD: 9 to the scales" in capsys.readouterr().err) is said
