"""Ladders, value dates, and what a balance refuses to add up."""

from decimal import Decimal
from typing import Any

from domain.cash.balances import Balance, apply, interest_balance, ladder, projected
from schemas import money
from schemas.frames import wire
from schemas.units import EntryStatus


def entry(amount: str, day: str = "2026-01-06", **fields: Any) -> Any:
    debit = not amount.startswith("-")
    values = {
        "event_id": "e", "entity": "E", "account": "A", "book": "B", "currency": "USD", "trade_id": "t", "leg": "principal",
        "revision": 1, "debit_account": "cash" if debit else "positions", "credit_account": "positions" if debit else "cash",
        "amount": Decimal(amount.lstrip("-")), "status": EntryStatus.PENDING, "executed_at": 0, "trade_date": "2026-01-05",
        "settlement_date": day, **fields,
    }  # fmt: skip
    return wire(money.CashLedgerEntry)(**values)


def test_what_is_pending_settles():
    balance = Balance()
    assert apply(balance, entry("100")) is None
    assert apply(balance, entry("-30", "2026-02-27", value_date="2026-02-25")) is None
    assert (balance.total, balance.settled, projected(balance, "2026-01-05")) == (70, 0, 100)
    posted = entry("100", pending_id="B@2026-01-06", status=EntryStatus.POSTED, cash_balance=Decimal(70))
    assert apply(balance, posted) is None
    assert (balance.total, balance.settled) == (70, 100)
    assert [
        interest_balance(balance.values.items(), f"2026-{day}") for day in ("01-05", "01-06", "02-25")
    ] == [0, 100, 70]


def test_a_balance_that_is_not_the_sum_of_its_ledger_is_told():
    assert (
        apply(Balance(), entry("100", cash_balance=Decimal(99)))
        == "expected the sum of its ledger, 99, found 100"
    )
    lost = Balance(Decimal(5), Decimal(4))
    assert "settled and pending" in str(apply(lost, entry("1", cash_balance=Decimal(6))))


def test_a_ladder_has_the_day_and_ten_business_days():
    pending = [
        ("2026-01-02", Decimal(1)),
        ("2026-01-10", Decimal(2)),
        ("2026-01-19", Decimal(4)),
        ("2026-01-20", Decimal(8)),
    ]
    rows = ladder(Decimal(100), pending, "2026-01-05")
    assert len(rows) == 11 and rows[-1][0] == "2026-01-19"
    assert [(day, amount) for day, amount, _ in rows if amount] == [
        ("2026-01-05", 1),
        ("2026-01-12", 2),
        ("2026-01-19", 4),
    ]
    assert rows[-1][2] == 107
