"""A position as it was valued at one moment: what the P&L of a day is measured from and to.

Owns: the figures of a moment, and how they change where a late, amended or cancelled trade changes what they should
have been.
Assumes: `exact_arithmetic()` around it. Money is in the instrument's currency; cost and realised P&L are gross of
fees; Greeks are those of the P&L of one unit of quantity.
Guarantees: figures are exact decimals; a value that is not known is None, never zero.
"""

from decimal import Decimal

import msgspec

from schemas.numbers import ZERO, divide_value

Greeks = tuple[float, float, float, float, float, float, float]
"""delta, gamma, vega, theta, rho, vanna, volga of one unit."""


class Factors(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a price hangs on; None where a model does not know it. `time` is the time to expiry in years."""

    spot: float | None = None
    volatility: float | None = None
    rate: float | None = None
    time: float | None = None


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one booking changed in the cumulative figures of a position; a movement of cash is one, too."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    carry: Decimal = ZERO
    funding: Decimal = ZERO

    def __bool__(self) -> bool:
        return bool(self.quantity or self.cost or self.realised or self.fees or self.carry or self.funding)

    def negative(self) -> "Change":
        """What takes it back."""
        return Change(-self.quantity, -self.cost, -self.realised, -self.fees, -self.carry, -self.funding)

    def less(self, other: "Change") -> "Change":
        """This without another."""
        return self.plus(other.negative())

    def plus(self, other: "Change") -> "Change":
        """Both, one after the other."""
        return Change(
            self.quantity + other.quantity,
            self.cost + other.cost,
            self.realised + other.realised,
            self.fees + other.fees,
            self.carry if other.carry is ZERO else self.carry + other.carry,
            self.funding if other.funding is ZERO else self.funding + other.funding,
        )


class Observation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The cumulative figures of a position at `at` (nanoseconds).

    `unit_value` is what one unit of quantity is worth, without accrued interest (`unit_accrued`); None where there was
    never a price. `unrealised` is None where the position is open and has no price; it is clean. `carry` and `funding` are
    what was received for holding, less what was paid; interest that was bought or sold with trades is in `carry`. An inverse
    contract gains as its value falls. `marked_at` is the time of the mark that the price hangs on; 0 where there was none.
    """

    at: int = 0
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    unrealised: Decimal | None = ZERO
    unit_value: Decimal | None = None
    inverse: bool = False
    mark: Decimal | None = None
    quality: str = ""
    fx: Decimal | None = None
    factors: Factors | None = None
    greeks: Greeks | None = None
    reason: str = ""
    unit_accrued: Decimal = ZERO
    carry: Decimal = ZERO
    funding: Decimal = ZERO
    marked_at: int = 0

    @property
    def priced(self) -> bool:
        """Whether its P&L is known."""
        return self.unrealised is not None

    @property
    def total(self) -> Decimal:
        """All P&L since the position was first opened, net of fees; call it where `priced`."""
        assert self.unrealised is not None, "asked only where priced"
        total = self.realised + self.unrealised - self.fees
        if self.carry is not ZERO or self.funding is not ZERO:
            total += self.carry + self.funding
        return total + self.accrued if self.unit_accrued else total

    @property
    def accrued(self) -> Decimal:
        """The interest that has accrued on the position and is not paid yet."""
        return self.quantity * self.unit_accrued if self.unit_accrued else ZERO

    @property
    def value(self) -> Decimal:
        """What the position is worth, without accrued interest; call it where `priced`."""
        assert self.unrealised is not None, "asked only where priced"
        return self.cost - self.unrealised if self.inverse else self.cost + self.unrealised

    def value_of(self, quantity: Decimal) -> Decimal | None:
        """What another quantity is worth at this moment's price; None without one."""
        if quantity == self.quantity and self.priced:
            return self.value
        if not quantity:
            return ZERO
        return None if self.unit_value is None else quantity * self.unit_value

    def gain(self, before: Decimal, after: Decimal) -> Decimal:
        """The P&L of a value that goes from `before` to `after`."""
        return before - after if self.inverse else after - before

    def shifted(self, change: Change) -> "Observation":
        """This moment as it would have been with a booking that came later: the same price, other figures."""
        quantity, cost = self.quantity + change.quantity, self.cost + change.cost
        value = self.value_of(quantity) if self.priced or not quantity else None
        return msgspec.structs.replace(
            self,
            quantity=quantity,
            cost=cost,
            realised=self.realised + change.realised,
            fees=self.fees + change.fees,
            carry=self.carry + change.carry,
            funding=self.funding + change.funding,
            unrealised=None if value is None else self.gain(cost, value),
            reason=self.reason if value is not None else self.reason or "no price",
        )

    def change_since(self, former: "Observation") -> Change:
        """What the bookings between two moments changed."""
        return Change(
            self.quantity - former.quantity,
            self.cost - former.cost,
            self.realised - former.realised,
            self.fees - former.fees,
            ZERO if self.carry is former.carry else self.carry - former.carry,
            ZERO if self.funding is former.funding else self.funding - former.funding,
        )

    def remarked(self, later: "Observation") -> "Observation":
        """This moment at the price of a later observation: the same position and rate, priced anew."""
        held = later.value_of(self.quantity)
        return msgspec.structs.replace(
            self,
            unrealised=None if held is None else self.gain(self.cost, held),
            unit_value=later.unit_value,
            unit_accrued=later.unit_accrued,
            mark=later.mark,
            quality=later.quality,
            factors=later.factors,
            greeks=later.greeks,
            reason=later.reason,
            marked_at=later.marked_at,
        )


NOTHING = Observation()
"""Before the first booking."""


def unit_value_of(value: Decimal | None, quantity: Decimal) -> Decimal | None:
    """The value of one unit; None where it cannot be told. Rounded where it does not end (`divide_value`)."""
    return None if value is None or not quantity else divide_value(value, quantity)
