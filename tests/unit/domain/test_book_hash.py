"""The book hash: by value, over all that makes a position, and additive."""

from decimal import Decimal

import pytest

from domain.book_hash import BookHash, position_digest
from domain.lots.matching import apply
from domain.lots.position import Position, Terms, Trade
from schemas.units import FeePolicy, LotMethod

pytestmark = pytest.mark.usefixtures("exact")


def position(*trades: Trade, **terms) -> Position:
    made = Position(Terms(**terms))
    for trade in trades:
        apply(made, trade)
    return made


def trade(
    trade_id: str = "t1",
    quantity: str = "10",
    price: str = "100",
    at: int = 1,
    sequence: int = 0,
    fee: str = "0",
):
    return Trade(trade_id, at, sequence, Decimal(quantity), Decimal(price), Decimal(fee))


def digest(*trades: Trade, book: str = "B1", instrument: str = "X", **terms) -> int:
    return position_digest(book, instrument, position(*trades, **terms))


def test_the_hash_of_a_known_book_never_changes():
    total = BookHash()
    total.add(digest(trade(), trade("t2", "-4", "110.5", 2), book="книга"))
    assert total.hexadecimal == "1e0d28620aeccaf8151a53007ede99a0f31e90faecac667236631fa62531e1ae"


def test_numbers_count_by_value():
    assert digest(trade(quantity="10.000", price="1E+2", fee="0.0")) == digest(trade())


@pytest.mark.parametrize(
    "other",
    [
        {"trades": [trade("t2")]},
        {"trades": [trade(quantity="11")]},
        {"trades": [trade(price="101")]},
        {"trades": [trade(at=2)]},
        {"trades": [trade(sequence=1)]},
        {"trades": [trade(fee="1")]},
        {"trades": []},
        {"book": "B2"},
        {"instrument": "Y"},
        {"lot_method": LotMethod.LIFO},
        {"fee_policy": FeePolicy.EXPENSED},
        {"multiplier": Decimal(2)},
        {"inverse": True},
        {"currency": "USD"},
    ],
)
def test_everything_of_a_position_counts(other: dict):
    terms = dict(other)
    trades = terms.pop("trades", [trade()])
    assert digest(*trades, **terms) != digest(trade())


def test_a_position_that_is_flat_counts():
    assert BookHash(digest()).hexadecimal != BookHash().hexadecimal


def test_sums_merge_in_any_order_and_come_apart_again():
    one, other, third = digest(trade()), digest(trade("t2")), digest(trade("t3"))
    whole, left, right = BookHash(), BookHash(), BookHash()
    for part in (one, other, third):
        whole.add(part)
    right.add(third)
    right.add(one)
    left.add(other)
    left.merge(right)
    assert left.hexadecimal == whole.hexadecimal
    assert len(whole.hexadecimal) == 64
    for part in (other, one, third):
        whole.remove(part)
    assert whole.hexadecimal == BookHash().hexadecimal == "0" * 64
