"""A million random transfers: debits equal credits in each currency after every prefix that is looked at."""

import os
import random
from collections import defaultdict
from decimal import Decimal

import pytest

from agents.ledger_accounts import Accounts, read_accounts
from agents.ledger_entries import Cause, Dates, post
from agents.stage import Step
from domain.ledger.posting import Transfer, transfer
from schemas.numbers import exact_arithmetic
from tables.partition import TablePartition
from tables.store import MemoryStore
from tests.ledger_support import movement
from topology.money.rules import standard_rules

CURRENCIES = ("JPY", "USD", "KWD", "BTC", "ETH")
"""Minor units of 0, 2, 3, 8 and 18 decimals."""


def run(number: int, seed: int) -> None:
    rules = standard_rules()
    codes = sorted(rules.accounts)
    units = [(currency, rules.money(currency)) for currency in CURRENCIES]
    choose = random.Random(seed)
    store = MemoryStore()
    table = TablePartition(store)
    accounts = Accounts(table)
    expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    done = 0
    looks = {choose.randrange(number) for _ in range(20)} | {number - 1}
    event = movement()
    with exact_arithmetic():
        while done < number:
            transfers: list[Transfer] = []
            for _ in range(min(choose.randint(1, 500), number - done)):
                debit, credit = choose.sample(codes, 2)
                currency, unit = choose.choice(units)
                amount = unit.round(choose.randint(-(10**9), 10**9) * unit.quantum)
                if amount:
                    found = transfer("leg", debit, credit, currency, amount)
                    transfers.append(found)
                    expected[found[1], currency] += found[4]
                    expected[found[2], currency] -= found[4]
                done += 1
            dates = Dates(
                "2026-01-05",
                f"2026-01-{choose.randint(5, 30):02d}",
                "",
                "",
                "",
                pending=choose.random() < 0.5,
            )
            scope = accounts.scope(f"E{choose.randrange(3)}", "A", f"B{choose.randrange(5)}")
            step = Step(lambda key: 0, silent=True)
            post(accounts, step, Cause(event, "t", 1, 0, "", rules), [(scope, dates, transfers, None)])
            accounts.before_commit()
            store.write(table.changes)
            table.committed()
            accounts.committed()
            if not looks.isdisjoint(range(done - len(transfers), done)):
                look(store, expected)
        look(store, expected)


def look(store: MemoryStore, expected: dict[tuple[str, str], Decimal]) -> None:
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for names, total, settled in read_accounts(TablePartition(store)):
        sums[names[3]][0] += total
        sums[names[3]][1] += settled
        found[names[4], names[3]] += total
    assert not any(left for pair in sums.values() for left in pair), sums
    assert {names: held for names, held in found.items() if held} == {
        names: held for names, held in expected.items() if held
    }


def test_debits_equal_credits():
    run(20_000, 1)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_debits_equal_credits_a_million_times():
    run(int(os.environ.get("PKS_SOAK_TRANSFERS", "1000000")), random.randrange(10**6))
