"""What the stage told last of every position is what a slow model makes of all that ever came, whatever came between.

The model keeps lists of everything and works out each position from nothing, in plain arithmetic.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import valuation
from agents.valuation_step import Revaluation
from domain.pricing.black import black_scholes_merton
from schemas.numbers import divide_price, divide_value, exact_arithmetic
from schemas.units import MarkQuality
from tests.stage_support import StageInMemory
from tests.valuation_support import NOON, book, mark, option, position, rate, tick, valued

INSTRUMENTS = ("X", "Y", "INV", "C")
BOOKS = ("B", "C")
numbers = st.decimals(min_value=-1000, max_value=1000, places=3, allow_nan=False)
prices = st.one_of(st.none(), st.decimals(min_value=-5, max_value=200, places=2))

updates = st.tuples(
    st.just("position"), st.sampled_from(INSTRUMENTS), st.sampled_from(BOOKS), numbers, numbers
)
marks = st.tuples(st.just("mark"), st.sampled_from(INSTRUMENTS[:3]), prices, st.integers(0, 6))
rates = st.tuples(
    st.just("rate"),
    st.sampled_from(("EUR/USD", "USD/CHF")),
    st.decimals(min_value="0.1", max_value=9, places=4),
)
books = st.tuples(st.just("book"), st.sampled_from(BOOKS), st.sampled_from(("EUR", "USD", "CHF", "GBP")))
whats = st.lists(st.lists(st.one_of(updates, marks, rates, books), min_size=1, max_size=6), max_size=8)


def expected(history: Iterable[tuple], book_name: str, instrument: str) -> dict[str, Any] | None:
    """The position's figures by looking through all that came."""
    update, known, bases, quoted = None, {}, {}, {}
    for what in history:
        if what[0] == "position" and what[1:3] == (instrument, book_name):
            update = what
        elif what[0] == "mark" and what[3] >= known.get(what[1], (-1, None))[0]:
            known[what[1]] = (what[3], what[2])
        elif what[0] == "rate":
            quoted[what[1]] = what[2]
        elif what[0] == "book":
            bases[what[1]] = what[2]
    if update is None:
        return None
    _, _, _, quantity, cost = update
    price = known.get("X" if instrument == "C" else instrument, (0, None))[1]
    base = bases.get(book_name, "")
    worth: tuple = (None, None)
    delta = None
    if instrument == "C" and price is not None and price > 0:
        greeks = black_scholes_merton(1, float(price), 100.0, 0.05, 0.0, 0.2, 1.0)
        price, delta = Decimal(f"{greeks.price:.12f}"), float(quantity) * greeks.delta
    elif instrument == "C":
        price = None
    if not quantity:
        worth = (0, 0)
    elif price is not None and (instrument != "INV" or price > 0):
        value = divide_value(quantity, price) if instrument == "INV" else quantity * price
        worth = (value, cost - value if instrument == "INV" else value - cost)
    direct = {"EUR": ("EUR/USD", True), "CHF": ("USD/CHF", False)}.get(base)
    fx = Decimal(1) if base == "USD" else None
    if direct is not None and direct[0] in quoted:
        fx = divide_price(Decimal(1), quoted[direct[0]]) if direct[1] else quoted[direct[0]]
    return {
        "market_value": worth[0],
        "unrealised_pnl": worth[1],
        "book_currency": base,
        "fx_rate": fx,
        "delta": delta,
        "quantity": quantity,
    }


def events_of(what: tuple, sequence: int) -> Any:
    if what[0] == "position":
        _, instrument, name, quantity, cost = what
        return position(
            instrument, name, str(quantity), cost=str(cost), inverse=instrument == "INV", revision=sequence
        )
    _, instrument, price, at = what
    return mark(instrument, None if price is None else str(price), source_sequence=at)


def check(stage: StageInMemory, told: dict, history: list[tuple]) -> None:
    step = stage._new_step()
    with exact_arithmetic():
        Revaluation(stage.state, step).tell_all(0)
        now = valued(step)
        assert set(now) == set(told)
        for key, row in told.items():
            figures = expected(history, *key)
            assert figures is not None
            for name, figure in figures.items():
                found = getattr(row, name)
                if name == "delta":
                    if key[1] == "C":
                        assert (found is None) == (figure is None)
                        assert figure is None or found == pytest.approx(figure, rel=1e-9, abs=1e-12)
                    continue
                assert found == figure, (key, name)
            assert (row.reason == "") == (
                row.market_value is not None and (row.fx_rate is not None or not row.book_currency)
            )
            for name in (
                "market_value",
                "unrealised_pnl",
                "fx_rate",
                "reason",
                "delta",
                "mark",
                "mark_quality",
            ):
                assert getattr(now[key], name) == getattr(row, name), (key, name)


@given(whats, st.booleans())
def test_what_was_told_last_is_what_a_slow_model_finds(steps: list[list[tuple]], restart: bool):
    stage = StageInMemory(valuation.stage())
    stage.define(option("C", "X", "100"))
    told: dict = {}
    history: list[tuple] = []
    for number, whole in enumerate(steps):
        definitions = [what for what in whole if what[0] in ("rate", "book")]
        inputs = [what for what in whole if what[0] not in ("rate", "book")]
        for what in definitions:
            stage.define(
                rate(what[1], str(what[2]), at=NOON + number) if what[0] == "rate" else book(what[1], what[2])
            )
        if restart and number == len(steps) // 2:
            # What is touched by a definition alone is told with the next step, which a restart must not lose.
            told.update(valued(stage.step(tick(NOON))))
            with exact_arithmetic():
                stage.restart()
        history += definitions + inputs
        told.update(valued(stage.step(*(events_of(what, number) for what in inputs))))
        check(stage, told, history)


def test_the_model_knows_what_is_missing():
    history = [("position", "X", "B", Decimal(1), Decimal(1)), ("book", "B", "GBP")]
    assert expected(history, "B", "X") == {
        "market_value": None,
        "unrealised_pnl": None,
        "book_currency": "GBP",
        "fx_rate": None,
        "delta": None,
        "quantity": Decimal(1),
    }
    assert MarkQuality.MISSING.value == "missing"
