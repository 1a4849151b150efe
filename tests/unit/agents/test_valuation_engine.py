"""What only the engine can price: asked once at a time, never waited for, the last price standing meanwhile."""

import json
from decimal import Decimal

import pytest

from agents import valuation
from schemas.units import MarkQuality, ValuedBy
from tests.stage_support import StageInMemory
from tests.valuation_support import (
    NOON,
    answer,
    curve,
    instrument,
    mark,
    only,
    option,
    position,
    requests,
    tick,
    valued,
)

AMERICAN = {"delta": 0.5, "gamma": 0.02, "vega": 30.0, "theta": -4.0, "rho": 40.0}
AWAY = {"id": None, "error": {"field": "", "expected": "an engine", "found": "connection refused"}}


@pytest.fixture
def stage() -> StageInMemory:
    found = StageInMemory(valuation.stage())
    found.define(
        option("A", "X", "100", "put", model="american"), option("A2", "X", "90", "put", model="american")
    )
    return found


def test_a_move_asks_and_the_answer_values(stage: StageInMemory):
    row = only(stage.step(position("A", quantity="2", multiplier="100", cost="900")))
    assert (row.market_value, row.reason) == (
        None,
        "not asked for a price: no mark of X, or no curve that its terms name",
    )
    step = stage.step(mark(price="101.5"))
    (request,) = requests(step)
    asked = json.loads(request.request)
    assert asked == {
        "id": "A",
        "model": "american",
        "option_type": "put",
        "strike": "100",
        "spot": "101.5",
        "rate": "0.05",
        "volatility": "0.2",
        "time_to_expiry": "1.0",
        "evaluation_date": "2026-01-05",
    }
    row = only(stage.step(answer(request, price=6.25, **AMERICAN)))
    assert (row.market_value, row.unrealised_pnl) == (Decimal("1250"), Decimal("350"))
    assert (row.valued_by, row.mark_quality, row.delta, row.vanna) == (
        ValuedBy.ENGINE,
        MarkQuality.LIVE,
        100.0,
        None,
    )


def test_one_request_at_a_time_and_what_moved_meanwhile_is_asked_after_it(stage: StageInMemory):
    (first,) = requests(stage.step(position("A"), mark(price="100")))
    assert requests(stage.step(mark(price="101", at=NOON + 1))) == []
    assert requests(stage.step(mark(price="102", at=NOON + 2))) == []
    (second,) = requests(stage.step(answer(first, price=5.0)))
    assert json.loads(second.request)["spot"] == "102"
    assert requests(stage.step(answer(second, price=4.0))) == []
    assert only(stage.step(position("A", quantity="3"))).market_value == 12
    assert requests(stage.step(position("A", quantity="4"))) == [], "the market has not moved"


def test_a_repeated_answer_changes_nothing(stage: StageInMemory):
    (request,) = requests(stage.step(position("A"), mark(price="100")))
    stage.step(answer(request, price=5.0))
    assert valued(stage.step(answer(request, price=5.0))) == {}
    assert stage.state.counters.all()["pricing"].duplicates == 1


def test_the_last_price_stands_flagged_while_the_engine_is_away(stage: StageInMemory):
    (request,) = requests(stage.step(position("A"), mark(price="100")))
    stage.step(answer(request, price=5.0))
    (request,) = requests(stage.step(mark(price="101", at=NOON + 1)))
    row = only(stage.step(answer(request, **AWAY)))
    assert (row.market_value, row.mark_quality) == (50, MarkQuality.STALE)
    assert row.reason == "the pricing engine does not answer: connection refused"
    assert valued(stage.step(answer(request, **AWAY))) == {}
    stage.restart()
    row = only(stage.step(answer(request, price=4.5)))
    assert (row.market_value, row.mark_quality, row.reason) == (45, MarkQuality.LIVE, "")


def test_silence_is_told_with_the_clock(stage: StageInMemory):
    stage.step(tick(NOON))
    (request,) = requests(stage.step(position("A"), mark(price="100")))
    assert valued(stage.step(tick(NOON + 1))) == {}
    row = only(stage.step(tick(NOON + 2)))
    assert row.reason == "the pricing engine has not answered for a tick of the clock"
    assert valued(stage.step(tick(NOON + 3))) == {}
    assert only(stage.step(answer(request, price=5.0))).market_value == 50


def test_recovery_asks_again_for_all_that_had_failed(stage: StageInMemory):
    first, second = requests(stage.step(position("A"), position("A2"), mark(price="100")))
    refusal = {"error": {"field": "strike", "expected": "a number above 0", "found": "-1"}}
    row = only(stage.step(answer(first, **refusal)))
    assert row.reason == "the pricing engine refuses strike: expected a number above 0, found -1"
    row = only(stage.step(answer(second, **AWAY)))
    step = stage.step(answer(second, price=3.0))
    (again,) = requests(step)
    assert (again.instrument, valued(step)["B", "A2"].market_value) == ("A", 30)
    assert only(stage.step(answer(again, price=2.0))).market_value == 20


@pytest.mark.parametrize("text", ["", "[]", '{"id": "A"}', '{"price": "high"}', '{"error": {"field": "f"}}'])
def test_an_answer_that_cannot_be_read_stops_nothing(stage: StageInMemory, text: str):
    (request,) = requests(stage.step(position("A"), mark(price="100")))
    broken = answer(request, price=1.0)
    broken = type(broken)(
        **{**{name: getattr(broken, name) for name in broken.__struct_fields__}, "answer": text}
    )
    row = only(stage.step(broken))
    assert row.market_value is None
    assert row.reason.startswith("the engine's answer")
    (request,) = requests(stage.step(mark(price="101", at=NOON + 1)))
    assert only(stage.step(answer(request, price=2.0))).market_value == 20


def test_a_bond_that_is_not_quoted_is_asked_for_with_its_curve(stage: StageInMemory):
    flat = {"type": "flat", "rate": "0.03"}
    stage.define(instrument("BOND", model="fixed_rate_bond", face="100", curve="EUR", coupon="0.02"))
    row = only(stage.step(position("BOND", multiplier="10")))
    assert "no curve" in row.reason
    stage.define(curve("EUR", **flat))
    (request,) = requests(stage.step(mark("Z")))
    assert json.loads(request.request)["curve"] == flat
    row = only(stage.step(answer(request, price=98.5, clean_price=97.0, accrued_interest=1.5, yield_=0.03)))
    assert (row.market_value, row.accrued_interest, row.mark) == (Decimal(9850), Decimal(150), Decimal(97))
    stage.define(curve("EUR", version=2, **{**flat, "rate": "0.04"}))
    assert len(requests(stage.step(mark("Z", at=NOON + 1)))) == 1
    row = only(stage.step(mark("BOND", "96")))
    assert (row.market_value, row.valued_by) == (Decimal(9600), ValuedBy.MARK)


def test_a_position_that_is_valued_by_its_mark_is_not_asked_for(stage: StageInMemory):
    assert requests(stage.step(mark("A", "7"), mark(price="100"), position("A"))) == []
    assert only(stage.step(mark("A", "8", at=NOON + 1))).market_value == 80
