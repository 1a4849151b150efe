"""The valuation stage: what touches a position revalues it, nothing else does, and no price is a reason, not a zero."""

from decimal import Decimal
from math import log

import pytest
from msgspec import structs

from agents import valuation
from domain.marks.curves import plain_form
from domain.pricing.black import black_scholes_merton
from schemas.frames import FRAME_BYTES_MAX, encode_event
from schemas.numbers import exact_arithmetic
from schemas.units import MarkQuality, ValuedBy
from tests.stage_support import StageInMemory
from tests.valuation_support import (
    DAY,
    NOON,
    SECOND,
    book,
    closed,
    curve,
    instrument,
    mark,
    only,
    option,
    position,
    rate,
    tick,
    told,
    valued,
)


@pytest.fixture
def stage() -> StageInMemory:
    return StageInMemory(valuation.stage())


def test_a_position_without_a_mark_has_no_value_and_says_why(stage: StageInMemory):
    row = only(stage.step(position(cost="1000")))
    assert (row.market_value, row.unrealised_pnl, row.mark, row.delta) == (None, None, None, None)
    assert row.reason == "no mark of X"
    assert (row.mark_quality, row.valued_by) == (MarkQuality.MISSING, ValuedBy.NOTHING)


def test_a_mark_values_the_positions_in_its_instrument(stage: StageInMemory):
    stage.step(
        position(cost="1000", multiplier="2"), position(book="C", quantity="-3", cost="-290"), position("Y")
    )
    step = stage.step(mark(price="100.5", at=NOON + 1))
    rows = valued(step)
    assert set(rows) == {("B", "X"), ("C", "X")}
    row = rows["B", "X"]
    assert (row.market_value, row.unrealised_pnl, row.mark) == (
        Decimal("2010"),
        Decimal("1010"),
        Decimal("100.5"),
    )
    assert (row.delta, row.spot, row.valued_by) == (20.0, 100.5, ValuedBy.MARK)
    assert (row.event_time, row.mark_time) == (NOON + 1, NOON + 1)
    assert rows["C", "X"].unrealised_pnl == Decimal("-11.5")


def test_held_fees_are_no_part_of_the_gross_profit(stage: StageInMemory):
    stage.step(mark(price="100"))
    row = only(stage.step(position(cost="1001", held_fees="1")))
    assert (row.unrealised_pnl, row.held_fees, row.cost_basis) == (Decimal(-1) + 1, Decimal(1), Decimal(1001))


def test_a_trade_that_is_taken_out_leaves_what_its_position_is_of(stage: StageInMemory):
    stage.step(position(entity="E", instrument_class="equity", underlying="U"), mark())
    taken_out = position(revision=2, quantity="4", trade_quantity=Decimal(0))
    stage.step(taken_out)
    held = stage.state.held("B", "X")
    assert (held.entity, held.instrument_class, held.underlying) == ("E", "equity", "U")
    assert held.quantity == 4


def test_an_inverse_contract_is_worth_coin(stage: StageInMemory):
    stage.step(position(quantity="100", multiplier="100", inverse=True, cost="0.2", currency="BTC"))
    row = only(stage.step(mark(price="60000")))
    assert abs(row.market_value - Decimal(10_000) / 60_000) < Decimal("1e-27")
    with exact_arithmetic():
        assert row.unrealised_pnl == Decimal("0.2") - row.market_value
    assert row.delta == pytest.approx(10_000 / 60_000**2)
    assert row.gamma == pytest.approx(-2 * 10_000 / 60_000**3)
    row = only(stage.step(mark(price="0", at=NOON + 1)))
    assert row.market_value is None
    assert row.reason == "an inverse contract has no value at a mark that is not above 0"


def test_a_flat_position_is_worth_nothing_with_or_without_a_mark(stage: StageInMemory):
    row = only(stage.step(position(quantity="0", realised_pnl="5")))
    assert (row.market_value, row.unrealised_pnl, row.realised_pnl) == (0, 0, 5)


@pytest.mark.parametrize("price", ["0", "-37.63", "0.000000000000000001", "123456789012345678901234567890.5"])
def test_any_finite_price_is_a_price(stage: StageInMemory, price: str):
    stage.step(position(quantity="-1.5", cost="7"))
    row = only(stage.step(mark(price=price)))
    with exact_arithmetic():
        assert row.market_value == Decimal(price) * Decimal("-1.5")
        assert row.unrealised_pnl == row.market_value - 7


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+308", "-1E+61"])
def test_what_is_no_price_is_refused(stage: StageInMemory, price: str):
    stage.step(position(), mark(price="5"))
    step = stage.step(mark(price=price, at=NOON + 1))
    assert valued(step) == {}
    ((_, _, _, refusal),) = step.refusals
    assert (refusal.reason, refusal.kind) == ("price is no number", "rejected")
    assert stage.state.counters.all()["quotes"].refused == 1


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_side_that_is_no_number_is_refused_too(stage: StageInMemory, side: str):
    step = stage.step(mark(price="5", **{side: Decimal("NaN")}))
    assert [refusal.reason for *_, refusal in step.refusals] == [f"{side} is no number"]


def test_a_missing_mark_takes_the_value_away(stage: StageInMemory):
    stage.step(position(), mark(price="5"))
    row = only(stage.step(mark(price=None, at=NOON + 1)))
    assert (row.market_value, row.reason) == (None, "the mark of X is missing")
    assert only(stage.step(mark(price="6", at=NOON + 2))).market_value == 60


def test_the_newest_of_a_step_holds_and_the_others_are_counted(stage: StageInMemory):
    stage.step(position())
    step = stage.step(
        mark(price="1", at=NOON + 3),
        mark(price="2", at=NOON + 2),
        mark(price="3", at=NOON + 5),
        mark("Y", "9"),
    )
    assert only(step).market_value == 30
    assert (stage.state.tallies.conflated, stage.state.tallies.passed_over) == (1, 1)
    assert valued(stage.step(mark(price="4", at=NOON + 4))) == {}
    assert stage.state.tallies.passed_over == 2
    assert only(stage.step(mark(price="4", at=NOON + 5))).market_value == 40


def test_equal_times_go_by_the_sequence_of_the_source(stage: StageInMemory):
    stage.step(position(), mark(price="1", source_sequence=7))
    assert valued(stage.step(mark(price="2", source_sequence=6))) == {}
    assert only(stage.step(mark(price="3", source_sequence=7))).market_value == 30


def test_a_mark_from_the_future_is_refused_by_the_clock_of_the_log(stage: StageInMemory):
    stage.step(position(), mark(price="1"))
    assert only(stage.step(mark(price="2", at=NOON + DAY))).market_value == 20, "no clock is known yet"
    stage.step(tick(NOON + DAY))
    step = stage.step(mark(price="3", at=NOON + DAY + 301 * SECOND))
    assert valued(step) == {}
    assert step.refusals[0][3].reason == "the mark is from the future"
    assert only(stage.step(mark(price="3", at=NOON + DAY + 300 * SECOND))).market_value == 30


def test_every_change_of_a_position_is_told_once(stage: StageInMemory):
    stage.step(mark(price="10"))
    step = stage.step(
        position(revision=1, quantity="5", quantity_delta="5", cost="50", cost_basis_delta="50"),
        position("Y"),
        position(
            revision=2,
            quantity="3",
            quantity_delta="-2",
            cost="30",
            cost_basis_delta="-20",
            realised_pnl_delta="4",
        ),
    )
    frames = told(step)
    assert valued(step)["B", "X"].market_value == 30
    changes = {frame.instrument[change.row]: [] for frame in frames for change in frame.changes}
    for frame in frames:
        for change in frame.changes:
            changes[frame.instrument[change.row]].append((change.revision, change.quantity_delta))
    assert changes == {"X": [(1, Decimal(5)), (2, Decimal(-2))], "Y": [(1, Decimal(0))]}
    assert all(frame.changes == () for frame in told(stage.step(mark(price="11", at=NOON + 1))))


def test_changes_of_held_fees_are_told_as_deltas(stage: StageInMemory):
    (frame,) = told(stage.step(position(held_fees="2", cost="102")))
    assert frame.changes[0].held_fees_delta == 2
    (frame,) = told(stage.step(position(held_fees="0.5", cost="51", revision=2)))
    assert frame.changes[0].held_fees_delta == Decimal("-1.5")


def test_the_end_of_a_day_comes_after_what_came_before_it(stage: StageInMemory):
    found = told(stage.step(position(), mark(price="5"), closed(), mark(price="6", at=NOON + 1)))
    assert [type(each).__name__ for each in found] == ["PositionsValuated", "DayClosed", "PositionsValuated"]
    assert (found[0].market_value, found[2].market_value) == ((Decimal(50),), (Decimal(60),))


# -- currencies ---------------------------------------------------------------------------------------------------


def test_a_rate_stands_beside_and_one_that_is_missing_is_named(stage: StageInMemory):
    stage.define(book(currency="EUR"))
    stage.step(mark(price="5"))
    row = only(stage.step(position(currency="GBP")))
    assert (row.fx_rate, row.book_currency, row.desk) == (None, "EUR", "desk")
    assert row.reason == "no rate of GBP/EUR or GBP/USD and USD/EUR"
    assert row.market_value == 50
    stage.define(rate("GBP/USD", "1.25"), rate("EUR/USD", "1", at=NOON - 9, quality=MarkQuality.STALE))
    row = only(stage.step(mark("Z")))
    assert (row.fx_rate, row.fx_quality, row.fx_time) == (Decimal("1.25"), MarkQuality.STALE, NOON - 9)
    assert row.reason == ""


def test_a_rate_that_moves_much_waits_for_the_tick_or_the_end_of_the_day(stage: StageInMemory, monkeypatch):
    monkeypatch.setattr("agents.valuation_step.RATE_ROWS_MAX", 1)
    stage.define(book(currency="EUR"), book("C", "EUR"))
    stage.define(rate("EUR/USD", "2"))
    stage.step(position(), position(book="C"), mark(price="5"))
    stage.define(rate("EUR/USD", "4", at=NOON + 1))
    assert valued(stage.step(mark("Z"))) == {}
    stage.restart()
    rows = valued(stage.step(tick(NOON)))
    assert {row.fx_rate for row in rows.values()} == {Decimal("0.25")}
    assert valued(stage.step(tick(NOON))) == {}
    stage.define(rate("EUR/USD", "8", at=NOON + 2))
    stage.step(mark("Z", at=NOON + 1))
    found = told(stage.step(closed()))
    assert [type(each).__name__ for each in found][-1] == "DayClosed"
    assert found[0].fx_rate[0] == Decimal("0.125")


def test_a_book_that_is_defined_anew_is_told_anew(stage: StageInMemory):
    stage.step(position(), position(book="C"), mark(price="5"))
    stage.define(book(currency="USD", desk="rates"))
    row = only(stage.step(mark("Z")))
    assert (row.book, row.desk, row.book_currency, row.fx_rate) == ("B", "rates", "USD", 1)


# -- options ------------------------------------------------------------------------------------------------------


def test_a_mark_of_the_underlying_values_its_options_by_model(stage: StageInMemory):
    stage.define(option("C100", "X", "100"), option("P90", "X", "90", "put"))
    stage.step(position("C100", quantity="10", multiplier="100", cost="9000"), position("P90", quantity="-5"))
    rows = valued(stage.step(mark(price="100")))
    row, greeks = rows["B", "C100"], black_scholes_merton(1, 100.0, 100.0, 0.05, 0.0, 0.2, 1.0)
    assert row.mark == Decimal(f"{greeks.price:.12f}")
    assert row.market_value == row.mark * 1000
    assert row.unrealised_pnl == row.market_value - 9000
    found = (row.delta, row.gamma, row.vega, row.theta, row.rho, row.vanna, row.volga)
    expected = (greeks.delta, greeks.gamma, greeks.vega, greeks.theta, greeks.rho, greeks.vanna, greeks.volga)
    assert found == pytest.approx([1000 * figure for figure in expected], rel=1e-9)
    assert (row.spot, row.volatility, row.rate, row.time_to_expiry) == (100.0, 0.2, 0.05, 1.0)
    assert row.valued_by is ValuedBy.MODEL
    put = black_scholes_merton(-1, 100.0, 90.0, 0.05, 0.0, 0.2, 1.0)
    assert rows["B", "P90"].delta == pytest.approx(-5 * put.delta, rel=1e-9)


def test_an_option_is_worth_its_own_mark_and_has_the_greeks_of_what_it_implies(stage: StageInMemory):
    stage.define(option("C100", "X", "100", volatility=None))
    stage.step(position("C100", quantity="1"), mark(price="100"))
    assert only(stage.step(position("C100", quantity="2"))).reason.startswith("no volatility of C100")
    price = black_scholes_merton(1, 100.0, 100.0, 0.05, 0.0, 0.3, 1.0).price
    row = only(stage.step(mark("C100", f"{price:.12f}")))
    assert row.market_value == 2 * Decimal(f"{price:.12f}")
    assert (row.volatility, row.valued_by) == (pytest.approx(0.3, rel=1e-9), ValuedBy.MARK)
    later = only(stage.step(mark(price="110", at=NOON + 1)))
    assert later.market_value == row.market_value, "its own mark has not moved"
    expected = black_scholes_merton(1, 110.0, 100.0, 0.05, 0.0, 0.3, 1.0).delta
    assert later.delta == pytest.approx(2 * expected, rel=1e-6)


def test_an_option_that_is_valued_by_model_does_not_take_its_mark(stage: StageInMemory):
    stage.define(option("C100", "X", "100", value_by="model"))
    stage.step(position("C100"), mark(price="100"), mark("C100", "1"))
    row = only(stage.step(mark(price="101", at=NOON + 1)))
    expected = black_scholes_merton(1, 101.0, 100.0, 0.05, 0.0, 0.2, 1.0).price
    assert row.mark == pytest.approx(Decimal(expected), rel=Decimal("1e-9"))


def test_time_goes_by_with_the_marks(stage: StageInMemory):
    stage.define(option("C100", "X", "100"))
    stage.step(position("C100"), mark(price="100"))
    row = only(stage.step(mark(price="100", at=NOON + 73 * DAY)))
    assert row.time_to_expiry == 0.8
    row = only(stage.step(mark(price="107", at=NOON + 400 * DAY)))
    assert (row.time_to_expiry, row.mark, row.delta) == (0.0, Decimal("7.000000000000"), 10.0)


def test_a_spot_that_is_not_above_zero_prices_no_option(stage: StageInMemory):
    stage.define(option("C100", "X", "100"), instrument("X"))
    stage.step(position("C100"), position("X"))
    rows = valued(stage.step(mark(price="0")))
    assert rows["B", "X"].market_value == 0
    assert rows["B", "C100"].market_value is None
    assert rows["B", "C100"].reason == "the mark of X is not above 0, as bsm needs it"
    assert only(stage.step(position("C100", book="F", quantity="0"))).market_value == 0


def test_rates_of_a_curve_and_what_only_the_engine_can_read(stage: StageInMemory):
    stage.define(option("C100", "X", "100", rate=None, curve="USD"))
    stage.step(position("C100"))
    row = only(stage.step(mark(price="100")))
    assert row.reason == "curve USD gives no rate here: define it flat, zero or discount"
    stage.define(curve("USD", type="zero", dates=["2026-01-05", "2028-01-05"], rates=[0.04, 0.06]))
    row = only(stage.step(mark("Z")))
    assert row.rate == pytest.approx(0.05)
    stage.define(curve("USD", version=2, type="bootstrap", instruments=[]))
    assert only(stage.step(mark("Z", at=NOON + 1))).market_value is None
    bootstrapped = {
        "type": "bootstrap",
        "reference_date": "2026-01-05",
        "instruments": [{"type": "ois", "tenor": "2Y", "rate": "0.03"}],
    }
    built = curve("USD", version=3, **bootstrapped)
    stage.define(structs.replace(built, plain_definition=plain_form(built.definition)))
    row = only(stage.step(mark("Z", at=NOON + 2)))
    # A yearly rate of 3 % on actual days of 360, which one factor to two years gives back.
    assert row.rate == pytest.approx(log(1 + 0.03 * 365 / 360), rel=1e-4)


def test_black_76_and_the_fair_value_of_a_future(stage: StageInMemory):
    stage.define(
        instrument(
            "F", "X", model="future", expiry="2027-01-05T12:00:00Z", rate="0.05", dividend_yield="0.02"
        ),
        option("C", "X", "100", model="black76", underlying_instrument="F"),
    )
    stage.step(position("F", multiplier="5"), position("C"))
    row = only(stage.step(mark(price="100")))
    assert (row.instrument, row.valued_by) == ("F", ValuedBy.MODEL)
    assert float(row.mark) == pytest.approx(100 * 2.718281828459045**0.03)
    assert row.delta == pytest.approx(50 * 2.718281828459045**0.03)
    rows = valued(stage.step(mark("F", "102")))
    assert (rows["B", "F"].mark, rows["B", "F"].valued_by) == (Decimal(102), ValuedBy.MARK)
    call = rows["B", "C"]
    assert call.spot == 102.0
    assert call.rho == pytest.approx(-float(call.market_value))


def test_a_definition_that_comes_later_moves_a_position(stage: StageInMemory):
    stage.step(position("C100"), position("C100", book="C"), mark(price="100"))
    stage.define(option("C100", "X", "100"))
    rows = valued(stage.step(mark("Z")))
    assert {row.valued_by for row in rows.values()} == {ValuedBy.MODEL}
    assert {row.underlying for row in rows.values()} == {"X"}
    stage.define(option("C100", "W", "100"))
    rows = valued(stage.step(mark("Z", at=NOON + 1)))
    assert {row.reason for row in rows.values()} == {"no mark of W"}
    stage.define(instrument("C100"))
    assert len(valued(stage.step(mark("C100", "3")))) == 2


# -- bonds --------------------------------------------------------------------------------------------------------


def test_a_bond_is_worth_its_clean_price_and_what_has_accrued(stage: StageInMemory):
    stage.define(
        instrument(
            "OFZ",
            model="bond",
            face="1000",
            coupon_amount="35.40",
            coupon_period_days="182",
            next_coupon_date="2026-02-04",
        )
    )
    stage.step(position("OFZ", quantity="7", multiplier="10", cost="6300"))
    row = only(stage.step(mark("OFZ", "91.5")))
    accrued = Decimal("35.40") * 152 / 182 * 7
    assert row.accrued_interest == pytest.approx(accrued, rel=Decimal("1e-20"))
    with exact_arithmetic():
        assert row.market_value == Decimal("91.5") * 70 + row.accrued_interest
    assert row.unrealised_pnl == Decimal("91.5") * 70 - 6300
    row = only(stage.step(mark("OFZ", "91.5", at=NOON + 1, accrued_interest="29.57")))
    assert row.accrued_interest == Decimal("206.99")


# -- after a start ------------------------------------------------------------------------------------------------


def test_after_a_restart_all_is_as_it_was(stage: StageInMemory):
    stage.define(book(currency="EUR"), option("C100", "X", "100", volatility=None), rate("EUR/USD", "1.1"))
    stage.step(
        position("X", cost="5"),
        position("C100"),
        mark(price="100"),
        mark("C100", "11"),
        position(quantity="3", book="C"),
    )
    before = valued(stage.step(mark(price="101", at=NOON + 5)))
    stage.restart()
    after = valued(stage.step(mark(price="101", at=NOON + 5)))
    for key, row in before.items():
        for name in ("market_value", "unrealised_pnl", "delta", "volatility", "fx_rate", "reason", "desk"):
            assert getattr(after[key], name) == getattr(row, name), name


def test_columns_are_kept_for_the_rows_of_now_only(stage: StageInMemory):
    """Where marks come between new positions, what was encoded for fewer rows is not kept beside."""
    for number in range(30):
        stage.step(position("X", book=f"B{number}"), mark(price=str(number + 1), at=NOON + number))
        rows = valued(stage.step(mark(price="7", at=NOON + 100 + number)))
        assert len(rows) == number + 1
    block = stage.state.blocks.of["X"]
    assert len(block._columns) == 1


def test_rows_that_do_not_fit_a_frame_come_in_several(stage: StageInMemory):
    names = [f"{'Ж' * 120}{number}" for number in range(1_500)]
    stage.step(*(position("X", book=name, entity="Ж" * 150) for name in names))
    step = stage.step(mark(price="7"))
    frames = told(step)
    assert len(frames) > 2
    assert all(len(encode_event(frame)) < FRAME_BYTES_MAX for frame in frames)
    rows = valued(step)
    assert {key[0] for key in rows} == set(names)
    assert {row.market_value for row in rows.values()} == {Decimal(70)}
    assert len({frame.event_id for frame in frames}) == len(frames)


def test_many_changes_of_one_position_come_in_several_frames_and_none_is_lost(stage: StageInMemory):
    count = 2 * valuation.CHANGES_MAX + 7
    step = stage.step(
        mark(price="2"),
        *(position("X", quantity=str(number), revision=number) for number in range(1, count + 1)),
    )
    frames = told(step)
    revisions = [change.revision for frame in frames for change in frame.changes]
    assert revisions == list(range(1, count + 1))
    assert frames[-1].market_value == (Decimal(2 * count),)
    assert all(len(frame.changes) <= valuation.CHANGES_MAX for frame in frames)


@pytest.mark.parametrize(
    "price", ["0.000000000000000000000000000000000000000000000000000000000001", "9" * 60]
)
def test_the_ends_of_what_a_price_may_be_hold_up_nothing(stage: StageInMemory, price: str):
    stage.define(option("C", "X", "100"))
    stage.step(
        position("X", quantity=price, multiplier=price),
        position("X", book="I", quantity=price, multiplier=price, inverse=True, cost=price),
        position("C", quantity=price, multiplier=price),
    )
    rows = valued(stage.step(mark(price=price)))
    with exact_arithmetic():
        number = Decimal(price)
        assert rows["B", "X"].market_value == number * number * number
        assert rows["I", "X"].unrealised_pnl == 0
    assert rows["B", "C"].market_value is not None
    assert valued(stage.step(mark(price="100", at=NOON + 1))).keys() == rows.keys()
