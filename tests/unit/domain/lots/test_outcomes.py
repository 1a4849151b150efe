"""What the journal keeps of a trade, and what a re-match says of one that is replaced."""

from decimal import Decimal

import pytest

from domain.lots.matching import apply
from domain.lots.outcomes import Opened, Other, outcome
from domain.lots.position import Position, Terms, average_price
from domain.lots.rerun import Rerun
from schemas.units import FeePolicy
from tests.lots_trades import trade

pytestmark = pytest.mark.usefixtures("exact")


def test_an_outcome_that_begins_terms_is_kept_whole_and_says_which():
    before, terms = Terms(), Terms(multiplier=Decimal(10))
    applied = apply(Position(terms), trade("t1", 1, 100))
    assert outcome(applied, terms) is None
    assert outcome(applied, terms, terms, before) == Other(applied, terms, before)


def test_an_opening_with_a_fee_keeps_its_fee():
    terms = Terms(fee_policy=FeePolicy.EXPENSED)
    position = Position(terms)
    assert type(outcome(apply(position, trade("t1", 2, 100, fee=1)), terms)) is Opened
    assert type(outcome(apply(position, trade("t2", -1, 100, fee=1)), terms)) is Other


def test_a_trade_that_is_replaced_is_none_of_those_that_changed():
    position = Position(Terms())
    trades = [trade("t1", 2, 100), trade("t2", -1, 110)]
    found = (
        outcome(apply(position, trades[0]), position.terms),
        outcome(apply(position, trades[1]), position.terms),
    )
    rerun = Rerun(position, trades[1].order, 10)
    rerun.take_back(found[1:])
    rerun.leave(trades[1])
    rerun.enter(trade("t2", -1, 113))
    rerun.finish()
    assert rerun.realised.count == 0 and position.realised_pnl == 13


def test_an_average_price():
    assert average_price(Decimal(4), Decimal(10), False) == Decimal("2.5")
    assert average_price(Decimal(4), Decimal(10), True) == Decimal("0.4")
