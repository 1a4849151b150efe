"""Movements of cash, what accrues, payment orders, and the rules of accounts: tables."""

from decimal import Decimal
from typing import Any

import pytest

from tests.ledger_support import MoneyBooks, day_closed, instruction, movement
from tests.unit.agents.test_ledger import define, lines, trade


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (movement(), ["amount: cash <- capital 100.00 USD"]),
        (movement(amount="-30", kind="fee"), ["amount: other_fees <- cash 30.00 USD"]),
        (movement(amount="-3", kind="withholding_tax"), ["amount: taxes <- cash 3.00 USD"]),
        (movement(kind="dividend"), ["amount: cash <- dividend_income 100.00 USD"]),
        (movement(kind="coupon"), ["amount: cash <- accrued_interest 100.00 USD"]),
        (movement(amount="-50", kind="margin"), ["amount: margin_deposits <- cash 50.00 USD"]),
        (movement(kind="fx_conversion"), ["amount: cash <- currency_exchange 100.00 USD"]),
        (movement(kind="interest_accrual"), ["accrual: accrued_income <- interest_income 100.00 USD"]),
        (
            movement(amount="-2", kind="borrow_fee_accrual"),
            ["accrual: financing_costs <- accrued_expenses 2.00 USD"],
        ),
        (movement(amount="0.004"), []),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_transfers_of_movements(moved: Any, expected: list[str]):
    books = MoneyBooks()
    books.post(moved)
    books.check()
    assert lines(books.entries) == expected and not books.refusals


def test_a_payment_clears_what_was_accrued_and_the_rest_is_income():
    books = MoneyBooks()
    books.post(movement("a1", "3", "funding_accrual", accrual_key="X@1"))
    books.post(movement("a2", "4", "funding_accrual", accrual_key="X@1"))
    books.post(movement("p1", "7.5", "funding", accrual_key="X@1"))
    assert lines(books.entries[2:]) == [
        "accrued: cash <- accrued_income 7.00 USD",
        "amount: cash <- funding_income 0.50 USD",
    ]
    assert books.of("accrued_income") == 0
    books.post(movement("r1", "-7.5", "funding", reverses="p1"))
    assert books.of("accrued_income") == 7 and books.of("cash") == 0
    books.check()


def test_a_movement_is_known_for_ever_and_taken_back_once():
    books = MoneyBooks()
    books.post(movement(), movement())
    books.post(movement(amount="101"))
    books.post(movement("r1", "-99", reverses="m1"))
    books.post(movement("r1", "-100", reverses="m1"), movement("r2", "-100", reverses="m1"))
    books.post(movement("r3", "-100", reverses="nothing"))
    assert [refusal.field for refusal in books.refusals] == ["movement_id", "amount", "reverses", "reverses"]
    assert books.ledger.counts() == (7, 2, 1, 4, 0)
    assert books.accounts() == {}


def test_what_settles_later_waits_for_a_day_of_its_entity():
    books = MoneyBooks()
    books.book(trade(quantity=1, price=1))
    books.post(movement(kind="dividend", settlement_date="2026-01-08", value_date="2026-01-07"))
    assert books.balances[-1].settled_balance == 0
    books.post(day_closed("B1", "2026-01-08"))
    assert books.balances[-1].settled_balance == 99
    books.check()


def test_an_account_may_block_and_warns():
    books = MoneyBooks()
    books.post(movement(amount="-1", kind="withdrawal"))
    assert books.entries[-1].warning == "below zero" and books.balances[-1].overdrawn
    from tests.unit.agents.test_ledger import fields

    document = define(books)
    import json

    accounts = json.loads(document.definition)["accounts"]
    define(books, 2, accounts={**accounts, "cash": {"type": "asset", "below_zero": "block"}})
    blocked = movement("m2", "-1", "withdrawal")
    books.post(blocked.__class__(**{**fields(blocked), "posting_rules": 2}))
    assert books.refusals[-1].expected == "at most what cash holds"
    assert books.of("cash") == -1


def paid(books: MoneyBooks) -> None:
    books.post(movement(amount="1000"))
    books.post(
        movement(
            "p1",
            "-400",
            "payment",
            by_payment=True,
            user="anna",
            counterparty="bank",
            settlement_date="2026-01-06",
        )
    )


def test_a_payment_is_approved_by_another_and_posted_when_it_settles():
    books = MoneyBooks()
    paid(books)
    assert (books.balances[-1].trade_date_balance, books.balances[-1].settled_balance) == (600, 1000)
    books.post(day_closed("B1", "2026-01-31"))
    books.post(instruction("approve", "anna", "p1"), instruction("send", "anna", "p1"))
    assert [refusal.field for refusal in books.refusals] == ["user", "step"]
    books.post(instruction("approve", "boris", "p1"), instruction("send", "anna", "p1"))
    assert books.balances[-1].settled_balance == 1000
    books.post(instruction("settle", "bank", "p1"))
    assert (books.balances[-1].trade_date_balance, books.balances[-1].settled_balance) == (600, 600)
    books.post(instruction("settle", "bank", "p1", 2))
    assert len(books.refusals) == 3
    books.check()


@pytest.mark.parametrize("steps", [["cancel"], ["approve", "cancel"], ["approve", "send", "fail", "cancel"]])
def test_a_payment_that_is_cancelled_is_taken_back(steps: list[str]):
    books = MoneyBooks()
    paid(books)
    for step in steps:
        books.post(instruction(step, "boris", "p1"))
    assert not books.refusals
    assert (books.balances[-1].trade_date_balance, books.balances[-1].settled_balance) == (1000, 1000)
    assert books.of("in_transit") == 0
    books.check()


def test_steps_of_payments_are_a_table():
    from domain.ledger.payments import TRANSITIONS, possible_steps
    from schemas.units import PaymentState, PaymentStep

    ends = {state for state in PaymentState if possible_steps(state) == "no step any more"}
    assert ends == {PaymentState.SETTLED, PaymentState.CANCELLED}
    assert {step for _, step in TRANSITIONS} == set(PaymentStep)
    # Nothing is settled that was not approved and sent.
    assert [before for (before, _), after in TRANSITIONS.items() if after is PaymentState.SETTLED] == [
        PaymentState.SENT
    ]


def test_amounts_of_eighteen_decimals():
    books = MoneyBooks()
    books.post(movement(amount="0.000000000000000001", currency="ETH"))
    assert str(books.entries[0].amount) == "1E-18"
    assert books.of("cash", "ETH") == Decimal("1e-18")
