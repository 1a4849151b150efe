"""What bonds pay back: a trade at maturity, movements before it, and corrections of both."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.coupons import CouponBond, CouponPeriod, coupon_periods
from domain.accruals.holdings import Dealt, Holding, Quantities
from domain.accruals.redemption import (
    Redeemed,
    RedemptionTrade,
    Standing,
    redemption_trades,
    redemptions,
    trade_prefix,
)
from schemas.numbers import exact_arithmetic
from schemas.units import Action, MovementKind

D = Decimal
# The Russian calendar moves the last payment from a Saturday to the Monday after it.
BOND = CouponBond(
    "Act/365F",
    coupon_periods(
        date(2023, 6, 30),
        date(2024, 6, 30),
        2,
        D(1000),
        [D("0.1")],
        calendar="TARGET",
        amortisation={date(2023, 12, 30): D(300)},
    ),
    2,
)


@pytest.fixture(autouse=True)
def _exactly() -> Iterator[None]:
    with exact_arithmetic():
        yield


def held(*trades: tuple[str, str], multiplier: str = "1", currency: str = "RUB") -> Holding:
    dealt = [Dealt(date.fromisoformat(day), D(quantity), D(99)) for day, quantity in trades]
    settled = Quantities.of((one.day.toordinal(), one.quantity) for one in dealt)
    return Holding("E", "A", "B", "X", settled, settled, D(multiplier), False, currency, "bond", dealt)


def due(holding: Holding, until: str, bond: CouponBond = BOND) -> list[Any]:
    return list(redemptions(holding, bond, "RUB", date.fromisoformat(until)))


def test_an_amortisation_is_a_movement_and_maturity_a_trade_on_its_payment_date():
    given = held(("2023-07-03", "10"), ("2024-01-10", "-4"))
    assert due(given, "2023-12-31") == []
    [paid] = due(given, "2024-06-30")
    assert isinstance(paid, Accrued) and paid.kind is MovementKind.REDEMPTION
    # The 30th of December 2023 is a Saturday: it is paid on the first business day after it.
    assert (paid.amount, str(paid.day)) == (D(3000), "2024-01-02")
    _, closed = due(given, "2024-07-01")
    assert isinstance(closed, Redeemed)
    assert (closed.quantity, closed.price, str(closed.day), str(closed.payment_date)) == (
        D(-6),
        D(700),
        "2024-06-30",
        "2024-07-01",
    )
    # Quoted in percent of a face of 1,000: the price is, too.
    [_, percent] = due(held(("2023-07-03", "-10"), multiplier="10"), "2024-07-01")
    assert (percent.quantity, percent.price) == (D(10), D(70))


def test_what_cannot_be_paid_back_is_named():
    period = CouponPeriod(date(2023, 6, 30), date(2023, 12, 30), date(2023, 12, 30), D(1000), D("0.1"))
    [hole] = due(held(("2023-07-03", "10")), "2024-07-01", CouponBond("Act/365F", (period,)))
    assert isinstance(hole, Hole) and "no period pays back" in hole.reason
    assert (
        due(held(("2023-07-03", "10"), ("2023-08-03", "-10")), "2024-07-01", CouponBond("30/360", (period,)))
        == []
    )
    *_, other = due(held(("2023-07-03", "10"), currency="USD"), "2024-07-01")
    assert isinstance(other, Hole) and "traded in USD" in other.reason


def booked(standing: list[Standing], holding: Holding) -> RedemptionTrade | None:
    """What a run books, and the books with it."""
    [*_, closed] = due(holding, "2024-07-01")
    assert isinstance(closed, Redeemed)
    for trade in redemption_trades(closed, standing):
        if trade.action is Action.NEW:
            standing.append(Standing(trade.trade_id, trade.trade_id, closed.quantity, closed.price))
        else:
            last = standing.pop()
            assert trade.original_trade_id == last.trade_id
            gone = trade.action is Action.CANCEL
            standing.append(Standing(last.trade_id, trade.trade_id, closed.quantity, closed.price, gone))
        return trade
    return None


def test_corrections_follow_the_position_with_ids_of_their_own():
    standing: list[Standing] = []
    quantities = ["10", "12", "10", "0", "5", "0", "5"]
    trades = []
    for quantity in quantities:
        holding = held(("2023-07-03", quantity))
        trade = booked(standing, holding)
        assert trade is not None and booked(standing, holding) is None
        trades.append(trade)
    amend, cancel, new = Action.AMEND, Action.CANCEL, Action.NEW
    assert [trade.action for trade in trades] == [new, amend, amend, cancel, new, cancel, new]
    assert len({trade.trade_id for trade in trades}) == len(trades)
    prefix = trade_prefix(trades[0].redeemed)
    assert [trade.trade_id for trade in trades if trade.action is new] == [f"{prefix}{n}" for n in (1, 2, 3)]
