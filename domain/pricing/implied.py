"""The volatility that a price implies, by a bracketed search that cannot run away.

The price is turned into that of the option out of the money at the same strike (put-call parity), divided by the
smaller of forward and strike: a number from 0 to 1 that grows with volatility x sqrt(time) alone. Newton's steps on its
logarithm find it in a few rounds; a step that leaves the bracket is replaced by a bisection.
"""

from math import exp, log, sqrt

from domain.pricing.black import normal_density, normal_distribution

_DEVIATION_MAX = 128.0
"""volatility x sqrt(time) at which the normalised price is 1 in 64 bits."""

_ROUNDS_MAX = 200
_ROUNDING = 1e-12
"""How far below its bound a price may be by rounding alone, relative to the larger of forward and strike."""


class OutsideBounds(Exception):
    """No volatility gives such a price: it must be from `lower` to below `upper`."""

    def __init__(self, lower: float, upper: float) -> None:
        super().__init__(f"a price from {lower:.15g} to below {upper:.15g}")


def implied_volatility(
    sign: int, price: float, forward: float, strike: float, discount: float, time_to_expiry: float
) -> float:
    """The volatility at which a European option is worth `price`; 0 where there is no time value.

    Raises OutsideBounds where the price can be had riskless at a profit. `time_to_expiry` is above 0.
    """
    intrinsic = max(sign * (forward - strike), 0.0)
    bound = forward if sign > 0 else strike
    undiscounted = price / discount
    if undiscounted >= bound or undiscounted < intrinsic - _ROUNDING * max(forward, strike):
        raise OutsideBounds(discount * intrinsic, discount * bound)
    target = (undiscounted - intrinsic) / min(forward, strike)
    if target <= 0.0:
        return 0.0
    if target >= 1.0:
        raise OutsideBounds(discount * intrinsic, discount * bound)
    return _deviation(-abs(log(forward / strike)), target) / sqrt(time_to_expiry)


def _normalised(moneyness: float, deviation: float) -> tuple[float, float]:
    """The normalised price of the option out of the money, and its slope; `moneyness` <= 0."""
    d1 = moneyness / deviation + 0.5 * deviation
    upper = normal_distribution(d1)
    return upper - exp(-moneyness) * normal_distribution(d1 - deviation), normal_density(d1)


def _deviation(moneyness: float, target: float) -> float:
    low, high = 0.0, _DEVIATION_MAX
    deviation = max(sqrt(2.0 * abs(moneyness)), 0.1)
    for _ in range(_ROUNDS_MAX):
        value, slope = _normalised(moneyness, deviation)
        if value < target:
            low = deviation
        else:
            high = deviation
        step = value * (log(value) - log(target)) / slope if value > 0.0 and slope > 0.0 else 0.0
        following = deviation - step
        if step == 0.0 and value == target:
            return deviation
        if not low < following < high or step == 0.0:
            following = 0.5 * (low + high)
        if abs(following - deviation) <= 1e-16 * deviation or following in (low, high):
            return following
        deviation = following
    return deviation
