"""A step of P&L by cause: each bucket by hand, and the sum to the last digit whatever the model says."""

import math
from decimal import Decimal

import pytest

from domain.pnl.attribution import attribute, taylor
from domain.pnl.observation import Change, Factors, Observation
from domain.pnl.revaluation import revalue
from schemas.pnl import BUCKETS
from tests.pricing_support import priced

pytestmark = pytest.mark.usefixtures("exact")

BEFORE = Factors(spot=100.0, volatility=0.2, rate=0.01, time=0.5)
AFTER = Factors(spot=102.0, volatility=0.25, rate=0.02, time=0.25)


def moment(quantity="10", cost="50", value="60", fees="0", realised="0", **more):
    amount = Decimal(value)
    unit = amount / Decimal(quantity) if Decimal(quantity) else None
    return Observation(
        quantity=Decimal(quantity),
        cost=Decimal(cost),
        realised=Decimal(realised),
        fees=Decimal(fees),
        unrealised=amount - Decimal(cost),
        unit_value=unit,
        **more,
    )


def named(buckets):
    return {name: amount for name, amount in zip(BUCKETS, buckets, strict=True) if amount}


def test_each_greek_explains_its_move():
    greeks = (0.5, 0.1, 30.0, -4.0, 20.0, 2.0, 8.0)
    assert taylor(2.0, greeks, BEFORE, AFTER) == pytest.approx(
        (2 * 0.5 * 2, 2 * 0.1 * 2, 2 * 30 * 0.05, 2 * -4 * 0.25, 2 * 20 * 0.01, 2 * 2 * 2 * 0.05, 8 * 0.05**2)
    )


def test_what_the_greeks_leave_is_unexplained_to_the_last_digit():
    greeks = (1.0 / 3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    found = named(
        attribute(
            moment(factors=BEFORE, greeks=greeks),
            moment(value="66.000000000000000000000000000001", factors=AFTER),
        )
    )
    assert found == {
        "delta": Decimal("6.666666666667"),
        "unexplained": Decimal("6.000000000000000000000000000001") - Decimal("6.666666666667"),
    }


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_greek_that_is_no_number_explains_nothing(wrong: float):
    greeks = (wrong, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    found = attribute(moment(factors=BEFORE, greeks=greeks), moment(value="66", factors=AFTER))
    assert named(found) == {"unexplained": 6}


def test_trades_make_what_they_are_against_the_new_price_and_the_former_quantity_makes_the_market():
    # 10 held from 6.0 to 6.6; 5 more bought at 6.2 with a fee of 1.
    found = attribute(moment(), moment("15", "81", "99", fees="1"))
    assert named(found) == {"unexplained": 6, "new_trades": 2, "fees": -1}


def test_a_close_is_measured_against_the_last_price_known():
    found = attribute(moment(), Observation(realised=Decimal(15), unit_value=Decimal("6.5")))
    assert named(found) == {"unexplained": 5}


def test_a_corporate_action_stands_apart_from_trades():
    # A split of 10 into 20: the price has not moved yet, and half of the value is the split's.
    found = attribute(moment(), moment("20", "50", "120"), Change(Decimal(10)))
    assert named(found) == {"corporate_actions": 60}


def test_an_inverse_contract_gains_as_its_value_falls():
    before = Observation(
        quantity=Decimal(100),
        cost=Decimal("0.01"),
        unrealised=Decimal("0.001"),
        unit_value=Decimal("0.00009"),
        inverse=True,
    )
    after = Observation(
        quantity=Decimal(100),
        cost=Decimal("0.01"),
        unrealised=Decimal("0.002"),
        unit_value=Decimal("0.00008"),
        inverse=True,
    )
    assert named(attribute(before, after)) == {"unexplained": Decimal("0.001")}


def test_a_revaluation_steps_one_factor_at_a_time_and_leaves_nothing_of_a_model_s_own_price():
    def price(factors: Factors) -> float:
        fields = {"volatility": factors.volatility, "time_to_expiry": factors.time, "dividend_yield": 0}
        return priced("bsm", option_type="call", strike=100, spot=factors.spot, rate=factors.rate, **fields)[
            "price"
        ]

    made = Decimal(f"{price(AFTER) - price(BEFORE):.12f}")
    parts = revalue(price, BEFORE, AFTER, Decimal(1), made)
    assert sum(parts.values()) == made
    assert abs(parts["unexplained"]) <= Decimal("4e-12")
    assert parts["time"] < 0 < parts["volatility"]


def test_a_factor_that_is_not_known_is_not_stepped():
    parts = revalue(
        lambda factors: factors.spot, Factors(spot=1.0), Factors(spot=3.0), Decimal(2), Decimal(5)
    )
    assert parts == {"time": 0, "rate": 0, "volatility": 0, "spot": 4, "unexplained": 1}
