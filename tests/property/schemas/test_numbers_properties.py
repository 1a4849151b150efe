"""Arithmetic against fractions, which cannot round."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from schemas import numbers
from schemas.numbers import divide_money, divide_price, divide_value, exact_arithmetic, parse_decimal, plain

digits = st.integers(min_value=-(10**60) + 1, max_value=10**60 - 1)
decimals = st.builds(
    lambda whole, places: (
        Decimal(whole).scaleb(-places) if len(str(abs(whole))) <= 28 else Decimal(f"{whole}E-{places}")
    ),
    digits,
    st.integers(0, 60),
)


@given(decimals)
def test_what_is_written_is_read_again(number: Decimal):
    text = plain(number)
    assert "E" not in text and Decimal(text) == number
    if sum(character.isdigit() for character in text) <= numbers.DIGITS_MAX:
        assert parse_decimal(text) == number
        assert plain(parse_decimal(text)) == text


@given(decimals, decimals, decimals)
def test_sums_and_products_are_exact(a: Decimal, b: Decimal, c: Decimal):
    with exact_arithmetic():
        assert Fraction(a * b - c + a) == Fraction(a) * Fraction(b) - Fraction(c) + Fraction(a)


def _rounded(exact: Fraction, places: int) -> Fraction:
    return Fraction(round(exact * 10**places), 10**places)  # Python rounds a fraction half to even


@given(decimals, decimals.filter(bool))
@example(Decimal("1"), Decimal("3"))
@example(Decimal("0"), Decimal("-7"))
# A quotient just above a tie: rounded first to some digits more, it would look like the tie itself.
@example(Decimal("0.5000000000000000000000000000000000000001"), Decimal("1E+36"))
@example(Decimal("0.500000000000000000000000000000000000000000000000000001"), Decimal("1E+24"))
def test_divisions_round_once_half_even(numerator: Decimal, denominator: Decimal):
    exact = Fraction(numerator) / Fraction(denominator)
    for divide, places in (
        (divide_money, numbers.MONEY_DECIMALS),
        (divide_value, numbers.VALUE_DECIMALS),
        (divide_price, numbers.PRICE_DECIMALS),
    ):
        if divide is divide_value and numerator.adjusted() - denominator.adjusted() < -40:
            continue  # test_a_small_value_keeps_its_digits
        assert Fraction(divide(numerator, denominator)) == _rounded(exact, places)


@given(decimals.filter(bool), decimals.filter(bool), st.integers(0, 200))
@example(Decimal("1E-59"), Decimal("3E+58"), 0)
def test_a_small_value_keeps_its_digits(numerator: Decimal, denominator: Decimal, smaller: int):
    numerator = numerator.scaleb(-smaller)
    exact = Fraction(numerator) / Fraction(denominator)
    error = abs(Fraction(divide_value(numerator, denominator)) - exact)
    assert error <= abs(exact) / 10**79 or (
        error <= Fraction(1, 2 * 10**60) and abs(exact) > Fraction(1, 10**41)
    )


@given(st.integers(0, 10**12), st.sampled_from([36, 60, 24]), st.integers(1, 10**9), st.sampled_from([-1, 1]))
def test_divisions_close_to_a_tie_round_to_the_right_side(whole: int, places: int, distance: int, sign: int):
    divide = {36: divide_money, 60: divide_value, 24: divide_price}[places]
    whole += 10**25
    denominator = Decimal(10**50 * 2)
    scaled = (2 * whole + 1) * 10**50 + sign * distance
    numerator = Decimal(f"{scaled}E-{places}")
    assert Fraction(divide(numerator, denominator)) == _rounded(
        Fraction(numerator) / Fraction(denominator), places
    )
