"""Many options at once, by the compiled loop where it was built, else by numpy: the same figures, at another speed."""

import os
from functools import cache, partial
from types import ModuleType

from numpy.typing import ArrayLike

from domain.pricing import batch
from native import PLAIN


@cache
def twin() -> ModuleType | None:
    """The compiled loop; None where numpy does alone."""
    if os.environ.get(PLAIN):
        return None
    try:
        from native import options_twin
    except ImportError:
        return None
    return options_twin


@cache
def evaluator() -> batch.Evaluate:
    """What fills the columns here, as many options at once as the processor takes."""
    found = twin()
    return batch.evaluate_plain if found is None else partial(found.evaluate, width=found.width())


def description() -> str:
    """Which code runs, in a few words."""
    found = twin()
    return "numpy" if found is None else f"compiled, {found.width()} at once"


def black_scholes_merton(
    sign: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    volatility: ArrayLike,
    time_to_expiry: ArrayLike,
) -> batch.BatchGreeks:
    """As `domain.pricing.batch.black_scholes_merton`."""
    return batch.black_scholes_merton(
        sign, spot, strike, rate, dividend_yield, volatility, time_to_expiry, evaluate=evaluator()
    )


def black_76(
    sign: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    time_to_expiry: ArrayLike,
) -> batch.BatchGreeks:
    """As `domain.pricing.batch.black_76`."""
    return batch.black_76(sign, forward, strike, rate, volatility, time_to_expiry, evaluate=evaluator())
