"""`pks price`, `pks pnl-explain`, `pks ocp`, as another program calls them."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pricing_support import BY_MODEL, OPTION
from topology.cli.application import run


def _answers(
    capsys: pytest.CaptureFixture[str], command: str, path: Path, *options: str, remark: str = ""
) -> list[dict[str, Any]]:
    assert run([command, str(path), "--json", *options]) == 0
    out, err = capsys.readouterr()
    assert remark in err if remark else err == ""
    return json.loads(out)


def _refused(capsys: pytest.CaptureFixture[str], command: str, path: Path) -> list[str]:
    assert run([command, str(path), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err
    return err.splitlines()


@pytest.fixture
def file(tmp_path: Path):
    def write(content: Any, name: str = "requests.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_one_request_of_every_model(capsys: pytest.CaptureFixture[str], file: Any):
    requests = [{"id": model, "model": model, **fields} for model, fields in BY_MODEL.items()]
    answers = _answers(capsys, "price", file(requests))
    assert [answer["id"] for answer in answers] == list(BY_MODEL)
    assert all(isinstance(answer["price"], float) for answer in answers)
    fields = {
        "bsm": "delta gamma vega theta rho vanna volga",
        "black76": "delta gamma vega theta rho",
        "american": "delta gamma vega theta rho",
        "implied_volatility": "volatility",
        "future": "",
        "fixed_rate_bond": "clean_price dirty_price accrued_interest yield macaulay_duration modified_duration "
        "convexity",
        "zero_coupon_bond": "clean_price dirty_price",
        "interest_rate_swap": "fair_rate dv01",
        "overnight_swap": "fair_rate dv01",
        "cva": "cva dva",
    }
    for answer in answers:
        names = fields[answer["id"]].split()
        assert all(isinstance(answer[name], float) for name in names), answer


def test_one_bad_request_spoils_nothing(capsys: pytest.CaptureFixture[str], file: Any):
    requests = [
        {"id": number, "model": "bsm", **OPTION, "spot": 90 + number % 20} for number in range(10_000)
    ]
    good = _answers(capsys, "price", file(requests))
    requests[5_000] = {"id": 5_000, "model": "bsm", **OPTION, "volatility": "high"}
    answers = _answers(capsys, "price", file(requests))
    assert answers[5_000] == {
        "id": 5_000,
        "error": {
            "field": "volatility",
            "expected": "a plain decimal number (optional sign, ASCII digits, optional point)",
            "found": "high",
        },
    }
    del good[5_000], answers[5_000]
    assert answers == good


def test_numbers_are_taken_digit_by_digit(capsys: pytest.CaptureFixture[str], file: Any):
    content = """[
        {"id": "a", "model": "future", "spot": "100.10", "rate": 0.0, "dividend_yield": 0, "time_to_expiry": 1},
        {"id": 7, "model": "future", "spot": 100.10, "rate": "-0", "time_to_expiry": 1.000},
        {"id": "b", "model": "future", "spot": 1e2, "rate": 0, "time_to_expiry": 1},
        {"id": -3, "model": "future", "spot": NaN, "rate": 0, "time_to_expiry": 1},
        {"id": 1.5, "model": "future", "spot": 100, "rate": 0, "time_to_expiry": 1}
    ]"""
    answers = _answers(capsys, "price", file(content))
    assert answers[:2] == [{"id": "a", "price": 100.1}, {"id": 7, "price": 100.1}]
    assert [answer["error"]["found"] for answer in answers[2:]] == ["1e2", "NaN", "1.5"]
    assert [answer["id"] for answer in answers[2:]] == ["b", -3, None]


def test_files_of_every_kind(
    capsys: pytest.CaptureFixture[str], file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    request = {"id": "1", "model": "future", "spot": 100, "rate": 0, "time_to_expiry": 1}
    expected = [{"id": "1", "price": 100.0}]
    assert _answers(capsys, "price", file(json.dumps(request), "a.jsonl")) == expected
    assert (
        _answers(capsys, "price", file("id,model,spot,rate,time_to_expiry\n1,future,100,0,1\n", "a.csv"))
        == expected
    )
    packed = tmp_path / "a.json.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps([request]).encode()))
    assert _answers(capsys, "price", packed) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps([request]).encode())))
    assert _answers(capsys, "price", Path("-")) == expected
    assert _answers(capsys, "price", file([])) == []


@pytest.mark.parametrize("command", ["price", "pnl-explain", "ocp"])
def test_what_are_no_requests_is_refused_whole(capsys: pytest.CaptureFixture[str], file: Any, command: str):
    lines = _refused(
        capsys, command, file('[{"id": "1", "id": "2"}, 5, {"id": "3", "a": [{"b": 1, "b": 2}]}]')
    )
    assert [line.partition("requests.json: ")[2][:7] for line in lines] == ["index 0", "index 1", "index 2"]
    assert "b: expected each field once" in lines[2]
    assert len(_refused(capsys, command, file('{"id": "1"}'))) == 1
    assert len(_refused(capsys, command, file("[{]"))) == 1
    assert len(_refused(capsys, command, Path("no such file"))) == 1


def test_text_that_is_no_request_of_a_price_is_refused(capsys: pytest.CaptureFixture[str], file: Any):
    for text in ("garbage\n", "a,b\nnot json,2\n"):
        assert "id" in _refused(capsys, "price", file(text, "a.txt"))[0]


def test_tables_for_people(capsys: pytest.CaptureFixture[str], file: Any):
    requests = [{"id": model, "model": model, **fields} for model, fields in BY_MODEL.items()]
    assert run(["price", str(file([*requests, {"id": "x", "model": "heston"}]))]) == 0
    out = capsys.readouterr().out
    assert all(model in out for model in BY_MODEL) and "Not priced" in out and "heston" in out
    assert run(["pnl-explain", str(file([EXPLAIN]))]) == 0
    assert "unexplained" in capsys.readouterr().out
    assert run(["ocp", str(file([POSITION]))]) == 0
    assert "net_open_position" in capsys.readouterr().out


EXPLAIN: dict[str, Any] = {
    "id": "p",
    "total_pnl": "3.1",
    "greeks": {
        "delta": "0.5",
        "gamma": "0.02",
        "vega": "40",
        "theta": "-7",
        "rho": "50",
        "vanna": "0.3",
        "volga": "10",
    },
    "moves": {"spot": "2", "volatility": "0.01", "rate": "-0.001", "time": "0.004"},
    "carry": "0.01",
    "fx": "-0.2",
    "funding": "-0.03",
    "new_trades": "1.5",
}


def test_pnl_by_cause(capsys: pytest.CaptureFixture[str], file: Any):
    [answer] = _answers(capsys, "pnl-explain", file([EXPLAIN]))
    assert answer == {
        "id": "p",
        "buckets": {
            "delta": "1",
            "gamma": "0.04",
            "vega": "0.4",
            "theta": "-0.028",
            "rho": "-0.05",
            "vanna": "0.006",
            "volga": "0.0005",
            "carry": "0.01",
            "fx": "-0.2",
            "funding": "-0.03",
            "new_trades": "1.5",
        },
        "explained": "2.6485",
        "total": "3.1",
        "unexplained": "0.4515",
    }


def test_pnl_without_a_total_and_with_what_is_not_given(capsys: pytest.CaptureFixture[str], file: Any):
    bare = {"id": 1, "greeks": {"delta": 1.5}, "moves": {}}
    [answer] = _answers(capsys, "pnl-explain", file([bare]))
    assert (answer["explained"], answer["total"], answer["unexplained"]) == ("0", None, None)
    assert set(answer["buckets"].values()) == {"0"}
    [answer] = _answers(capsys, "pnl-explain", file([{"id": 1, "fx": "-0.5", "total_pnl": "1"}]))
    assert (answer["explained"], answer["unexplained"]) == ("-0.5", "1.5")
    known = {**bare, "greeks": {"delta": 1, "dleta": 2, "price": 9}}
    _answers(capsys, "pnl-explain", file([known]), remark="greeks.dleta is not known")


def test_pnl_is_exact_however_many_digits(capsys: pytest.CaptureFixture[str], file: Any):
    tiny = "0." + "0" * 57 + "1"
    request = {"id": "1", "total_pnl": "1" * 60, "greeks": {"gamma": tiny}, "moves": {"spot": tiny}}
    [answer] = _answers(capsys, "pnl-explain", file([request]))
    assert answer["buckets"]["gamma"] == "0." + "0" * 174 + "5"
    assert answer["unexplained"] == "1" * 59 + "0." + "9" * 174 + "5"


POSITION: dict[str, Any] = {
    "id": "bank",
    "reporting_currency": "EUR",
    "positions": {"JPY": "50", "EUR": "1000", "GBP": "150", "CHF": "-20", "USD": "-180", "SEK": 100},
    "gold": "-35",
    "capital_rate": "0.08",
}


def test_open_currency_position(capsys: pytest.CaptureFixture[str], file: Any):
    """The example of the Basel Committee's paper of 1996: long 300, short 200, gold 35, so 335."""
    [answer] = _answers(capsys, "ocp", file([POSITION]))
    assert answer == {
        "id": "bank",
        "sum_long": "300",
        "sum_short": "200",
        "net_open_position": "335",
        "capital_charge": "26.8",
    }
    bare = {"id": "1", "reporting_currency": "USD", "positions": {"EUR": "-0.1", "GBP": "0.05"}}
    [answer] = _answers(capsys, "ocp", file([bare]))
    assert (answer["net_open_position"], answer["capital_charge"]) == ("0.1", "0.008")
    [answer] = _answers(capsys, "ocp", file([{**bare, "positions": {}}]))
    assert set(answer.values()) == {"1", "0"}


def test_every_fault_is_said_with_its_place(capsys: pytest.CaptureFixture[str], file: Any):
    lines = _refused(
        capsys,
        "ocp",
        file(
            [
                POSITION,
                {"id": "", "reporting_currency": "usd", "positions": {"EUR": "1e3", "XAU": 1, "eur": 2}},
                {"id": "3", "reporting_currency": "USD", "positions": [], "capital_rate": "-1", "gold": True},
            ]
        ),
    )
    expected = [
        "index 1: id: expected a value, found nothing",
        "index 1: reporting_currency: expected a currency code in capitals, found usd",
        "index 1: positions.EUR: expected a plain decimal number",
        "index 1: positions.XAU: expected gold in its own field, gold, found XAU",
        "index 1: positions.eur: expected a currency code in capitals, found eur",
        "index 2: gold: expected a plain decimal number",
        "index 2: capital_rate: expected a number of at least 0, found -1",
        "index 2: positions: expected an object of numbers, at most 10000, found a list",
    ]
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert part in line
    wrong = {"id": "1", "greeks": {"delta": "x"}, "moves": 1, "total_pnl": "y"}
    lines = _refused(capsys, "pnl-explain", file([wrong]))
    assert len(lines) == 3 and any("moves: expected an object" in line for line in lines)


def test_a_command_that_prices_nothing_does_not_load_the_library_of_models():
    code = (
        "import sys; from topology.cli.application import run; code = run(['price', '--help']);"
        "import domain.pricing.calculate; print('QuantLib' in sys.modules, code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "False 0"
