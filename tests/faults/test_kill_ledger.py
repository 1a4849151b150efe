"""kill -9 of the stages up to the currency positions, in the middle of a batch of each: the ledger is that of a run without kills."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.cash import scan_balances
from agents.ledger_accounts import read_accounts
from connectors.embedded.log import EmbeddedLog
from schemas.numbers import exact_arithmetic
from tests.faults import money_worker
from tests.support import soak_kills
from topology.log_reading import table_partition
from topology.money.documents import hash_of
from topology.verifying.currencies import check_currencies
from topology.verifying.money import check_money

ROOT = Path(__file__).resolve().parents[2]
STAGES = ["trade_capture", "positions", "position_routing", "ledger", "cash", "currency_position"]


def start(folder: Path, seed: int, fills: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.faults.money_worker", str(folder), str(seed), str(fills)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def state_of(folder: Path) -> tuple[Any, Any, Any]:
    """The hash of the ledger, its accounts, and the balances of cash; every identity holds."""
    log = EmbeddedLog.reader(folder)
    try:
        with exact_arithmetic():
            checks = check_money(log, 1, lambda name, done: None)
            checks += check_currencies(log, 1, lambda name, done: None)
            assert len(checks) == 5 and all(check.ok and check.checked for check in checks), [
                check.findings for check in checks
            ]
            table = table_partition(log, "ledger", 0)
            balances = {
                names: (balance.total, balance.settled)
                for names, balance in scan_balances(table_partition(log, "cash", 0))
            }
            return hash_of([table]), sorted(read_accounts(table)), balances
    finally:
        log.close()


def killed_run(folder: Path, seed: int, fills: int, kills: int) -> None:
    """Kill the worker after a step of each stage in turn, then let it come to the end."""
    chance = random.Random(seed)
    for number in range(kills):
        with start(folder, seed, fills) as worker:
            assert worker.stdout is not None
            wanted, steps = STAGES[number % len(STAGES)], chance.randint(1, 3)
            for line in worker.stdout:
                steps -= line.strip() == wanted
                if not steps:
                    break
            worker.kill()
    with start(folder, seed, fills) as worker:
        assert worker.communicate()[0].splitlines()[-1] == "done"


def run(tmp_path: Path, seed: int, fills: int, kills: int) -> None:
    killed_run(tmp_path / "killed", seed, fills, kills)
    money_worker.run(tmp_path / "clean", seed, fills)
    killed, clean = state_of(tmp_path / "killed"), state_of(tmp_path / "clean")
    assert killed == clean
    # All days are closed: nothing is pending.
    assert clean[2] and all(total == settled for total, settled in clean[2].values())


def test_the_ledger_is_that_of_a_run_without_kills(tmp_path: Path):
    run(tmp_path, seed=1, fills=5_000, kills=len(STAGES))


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_ledger_that_is_killed_again_and_again(tmp_path: Path):
    kills = soak_kills()
    run(tmp_path, seed=2, fills=400 * kills, kills=kills)
