"""Exact decimal numbers: the one way in, the one way out, and the arithmetic between.

Owns: parsing (plain ASCII notation, at most 60 digits), printing (plain notation), the exact decimal
context, and the two roundings that PKS knows.
Assumes: sums, differences and products run inside `exact_arithmetic()`.
Guarantees: inside it no result is ever rounded silently: an operation that would be, raises `decimal.Inexact`.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import (
    ROUND_05UP,
    ROUND_HALF_EVEN,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)

DIGITS_MAX = 60
"""Most digits an incoming number may have."""

MONEY_DECIMALS = 36
"""Decimals kept where a share of money (a realised P&L, part of a fee) does not end."""

VALUE_DECIMALS = 60
"""Decimals kept where the value of a lot (quantity / price of an inverse contract, a pro-rata pool) does not end.

More than `MONEY_DECIMALS`, so that an average price of a position of 1e-18 is still right to 24 decimals.
"""

SMALL_VALUE_DIGITS = 80
"""Digits kept of such a value below 1e-40, however many decimals that takes, so that it is never lost."""

PRICE_DECIMALS = 24
"""Decimals of an average price that does not end."""

ZERO = Decimal(0)
ONE = Decimal(1)

_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_PRECISION = 2_000
_EXACT = Context(
    prec=_PRECISION,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped],
)
_ROUNDING = Context(
    prec=_PRECISION, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_SMALL_VALUE = VALUE_DECIMALS - 40 + 6
_MONEY_QUANTUM = Decimal(1).scaleb(-MONEY_DECIMALS)
_VALUE_QUANTUM = Decimal(1).scaleb(-VALUE_DECIMALS)
_PRICE_QUANTUM = Decimal(1).scaleb(-PRICE_DECIMALS)


def exact_arithmetic() -> AbstractContextManager[object]:
    """Make `+`, `-` and `*` on decimals exact, however many digits there are, in this thread or task."""
    return localcontext(_EXACT)


def parse_decimal(text: str) -> Decimal:
    """The number that `text` spells: optional sign, ASCII digits, optional point; at most 60 digits.

    Raises ValueError for anything else (exponents, blanks, `_`, `,`, NaN, infinity).
    """
    number = parse_exact(text)
    if len(text) > DIGITS_MAX and sum(character.isdigit() for character in text) > DIGITS_MAX:
        raise ValueError(f"a number of at most {DIGITS_MAX} digits")
    return number


def parse_exact(text: str) -> Decimal:
    """The number that `text` spells, as `parse_decimal`, with as many digits as exact arithmetic may give it."""
    if _PLAIN.fullmatch(text) is None:
        raise ValueError("a plain decimal number (optional sign, ASCII digits, optional point)")
    if len(text) > _PRECISION:
        raise ValueError(f"a number of at most {_PRECISION} characters")
    return Decimal(text)


def plain(number: Decimal) -> str:
    """Plain notation without needless zeros: `1.08`, `0`, `-1000`; never an exponent, never `-0`."""
    text = str(number)
    if "E" in text:
        text = format(number, "f")
    if text[-1] == "0" and "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def round_money(number: Decimal) -> Decimal:
    """`number` rounded half-even to `MONEY_DECIMALS`; unchanged where it has no more decimals."""
    return _quantize(number, _MONEY_QUANTUM)


def divide_value(numerator: Decimal, denominator: Decimal) -> Decimal:
    """`numerator / denominator`, exact where it ends within `VALUE_DECIMALS`, else rounded half-even there.

    A quotient below 1e-40 keeps `SMALL_VALUE_DIGITS` digits instead: what is not 0 never becomes 0.
    """
    return _divide(numerator, denominator, VALUE_DECIMALS, _VALUE_QUANTUM)


def divide_money(numerator: Decimal, denominator: Decimal) -> Decimal:
    """`numerator / denominator`, exact where it ends within `MONEY_DECIMALS`, else rounded half-even there."""
    return _divide(numerator, denominator, MONEY_DECIMALS, _MONEY_QUANTUM)


def divide_price(numerator: Decimal, denominator: Decimal) -> Decimal:
    """`numerator / denominator`, exact where it ends within `PRICE_DECIMALS`, else rounded half-even there."""
    return _divide(numerator, denominator, PRICE_DECIMALS, _PRICE_QUANTUM)


class _Divisions(dict[int, Callable[[Decimal, Decimal], Decimal]]):
    """Division to a number of digits; made when first needed."""

    def __missing__(self, digits: int) -> Callable[[Decimal, Decimal], Decimal]:
        traps = [InvalidOperation, DivisionByZero, Overflow]
        divide = self[digits] = Context(prec=digits, rounding=ROUND_05UP, traps=traps).divide
        return divide


_divide_to = _Divisions()
# Bound once: to ask the number with a context by name takes three times as long.
_quantize = _ROUNDING.quantize


def _divide(numerator: Decimal, denominator: Decimal, decimals: int, quantum: Decimal) -> Decimal:
    # Enough digits for the whole part and the wanted decimals, and a few more. Rounding twice (here, then at
    # the quantum) cannot show: `ROUND_05UP` never makes a tie of what is none.
    digits = numerator.adjusted() - denominator.adjusted() + decimals + 6
    if digits < _SMALL_VALUE and decimals == VALUE_DECIMALS and numerator:
        decimals += SMALL_VALUE_DIGITS + 6 - digits
        digits = SMALL_VALUE_DIGITS + 6
        quantum = Decimal(1).scaleb(-decimals)
    quotient = _divide_to[digits if digits > 30 else 30](numerator, denominator)
    rounded = _quantize(quotient, quantum)
    # Asking for an exponent is dear: only where the quotient may have ended in time.
    if rounded == quotient and -int(quotient.as_tuple().exponent) <= decimals:
        return quotient
    return rounded
