"""The P&L between two valuations, by cause: Taylor from the former Greeks, what is left over to the last digit.

Owns: the split of one step. The market's part is what the former quantity made between the two prices, which are clean of
accrued interest: the Greeks of the former valuation explain it by a second-order expansion (the formulas of
`domain.pnl.taylor`, in 64-bit floats, rounded to decimals at 1e-12), and `unexplained` is the exact rest. `carry` is what
came for holding and what accrued, `funding` what longs and shorts of a perpetual paid each other. `new_trades` is what the bookings of the step made
against the new price, `corporate_actions` what those made that are no trades, `fees` what they cost.
Assumes: `exact_arithmetic()` around it; a step's former moment is priced, and so is its latter.
Guarantees: the buckets add up to the change of `total`, exactly.
"""

from decimal import Decimal
from math import isfinite

from domain.pnl.observation import Change, Factors, Greeks, Observation
from schemas.numbers import ZERO
from schemas.pnl import BUCKETS

Buckets = list[Decimal]
"""An amount for each of `schemas.pnl.BUCKETS`, in their order."""

CARRY = BUCKETS.index("carry")
FX = BUCKETS.index("fx")
FUNDING = BUCKETS.index("funding")
NEW_TRADES = BUCKETS.index("new_trades")
FEES = BUCKETS.index("fees")
CORPORATE_ACTIONS = BUCKETS.index("corporate_actions")
UNEXPLAINED = BUCKETS.index("unexplained")


def no_buckets() -> Buckets:
    """Nothing, by every cause."""
    return [ZERO] * len(BUCKETS)


def add(buckets: Buckets, more: Buckets) -> None:
    """Add up by cause."""
    for place, amount in enumerate(more):
        if amount:
            buckets[place] += amount


def attribute(former: Observation, now: Observation, corporate: Change | None = None) -> Buckets:
    """The P&L from `former` to `now`, net of fees, by cause. `corporate` is what corporate actions changed."""
    buckets = no_buckets()
    fees = former.fees - now.fees
    gross = now.total - former.total - fees
    # Most positions earn nothing for being held.
    if now.carry is not former.carry or now.unit_accrued or former.unit_accrued:
        buckets[CARRY] = carry = now.carry - former.carry + now.accrued - former.accrued
        gross -= carry
    if now.funding is not former.funding:
        buckets[FUNDING] = funding = now.funding - former.funding
        gross -= funding
    market = gross
    if now.quantity != former.quantity or now.cost != former.cost or now.realised != former.realised:
        held = now.value_of(former.quantity)
        market = ZERO if held is None else now.gain(former.value, held)
        traded = gross - market
        if corporate is not None:
            action = made_by(now, corporate)
            buckets[CORPORATE_ACTIONS] = action
            traded -= action
        buckets[NEW_TRADES] = traded
    buckets[FEES] = fees
    if market:
        explain_market(buckets, market, former.quantity, former.greeks, former.factors, now.factors)
    return buckets


def explain_market(
    buckets: Buckets,
    market: Decimal,
    quantity: Decimal,
    greeks: Greeks | None,
    before: Factors | None,
    after: Factors | None,
) -> None:
    """Add what the move of the market made of a quantity: the Greeks' parts, and what they leave."""
    left = market
    if greeks is not None and before is not None and after is not None:
        for place, amount in enumerate(taylor(float(quantity), greeks, before, after)):
            if amount:
                part = rounded(amount)
                if part:
                    buckets[place] += part
                    left -= part
    buckets[UNEXPLAINED] += left


def taylor(quantity: float, greeks: Greeks, before: Factors, after: Factors) -> tuple[float, ...]:
    """The parts of delta, gamma, vega, theta, rho, vanna and volga, in their order; time runs towards expiry."""
    delta, gamma, vega, theta, rho, vanna, volga = greeks
    spot = _move(before.spot, after.spot)
    volatility = _move(before.volatility, after.volatility)
    return (
        quantity * delta * spot,
        0.5 * quantity * gamma * spot * spot,
        quantity * vega * volatility,
        quantity * theta * _move(after.time, before.time),
        quantity * rho * _move(before.rate, after.rate),
        quantity * vanna * spot * volatility,
        0.5 * quantity * volga * volatility * volatility,
    )


def _move(before: float | None, after: float | None) -> float:
    return 0.0 if before is None or after is None else after - before


def rounded(amount: float) -> Decimal:
    """A model's amount as money: at 1e-12; zero where it is no number, so that it stays unexplained."""
    return Decimal(f"{amount:.12f}") if isfinite(amount) else ZERO


def made_by(now: Observation, change: Change) -> Decimal:
    """What a booking made against the price of `now`, before fees."""
    value = ZERO if now.unit_value is None else change.quantity * now.unit_value
    return change.realised + now.gain(change.cost, value)
