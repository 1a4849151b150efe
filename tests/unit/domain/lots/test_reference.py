"""The reference itself, against figures computed by hand: it must be right before it can judge."""

from fractions import Fraction

import pytest

from domain.lots import reference
from domain.lots.matching import apply
from domain.lots.position import Position, Terms
from schemas.units import FeePolicy, LotMethod
from tests.lots_support import run_lots
from tests.lots_trades import trade

TRADES = [trade("t1", 10, 100, fee=2), trade("t2", -4, 110, fee=1), trade("t3", -16, 120, fee=4)]


@pytest.mark.parametrize(
    ("policy", "net", "cost"),
    [("excluded", 160, -1200), ("expensed", 153, -1200), ("capitalised", "155.5", "-1197.5")],
)
def test_a_flip_with_fees(policy: str, net: object, cost: object):
    figures = reference.position(TRADES[::-1], Terms(fee_policy=FeePolicy(policy)))
    assert (figures.quantity, figures.realised_pnl, figures.fees) == (-10, 160, 7)
    assert (figures.net_realised_pnl, figures.cost_basis) == (Fraction(net), Fraction(cost))
    assert [
        (match.opening_trade_id, match.closing_trade_id, match.quantity) for match in figures.matches
    ] == [
        ("t1", "t2", 4),
        ("t1", "t3", 6),
    ]


@pytest.mark.parametrize(
    ("method", "realised", "average"), [("fifo", 225, 110), ("lifo", 125, 100), ("average", 175, 105)]
)
def test_methods(method: str, realised: int, average: int):
    trades = [trade("t1", 10, 100), trade("t2", 10, 110), trade("t3", -10, "122.5")]
    figures = reference.position(trades, Terms(lot_method=LotMethod(method)))
    assert (figures.realised_pnl, figures.average_price) == (realised, average)


def test_terms_that_change_while_flat():
    trades = [trade("t1", 1, 10), trade("t2", -1, 11), trade("t3", 1, 10), trade("t4", -1, 11)]
    figures = reference.position(trades, Terms(), {"t3": Terms(multiplier=10)})
    assert figures.realised_pnl == 11 and figures.quantity == 0 and figures.average_price is None


def test_without_rounding_an_inverse_average_is_a_fraction(exact: None):
    terms = Terms(lot_method=LotMethod.AVERAGE, inverse=True)
    trades = [trade("t1", 3, 7), trade("t2", 4, 9), trade("t3", -2, 11)]
    whole = reference.position(trades, terms, rounded=False)
    assert whole.realised_pnl == 2 * (Fraction(3, 7) + Fraction(4, 9)) / 7 - Fraction(2, 11)
    rounded = reference.position(trades, terms)
    assert 0 < abs(rounded.realised_pnl - whole.realised_pnl) < Fraction(1, 10**36)


def test_residuals_name_what_differs(exact: None):
    kept = Position(Terms())
    for one in TRADES:
        apply(kept, one)
    figures = reference.position(TRADES, Terms())
    assert not any(reference.residuals(kept, figures).values())
    kept.realised_pnl += 1
    figures.lots.clear()
    found = reference.residuals(kept, figures)
    assert {name: value for name, value in found.items() if value} == {"realised_pnl": 1, "lots": 1}


def test_it_agrees_with_the_command_on_matches():
    [result] = run_lots(["t1 +10 @ 100", "t2 +10 @ 110", "t3 -15 @ 120", "t4 -15 @ 90"]).positions
    figures = reference.position(
        [
            trade("t1", 10, 100, at=1),
            trade("t2", 10, 110, at=2),
            trade("t3", -15, 120, at=3),
            trade("t4", -15, 90, at=4),
        ],
        Terms(),
    )
    assert [tuple(getattr(match, name) for name in match.__struct_fields__) for match in result.matches] == [
        tuple(getattr(match, name) for name in match.__slots__) for match in figures.matches
    ]


def test_in_order_it_is_the_same_without_matches(exact: None):
    trades = [
        trade("t1", 3, 7),
        trade("t2", 4, 9),
        trade("t3", -7, 11),
        trade("t4", 3, 7),
        trade("t5", -1, 9),
    ]
    first, then = Terms(lot_method=LotMethod.AVERAGE, inverse=True), Terms(multiplier=10)
    changes = {"t4": then}
    whole = reference.position(trades, first, changes)
    found = reference.position_in_order([(one, changes.get(one.trade_id)) for one in trades], first)
    assert found.matches == [] and len(whole.matches) == 2
    for name in (
        "quantity",
        "average_price",
        "cost_basis",
        "realised_pnl",
        "net_realised_pnl",
        "fees",
        "lots",
    ):
        assert getattr(found, name) == getattr(whole, name), name


def test_residuals_of_an_average_price(exact: None):
    kept = Position(Terms())
    figures = reference.position([], Terms())
    assert reference.residuals(kept, figures)["average_price"] == 0
    apply(kept, trade("t1", 2, 100))
    assert reference.residuals(kept, figures)["average_price"] == 1
    figures = reference.position([trade("t1", 2, 99)], Terms())
    assert reference.residuals(kept, figures)["average_price"] == 1
    figures = reference.position([trade("t1", 2, "100.5")], Terms())
    assert reference.residuals(kept, figures)["average_price"] == Fraction(-1, 2)
    assert reference.residuals(Position(Terms()), figures)["average_price"] == 1
