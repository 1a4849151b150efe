"""Options a second on one core: price and five Greeks of Black-Scholes-Merton, in batches.

The compiled loop (`native.options`) stands beside numpy and beside QuantLib, one object an option, in the same run and by
processor time; `pks price`, request by request, beside QuantLib too.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import QuantLib as ql

from bench.row import Row
from domain.pricing import batch
from domain.pricing.calculate import price
from native import options

BATCH = 4_096
"""Options a batch, as a mark on a large underlying touches."""

_SECONDS = 0.5
_OBJECTS = 400
_COLUMNS = ("sign", "spot", "strike", "rate", "dividend_yield", "volatility", "time_to_expiry")
_UNIT = "options/s"


def _options() -> batch.Options:
    """A batch like that of one underlying: calls and puts, strikes around spot, a day to three years."""
    chance = np.random.default_rng(7)
    return batch.Options(
        np.where(np.arange(BATCH) % 2, 1.0, -1.0),
        np.full(BATCH, 100.0),
        chance.uniform(50, 150, BATCH),
        np.full(BATCH, 0.03),
        np.full(BATCH, 0.01),
        chance.uniform(0.05, 0.8, BATCH),
        chance.uniform(1 / 365, 3, BATCH),
    )


def _rate(act: Callable[[], Any], count: int) -> float:
    """Options a second of processor time, in the fastest of many rounds."""
    act()
    best, until = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < until:
        before = time.thread_time_ns()
        act()
        best = min(best, (time.thread_time_ns() - before) / 1e9)
    return count / best


def _with_quantlib(found: batch.Options) -> None:
    """Price and five Greeks of the first options, an object of QuantLib each."""
    today = ql.Settings.instance().evaluationDate
    day_count = ql.SimpleDayCounter()
    for sign, spot, strike, rate, carry, volatility, years in zip(
        *(column[:_OBJECTS] for column in found), strict=True
    ):
        days = max(1, round(365 * years))
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike),
            ql.EuropeanExercise(today + days),
        )
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(spot)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, carry, day_count)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, rate, day_count)),
            ql.BlackVolTermStructureHandle(
                ql.BlackConstantVol(today, ql.NullCalendar(), volatility, day_count)
            ),
        )
        option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
        option.NPV(), option.delta(), option.gamma(), option.vega(), option.theta(), option.rho()


def _requests(found: batch.Options) -> list[dict[str, Any]]:
    """The first options as `pks price` reads them."""
    rows = zip(*(column[:_OBJECTS] for column in found), strict=True)
    return [
        {
            "id": number,
            "model": "bsm",
            "option_type": "call" if row[0] > 0 else "put",
            **{name: repr(float(value)) for name, value in zip(_COLUMNS[1:], row[1:], strict=True)},
        }
        for number, row in enumerate(rows)
    ]


def run(_fills: int) -> list[Row]:
    """Each way of pricing, with its ratio to the others."""
    found = _options()
    requests = _requests(found)
    plain = _rate(partial(batch.black_scholes_merton, *found, evaluate=batch.evaluate_plain), BATCH)
    quantlib = _rate(partial(_with_quantlib, found), _OBJECTS)
    single = _rate(lambda: [price(request) for request in requests], _OBJECTS)
    twin = options.twin()
    rows = []
    if twin is None:
        rows.append(Row("pricing, compiled", None, _UNIT, note="no compiled loop was built here"))
    else:
        for width in (width for width in (2, 4, 8) if width <= twin.width()):
            evaluate = partial(twin.evaluate, width=width)
            rate = _rate(partial(batch.black_scholes_merton, *found, evaluate=evaluate), BATCH)
            note = f"{rate / quantlib:,.0f} x QuantLib object by object; batches of {BATCH:,}"
            rows.append(Row(f"pricing, compiled, {width} at once", rate, _UNIT, plain, "numpy", note=note))
    beside = "QuantLib, one object an option"
    rows.append(Row("pricing, numpy", plain, _UNIT, quantlib, beside))
    rows.append(Row("pricing, requests of pks price", single, _UNIT, quantlib, beside))
    return rows
