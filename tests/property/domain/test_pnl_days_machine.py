"""The P&L days of a position as a machine that anything may happen to, against days made again from all bookings.

Trades of today, late ones of days that are closed, early ones of a day that has not begun; amends and cancels of any
of them; prices, missing prices, rates and missing rates; closes. After each, every day must be what the model makes of
all that has happened, and its identities must hold without a residual.
"""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.lots.position import Terms, Trade
from domain.pnl.day import Booking, Close, PositionDays
from domain.pnl.figures import Figures, closed_figures, open_figures, residuals
from domain.pnl.observation import Change, Factors, Observation
from schemas.numbers import exact_arithmetic
from tests.lots_model import figures as lots_figures
from tests.pnl_model import Booked, Model, ModelDay, Moment
from tests.stage_support import run_for_long

DAY = 86_400_000_000_000
QUANTITIES = st.sampled_from([*range(-4, 0), *range(1, 5), "0.5", "-0.125"]).map(Decimal)
# Of an inverse contract, too, every quotient ends.
PRICES = st.sampled_from(["1", "2", "4", "5", "8", "10", "12.5", "0.4"]).map(Decimal)
FEES = st.sampled_from([0, 0, 1, "0.25", "-0.5"]).map(Decimal)
SOMETIMES = st.sampled_from([None, *["1", "2", "4", "5", "8", "10", "12.5", "0.4"]]).map(
    lambda text: None if text is None else Decimal(text)
)
"""A price, or now and then none."""
SOMETIMES_A_RATE = st.sampled_from([None, "1", "1.25", "0.8", "1.6", "2"]).map(
    lambda text: None if text is None else Decimal(text)
)
BACK = st.integers(-1, 3)
"""How many days ago a trade belongs; -1 is tomorrow."""


def exact(number: Fraction) -> Decimal:
    """A fraction whose decimal notation ends."""
    scaled = number * 10**60
    assert scaled.denominator == 1
    return Decimal(scaled.numerator).scaleb(-60).normalize()


class PnLDays(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.days = PositionDays()
        assert not self.days.closed
        self.trades: dict[str, tuple[Trade, int]] = {}
        self.closes: list[Close] = []
        self.number = self.today = 0
        self.fx: Decimal | None = None
        self.mark: Decimal | None = None
        self.unit: Fraction | None = None
        self.pending: list[Booking] = []
        self.last = lots_figures([])
        self.lost: set[str] = set()
        self.book_lost: set[str] = set()
        self.restated: set[str] = set()
        self.observed = Moment("", None, True, None)

    @initialize(
        inverse=st.booleans(), multiplier=st.sampled_from(["1", "100"]), mark=SOMETIMES, fx=SOMETIMES_A_RATE
    )
    def terms(self, inverse: bool, multiplier: str, mark: Decimal | None, fx: Decimal | None) -> None:
        self.mark, self.fx = mark, fx
        self.inverse = inverse
        self.own = Terms(multiplier=Decimal(multiplier), inverse=inverse)
        self.model = Model(inverse)

    # -- what happens ---------------------------------------------------------------------------------------------

    def date(self, day: int) -> str:
        return f"2026-01-{day + 5:02}"

    def book(self, day: int, dated: bool) -> None:
        """Hand on what the trades' change made of the position's cumulative figures."""
        now = lots_figures((trade, self.own) for trade, _ in self.trades.values())
        names = ("quantity", "cost_basis", "realised_pnl", "fees")
        deltas = [getattr(now, name) - getattr(self.last, name) for name in names]
        self.last = now
        self.model.booked.append(Booked(self.date(max(day, 0)), *deltas))
        if day < self.today:
            self.restated |= {self.date(each) for each in range(day, self.today)}
        executed_at = day * DAY + 1
        self.pending.append(
            Booking(Change(*map(exact, deltas)), self.date(day) if dated else "", executed_at)
        )

    @rule(quantity=QUANTITIES, price=PRICES, fee=FEES, back=BACK, dated=st.booleans())
    def trade(self, quantity: Decimal, price: Decimal, fee: Decimal, back: int, dated: bool) -> None:
        self.number += 1
        day = max(self.today - back, 0)
        trade = Trade(f"t{self.number}", day * DAY + 1, self.number, quantity, price, fee)
        self.trades[trade.trade_id] = (trade, day)
        # A trade of tomorrow that has no date is known to be tomorrow's by nothing.
        self.book(day, dated or day > self.today)

    @rule(pick=st.integers(0, 1 << 16), quantity=QUANTITIES, price=PRICES, fee=FEES)
    def amend(self, pick: int, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        if self.trades:
            trade, day = self.trades[sorted(self.trades)[pick % len(self.trades)]]
            content = Trade(trade.trade_id, trade.executed_at, trade.source_sequence, quantity, price, fee)
            self.trades[trade.trade_id] = (content, day)
            self.book(day, dated=True)

    @rule(pick=st.integers(0, 1 << 16))
    def cancel(self, pick: int) -> None:
        if self.trades:
            _, day = self.trades.pop(sorted(self.trades)[pick % len(self.trades)])
            self.book(day, dated=day >= self.today)

    @rule(mark=SOMETIMES)
    def mark_moves(self, mark: Decimal | None) -> None:
        self.mark = mark
        self.observe()

    @rule(fx=SOMETIMES_A_RATE, observed=st.booleans())
    def rate_moves(self, fx: Decimal | None, observed: bool) -> None:
        self.fx = fx
        if observed:
            self.observe()

    @rule()
    def observe(self) -> None:
        last = self.last
        unit = None
        if self.mark is not None:
            multiplier, mark = Fraction(self.own.multiplier), Fraction(self.mark)
            unit = multiplier / mark if self.inverse else multiplier * mark
            if last.quantity or self.unit is not None:
                self.unit = unit
        unrealised = None
        if not last.quantity:
            unrealised = Fraction(0)
        elif unit is not None:
            value = last.quantity * unit
            unrealised = last.cost_basis - value if self.inverse else value - last.cost_basis
        now = Observation(
            at=self.today * DAY + 2,
            quantity=exact(last.quantity),
            cost=exact(last.cost_basis),
            realised=exact(last.realised_pnl),
            fees=exact(last.fees),
            unrealised=None if unrealised is None else exact(unrealised),
            unit_value=exact(unit) if unit is not None and last.quantity else None,
            inverse=self.inverse,
            mark=self.mark,
            fx=self.fx,
            factors=None if self.mark is None else Factors(spot=float(self.mark)),
            greeks=None if unit is None else (float(self.own.multiplier), 0.1, 0.0, 0.0, 0.0, 0.0, 0.0),
        )
        with exact_arithmetic():
            restated = self.days.observe(now, self.pending, self.closes)
        kept = {day.business_date for day in self.days.closed}
        # What two bookings take back of each other restates nothing.
        assert {day.business_date for day in restated} <= self.restated & kept
        self.pending, self.restated = [], set()
        self.observed = Moment("9999", self.unit, unrealised is not None, self.opt(self.fx))

    @rule(observed=st.booleans())
    def close(self, observed: bool) -> None:
        if observed or self.pending:
            self.observe()
        close = Close(self.date(self.today), self.today * DAY + DAY - 1)
        with exact_arithmetic():
            self.days.close(close)
        moment = self.observed
        self.model.closes.append(Moment(close.business_date, moment.unit, moment.priced, moment.fx))
        self.closes.append(close)
        self.today += 1

    @staticmethod
    def opt(number: Decimal | None) -> Fraction | None:
        return None if number is None else Fraction(number)

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def days_are_those_of_the_model(self) -> None:
        if self.pending:
            return
        now = Moment(self.date(self.today), self.observed.unit, self.observed.priced, self.observed.fx)
        wanted = self.model.days(now)
        open_day = self.days.day
        found = {
            day.business_date: (closed_figures(day), day.opening, day.closing) for day in self.days.closed
        }
        with exact_arithmetic():
            if not any(booked.date > now.date for booked in self.model.booked):
                found[now.date] = (open_figures(open_day), open_day.opening, open_day.now)
            for date, day in wanted.items():
                if date not in found:
                    still = (day.quantity, day.realised, day.fees, day.total or 0) == (0, 0, 0, 0)
                    assert still or date == now.date, date
                    continue
                figures, opening, closing = found[date]
                self.compare(date, day, figures)
                assert not any(residuals(figures, opening, closing).values())

    def compare(self, date: str, wanted: ModelDay, found: Figures) -> None:
        assert (found.realised, found.fees) == (wanted.realised, wanted.fees), date
        if wanted.total is None:
            self.lost.add(date)
        if found.total is None:
            # A day that was once without a price is not made anew from what is known later.
            assert date in self.lost, date
            assert found.buckets is None and found.reason
            self.book_lost.add(date)
            return
        names = ("unrealised", "total", "positional", "trading")
        for name in names:
            assert getattr(found, name) == getattr(wanted, name), (date, name)
        if wanted.book_total is None:
            self.book_lost.add(date)
        if found.book_total is None:
            assert date in self.book_lost, date
        else:
            assert found.book_total == wanted.book_total, date


PnLDays.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestPnLDays = PnLDays.TestCase


@pytest.mark.soak
def test_whatever_happens_to_days_for_long():
    assert run_for_long(PnLDays, examples=10_000, steps=60) > 0
