"""The yield of a price, by secants inside a bracket (the method of Illinois), which always ends.

A bond's price falls as its yield rises, from above all bounds towards 0, so that there is exactly one yield.
"""

from collections.abc import Callable

_ROUNDS_MAX = 200
_YIELD_MAX = 1e6
_WIDENINGS_MAX = 60


class NoYield(Exception):
    """No yield gives the price."""


def yield_of_price(price_of_yield: Callable[[float], float], price: float, lowest: float | None) -> float:
    """The yield at which `price_of_yield`, which falls, is `price`, to the last digits of 64 bits.

    `lowest` is the yield that cannot be reached from above, None where there is no such. Raises NoYield.
    """
    if not price > 0.0:
        raise NoYield("a price that leaves a dirty price above 0")
    low, high = _bracket(price_of_yield, price, lowest)
    at_low, at_high = price_of_yield(low) - price, price_of_yield(high) - price
    if at_low == 0.0:
        return low
    previous, side = low, 0
    for _ in range(_ROUNDS_MAX):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        if not low < middle < high:
            middle = 0.5 * (low + high)
        if abs(middle - previous) <= 1e-16 + 2e-16 * abs(middle):
            return middle
        previous, at_middle = middle, price_of_yield(middle) - price
        if at_middle == 0.0:
            return middle
        # An end that stays twice in a row counts half, so that it moves too.
        if at_middle > 0.0:
            low, at_low = middle, at_middle
            at_high = 0.5 * at_high if side > 0 else at_high
            side = 1
        else:
            high, at_high = middle, at_middle
            at_low = 0.5 * at_low if side < 0 else at_low
            side = -1
    return previous


def _bracket(
    price_of_yield: Callable[[float], float], price: float, lowest: float | None
) -> tuple[float, float]:
    high = 0.1
    while price_of_yield(high) > price:
        high *= 4.0
        if high > _YIELD_MAX:
            raise NoYield(f"a price whose yield is below {_YIELD_MAX:g}")
    low = -0.01 if lowest is None else max(-0.01, 0.5 * lowest)
    for _ in range(_WIDENINGS_MAX):
        if price_of_yield(low) >= price:
            return low, high
        low = 2.0 * low if lowest is None else 0.5 * (low + lowest)
    raise NoYield("a price that a yield gives")
