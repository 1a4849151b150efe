"""The P&L stage behind positions and valuation: days, restatements, currencies, and what a broken identity does."""

from decimal import Decimal

import pytest

from agents import pnl
from agents.pnl_state import DAYS_KEPT, PnLState, closes_of
from agents.stage import InvariantBroken
from schemas.units import LifecycleKind
from tables.partition import TablePartition
from tests.pnl_support import PnLChain, outputs, split
from tests.support import Fee, LifecycleEventApplied, booked
from tests.valuation_support import DAY, NOON, book, closed, instrument, mark, option, rate

MONDAY, TUESDAY = "2026-01-05", "2026-01-06"


def trade(trade_id: str, quantity: str, price: str, day: str = MONDAY, fee: str = "0", at: int = 0, **more):
    return booked(
        trade_id=trade_id,
        book="B",
        instrument=more.pop("instrument", "X"),
        quantity=Decimal(quantity),
        price=Decimal(price),
        executed_at=NOON + at,
        business_date=day,
        settlement_currency="USD",
        fees=(Fee(amount=Decimal(fee)),) if fee != "0" else (),
        event_id=f"e{trade_id}",
        **more,
    )


@pytest.fixture
def chain():
    made = PnLChain()
    made.define(book(currency="USD"))
    return made


def test_a_trade_and_a_mark(chain):
    (bought,) = chain.book(trade("t1", "10", "100", fee="3"))
    assert (bought.total, bought.buckets, bought.reason) == (None, None, "no mark of X")
    (marked,) = chain.value(mark(price="102"))
    assert (marked.realised, marked.unrealised, marked.total) == (-3, 20, 17)
    assert (marked.positional, marked.trading) == (0, 17)
    assert split(marked) == {"new_trades": 20, "fees": -3}
    (moved,) = chain.value(mark(price="101.5", at=NOON + 1))
    assert split(moved) == {"delta": -5, "new_trades": 20, "fees": -3}
    assert moved.business_date == MONDAY and not moved.closed


def test_the_day_rolls_and_splits_what_was_held_from_what_was_traded(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    (end,) = chain.value(closed(day=MONDAY))
    assert (end.closed, end.business_date, end.total) == (True, MONDAY, 20)
    chain.book(trade("t2", "-4", "105", TUESDAY, at=DAY))
    (now,) = chain.value(mark(price="106", at=NOON + DAY))
    # 10 from 102 to 106 were held; 4 were sold a dollar too early.
    assert (now.opening_quantity, now.positional, now.trading, now.total) == (10, 40, -4, 36)
    assert (now.realised, now.unrealised) == (20, 16)
    assert now.total_to_date == 56
    assert now.business_date == TUESDAY


def test_a_late_trade_restates_the_day_that_it_belongs_to(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    chain.value(closed(day=MONDAY))
    chain.value(mark(price="103", at=NOON + DAY))
    monday, today = chain.book(trade("t0", "5", "101", MONDAY, at=1))
    assert (monday.business_date, monday.closed, monday.restatement, monday.total) == (MONDAY, True, 1, 25)
    assert split(monday) == {"new_trades": 25}
    assert (today.opening_quantity, today.total, today.positional, today.trading) == (15, 15, 15, 0)
    assert split(today) == {"delta": 15}
    assert today.total_to_date == 40


def test_a_cancel_restates_as_well(chain):
    chain.book(trade("t1", "10", "100"), trade("t2", "10", "101", at=-1))
    chain.value(mark(price="102"))
    chain.value(closed(day=MONDAY))
    cancel = LifecycleEventApplied(
        event_id="c",
        kind=LifecycleKind.CANCEL,
        trade_id="c1",
        original_trade_id="t2",
        book="B",
        executed_at=NOON,
    )
    monday, today = chain.book(cancel)
    assert (monday.total, monday.restatement) == (20, 1)
    assert (today.opening_quantity, today.total) == (10, 0)


def test_a_late_trade_moves_what_later_days_realise(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    chain.book(closed(day=MONDAY))
    chain.book(trade("t2", "-10", "103", TUESDAY, at=DAY))
    (tuesday,) = chain.book(closed(day=TUESDAY))
    assert (tuesday.realised, tuesday.unrealised, tuesday.total) == (30, -20, 10)
    # What Tuesday sells is now what was bought on Monday at 90; what was bought at 100 stays.
    monday, tuesday, today = chain.book(trade("t0", "10", "90", MONDAY, at=-1))
    assert (monday.realised, monday.unrealised, monday.total) == (0, 140, 140)
    assert (tuesday.realised, tuesday.unrealised, tuesday.total) == (130, -120, 10)
    assert (tuesday.restatement, sum(split(tuesday).values())) == (1, 10)
    assert (today.realised, today.total, today.opening_quantity) == (0, 0, 10)


def test_a_mark_of_a_closed_day_prices_its_close_anew(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    chain.value(closed(day=MONDAY))
    monday, today = chain.value(mark(price="104", at=NOON + 1))
    assert (monday.business_date, monday.closed, monday.restatement, monday.total) == (MONDAY, True, 1, 40)
    assert split(monday) == {"new_trades": 20, "delta": 20}
    assert (today.total, split(today), today.total_to_date) == (0, {}, 40)


@pytest.mark.parametrize("order", ["marks first", "close first", "in order"])
def test_a_day_ends_with_its_last_mark_in_whatever_order_marks_and_its_end_come(chain, order):
    chain.book(trade("t1", "10", "100"))
    first, last, after = mark(price="101"), mark(price="102", at=NOON + 1), mark(price="109", at=NOON + DAY)
    end = closed(day=MONDAY)
    for events in {
        "marks first": [(first, last, after), (end,)],
        "close first": [(first,), (end,), (last, after)],
        "in order": [(first, last), (end,), (after,)],
    }[order]:
        chain.value(*events)
    days = {each.business_date: each for each in chain.told if each.closed}
    today = [each for each in chain.told if not each.closed][-1]
    assert (days[MONDAY].total, days[MONDAY].mark) == (20, 102)
    assert (today.total, today.mark, split(today)) == (70, 109, {"delta": 70})


def test_a_booking_of_tomorrow_is_no_part_of_today(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    chain.book(trade("t2", "10", "101", TUESDAY, at=DAY))
    (monday,) = chain.value(closed(day=MONDAY))
    assert (monday.quantity, monday.total) == (10, 20)
    (today,) = chain.value(mark(price="103", at=NOON + DAY))
    assert (today.opening_quantity, today.positional, today.trading) == (10, 10, 20)


def test_the_rates_part_stands_apart_in_the_book_s_currency():
    chain = PnLChain()
    chain.define(book(currency="EUR"), rate("EUR/USD", "1.25"))
    chain.book(trade("t1", "10", "100"))
    (marked,) = chain.value(mark(price="110"))
    assert (marked.book_total, marked.fx) == (80, Decimal("0.8"))
    chain.define(rate("EUR/USD", "1", at=NOON + 1))
    (moved,) = chain.value(mark(price="111", at=NOON + 2))
    assert moved.book_total == 110
    found = moved.book_buckets
    assert (found.new_trades, found.fx, found.delta) == (80, 20, 10)


def test_a_late_trade_changes_what_the_rates_made_of_the_days_after_it():
    chain = PnLChain()
    chain.define(book(currency="EUR"), rate("EUR/USD", "1.25"))
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="110"))
    chain.value(closed(day=MONDAY))
    chain.define(rate("EUR/USD", "1", at=NOON + 1))
    chain.value(mark(price="112", at=NOON + DAY))
    (tuesday,) = chain.value(closed(day=TUESDAY))
    # 100 dollars of Monday are 20 euros more, and 20 dollars came.
    assert (tuesday.book_total, tuesday.book_buckets.fx, tuesday.book_buckets.delta) == (40, 20, 20)
    monday, tuesday, today = chain.book(trade("t0", "5", "108", MONDAY, at=1))
    assert (monday.total, monday.book_total) == (110, 88)
    assert (tuesday.total, tuesday.book_total, tuesday.restatement) == (30, 52, 1)
    assert (tuesday.book_buckets.fx, tuesday.book_buckets.delta) == (22, 30)
    assert today.book_total == 0 and today.book_total_to_date == 140


def test_a_currency_without_a_rate_has_a_total_of_its_own_and_none_of_the_book():
    chain = PnLChain()
    chain.define(book(currency="EUR"))
    chain.book(trade("t1", "10", "100"))
    (marked,) = chain.value(mark(price="110"))
    assert (marked.total, marked.book_total, marked.book_buckets) == (100, None, None)


def test_an_option_s_move_is_explained_by_its_greeks():
    chain = PnLChain()
    chain.define(book(currency="USD"), instrument("S", currency="USD"), option("C", "S", "100"))
    chain.book(trade("t1", "100", "10", instrument="C", underlying="S"))
    chain.value(mark("S", "100"))
    before = chain.told[-1]
    chain.value(mark("S", "101", at=NOON + DAY))
    after = chain.told[-1]
    assert after.underlying == "S"
    found, old = split(after), split(before)
    assert set(found) == {"delta", "gamma", "theta", "new_trades", "unexplained"}
    assert sum(found.values()) == after.total == after.realised + after.unrealised
    assert found["delta"] > 60 and found["gamma"] > 0 > found["theta"]
    assert abs(found["unexplained"] - old.get("unexplained", 0)) < Decimal("0.05")


def test_what_was_told_before_is_not_told_again_after_a_restart_and_goes_on(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    chain.pnl.restart()
    chain.value(closed(day=MONDAY))
    chain.pnl.restart()
    monday, today = chain.book(trade("t0", "5", "101", MONDAY, at=1))
    assert (monday.total, today.opening_quantity) == (25, 15)


def test_a_step_that_fails_leaves_nothing(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    frames = chain.frames
    before = dict(chain.pnl.store.scan(b""))
    chain.pnl.fail(*frames, closed(day=MONDAY))
    assert dict(chain.pnl.store.scan(b"")) == before
    (end,) = chain.value(closed(day=MONDAY))
    assert end.total == 20


def test_the_end_of_a_day_that_comes_twice_ends_it_once(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    assert len(chain.value(closed(day=MONDAY))) == 1
    assert chain.value(closed(day=MONDAY)) == []


def test_so_many_closes_are_kept(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"))
    days = [f"2026-{1 + day // 28:02}-{1 + day % 28:02}" for day in range(8, DAYS_KEPT + 12)]
    for day in days:
        chain.value(closed(day=day))
    kept = closes_of(chain.pnl.committed, "B")
    assert [close.business_date for close in kept] == days[-DAYS_KEPT:]
    assert len(list(chain.pnl.committed.scan_prefix(b"d"))) == DAYS_KEPT
    # A trade of a day that is forgotten changes what the oldest day begins with, and no day's own trades.
    told = chain.book(trade("t0", "5", "101", MONDAY, at=1))
    assert len(told) == DAYS_KEPT + 1
    assert {(event.opening_quantity, event.total) for event in told} == {(15, 0)}
    assert told[-1].total_to_date == 25


def test_what_is_no_longer_in_memory_goes_on_where_it_was(chain):
    chain.pnl.state = PnLState(TablePartition(chain.pnl.store), cached_positions_max=2)
    names = [f"X{number}" for number in range(5)]
    chain.book(*(trade(f"t{name}", "10", "100", instrument=name) for name in names))
    for number, name in enumerate(names):
        chain.value(mark(name, "102", at=NOON + number))
    assert len(chain.pnl.state._positions) <= 2
    chain.value(*(mark(name, "103", at=NOON + 10) for name in names))
    assert [event.total for event in chain.told[-5:]] == [30] * 5
    assert len(chain.value(closed(day=MONDAY))) == 5


def test_a_broken_identity_stops_the_step(chain, monkeypatch):
    chain.book(trade("t1", "10", "100"))
    real = pnl.residuals
    monkeypatch.setattr(pnl, "residuals", lambda *given: {**real(*given), "sum of buckets": Decimal("1e-30")})
    with pytest.raises(InvariantBroken, match="residual of 1E-30"):
        chain.value(mark(price="102"))
    assert chain.pnl.state.residual == Decimal("1e-30")


def test_every_valuation_is_counted(chain):
    chain.book(trade("t1", "10", "100"))
    chain.value(mark(price="102"), closed(day=MONDAY))
    read, applied, *rest = chain.pnl.counts()
    assert read == applied == 2 and not any(rest)
    assert outputs(chain.pnl.step(closed(day=MONDAY)), pnl.topics.PNL) == []
