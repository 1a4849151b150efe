"""Slow and obvious pricing, which shares nothing with the models: options in decimals, bonds as plain sums.

Options: the normal distribution by its power series, in 60 digits. Bonds: coupon dates by calendar months back from
maturity, a coupon paid for a whole period, discounting by the fraction of the period that is left. American options: a
binomial tree.
"""

from calendar import monthrange
from datetime import date
from decimal import Decimal, localcontext
from math import exp, sqrt

import numpy as np

_DIGITS = 80


def _normal_distribution(x: Decimal) -> Decimal:
    """0.5 + n(x) (x + x^3/3 + x^5/(3 5) + ...)."""
    if abs(x) > 25:
        return Decimal(1 if x > 0 else 0)
    term = total = x
    count = 1
    while term and abs(term) > Decimal(10) ** -_DIGITS:
        count += 2
        term = term * x * x / count
        total += term
    two_pi = Decimal("6.283185307179586476925286766559005768394338798750211641949889184615632812572")
    return Decimal("0.5") + total * (-x * x / 2).exp() / two_pi.sqrt()


def option_price(
    call: bool, spot: str, strike: str, rate: str, carry: str, volatility: str, time: str
) -> Decimal:
    """Black-Scholes-Merton; with `carry` equal to `rate` and the forward as spot it is Black-76."""
    with localcontext() as context:
        context.prec = _DIGITS
        s, k, r, q, v, t = map(Decimal, (spot, strike, rate, carry, volatility, time))
        deviation = v * t.sqrt()
        d1 = ((s / k).ln() + (r - q + v * v / 2) * t) / deviation
        sign = 1 if call else -1
        held = s * (-q * t).exp() * _normal_distribution(sign * d1)
        paid = k * (-r * t).exp() * _normal_distribution(sign * (d1 - deviation))
        return sign * (held - paid)


def months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or its last day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def bond_price(
    start: date, maturity: date, settlement: date, coupon: float, frequency: int, rate: float
) -> tuple[float, float]:
    """Dirty price and accrued interest per 100, with whole periods, actual/actual of the period, yield compounded so."""
    dates = [maturity]
    while dates[0] > start:
        dates.insert(0, months_before(maturity, 12 // frequency * len(dates)))
    assert dates[0] == start, "a bond with whole periods"
    current = max(index for index, day in enumerate(dates) if day <= settlement)
    left = (dates[current + 1] - settlement).days / (dates[current + 1] - dates[current]).days
    payments = [100 * coupon / frequency] * (len(dates) - 1 - current)
    payments[-1] += 100
    factor = 1 + rate / frequency
    dirty = sum(payment / factor ** (left + index) for index, payment in enumerate(payments))
    return dirty, 100 * coupon / frequency * (1 - left)


def american_price(
    sign: int, spot: float, strike: float, rate: float, carry: float, volatility: float, time: float
) -> float:
    """The tree of Cox, Ross and Rubinstein; its two step counts err to either side, so their mean is taken."""
    return (
        sum(_tree(sign, spot, strike, rate, carry, volatility, time, steps) for steps in (1_000, 1_001)) / 2
    )


def _tree(
    sign: int,
    spot: float,
    strike: float,
    rate: float,
    carry: float,
    volatility: float,
    time: float,
    steps: int,
) -> float:
    step = time / steps
    up = exp(volatility * sqrt(step))
    probability = (exp((rate - carry) * step) - 1 / up) / (up - 1 / up)
    discount = exp(-rate * step)
    spots = spot * up ** np.arange(-steps, steps + 1, 2.0)
    values = np.maximum(sign * (spots - strike), 0)
    for left in range(steps - 1, -1, -1):
        spots = spot * up ** np.arange(-left, left + 1, 2.0)
        held = discount * (probability * values[1:] + (1 - probability) * values[:-1])
        values = np.maximum(held, sign * (spots - strike))
    return float(values[0])
