"""P&L by cause and the open currency position: sums that hold to the last digit, whatever the numbers."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.currency_position import open_currency_position
from domain.pnl.taylor import GIVEN_BUCKETS, GREEKS, MOVES, explain
from schemas.numbers import exact_arithmetic

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=20, min_value=-(10**12), max_value=10**12)


def _some(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Decimal]]:
    return st.dictionaries(st.sampled_from(names), NUMBERS)


@given(_some(GREEKS), _some(MOVES), _some(GIVEN_BUCKETS), NUMBERS)
def test_buckets_add_up(
    greeks: dict[str, Decimal], moves: dict[str, Decimal], given: dict[str, Decimal], total: Decimal
):
    with exact_arithmetic():
        found = explain(greeks, moves, given, total)
        assert found.explained == sum(found.buckets.values(), Decimal(0))
        assert found.explained + found.unexplained == found.total == total
    greek = {name: Fraction(greeks.get(name, 0)) for name in GREEKS}
    spot, volatility, rate, time = (Fraction(moves.get(name, 0)) for name in MOVES)
    expected = (
        greek["delta"] * spot
        + greek["gamma"] * spot**2 / 2
        + greek["vega"] * volatility
        + greek["theta"] * time
        + greek["rho"] * rate
        + greek["vanna"] * spot * volatility
        + greek["volga"] * volatility**2 / 2
        + sum(Fraction(amount) for amount in given.values())
    )
    assert Fraction(found.explained) == expected


@given(st.dictionaries(st.sampled_from(["USD", "EUR", "GBP", "JPY", "RUB", "USDT"]), NUMBERS), NUMBERS)
def test_the_open_position_is_the_same_for_the_mirrored_book(positions: dict[str, Decimal], gold: Decimal):
    with exact_arithmetic():
        found = open_currency_position("USD", positions, gold)
        foreign = sum((amount for name, amount in positions.items() if name != "USD"), Decimal(0))
        assert found.sum_long - found.sum_short == foreign
        assert found.sum_long >= 0 and found.sum_short >= 0
        assert found.net_open_position == max(found.sum_long, found.sum_short) + abs(gold)
        assert found.capital_charge * 100 == found.net_open_position * 8
        mirrored = open_currency_position("USD", {name: -amount for name, amount in positions.items()}, -gold)
        assert (mirrored.sum_long, mirrored.sum_short) == (found.sum_short, found.sum_long)
        assert mirrored.net_open_position == found.net_open_position
