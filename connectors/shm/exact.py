"""Exact decimals as 128-bit mantissa and exponent, beside the nearest float64.

Guarantees: exact up to 38 digits; a number of more is rounded half-even to 38 and flagged `inexact`.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal

from connectors.shm.layout import EXACT_INEXACT, EXACT_MASK, EXACT_MAX, EXACT_NULL

_DIGITS = 38
_ROUNDING = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN, traps=[])
_WORD_MAX = (1 << 63) - 1
_NO_VALUE = (0, 0, 0, EXACT_NULL)
_ZERO = (0, 0, 0, 0)


def encode_exacts(numbers: Iterable[Decimal | None]) -> tuple[list[float], list[int]]:
    """The float64 of each number (NaN for None), and its low word, high word, exponent and flags.

    Both words are signed here; the low one has the bits of the unsigned word that readers take it for.
    """
    floats: list[float] = []
    exacts: list[int] = []
    for number in numbers:
        if number is None:
            floats.append(float("nan"))
            exacts += _NO_VALUE
            continue
        # Through text, since that is four times as fast as `as_tuple`.
        text = str(number)
        if text == "0":
            floats.append(0.0)
            exacts += _ZERO
            continue
        whole, _, fraction = text.partition(".")
        floats.append(float(text))
        try:
            mantissa = int(whole + fraction)
        except ValueError:
            exacts += _encode_slowly(number)
            continue
        if 0 <= mantissa <= _WORD_MAX:
            exacts += (mantissa, 0, -len(fraction), 0)
        elif -_WORD_MAX <= mantissa < 0:
            exacts += (mantissa, -1, -len(fraction), 0)
        elif -EXACT_MAX <= mantissa <= EXACT_MAX:
            low = mantissa & EXACT_MASK
            exacts += (low - (1 << 64) if low > _WORD_MAX else low, mantissa >> 64, -len(fraction), 0)
        else:
            exacts += _encode_slowly(number)
    return floats, exacts


def _encode_slowly(number: Decimal) -> tuple[int, int, int, int]:
    """Numbers in scientific notation, and those of more than 127 bits."""
    mantissa, exponent = _split(number)
    flags = 0
    if not -EXACT_MAX <= mantissa <= EXACT_MAX:
        rounded = _ROUNDING.plus(number)
        mantissa, exponent = _split(rounded)
        flags = 0 if rounded == number else EXACT_INEXACT
    low = mantissa & EXACT_MASK
    return low - (1 << 64) if low > _WORD_MAX else low, mantissa >> 64, exponent, flags


def _split(number: Decimal) -> tuple[int, int]:
    sign, digits, exponent = number.as_tuple()
    mantissa = int("".join(map(str, digits)))
    return -mantissa if sign else mantissa, int(exponent)
