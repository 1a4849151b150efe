"""Late, amended and cancelled trades: the position as if they had always stood in their place.

The caller hands over the journal from the point of change on (everything at or after it, in the order of
matching) and the trades that shall stand there instead. The undo images in the journal take the position back;
the trades are then matched afresh. The result equals the in-order run, digit for digit.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from domain.lots.matching import Applied, apply, lot_changes, undo
from domain.lots.position import Lot, OrderKey, Position, Trade


class JournalEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A trade of a position and what it did, as the journal keeps it."""

    trade: Trade
    applied: Applied


class Rematched(msgspec.Struct, frozen=True, gc=False):
    """What a re-match did.

    `entries` replace the undone ones; `lots` says what became of every lot that was touched (None: gone);
    `realised_pnl` holds the change of each trade whose realised P&L changed, by trade id.
    """

    entries: list[JournalEntry]
    lots: dict[OrderKey, Lot | None]
    realised_pnl: dict[str, Decimal]


def rematch(position: Position, undone: Sequence[JournalEntry], trades: Iterable[Trade]) -> Rematched:
    """Take back the `undone` entries (in the order of matching) and match `trades` (in that order) instead.

    Changes the position. The terms of the position stay.
    """
    lots: dict[OrderKey, Lot | None] = {}
    before: dict[str, Decimal] = {}
    for entry in reversed(undone):
        undo(position, entry.trade, entry.applied)
        lot_changes(entry.applied, lots, undone=True)
        before[entry.trade.trade_id] = entry.applied.realised_pnl
    entries = []
    realised: dict[str, Decimal] = {}
    for trade in trades:
        applied = apply(position, trade)
        lot_changes(applied, lots)
        entries.append(JournalEntry(trade, applied))
        earlier = before.pop(trade.trade_id, None)
        change = applied.realised_pnl if earlier is None else applied.realised_pnl - earlier
        if change:
            realised[trade.trade_id] = change
    for trade_id, earlier in before.items():
        if earlier:
            realised[trade_id] = -earlier
    return Rematched(entries, lots, realised)
