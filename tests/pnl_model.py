"""An independent model of the P&L days of a position: everything made again from all trades, in fractions.

It shares no code and no algorithm with `domain.pnl`: a day's P&L is the difference of two totals, each made of the trades and
movements that belong to the days until then (the lots matched again from the first trade on) and of the price of that close.
Nothing is incremental.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from domain.lots.position import Terms, Trade
from tests.lots_model import figures


@dataclass(frozen=True)
class Income:
    """A movement of cash for holding the position, and the day that it belongs to."""

    date: str
    carry: Fraction
    funding: Fraction


@dataclass(frozen=True)
class Moment:
    """The close of a day, or now: the price of a unit and when it was marked, whether there is one now, the rate."""

    date: str
    unit: Fraction | None
    priced: bool
    fx: Fraction | None
    accrued: Fraction = Fraction(0)
    marked_at: int = 0


@dataclass(frozen=True)
class Standing:
    """The cumulative figures at a moment; `total` None where they are not known. Realised P&L has the income."""

    quantity: Fraction
    realised: Fraction
    income: Fraction
    fees: Fraction
    accrued: Fraction
    unrealised: Fraction | None
    value: Fraction | None
    total: Fraction | None


@dataclass(frozen=True)
class ModelDay:
    """A day's figures."""

    quantity: Fraction
    realised: Fraction
    fees: Fraction
    unrealised: Fraction | None = None
    total: Fraction | None = None
    positional: Fraction | None = None
    trading: Fraction | None = None
    book_total: Fraction | None = None


@dataclass
class Model:
    """All that stands: `trades` with their dates, by id, and `incomes`, by id; the closes that came, in their order."""

    terms: Terms
    trades: dict[str, tuple[Trade, str]] = field(default_factory=dict)
    incomes: dict[str, Income] = field(default_factory=dict)
    closes: list[Moment] = field(default_factory=list)

    def standing(self, until: str, moment: Moment) -> Standing:
        """Everything that belongs to days up to `until`, at the price of a moment."""
        found = figures((trade, self.terms) for trade, date in self.trades.values() if date <= until)
        income = sum(
            (one.carry + one.funding for one in self.incomes.values() if one.date <= until), Fraction(0)
        )
        quantity, cost, fees = found.quantity, found.cost_basis, found.fees
        realised, accrued = found.realised_pnl + income, quantity * moment.accrued
        if quantity and (moment.unit is None or not moment.priced):
            return Standing(quantity, realised, income, fees, accrued, None, None, None)
        value = quantity * (moment.unit or 0)
        unrealised = (cost - value if self.terms.inverse else value - cost) + accrued
        return Standing(
            quantity, realised, income, fees, accrued, unrealised, value, realised + unrealised - fees
        )

    def between(self, opening: Standing, before: Moment, closing: Standing, after: Moment) -> ModelDay:
        """The day between two moments."""
        fees = closing.fees - opening.fees
        realised = closing.realised - opening.realised - fees
        if opening.total is None or closing.total is None:
            return ModelDay(closing.quantity, realised, fees)
        total = closing.total - opening.total
        held = opening.quantity * (after.unit or 0)
        positional = opening.value - held if self.terms.inverse else held - opening.value
        positional += closing.income - opening.income + closing.accrued - opening.accrued
        book_total = None
        if after.fx is not None and (before.fx is not None or not opening.total):
            book_total = closing.total * after.fx - opening.total * (before.fx or 0)
        return ModelDay(
            closing.quantity,
            realised,
            fees,
            closing.unrealised - opening.unrealised,
            total,
            positional,
            total - positional,
            book_total,
        )

    def days(self, now: Moment) -> dict[str, ModelDay]:
        """Every day by its date; `now` is the close of the open one, under its own date."""
        found: dict[str, ModelDay] = {}
        before = Moment("", None, True, None)
        opening = self.standing("", before)
        for after in [*self.closes, now]:
            closing = self.standing(after.date, after)
            found[after.date] = self.between(opening, before, closing, after)
            before, opening = after, closing
        return found
