"""Trades for matching, and Hypothesis strategies of them."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain.lots.position import Terms, Trade
from schemas.units import FeePolicy, LotMethod


def trade(
    trade_id: str,
    quantity: object,
    price: object,
    *,
    fee: object = 0,
    at: int | None = None,
    sequence: int = 0,
) -> Trade:
    """A trade; where no time is given, the number in its id is its time."""
    executed_at = int(trade_id.lstrip("abcdefghijklmnopqrstuvwxyz")) if at is None else at
    return Trade(
        trade_id, executed_at, sequence, Decimal(str(quantity)), Decimal(str(price)), Decimal(str(fee))
    )


def _scaled(low: int, high: int, exponents: tuple[int, ...]) -> st.SearchStrategy[Decimal]:
    return st.builds(
        lambda digits, exponent: Decimal(digits).scaleb(exponent),
        st.integers(low, high),
        st.sampled_from(exponents),
    )


def signed(numbers: st.SearchStrategy[Decimal]) -> st.SearchStrategy[Decimal]:
    """Numbers of either sign."""
    return st.builds(lambda number, sign: number * sign, numbers, st.sampled_from((1, -1)))


# Small whole numbers make lots that close exactly; the others fractions, dust and giants.
QUANTITIES = st.one_of(
    st.integers(1, 6).map(Decimal), _scaled(1, 10**6, (0, -3, -8)), _scaled(1, 999, (-18, -2, 12))
)
POSITIVE_PRICES = st.one_of(st.integers(1, 200).map(Decimal), _scaled(1, 10**9, (-9, -4, 0)))
ANY_PRICES = st.one_of(POSITIVE_PRICES, st.just(Decimal(0)), POSITIVE_PRICES.map(lambda price: -price))
FEES = st.one_of(st.just(Decimal(0)), signed(_scaled(1, 10_000, (-2, -6))))
MULTIPLIERS = st.sampled_from(["1", "100", "0.1", "3", "0.000001"]).map(Decimal)

TERMS = st.builds(
    Terms, st.sampled_from(LotMethod), st.sampled_from(FeePolicy), MULTIPLIERS, st.booleans(), st.just("")
)


def trades(terms: Terms, max_size: int = 50) -> st.SearchStrategy[list[Trade]]:
    """Trades in the order of matching, some at the same time."""
    prices = POSITIVE_PRICES if terms.inverse else ANY_PRICES
    content = st.tuples(signed(QUANTITIES), prices, FEES, st.integers(0, 1))

    def make(contents: list[Any]) -> list[Trade]:
        made, second = [], 0
        for index, (quantity, price, fee, later) in enumerate(contents):
            second += later
            made.append(Trade(f"t{index}", second, index, quantity, price, fee))
        return made

    return st.lists(content, max_size=max_size).map(make)


TERMS_AND_TRADES = TERMS.flatmap(lambda terms: st.tuples(st.just(terms), trades(terms)))
