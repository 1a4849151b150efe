"""What a step of the positions stage changed, as rows; who knows the stage's table makes them from its changelog."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

PositionName = tuple[str, str]
Order = tuple[int, int, str]
"""The place of a trade in the order of matching: executed_at, source_sequence, trade_id."""


class PositionRow(NamedTuple):
    """A position after a step, in the order of the columns of `position.position` behind its name and partition."""

    quantity: Decimal
    average_price: Decimal | None
    cost_basis: Decimal
    realised_pnl: Decimal
    net_realised_pnl: Decimal
    fees: Decimal
    lots_open: int
    revision: int
    lot_method: str
    fee_policy: str
    multiplier: Decimal
    inverse: bool
    currency: str
    last_executed_at_ns: int
    last_source_sequence: int
    last_trade_id: str
    part_quantity: Decimal | None
    part_value: Decimal | None
    part_fee: Decimal | None

    @property
    def last(self) -> Order:
        """The place of its last trade."""
        return (self.last_executed_at_ns, self.last_source_sequence, self.last_trade_id)


class LotRow(NamedTuple):
    """A lot as it was stored."""

    quantity: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal


class EffectRow(NamedTuple):
    """What a trade changed of its position."""

    quantity: Decimal
    value: Decimal
    cost_basis: Decimal
    realised_pnl: Decimal
    net_realised_pnl: Decimal
    fees: Decimal
    lots: int
    inverse: bool
    pool_price: Decimal | None


@dataclass(slots=True)
class PositionStep:
    """One step of one partition.

    `consumed` is the next offset of the stage's input after it. A lot that is None is gone. `effects` of a position are
    all of its trades from the place `begins` on, which take the place of what was known of those.
    """

    partition: int
    offset: int
    consumed: int
    known_at: int
    positions: dict[PositionName, PositionRow] = field(default_factory=dict)
    lots: dict[tuple[str, str, Order], LotRow | None] = field(default_factory=dict)
    effects: dict[PositionName, list[tuple[Order, EffectRow]]] = field(default_factory=dict)
    begins: dict[PositionName, Order] = field(default_factory=dict)
