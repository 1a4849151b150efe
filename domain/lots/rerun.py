"""A re-match stretch by stretch: take back the last trades of a position, last first; match them again, first first.

Owns: the fast way of `domain.lots.rematch`, for trades that all stand under the position's present terms. It works
on outcomes as the journal keeps them, and needs no more than one stretch at hand.
Assumes: inside `exact_arithmetic()`; all is taken back before anything is matched; nobody else changes the
position meanwhile.
Guarantees: the position, its journal and its lots are those of the run in order, digit for digit. What it notes
grows with the lots that it touches, not with the trades.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from itertools import islice

from domain.lots.matching import apply
from domain.lots.outcomes import OPENED, REST, Closed, Figure, Opened, Other, Outcome, outcome
from domain.lots.position import Lot, OrderKey, Position, Trade
from schemas.numbers import ZERO
from schemas.units import LotMethod


class RealisedChanges:
    """Which trades of a re-match realise something else than before: how many, and the first of them by name.

    `ends` are the ends of days; `moved` has between each two of them when one of these trades was executed, and how much
    more all of them realise. Without any end nothing is moved from a day to another.
    """

    __slots__ = ("count", "ends", "moved", "named", "named_max")

    def __init__(self, named_max: int) -> None:
        self.named_max = named_max
        self.named: list[tuple[str, Decimal]] = []
        self.count = 0
        self.ends: Sequence[int] = ()
        self.moved: dict[int, tuple[int, Decimal]] = {}

    def note(self, trade: Trade, change: Decimal) -> None:
        """A trade's realised P&L changed by `change`, which is not zero."""
        self.count += 1
        if self.count <= self.named_max:
            self.named.append((trade.trade_id, change))
        if self.ends:
            day = bisect_right(self.ends, trade.executed_at)
            _, others = self.moved.get(day, (0, ZERO))
            self.moved[day] = (trade.executed_at, others + change)


class Rerun:
    """A re-match of a position from a place on: `take_back`, then `match` and `enter`, then `finish`.

    `realised` says which trades that stand on both sides of it realise something else (not the one that comes or goes).
    """

    def __init__(self, position: Position, start: OrderKey, named_max: int) -> None:
        self.realised = RealisedChanges(named_max)
        self._position = position
        self._start = start
        self._first_in = position.terms.lot_method is LotMethod.FIFO
        self._fees = position.fees
        # In the order of touching: what is written must not hang on the order of a set.
        self._touched: dict[OrderKey, None] = {}
        self._lots: dict[OrderKey, Lot] = {}
        for lot in reversed(position.lots):
            order = lot.order
            if order < start:
                break
            self._lots[order] = lot

    def take_back(self, outcomes: Sequence[Outcome]) -> None:
        """Take back a stretch, which is the last one that the position has."""
        for done in reversed(outcomes):
            if type(done) is Closed:
                consumed, left = done.consumed, done.left
                rest, opened = left == REST, left == OPENED
                self._position.realised_pnl -= done.realised_pnl
                self._position.net_realised_pnl -= done.realised_pnl
            elif type(done) is Other:
                applied = done.applied
                consumed, rest, opened = (
                    applied.consumed,
                    applied.rest is not None,
                    applied.opened is not None,
                )
                self._position.realised_pnl -= applied.realised_pnl
                self._position.net_realised_pnl -= applied.net_realised_pnl
            else:
                consumed, rest, opened = (), False, True
                if type(done) is Opened:
                    self._position.net_realised_pnl -= done.net_realised_pnl
            self._give_back(consumed, rest, opened)
            self._touch(consumed)

    def _give_back(self, consumed: Sequence[Lot], rest: bool, opened: bool) -> None:
        """Give back the lots of one trade; what it left of the last of them, and what it opened, goes."""
        lots, position = self._position.lots, self._position
        gone = [lots.pop()] if opened else []
        if rest:
            gone.append(lots.popleft() if self._first_in else lots.pop())
        for lot in gone:
            position.quantity -= lot.quantity
            position.value -= lot.value
            position.held_fees -= lot.fee
        for lot in consumed:
            position.quantity += lot.quantity
            position.value += lot.value
            position.held_fees += lot.fee
        if self._first_in:
            lots.extendleft(reversed(consumed))
        else:
            lots.extend(reversed(consumed))

    def take_back_all(self) -> None:
        """Take back all trades at once, of which none has an outcome but None and `Closed`; `restore` follows.

        Their own lots go, whatever became of them; only what they consumed of earlier lots is to be restored.
        """
        position = self._position
        for lot in self._lots.values():
            position.lots.pop()
            position.quantity -= lot.quantity
            position.value -= lot.value

    def restore(self, figures: Sequence[Figure], closings: Sequence[Closed]) -> None:
        """Restore what a stretch (the last one first) realised, and what its closings consumed of earlier lots."""
        position, start, first_in = self._position, self._start, self._first_in
        realised = ZERO
        for figure in figures:
            if figure is not None:
                realised += realised_of(figure)
        same = position.net_realised_pnl is position.realised_pnl
        position.realised_pnl -= realised
        position.net_realised_pnl = position.realised_pnl if same else position.net_realised_pnl - realised
        lots = position.lots
        for closing in reversed(closings):
            for lot in reversed(closing.consumed):
                order = lot.order
                if order >= start:
                    continue
                self._touched[order] = None
                if lots and lots[0 if first_in else -1].order == order:
                    rest = lots.popleft() if first_in else lots.pop()
                    position.quantity -= rest.quantity
                    position.value -= rest.value
                position.quantity += lot.quantity
                position.value += lot.value
                if first_in:
                    lots.appendleft(lot)
                else:
                    lots.append(lot)

    def _touch(self, consumed: Sequence[Lot]) -> None:
        start = self._start
        for lot in consumed:
            if lot.executed_at <= start[0] and lot.order < start:
                self._touched[lot.order] = None

    def match(self, trades: Sequence[Trade], before: Sequence[Figure]) -> list[Outcome]:
        """Match trades that were taken back; `before` is what each of them did then."""
        position, note = self._position, self.realised.note
        under = position.terms
        outcomes: list[Outcome] = []
        add = outcomes.append
        for trade, figure in zip(trades, before, strict=True):
            applied = apply(position, trade)
            pnl = applied.realised_pnl
            if figure is not None:
                change = pnl - realised_of(figure)
                if change:
                    note(trade, change)
            elif pnl is not ZERO and pnl:
                note(trade, pnl)
            if applied.consumed:
                self._touch(applied.consumed)
            add(outcome(applied, under))
        return outcomes

    def enter(self, trade: Trade) -> Outcome:
        """Match a trade that was not there."""
        self._fees += trade.fee
        applied = apply(self._position, trade)
        self._touch(applied.consumed)
        return outcome(applied, self._position.terms)

    def leave(self, trade: Trade) -> None:
        """A trade that was taken back does not come again."""
        self._fees -= trade.fee

    def finish(self) -> dict[OrderKey, Lot | None]:
        """All is matched; says what became of every lot that is not as it was (None: gone)."""
        position, start = self._position, self._start
        # Trades that stay leave the sum of fees as it was.
        position.fees = self._fees
        changes: dict[OrderKey, Lot | None] = {}
        before = self._lots
        inside = 0
        for lot in reversed(position.lots):
            order = lot.order
            if order < start:
                break
            inside += 1
            if before.pop(order, None) != lot:
                changes[order] = lot
        changes.update(dict.fromkeys(before))
        touched = self._touched
        # Earlier lots are consumed from one end only: what is left of those that were touched stands there.
        lots = iter(position.lots) if self._first_in else islice(reversed(position.lots), inside, None)
        for lot in lots:
            order = lot.order
            if order not in touched:
                break
            del touched[order]
            changes[order] = lot
        changes.update(touched)
        return changes


def realised_of(figure: Decimal | Opened | Other) -> Decimal:
    """The realised P&L of a trade, from its figure."""
    if type(figure) is Decimal:
        return figure
    return figure.applied.realised_pnl if type(figure) is Other else ZERO
