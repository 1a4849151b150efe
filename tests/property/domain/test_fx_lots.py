"""Price and FX parts of realised P&L: they add up exactly, and are those of a slow reference that keeps every unit apart."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.fx_lots import ForeignPosition, cash_position
from domain.lots.position import Terms, Trade
from schemas.numbers import ZERO, exact_arithmetic
from schemas.units import LotMethod

D = Decimal


@pytest.fixture(autouse=True)
def _exactly() -> Iterator[None]:
    with exact_arithmetic():
        yield


TRADES = st.lists(
    st.tuples(
        st.integers(-4, 4).filter(bool),
        st.decimals("-3", "20", places=2),
        st.decimals("0.01", "200", places=4),
    ),
    max_size=12,
)


def units(
    trades: list[tuple[int, Decimal, Decimal]], multiplier: int, method: LotMethod
) -> tuple[Decimal, Decimal]:
    """Price and FX parts, unit by unit: each open unit keeps its own price and rate."""
    open_units: list[tuple[int, Decimal, Decimal]] = []
    price_part = fx_part = ZERO
    for quantity, price, rate in trades:
        sign = 1 if quantity > 0 else -1
        for _ in range(abs(quantity)):
            if open_units and open_units[0][0] != sign:
                side, cost, opened_at = open_units.pop(0 if method is LotMethod.FIFO else -1)
                price_part += side * multiplier * (price - cost) * rate
                fx_part += side * multiplier * cost * (rate - opened_at)
            else:
                open_units.append((sign, price, rate))
    return price_part, fx_part


def run(
    trades: list[tuple[int, Decimal, Decimal]], terms: Terms, *, margined: bool = False
) -> ForeignPosition:
    position = ForeignPosition(terms, margined)
    for number, (quantity, price, rate) in enumerate(trades):
        position.apply(Trade(f"t{number}", number, 0, D(quantity), price), rate)
    return position


@given(TRADES, st.sampled_from((LotMethod.FIFO, LotMethod.LIFO)), st.sampled_from((1, 100)))
def test_parts_are_those_of_units_kept_apart(
    trades: list[tuple[int, Decimal, Decimal]], method: LotMethod, multiplier: int
):
    position = run(trades, Terms(method, multiplier=D(multiplier)))
    price_part, fx_part = units(trades, multiplier, method)
    # A lot's share of its functional cost may not end; what one part rounds the next makes up for.
    assert abs(position.price_part - price_part) < D("1e-50")
    assert abs(position.fx_part - fx_part) < D("1e-50")


@given(TRADES, st.sampled_from(tuple(LotMethod)), st.booleans())
def test_the_parts_add_up_exactly(
    trades: list[tuple[int, Decimal, Decimal]], method: LotMethod, inverse: bool
):
    """Everything that was paid and received, each at the rate of its day, is what was realised and what is still laid out."""
    if inverse:
        trades = [(quantity, abs(price) + 1, rate) for quantity, price, rate in trades]
    position = run(trades, Terms(method, inverse=inverse))
    paid = ZERO
    before = ZERO
    again = ForeignPosition(Terms(method, inverse=inverse))
    for number, (quantity, price, rate) in enumerate(trades):
        split = again.apply(Trade(f"t{number}", number, 0, D(quantity), price), rate)
        value = again.position.value - before
        before = again.position.value
        # What the trade moved in the foreign currency: what it added to the cost less what it realised.
        paid += (value - split.realised_pnl) * rate
        assert split.functional_pnl == split.price_part + split.fx_part
    assert paid + position.price_part + position.fx_part == position.functional_cost
    if not position.position.quantity:
        assert position.functional_cost == 0


@given(TRADES)
def test_of_what_is_margined_only_the_pnl_is_foreign(trades: list[tuple[int, Decimal, Decimal]]):
    position = run(trades, Terms(), margined=True)
    assert position.fx_part == 0 == position.functional_cost
    if trades and all(rate == trades[0][2] for *_, rate in trades):
        assert position.price_part == position.position.realised_pnl * trades[0][2]


def test_an_example():
    """100 shares at 10 USD when that is 0.90 EUR, sold at 12 USD when it is 0.80: 160 EUR of price, -100 EUR of FX."""
    position = run([(100, D(10), D("0.9")), (-100, D(12), D("0.8"))], Terms())
    assert (position.price_part, position.fx_part) == (160, -100)
    assert D(12) * 100 * D("0.8") - D(10) * 100 * D("0.9") == 60
    short = run([(-100, D(10), D("0.9")), (100, D(12), D("0.8"))], Terms())
    assert (short.price_part, short.fx_part) == (-160, 100)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.decimals("-100", "100", places=2), st.decimals("0.01", "200", places=4)), max_size=12
    ),
    st.decimals("0.01", "200", places=4),
)
def test_cash_has_lots_and_loses_nothing(moves: list[tuple[Decimal, Decimal]], last: Decimal):
    """Once all of it is exchanged back, the P&L of cash is what came in and went out, each at the rate of its day."""
    moves = [*moves, (-sum((amount for amount, _ in moves), ZERO), last)]
    position = cash_position((f"m{number}", number, *move) for number, move in enumerate(moves))
    assert position.quantity == 0 and not position.lots
    assert position.realised_pnl == -sum((amount * rate for amount, rate in moves), ZERO)


def test_a_round_trip_through_a_foreign_share():
    """1,000 USD bought at 0.90, a share for them at 0.95, sold for 1,100 at 0.85, exchanged back at 0.80."""
    cash = cash_position(
        [
            ("in", 1, D(1000), D("0.9")),
            ("buy", 2, D(-1000), D("0.95")),
            ("sell", 3, D(1100), D("0.85")),
            ("out", 4, D(-1100), D("0.8")),
        ]
    )
    share = run([(1, D(1000), D("0.95")), (-1, D(1100), D("0.85"))], Terms())
    # In the functional currency: 880 came back for 900.
    assert cash.realised_pnl + share.price_part + share.fx_part == D("880") - D("900")
