"""Marks, curves and bars that contradict themselves are refused."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.market_data import Bar, Curve, Mark
from schemas.units import BarInterval, MarkQuality


def mark(**fields: Any) -> Mark:
    return Mark(
        **{"event_id": "e", "instrument": "X", "event_time": 1, "quality": MarkQuality.LIVE, **fields}
    )


def bar(**fields: Any) -> Bar:
    prices = {"open": Decimal(2), "high": Decimal(4), "low": Decimal(1), "close": Decimal(3)}
    return Bar(event_id="e", instrument="X", interval=BarInterval.DAY, opened_at=1, **{**prices, **fields})


@pytest.mark.parametrize("quality", [each for each in MarkQuality if each is not MarkQuality.MISSING])
def test_a_mark_has_a_price_unless_it_is_missing(quality: MarkQuality):
    assert mark(quality=quality, price=Decimal(0)).price == 0
    with pytest.raises(ValidationError, match="expected a price"):
        mark(quality=quality)


def test_a_missing_mark_has_none():
    assert mark(quality=MarkQuality.MISSING, bid=Decimal(1)).price is None
    with pytest.raises(ValidationError, match="expected a price"):
        mark(quality=MarkQuality.MISSING, price=Decimal(0))


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1E+308"])
def test_no_number_is_no_price(price: str):
    with pytest.raises(ValidationError, match="price"):
        mark(price=Decimal(price))


@pytest.mark.parametrize("fields", [{"high": Decimal("2.9")}, {"low": Decimal("2.1")}, {"close": Decimal(5)}])
def test_a_bar_holds_its_prices(fields: dict[str, Decimal]):
    assert bar().revision == 1
    with pytest.raises(ValidationError, match="open and close between low and high"):
        bar(**fields)


@pytest.mark.parametrize(
    "definition", ["", "[]", "{}", '{"type": "spline"}', '{"type": 1}', "{", "[" * 100_000]
)
def test_a_curve_has_a_definition_of_a_known_type(definition: str):
    with pytest.raises(ValidationError, match="a JSON object with a type of flat, zero, discount, bootstrap"):
        Curve(event_id="e", curve="C", version=1, event_time=1, definition=definition)


def test_a_curve_keeps_the_digits_of_its_definition():
    text = '{"type": "flat", "rate": 0.02500000000000000000000001}'
    assert Curve(event_id="e", curve="C", version=1, event_time=1, definition=text).definition == text
    with pytest.raises(ValidationError):
        Curve(event_id="e", curve="C", version=0, event_time=1, definition=text)
