"""Exact decimals in slots: what fits in 128 bits comes back to the last digit, what does not says so."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.python.pks_client.position import PositionSlot, Status
from connectors.shm import layout
from connectors.shm.exact import encode_exacts

MANTISSA_MAX = (1 << 127) - 1


def stored(numbers):
    """The position that a reader sees of six decimals."""
    floats, exacts = encode_exacts(numbers)
    body = layout.SLOT_BODY.pack(1, *floats, 2, 3, 4, 5, 6, 7, 8, 9, 10, *exacts)
    from clients.python.pks_client.layout import SLOT

    return PositionSlot(SLOT.unpack_from(body), "B", "I", "USD", Status.LIVE)


def one(number):
    return stored([number, None, Decimal(0), Decimal(0), Decimal(0), Decimal(0)])


EXACT = [
    "0",
    "-0",
    "1",
    "-1",
    "1.10",
    "-12345.678901",
    "0.000000000000000001",
    "1E-7",
    "-1.5E-12",
    "1E+30",
    "1000000000000000.000000000000000001",
    str((1 << 63) - 1),
    str(1 << 63),
    str(-(1 << 63)),
    str(1 << 64),
    str(-(1 << 64)),
    str(MANTISSA_MAX),
    str(-MANTISSA_MAX),
    "99999999999999999999999999999999999999",
    "1." + "0" * 60,
    "-123." + "4" * 35,
]


@pytest.mark.parametrize("text", EXACT)
def test_what_fits_comes_back_to_the_last_digit(text):
    number = Decimal(text)
    position = one(number)
    assert position.quantity == number
    assert position.raw.quantity == float(number)
    assert position.inexact == ()


@pytest.mark.parametrize(
    ("text", "rounded"),
    [
        ("0.3333333333333333333333333333333333333333", "0.33333333333333333333333333333333333333"),
        ("-123456.666666666666666666666666666666666667", "-123456.66666666666666666666666666666667"),
        (str(MANTISSA_MAX + 1), "170141183460469231731687303715884105730"),
        ("9" * 39, "1" + "0" * 39),
        ("2234567890123456789012345678901234567.25", "2234567890123456789012345678901234567.2"),
    ],
)
def test_what_does_not_fit_is_rounded_to_38_digits_and_flagged(text, rounded):
    position = one(Decimal(text))
    assert position.quantity == Decimal(rounded)
    assert position.inexact == ("quantity",)
    assert position.raw.quantity == float(Decimal(text))


def test_no_value_is_none_and_nan():
    position = one(Decimal(1))
    assert position.average_price is None
    assert math.isnan(position.raw.average_price)
    assert position.inexact == ()


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_every_decimal_is_exact_or_flagged_and_then_near(numbers):
    position = stored(numbers)
    for name, number in zip(layout.DECIMALS, numbers, strict=True):
        found = getattr(position, name)
        if name in position.inexact:
            assert found != number
            assert abs(found - number) <= abs(number).scaleb(-37)
        else:
            assert found == number


@given(st.integers(-MANTISSA_MAX, MANTISSA_MAX), st.integers(-60, 20))
def test_128_bits_are_never_rounded(mantissa, exponent):
    number = Decimal((mantissa < 0, tuple(map(int, str(abs(mantissa)))), exponent))
    position = one(number)
    assert position.quantity == number
    assert position.inexact == ()
