"""Carry and funding through ledger, valuation and P&L: what is earned for holding, what accrues, and what comes late."""

from decimal import Decimal

import pytest

from agents import ledger
from schemas import topics
from tests.ledger_support import movement
from tests.pnl_support import PnLChain, outputs, split
from tests.stage_support import StageInMemory
from tests.unit.agents.test_pnl import MONDAY, TUESDAY, trade
from tests.valuation_support import DAY, NOON, book, closed, instrument, mark
from topology.money.rules import standard_rules


class Books(PnLChain):
    """The three stages, and the ledger between positions and valuation."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = StageInMemory(ledger.stage(standard_rules()))
        self.define(book(currency="USD"))

    def book(self, *bookings):
        updates = outputs(self.positions.step(*bookings), topics.POSITIONS)
        income = outputs(self.ledger.step(*updates), topics.VALUATION_INPUT)
        return self.value(*updates, *income)

    def pay(self, *movements):
        """Movements of cash; what the P&L stage told."""
        return self.value(*outputs(self.ledger.step(*movements), topics.VALUATION_INPUT))


def moved(movement_id: str, amount: str, kind: str, day: str = MONDAY, **more):
    return movement(
        movement_id, amount, kind, **{"book": "B", "instrument": "X", "trade_date": day, "entity": ""} | more
    )


@pytest.fixture
def books():
    return Books()


@pytest.mark.parametrize(
    ("kind", "bucket"),
    [("dividend", "carry"), ("withholding_tax", "carry"), ("borrow_fee", "carry"), ("funding", "funding")],
)
def test_income_is_realised_and_positional_and_has_its_bucket(books, kind, bucket):
    books.book(trade("t1", "10", "100"))
    books.value(mark(price="102"))
    (told,) = books.pay(moved("m1", "3.25", kind))
    assert (told.total, told.realised, told.unrealised) == (Decimal("23.25"), Decimal("3.25"), 20)
    assert (told.positional, told.trading) == (Decimal("3.25"), 20)
    assert split(told) == {bucket: Decimal("3.25"), "new_trades": 20}


@pytest.mark.parametrize("kind", ["deposit", "margin", "transfer", "coupon_accrual"])
def test_money_that_only_changes_hands_is_no_pnl(books, kind):
    books.book(trade("t1", "10", "100"))
    assert books.pay(moved("m1", "-3.25", kind)) == []


def test_income_of_no_position_is_no_pnl_and_a_repeat_is_none_again(books):
    books.book(trade("t1", "10", "100"))
    books.value(mark(price="102"))
    assert books.pay(moved("m1", "5", "dividend", instrument="")) == []
    books.pay(moved("m2", "5", "dividend"))
    assert books.pay(moved("m2", "5", "dividend")) == []
    assert books.told[-1].total == 25


def test_a_late_movement_restates_its_day_and_one_taken_back_too(books):
    books.book(trade("t1", "10", "100"))
    books.value(mark(price="102"))
    books.value(closed(day=MONDAY))
    books.value(mark(price="103", at=NOON + DAY))
    monday, today = books.pay(moved("m1", "-4", "funding"))
    assert (monday.business_date, monday.restatement, monday.total) == (MONDAY, 1, 16)
    assert split(monday) == {"funding": -4, "new_trades": 20}
    assert (today.total, today.total_to_date) == (10, 26)
    monday, today = books.pay(moved("m2", "4", "funding", TUESDAY, reverses="m1"))
    assert (monday.restatement, monday.total, today.total, today.total_to_date) == (2, 20, 10, 30)


def test_a_payment_is_income_less_what_was_accrued(books):
    books.book(trade("t1", "10", "100"))
    books.value(mark(price="100"))
    books.pay(moved("a1", "3", "funding_accrual", accrual_key="X@1"))
    books.pay(moved("a2", "4", "funding_accrual", accrual_key="X@1"))
    books.pay(moved("p1", "7.5", "funding", accrual_key="X@1"))
    assert split(books.told[-1]) == {"funding": Decimal("7.5")}


def test_income_that_comes_before_its_position_waits_for_it(books):
    assert books.pay(moved("m1", "5", "dividend")) == []
    books.ledger.restart()
    books.book(trade("t1", "10", "100"))
    (told,) = books.value(mark(price="100"))
    assert split(told) == {"carry": 5} and not list(books.ledger.committed.scan_prefix(b"w"))


def test_income_in_another_currency_is_named_and_in_no_total(books):
    books.book(trade("t1", "10", "100"))
    books.value(mark(price="102"))
    (told,) = books.pay(moved("m1", "5", "dividend", currency="EUR"))
    assert (told.total, told.reason) == (20, "not in it: income of 5 EUR")


def test_every_partition_is_told_and_the_one_that_holds_the_position_takes_it(books):
    books.book(trade("t1", "10", "100"))
    several = StageInMemory(ledger.stage(standard_rules()), partitions=3)
    several.step(*outputs(books.positions.step(trade("t2", "1", "100")), topics.POSITIONS))
    step = several.step(moved("m1", "5", "dividend"))
    assert {partition for name, partition in step.outputs if name == topics.VALUATION_INPUT.name} == {0, 1, 2}
    elsewhere = PnLChain()
    income = outputs(step, topics.VALUATION_INPUT)
    assert elsewhere.value(*income) == [] and elsewhere.valuation.counts() == (1, 1, 0, 0, 0)


def test_a_coupon_comes_out_of_what_has_accrued():
    books = Books()
    books.define(instrument("X", instrument_class="bond", model="bond", face="100", currency="USD"))
    books.book(trade("t1", "10", "98", accrued_interest=Decimal("12"), instrument_class="bond"))
    books.value(mark(price="98", accrued_interest="1.2"))
    # What was paid for interest is there as interest.
    assert (books.told[-1].total, split(books.told[-1])) == (0, {})
    books.value(mark(price="99", accrued_interest="1.5", at=NOON + 1))
    assert split(books.told[-1]) == {"carry": 3, "delta": 10}
    books.value(mark(price="99", accrued_interest="2", at=NOON + 2))
    assert split(books.told[-1]) == {"carry": 8, "delta": 10}
    books.value(mark(price="99", accrued_interest="0", at=NOON + 3))
    books.pay(moved("c1", "20", "coupon"))
    # 20 came, 12 were bought: 8 were earned, and were there before.
    assert (books.told[-1].total, split(books.told[-1])) == (18, {"carry": 8, "delta": 10})
    assert (books.told[-1].realised, books.told[-1].unrealised) == (8, 10)


def test_interest_of_a_trade_that_is_amended_or_cancelled_changes_with_it():
    from schemas.units import LifecycleKind
    from tests.support import LifecycleEventApplied

    books = Books()
    books.define(instrument("X", instrument_class="bond", model="bond", face="100", currency="USD"))
    first = trade("t1", "10", "98", accrued_interest=Decimal("12"), instrument_class="bond")
    books.book(first)
    books.value(mark(price="98", accrued_interest="1.2"))

    def correct(number: int, kind: LifecycleKind, content=None):
        return LifecycleEventApplied(
            event_id=f"c{number}",
            kind=kind,
            trade_id=f"c{number}",
            original_trade_id="t1",
            book="B",
            executed_at=NOON,
            trade=content,
        )

    books.book(
        correct(
            1,
            LifecycleKind.AMEND,
            trade("t1", "5", "98", accrued_interest=Decimal("7"), instrument_class="bond"),
        )
    )
    assert split(books.told[-1]) == {"carry": -1}
    books.book(correct(2, LifecycleKind.CANCEL))
    assert (books.told[-1].total, split(books.told[-1])) == (0, {})
    assert not list(books.pnl.committed.scan_prefix(b"i"))
