"""An independent model of the P&L days of a position: everything made again from all bookings, in fractions.

It shares no code and no algorithm with `domain.pnl`: a day's P&L is the difference of two totals, each summed up from
the bookings that belong to the days until then and from the price of that close. Nothing is incremental.
"""

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Booked:
    """What a booking changed, and the day that it belongs to (the day as it was decided when it came)."""

    date: str
    quantity: Fraction
    cost: Fraction
    realised: Fraction
    fees: Fraction


@dataclass(frozen=True)
class Moment:
    """The close of a day, or now: the last price of a unit, whether there is a price now, the rate."""

    date: str
    unit: Fraction | None
    priced: bool
    fx: Fraction | None


@dataclass(frozen=True)
class Standing:
    """The cumulative figures at a moment; `total` None where they are not known."""

    quantity: Fraction
    realised: Fraction
    fees: Fraction
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
    """All that happened."""

    inverse: bool
    booked: list[Booked] = field(default_factory=list)
    closes: list[Moment] = field(default_factory=list)

    def standing(self, until: str, moment: Moment) -> Standing:
        """Everything that belongs to days up to `until`, at the price of a moment."""
        held = [one for one in self.booked if one.date <= until]
        quantity, cost, realised, fees = (
            sum((getattr(one, name) for one in held), Fraction(0))
            for name in ("quantity", "cost", "realised", "fees")
        )
        if quantity and (moment.unit is None or not moment.priced):
            return Standing(quantity, realised, fees, None, None, None)
        value = quantity * (moment.unit or 0)
        unrealised = cost - value if self.inverse else value - cost
        return Standing(quantity, realised, fees, unrealised, value, realised + unrealised - fees)

    def between(self, opening: Standing, before: Moment, closing: Standing, after: Moment) -> ModelDay:
        """The day between two moments."""
        fees = closing.fees - opening.fees
        realised = closing.realised - opening.realised - fees
        if opening.total is None or closing.total is None:
            return ModelDay(closing.quantity, realised, fees)
        total = closing.total - opening.total
        held = opening.quantity * (after.unit or 0)
        positional = opening.value - held if self.inverse else held - opening.value
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
