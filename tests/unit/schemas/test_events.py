"""The edge: constructing an event validates it."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from schemas.events import FillEvent, number_fault
from schemas.reference import Book, Instrument

GOOD = {
    "event_id": "e", "trade_id": "t1", "instrument": "X", "side": "BUY", "quantity": "1", "price": "10",
    "executed_at": 0,
}  # fmt: skip


def test_a_good_fill():
    event = FillEvent(**GOOD)
    assert (event.quantity, event.price, event.action) == (Decimal(1), Decimal(10), "NEW")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trade_id", ""),
        ("trade_id", "=1+1"),
        ("trade_id", "x" * 129),
        ("book", " "),
        ("side", "HOLD"),
        ("quantity", "0"),
        ("quantity", "-1"),
        ("quantity", "NaN"),
        ("quantity", "1e999999"),
        ("price", "Infinity"),
        ("price", "1." + "1" * 60),
        ("multiplier", "0"),
        ("action", "BUST"),
        ("regime", "street"),
        ("executed_at", "noon"),
    ],
)
def test_what_is_out_of_range_is_refused(field: str, value: object):
    with pytest.raises(ValidationError, match=field):
        FillEvent(**{**GOOD, field: value})


@pytest.mark.parametrize("price", ["0", "-37.63", "1" * 60, "0.000000000000000001"])
def test_prices_may_be_zero_negative_wide_and_small(price: str):
    assert FillEvent(**{**GOOD, "price": price}).price == Decimal(price)


@pytest.mark.parametrize(
    ("number", "fault"), [("1E+59", None), ("1E+60", True), ("1E-60", None), ("1E-61", True), ("sNaN", True)]
)
def test_numbers_are_bounded_in_both_directions(number: str, fault: bool | None):
    assert (number_fault(Decimal(number)) is not None) == bool(fault)


@pytest.mark.parametrize("cut_off", ["00:00", "17:30", "23:59", "24:00"])
def test_a_cut_off_is_a_time_of_day(cut_off: str):
    assert Book(event_id="e", book="B1", cut_off=cut_off).cut_off == cut_off


@pytest.mark.parametrize("cut_off", ["24:01", "24:30", "25:00", "7:30", "12:60", "noon"])
def test_what_is_no_cut_off_is_refused(cut_off: str):
    with pytest.raises(ValidationError):
        Book(event_id="e", book="B1", cut_off=cut_off)


def test_settlement_days_are_bounded():
    with pytest.raises(ValidationError):
        Instrument(event_id="e", instrument="X", settlement_days=-1)
