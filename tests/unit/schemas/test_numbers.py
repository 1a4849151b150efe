"""Numbers in, numbers out, and that nothing is rounded silently."""

from decimal import Decimal, Inexact

import pytest

from schemas.numbers import DIGITS_MAX, exact_arithmetic, parse_decimal, plain, round_money


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("+1.50", "1.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-1000", "-1000"),
        ("00012", "12"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("9" * DIGITS_MAX, "9" * DIGITS_MAX),
    ],
)
def test_plain_notation_is_read_and_written(text: str, value: str):
    assert plain(parse_decimal(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "+",
        "1e5",
        "1E+2",
        "1_000",
        "1,000",
        "NaN",
        "inf",
        "Infinity",
        " 1",
        "1 ",
        "1\n",
        "--1",
        "١",
        "１",
        "0x1",
        "1.2.3",
        "9" * (DIGITS_MAX + 1),
        "0." + "0" * DIGITS_MAX,
    ],
)
def test_anything_else_is_refused(text: str):
    with pytest.raises(ValueError, match="number"):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("1.0800", "1.08"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("100", "100"),
        ("-5.10", "-5.1"),
    ],
)
def test_plain_has_no_exponent_and_no_needless_zeros(number: str, text: str):
    assert plain(Decimal(number)) == text


def test_exact_arithmetic_raises_rather_than_rounds():
    with exact_arithmetic(), pytest.raises(Inexact):
        Decimal(1) / Decimal(3)


def test_sixty_digits_multiply_exactly():
    wide = Decimal("9" * DIGITS_MAX)
    with exact_arithmetic():
        assert int(wide * wide) == int("9" * DIGITS_MAX) ** 2


def test_round_money_is_half_even_at_36_decimals():
    below, tie, above = (Decimal("0." + "0" * 35 + "2" + rest) for rest in ("49", "5", "51"))
    assert round_money(below) == Decimal("2E-36")
    assert round_money(tie) == Decimal("2E-36")
    assert round_money(above) == Decimal("3E-36")
    assert round_money(Decimal("0." + "0" * 35 + "35")) == Decimal("4E-36")
