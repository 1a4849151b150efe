"""Rates found are those of a slow search in fractions, whatever is quoted, and in whatever order it came."""

from decimal import Decimal
from fractions import Fraction
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from domain.fx import FxTable, MissingRate, Way
from schemas.frames import wire
from schemas.market_data import FxRate
from schemas.units import MarkQuality

CURRENCIES = ("USD", "EUR", "GBP", "CHF")
HALF = Fraction(1, 2 * 10**24)

rates = st.lists(
    st.tuples(
        st.sampled_from([pair for pair in product(CURRENCIES, repeat=2) if pair[0] != pair[1]]),
        st.decimals(min_value="1e-9", max_value="1e9", allow_nan=False, places=12).filter(bool),
        st.integers(0, 20),
    ),
    max_size=12,
    unique_by=lambda each: (each[0], each[2]),
)


def table(quoted, pivot: str) -> FxTable:
    found = FxTable(pivot)
    for (base, quote), rate, at in quoted:
        found.take(
            wire(FxRate)(event_id="r", base_currency=base, quote_currency=quote, rate=rate, event_time=at)
        )
    return found


def slowly(quoted, base: str, quote: str, pivot: str) -> Fraction | None:
    """The rate by looking through all that was ever quoted."""

    def one(first: str, second: str) -> Fraction | None:
        newest = None
        for pair, rate, at in quoted:
            for asked, value, preferred in (
                ((first, second), Fraction(rate), 1),
                ((second, first), 1 / Fraction(rate), 0),
            ):
                if pair == asked and (newest is None or (at, preferred) > newest[0]):
                    newest = ((at, preferred), value)
        return None if newest is None else newest[1]

    if base == quote:
        return Fraction(1)
    direct = one(base, quote)
    if direct is not None or pivot in (base, quote):
        return direct
    legs = one(base, pivot), one(pivot, quote)
    return None if None in legs else legs[0] * legs[1]


@given(rates, st.sampled_from(CURRENCIES))
def test_found_as_by_a_slow_search(quoted, pivot: str):
    known = table(quoted, pivot)
    for base, quote in product(CURRENCIES, repeat=2):
        found, expected = known.find(base, quote), slowly(quoted, base, quote, pivot)
        if expected is None:
            assert isinstance(found, MissingRate)
            assert found.pairs
        else:
            assert abs(Fraction(found.rate) - expected) <= HALF
            if found.way in (Way.SAME, Way.DIRECT):
                assert Fraction(found.rate) == expected


@given(rates, st.randoms())
def test_the_order_of_arrival_does_not_matter(quoted, random):
    shuffled = list(quoted)
    random.shuffle(shuffled)
    first, second = table(quoted, "USD"), table(shuffled, "USD")
    for base, quote in product(CURRENCIES, repeat=2):
        assert first.find(base, quote) == second.find(base, quote)


@given(rates)
def test_there_and_back_is_one_up_to_the_rounding(quoted):
    # Of a pair that is quoted both ways at one time, each way is taken as it is quoted.
    one_way = {frozenset(each[0]): each for each in quoted}.values()
    known = table(one_way, "USD")
    for base, quote in product(CURRENCIES, repeat=2):
        there, back = known.find(base, quote), known.find(quote, base)
        if isinstance(there, MissingRate):
            assert isinstance(back, MissingRate)
            continue
        error = HALF * (Fraction(there.rate) + Fraction(back.rate) + 1)
        assert abs(Fraction(there.rate) * Fraction(back.rate) - 1) <= error
        assert there.quality is back.quality is MarkQuality.LIVE
        assert isinstance(there.rate, Decimal)
