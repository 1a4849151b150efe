"""Accrued interest that the Moscow Exchange stated on 15 February 2024, reproduced from its coupons."""

import json
from pathlib import Path

import pytest

from domain.accruals.stated import Convention, Reason
from topology.cli.application import run

pytestmark = pytest.mark.tapes


def test_how_many_bonds_are_reproduced_and_why_not_the_others(
    tapes: Path, capsys: pytest.CaptureFixture[str]
):
    file = str(tapes / "moex_iss" / "bonds.json.gz")
    assert run(["accruals", "bonds", file, "--each", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bonds"], found["reproduced"]) == (2520, 2004)
    assert found["by_convention"] == {
        Convention.RATE: 1693,
        f"{Convention.RATE}, converted": 55,
        Convention.THIRTY: 37,
        f"{Convention.THIRTY}, converted": 63,
        Convention.AMOUNT: 16,
        f"{Convention.AMOUNT}, converted": 16,
        Convention.ACTUAL: 2,
        f"{Convention.ACTUAL}, converted": 1,
        f"{Convention.WHOLE_PERIOD}, converted": 1,
        Convention.COUPON_DATE: 29,
        Convention.NO_COUPON: 91,
    }
    assert found["not_reproduced"] == {
        Reason.ZERO: 424,
        f"{Reason.ZERO}, converted": 7,
        Reason.FLOATING: 71,
        f"{Reason.FLOATING}, converted": 2,
        f"{Reason.NO_RATE}, converted": 5,
        Reason.OTHER: 5,
        f"{Reason.OTHER}, converted": 2,
    }
    assert len(found["others"]) == 2520 - 2004
    # None that accrues a rate by time and is stated as such is far off: the rest is a matter of unknown terms.
    assert found["implied_rates"] == {
        "CNY": {"rate": "12.5833", "bonds": 18},
        "EUR": {"rate": "97.8133", "bonds": 22},
        "USD": {"rate": "91.4316", "bonds": 90},
    }
    assert run(["accruals", "bonds", file, "--rate", "USD=91.4316", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["reproduced"] == 2004 and "USD" not in given["implied_rates"]
