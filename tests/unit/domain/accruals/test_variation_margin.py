"""Variation margin beside realised P&L: together what a settlement price makes, each day, whatever came late."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.booking import Booked, bookings
from domain.accruals.holdings import Dealt, Holding, Quantities
from domain.accruals.variation_margin import DailySettlement, variation_margins
from domain.lots.matching import apply
from domain.lots.position import Position, Terms, Trade
from schemas.numbers import ZERO, exact_arithmetic
from schemas.units import LotMethod

D = Decimal
FIRST = date(2024, 2, 26)
NEXT_DAY = DailySettlement("USD", 2, lambda day: day + timedelta(1))


@pytest.fixture(autouse=True)
def _exactly() -> Iterator[None]:
    with exact_arithmetic():
        yield


def day(number: int) -> date:
    return FIRST + timedelta(number)


def holding(
    trades: list[tuple[int, str, str]],
    *,
    method: LotMethod = LotMethod.FIFO,
    inverse: bool = False,
    multiplier: str = "10",
) -> Holding:
    """Day, signed quantity, price: with what each realises, as lots have it."""
    position = Position(Terms(lot_method=method, multiplier=D(multiplier), inverse=inverse))
    dealt = []
    for number, (when, quantity, price) in enumerate(sorted(trades, key=lambda trade: trade[0])):
        before = position.realised_pnl
        apply(position, Trade(f"t{number}", when, number, D(quantity), D(price), ZERO))
        dealt.append(Dealt(day(when), D(quantity), D(price), position.realised_pnl - before))
    nothing = Quantities()
    return Holding("E", "A", "B", "F", nothing, nothing, D(multiplier), inverse, "USD", "future", dealt)


def moved(given: Holding, prices: dict[int, str], until: int) -> dict[int, Decimal]:
    found = variation_margins(given, NEXT_DAY, lambda when: _price(prices, (when - FIRST).days), day(until))
    return {(each.day - FIRST).days: each.amount for each in found if isinstance(each, Accrued)}


def _price(prices: dict[int, str], number: int) -> Decimal | None:
    return D(prices[number]) if number in prices else None


def test_a_position_is_paid_day_by_day_and_gives_back_what_was_ahead_when_it_is_closed():
    given = holding([(0, "2", "100"), (1, "1", "104"), (3, "-3", "110")])
    prices = {0: "101", 1: "103", 2: "99", 3: "111"}
    # 2 x 1; then 2 x 3 - 1 x 1 in all; then 2 x -1 - 5; then nothing is open: the P&L is realised.
    assert moved(given, prices, 5) == {0: D(20), 1: D(30), 2: D(-120), 3: D(70)}
    assert [dealt.realised for dealt in given.dealt] == [0, 0, D(260)]
    assert sum(moved(given, prices, 5).values()) == 0


def test_a_day_without_a_price_is_named_and_moved_with_the_next():
    given = holding([(0, "1", "100")])
    found = list(
        variation_margins(
            given, NEXT_DAY, lambda when: {0: D(101), 2: D(105)}.get((when - FIRST).days), day(6)
        )
    )
    holes = [each.at for each in found if isinstance(each, Hole)]
    # 2024-02-26 is a Monday: the leap day is a business day as others, the weekend is none.
    assert holes == ["2024-02-27", "2024-02-29", "2024-03-01"]
    assert {str(each.day): each.amount for each in found if isinstance(each, Accrued)} == {
        "2024-02-26": D(10),
        "2024-02-28": D(40),
    }


def test_a_price_that_comes_later_books_both_days_anew():
    given = holding([(0, "1", "100")])

    def due(prices: dict[int, str]) -> list[Accrued | Hole]:
        return list(
            variation_margins(given, NEXT_DAY, lambda when: _price(prices, (when - FIRST).days), day(2))
        )

    def accrued(found: list[Accrued | Hole]) -> list[Accrued]:
        return [each for each in found if isinstance(each, Accrued)]

    first = bookings(accrued(due({0: "101", 2: "105"})), {})
    booked = {each.accrued.key: Booked(each.revision, each.accrued) for each in first}
    again = bookings(accrued(due({0: "101", 1: "104", 2: "105"})), booked)
    assert [(each.accrued.day.day, each.accrued.amount, bool(each.reverses)) for each in again] == [
        (27, D(30), False),
        (28, D(-40), True),
        (28, D(10), False),
    ]


def test_an_inverse_contract_is_settled_in_its_coin_and_a_price_of_nothing_is_none():
    given = holding([(0, "100", "20000")], inverse=True, multiplier="1")
    coin = DailySettlement("BTC", 8, lambda when: when)
    prices = {0: D(25000), 1: ZERO, 2: D(16000)}
    found = list(variation_margins(given, coin, lambda when: prices.get((when - FIRST).days), day(2)))
    assert [each.amount for each in found if isinstance(each, Accrued)] == [D("0.001"), D("-0.00225")]
    assert [each.at for each in found if isinstance(each, Hole)] == ["2024-02-27"]


def test_a_price_below_zero_counts():
    assert moved(holding([(0, "1", "5")]), {0: "-37.63"}, 0) == {0: D("-426.3")}


TRADES = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(-3, 3).filter(bool).map(str),
        st.integers(90, 110).map(str),
    ),
    min_size=1,
    max_size=12,
)


@given(
    TRADES,
    st.dictionaries(st.integers(0, 8), st.integers(85, 115).map(str)),
    st.sampled_from([LotMethod.FIFO, LotMethod.LIFO]),
)
def test_realised_and_moved_are_what_the_settlement_price_makes(
    trades: list[tuple[int, str, str]], prices: dict[int, str], method: LotMethod
):
    given = holding(trades, method=method)
    by_day = moved(given, prices, 8)
    for number in range(9):
        until = [dealt for dealt in given.dealt if dealt.day <= day(number)]
        quantity = sum((dealt.quantity for dealt in until), ZERO)
        if quantity and number not in prices:
            continue
        price = D(prices.get(number, "0"))
        made = sum((dealt.quantity * 10 * (price - dealt.price) for dealt in until), ZERO)
        paid = sum((amount for when, amount in by_day.items() if when <= number), ZERO)
        assert paid + sum((dealt.realised for dealt in until), ZERO) == made
