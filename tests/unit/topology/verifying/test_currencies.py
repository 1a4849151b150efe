"""`pks verify` holds exposures against balances: sound ones hold, a changed one is found."""

import json
from pathlib import Path

import pytest

from agents.currency_position import BALANCE, NAME
from connectors.embedded.log import EmbeddedLog
from schemas.numbers import exact_arithmetic
from topology.cli.application import run
from topology.log_reading import partition_count, table_partition
from topology.verifying.checks import Check
from topology.verifying.currencies import check_currencies

MOVEMENTS = """movement_id,kind,entity,account,currency,amount,trade_date,settlement_date
m1,deposit,E,A,USD,100,2026-01-05,2026-01-07
m2,deposit,E,B,USD,50,2026-01-05,2026-01-05
m3,fee,E,A,EUR,-1,2026-01-05,2026-01-05
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "movements.csv").write_text(MOVEMENTS)
    assert run(["cash-book", str(tmp_path / "movements.csv"), "--data", str(tmp_path / "books")]) == 0
    return tmp_path / "books"


def checked(data: Path) -> Check:
    log = EmbeddedLog.reader(data)
    try:
        with exact_arithmetic():
            [check] = check_currencies(log, partition_count(log), lambda name, done: None)
        return check
    finally:
        log.close()


def test_exposures_are_the_balances(data: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["ocp-live", "--data", str(data), "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out.splitlines()[-1])["ocp-live"]
    dollar = next(each for each in found["exposures"] if each["currency"] == "USD")
    assert (dollar["with_pending"], dollar["without_pending"]) == ("150", "50")
    check = checked(data)
    assert check.ok and check.checked == 4


def test_one_that_is_changed_is_found(data: Path):
    assert run(["ocp-live", "--data", str(data)]) == 0
    log = EmbeddedLog.owner(data)
    for partition in range(partition_count(log)):
        for key, _ in table_partition(log, NAME, partition).scan_prefix(BALANCE + b"E\x00USD\x00A"):
            transaction = log.transaction()
            transaction.put(NAME, partition, key, b'["101","0"]')
            transaction.commit()
    log.close()
    check = checked(data)
    assert not check.ok and check.residual == 1


def test_where_the_stage_is_behind_nothing_is_said(data: Path):
    assert run(["cash", "--data", str(data)]) == 0
    check = checked(data)
    assert check.ok
