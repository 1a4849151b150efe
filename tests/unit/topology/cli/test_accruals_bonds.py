"""`pks accruals bonds`: every convention on a bond of its own, and what is wrong with a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from topology.cli.application import run

COLUMNS = [
    "SECID",
    "BOARDID",
    "FACEUNIT",
    "CURRENCYID",
    "FACEVALUE",
    "FACEVALUEONSETTLEDATE",
    "SETTLEDATE",
    "NEXTCOUPON",
    "COUPONPERIOD",
    "COUPONPERCENT",
    "COUPONVALUE",
    "ACCRUEDINT",
]


def bond(**values: Any) -> list[Any]:
    row = {
        "SECID": "X",
        "BOARDID": "TQCB",
        "FACEUNIT": "SUR",
        "CURRENCYID": "SUR",
        "FACEVALUE": 1000,
        "FACEVALUEONSETTLEDATE": 1000,
        "SETTLEDATE": "2024-02-16",
        "NEXTCOUPON": "2024-03-20",
        "COUPONPERIOD": 182,
        "COUPONPERCENT": 7.75,
        "COUPONVALUE": 38.64,
        "ACCRUEDINT": 31.64,
        **values,
    }
    return [row[name] for name in COLUMNS]


def written(folder: Path, *bonds: list[Any], columns: list[str] = COLUMNS) -> str:
    path = folder / "bonds.json"
    path.write_text(json.dumps({"securities": {"columns": columns, "data": bonds}}))
    return str(path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "face x rate x days / 365"),
        ({"FACEVALUE": 2000}, "face x rate x days / 365"),
        ({"COUPONPERCENT": None, "ACCRUEDINT": 31.63}, "coupon x days / days of the period"),
        ({"COUPONPERCENT": 4.75, "COUPONVALUE": 23.75, "ACCRUEDINT": 19.263889}, "face x rate by 30/360"),
        ({"NEXTCOUPON": "2024-02-16", "ACCRUEDINT": 0}, "coupon date: the next period begins"),
        ({"NEXTCOUPON": "0000-00-00", "COUPONPERIOD": 0, "ACCRUEDINT": 0}, "no coupon: nothing accrues"),
        ({"FACEUNIT": "USD", "ACCRUEDINT": 2892.9}, "face x rate x days / 365, converted"),
        (
            {"FACEUNIT": "USD", "CURRENCYID": "EUR", "ACCRUEDINT": 28.93},
            "face x rate x days / 365, converted",
        ),
    ],
)
def test_conventions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: dict[str, Any], expected: str
):
    file = written(tmp_path, bond(**values))
    assert run(["accruals", "bonds", file, "--rate", "USD=91.4316", "--rate", "EUR=100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_convention"] == {expected: 1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ACCRUEDINT": 0}, "the exchange states 0"),
        ({"ACCRUEDINT": None}, "the exchange states none"),
        ({"ACCRUEDINT": 31.65}, "none of the conventions"),
        ({"COUPONPERCENT": None, "COUPONVALUE": 0}, "floating"),
        ({"FACEUNIT": "KGS"}, "no rate of exchange"),
        ({"NEXTCOUPON": "2024-02-16"}, "none of the conventions"),
    ],
)
def test_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str], values: dict[str, Any], expected: str):
    assert run(["accruals", "bonds", written(tmp_path, bond(**values)), "--each", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert next(one["reason"] for one in found["others"]).startswith(expected)


def test_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    broken = written(tmp_path, bond(SETTLEDATE="soon"), bond()[:-1], bond(FACEVALUEONSETTLEDATE="much"))
    assert run(["accruals", "bonds", broken, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition("bonds.json: ")[2][:7] for line in err.splitlines()] == [
        "index 0",
        "index 1",
        "index 2",
    ]
    assert run(["accruals", "bonds", written(tmp_path, columns=COLUMNS[1:]), "--json"]) == 2
    assert "found none of SECID" in capsys.readouterr().err
    (tmp_path / "no.json").write_text("[]")
    assert run(["accruals", "bonds", str(tmp_path / "no.json")]) == 2
    assert "an answer of ISS" in capsys.readouterr().err
    file = written(tmp_path, bond())
    assert run(["accruals", "bonds", file, "--rate", "USD", "--rate", "usd=1", "--rate", "USD=0"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_table_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["accruals", "bonds", written(tmp_path, bond(), bond(ACCRUEDINT=0)), "--each"]) == 0
    out = capsys.readouterr().out
    assert "reproduced  1" in out and "the exchange states 0" in out
