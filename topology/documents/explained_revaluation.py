"""What each factor made of an option that was held at the start of a day, by full revaluation: a part of the tree.

Beside the causes, which come from Greeks: one factor is moved after the other, and the model prices each step
(`domain.pnl.revaluation`). Nothing is said of what has no model of `pks price` in closed form, of what was not held, or of
a day without prices at both ends.
"""

from collections.abc import Callable
from typing import Any

from agents import pnl
from agents.pnl_state import closed_days, scan_kept
from domain.pnl.observation import Factors, Observation
from domain.pnl.revaluation import ORDER, revalue
from domain.pricing.calculate import price
from domain.valuation.terms import Model, Terms, terms_of
from schemas import topics
from schemas.identity import position_key
from schemas.numbers import exact_arithmetic, plain
from topology.documents.explained_money import Node, node
from topology.log_reading import WholeLog, partition_count, read_events, table_partition

_SPOT = {Model.BSM: "spot", Model.BLACK76: "forward"}


def revaluation_node(log: WholeLog, day: Any) -> Node | None:
    """The node of a day's document, or None where there is nothing to say."""
    ends = _ends_of(log, day)
    definition = _definition(log, day["instrument"])
    terms = terms_of(day["instrument"], definition)
    if ends is None or terms.model not in _SPOT or definition is None:
        return None
    opening, now = ends
    before, after = opening.factors, now.factors
    if not opening.quantity or not opening.priced or before is None or after is None:
        return None
    if None in (before.spot, before.volatility, before.time, after.spot, after.volatility, after.time):
        return None
    with exact_arithmetic():
        held = now.value_of(opening.quantity)
        if held is None:
            return None
        total = now.gain(opening.value, held)
        quantity = opening.quantity * definition.multiplier
        parts = revalue(_pricer(terms), before, after, quantity, total)
    return node(
        "by full revaluation",
        plain(total),
        day["currency"],
        f"what {plain(opening.quantity)} held at the start made, one factor moved after the other: {', '.join(ORDER)}",
        [node(name, plain(part), day["currency"], "") for name, part in parts.items()],
    )


def _pricer(terms: Terms) -> Callable[[Factors], float]:
    fixed = {
        "id": terms.instrument,
        "model": str(terms.model),
        "option_type": "call" if terms.sign > 0 else "put",
        "strike": terms.strike,
    }
    if terms.model is Model.BSM:
        fixed["dividend_yield"] = terms.dividend_yield

    def price_of(factors: Factors) -> float:
        answer = price(
            {
                **fixed,
                _SPOT[terms.model]: factors.spot,
                "volatility": factors.volatility,
                "time_to_expiry": factors.time,
                "rate": factors.rate or 0.0,
            }
        )
        return float(answer.get("price", float("nan")))

    return price_of


def _ends_of(log: WholeLog, day: Any) -> tuple[Observation, Observation] | None:
    key = position_key(day["book"], day["instrument"])
    for partition in range(partition_count(log)):
        table = table_partition(log, pnl.NAME, partition)
        for found, kept in scan_kept(table):
            if found != key:
                continue
            if not day["day"]["closed"]:
                return kept.day.opening, kept.day.now
            for closed in closed_days(table, key):
                if closed.business_date == day["day"]["business_date"]:
                    return closed.opening, closed.closing
    return None


def _definition(log: WholeLog, instrument: str) -> Any | None:
    newest = None
    for _, definition in read_events(log, topics.INSTRUMENTS, 0):
        if definition.instrument == instrument:
            newest = definition
    return newest
