"""Late, amended and cancelled trades: the position as if they had always stood in their place.

The caller hands over the journal from the point of change on (everything at or after it, in the order of
matching) and the trades that shall stand there instead. The undo images in the journal take the position back;
the trades are then matched afresh. The result equals the in-order run, digit for digit.

This is the whole way, terms that change included; `domain.lots.rerun` is the fast one where they do not.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from domain.lots.matching import Applied, apply, lot_changes, undo
from domain.lots.position import Lot, OrderKey, Position, Terms, TermsFault, Trade


class TermsConflict(ValueError):
    """A change of terms would meet an open position; `fault` says which."""

    def __init__(self, fault: TermsFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class JournalEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A trade of a position and what it did, as the journal keeps it.

    Where other terms begin with the trade (the position was flat), `terms` holds them and `terms_before`
    those that it had.
    """

    trade: Trade
    applied: Applied
    terms: Terms | None = None
    terms_before: Terms | None = None


class Rematched(msgspec.Struct, frozen=True, gc=False):
    """What a re-match did.

    `entries` replace the undone ones; `lots` says what became of every lot that was touched (None: gone);
    `realised_pnl` holds the change of each trade whose realised P&L changed, by trade id.
    """

    entries: list[JournalEntry]
    lots: dict[OrderKey, Lot | None]
    realised_pnl: dict[str, Decimal]


def enter(position: Position, trade: Trade, terms: Terms | None) -> JournalEntry:
    """Match the latest trade, under other `terms` if some are given, and write its journal entry.

    Raises TermsConflict where other terms meet an open position.
    """
    if terms is None or terms == position.terms:
        return JournalEntry(trade, apply(position, trade))
    fault = position.terms_fault(terms)
    if fault is not None:
        raise TermsConflict(fault)
    before, position.terms = position.terms, terms
    return JournalEntry(trade, apply(position, trade), terms, before)


def standing(terms: Terms, undone: Sequence[JournalEntry]) -> list[tuple[Trade, Terms]]:
    """The trades of consecutive journal entries, each with the terms that it stood under.

    `terms` are those in force before the first of them. Each names its own: what begins new terms may be taken out or
    moved, and the trades after it still have theirs.
    """
    trades: list[tuple[Trade, Terms]] = []
    for entry in undone:
        terms = entry.terms or terms
        trades.append((entry.trade, terms))
    return trades


def rematch(
    position: Position, undone: Sequence[JournalEntry], trades: Iterable[tuple[Trade, Terms | None]]
) -> Rematched:
    """Take back the `undone` entries (in the order of matching) and match `trades` (in that order) instead.

    Changes the position. A trade's terms are None where it goes on under those of the trade before it
    (`standing` gives the undone trades as they stood). A long re-match is taken back and matched in parts.
    Raises TermsConflict where a change of terms would meet an open position; the position is of no use then.
    """
    lots: dict[OrderKey, Lot | None] = {}
    before: dict[str, Decimal] = {}
    for entry in reversed(undone):
        undo(position, entry.trade, entry.applied)
        lot_changes(entry.applied, lots, undone=True)
        if entry.terms_before is not None:
            position.terms = entry.terms_before
        before[entry.trade.trade_id] = entry.applied.realised_pnl
    entries = []
    realised: dict[str, Decimal] = {}
    for trade, terms in trades:
        entry = enter(position, trade, terms)
        lot_changes(entry.applied, lots)
        entries.append(entry)
        earlier = before.pop(trade.trade_id, None)
        pnl = entry.applied.realised_pnl
        change = pnl if earlier is None else pnl - earlier
        if change:
            realised[trade.trade_id] = change
    for trade_id, earlier in before.items():
        if earlier:
            realised[trade_id] = -earlier
    return Rematched(entries, lots, realised)
