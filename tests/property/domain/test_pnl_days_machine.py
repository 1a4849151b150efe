"""The P&L days of a position as a machine that anything may happen to, against days made again from all trades.

Trades of today, late ones of days that are closed, early ones of a day that has not begun; amends and cancels of any
of them, with what they do to the P&L that other trades realise; carry and funding, taken back as well; prices with accrued
interest, of today and of days that are closed, missing prices, rates and missing rates; closes. After each, every day must be what the model makes of
all that has happened, and its identities must hold without a residual.
"""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.lots.position import Terms, Trade
from domain.pnl.day import PositionDays
from domain.pnl.figures import Figures, closed_figures, open_figures, residuals
from domain.pnl.observation import Change, Factors, Observation
from domain.pnl.running import Booking, Close
from schemas.numbers import exact_arithmetic
from tests.lots_model import figures as lots_figures
from tests.pnl_model import Income, Model, ModelDay, Moment
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
ACCRUED = st.sampled_from([0, 0, "0.5", "2"]).map(Decimal)
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
        self.days = PositionDays(date_of=lambda at: self.date(at // DAY))
        assert not self.days.closed
        self.closes: list[Close] = []
        self.number = self.today = self.marked_at = self.unit_marked_at = 0
        self.fx: Decimal | None = None
        self.mark: Decimal | None = None
        self.accrued = Decimal(0)
        self.unit: Fraction | None = None
        self.unit_accrued = Fraction(0)
        self.pending: list[Booking] = []
        self.last = lots_figures([])
        self.realised: dict[str, Fraction] = {}
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
        self.model = Model(self.own)

    # -- what happens ---------------------------------------------------------------------------------------------

    def date(self, day: int) -> str:
        return f"2026-01-{day + 5:02}"

    def book(self, trade_id: str, day: int, dated: bool) -> None:
        """Hand on what a trade's change made of the position's cumulative figures, and of what other trades realise."""
        standing = [trade for trade, _ in self.model.trades.values()]
        now = lots_figures((trade, self.own) for trade in standing)
        names = ("quantity", "cost_basis", "realised_pnl", "fees")
        deltas = [getattr(now, name) - getattr(self.last, name) for name in names]
        self.last = now
        realised = self.realised_by(standing)
        moved = tuple(
            (trade.executed_at, exact(realised[trade.trade_id] - self.realised[trade.trade_id]))
            for trade in standing
            if trade.trade_id != trade_id and realised[trade.trade_id] != self.realised[trade.trade_id]
        )
        self.realised = realised
        self.hand_on(Change(*map(exact, deltas)), day, dated, moved)

    def realised_by(self, trades: list[Trade]) -> dict[str, Fraction]:
        found, before, so_far = {}, Fraction(0), []
        for trade in sorted(trades, key=lambda each: each.order):
            so_far.append((trade, self.own))
            after = lots_figures(so_far).realised_pnl
            found[trade.trade_id], before = after - before, after
        return found

    def hand_on(self, change: Change, day: int, dated: bool, moved: tuple = ()) -> None:
        if day < self.today:
            self.restated |= {self.date(each) for each in range(day, self.today)}
        self.pending.append(Booking(change, self.date(day) if dated else "", day * DAY + 1, moved=moved))

    @rule(quantity=QUANTITIES, price=PRICES, fee=FEES, back=BACK, dated=st.booleans())
    def trade(self, quantity: Decimal, price: Decimal, fee: Decimal, back: int, dated: bool) -> None:
        self.number += 1
        day = max(self.today - back, 0)
        trade = Trade(f"t{self.number}", day * DAY + 1, self.number, quantity, price, fee)
        self.model.trades[trade.trade_id] = (trade, self.date(day))
        self.book(trade.trade_id, day, dated)

    @rule(pick=st.integers(0, 1 << 16), quantity=QUANTITIES, price=PRICES, fee=FEES)
    def amend(self, pick: int, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        if self.model.trades:
            trade, date = self.model.trades[sorted(self.model.trades)[pick % len(self.model.trades)]]
            content = Trade(trade.trade_id, trade.executed_at, trade.source_sequence, quantity, price, fee)
            self.model.trades[trade.trade_id] = (content, date)
            self.book(trade.trade_id, trade.executed_at // DAY, dated=True)

    @rule(pick=st.integers(0, 1 << 16))
    def cancel(self, pick: int) -> None:
        if self.model.trades:
            trade, _ = self.model.trades.pop(sorted(self.model.trades)[pick % len(self.model.trades)])
            self.book(trade.trade_id, trade.executed_at // DAY, dated=False)

    @rule(carry=FEES, funding=FEES, back=BACK)
    def movement(self, carry: Decimal, funding: Decimal, back: int) -> None:
        self.number += 1
        day = max(self.today - back, 0)
        self.model.incomes[f"m{self.number}"] = Income(self.date(day), Fraction(carry), Fraction(funding))
        self.hand_on(Change(carry=carry, funding=funding), day, dated=True)

    @rule(pick=st.integers(0, 1 << 16))
    def movement_is_taken_back(self, pick: int) -> None:
        incomes = self.model.incomes
        if incomes:
            gone = incomes.pop(sorted(incomes)[pick % len(incomes)])
            back = Change(carry=exact(-gone.carry), funding=exact(-gone.funding))
            day = next(day for day in range(self.today + 2) if self.date(day) == gone.date)
            self.hand_on(back, day, dated=True)

    @rule(mark=SOMETIMES, accrued=ACCRUED, lag=st.integers(0, 2))
    def mark_moves(self, mark: Decimal | None, accrued: Decimal, lag: int) -> None:
        """A mark of today, or of a day that was closed before it came; never one before the last."""
        day = max(self.today - lag, self.marked_at // DAY)
        self.mark, self.accrued = mark, Decimal(0) if self.inverse else accrued
        self.marked_at = max(self.marked_at, day * DAY + 2) + 1
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
            if last.quantity:
                self.unit_accrued = Fraction(self.accrued)
            if last.quantity or self.unit is not None:
                self.unit = unit
            self.unit_marked_at = self.marked_at
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
            unit_accrued=self.accrued if unit is not None and last.quantity else Decimal(0),
            marked_at=0 if self.mark is None else self.marked_at,
        )
        if self.days.day.opening.at:
            self.mark_closes()
        with exact_arithmetic():
            restated = self.days.observe(now, self.pending, self.closes)
        kept = {day.business_date for day in self.days.closed}
        # What two bookings take back of each other restates nothing.
        assert {day.business_date for day in restated} <= self.restated & kept
        self.pending, self.restated = [], set()
        self.observed = Moment(
            "9999",
            self.unit,
            unrealised is not None,
            self.opt(self.fx),
            self.unit_accrued,
            self.unit_marked_at,
        )

    def mark_closes(self) -> None:
        """A mark of closed days is what those end with."""
        for number, moment in enumerate(self.model.closes):
            end = self.closes[number].at
            if self.mark is not None and moment.marked_at < self.marked_at <= end:
                self.restated |= {close.business_date for close in self.closes[number:]}
                self.model.closes[number] = replace(
                    moment, unit=self.unit, priced=True, accrued=self.unit_accrued, marked_at=self.marked_at
                )

    @rule(observed=st.booleans())
    def close(self, observed: bool) -> None:
        if observed or self.pending:
            self.observe()
        close = Close(self.date(self.today), self.today * DAY + DAY - 1)
        with exact_arithmetic():
            self.days.close(close)
        self.model.closes.append(replace(self.observed, date=close.business_date))
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
        now = replace(self.observed, date=self.date(self.today))
        wanted = self.model.days(now)
        open_day = self.days.day
        found = {
            day.business_date: (closed_figures(day), day.opening, day.closing) for day in self.days.closed
        }
        with exact_arithmetic():
            if not any(date > now.date for date in self.dates()):
                found[now.date] = (open_figures(open_day), open_day.opening, open_day.now)
            for date, day in wanted.items():
                if date not in found:
                    still = (day.quantity, day.realised, day.fees, day.total or 0) == (0, 0, 0, 0)
                    assert still or date == now.date, date
                    continue
                figures, opening, closing = found[date]
                self.compare(date, day, figures)
                assert not any(residuals(figures, opening, closing).values())

    def dates(self) -> list[str]:
        return [date for _, date in self.model.trades.values()] + [
            one.date for one in self.model.incomes.values()
        ]

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
