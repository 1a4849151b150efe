"""What a trade did, in the least that a journal must keep: the rest follows from the trade itself.

Most trades open a lot that holds the trade and nothing else; most others close lots, and their fees are not
matched. `outcome` finds which kind it is, `applied_of` gives the whole back. A re-match (`domain.lots.rematch`)
works on outcomes as they are, since making the whole of each costs more than matching does.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from domain.lots.matching import Applied
from domain.lots.position import Lot, Terms, Trade
from schemas.numbers import ZERO
from schemas.units import LotMethod

_AVERAGE = LotMethod.AVERAGE

NOTHING, REST, OPENED = 0, 1, 2
"""What a `Closed` trade left: nothing, the rest of the last lot that it consumed, or a lot of its own (a flip)."""


class Closed(msgspec.Struct, frozen=True, gc=False):
    """Lots of their own closed under FIFO or LIFO, not inverse, no fee in the figures.

    `consumed` are the lots as they were before, in the order of consumption.
    """

    realised_pnl: Decimal
    consumed: tuple[Lot, ...]
    left: int


class Opened(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=0):
    """A lot opened whose value or fees do not follow from the trade alone."""

    net_realised_pnl: Decimal
    value: Decimal
    held_fees: Decimal


class Other(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Anything else, whole; `terms` where other terms begin with the trade, `terms_before` those it found."""

    applied: Applied
    terms: Terms | None = None
    terms_before: Terms | None = None


Outcome = Closed | Opened | Other | None
"""None: the trade opened a lot that follows from it, and changed no other figure."""

Figure = Decimal | Opened | Other | None
"""An outcome without what it consumed: of a `Closed` trade only its realised P&L."""


def outcome(
    applied: Applied, under: Terms, terms: Terms | None = None, terms_before: Terms | None = None
) -> Outcome:
    """The outcome of a trade that was applied `under` some terms."""
    consumed = applied.consumed
    if terms is None:
        if (
            applied.net_realised_pnl is applied.realised_pnl
            and applied.held_fees is ZERO
            and not under.inverse
            and under.lot_method is not _AVERAGE
        ):
            if not consumed:
                return None
            if applied.rest is not None:
                return Closed(applied.realised_pnl, consumed, REST)
            return Closed(applied.realised_pnl, consumed, NOTHING if applied.opened is None else OPENED)
        if applied.opened is not None and not consumed:
            return Opened(applied.net_realised_pnl, applied.value, applied.held_fees)
    return Other(applied, terms, terms_before)


def applied_of(trade: Trade, found: Outcome) -> Applied:
    """The whole of an outcome. Runs inside `exact_arithmetic()`."""
    if type(found) is Other:
        return found.applied
    if type(found) is Closed:
        return _closed(trade, found)
    if found is None:
        net, value, held_fees = ZERO, trade.quantity * trade.price, ZERO
    else:
        assert type(found) is Opened
        net, value, held_fees = found.net_realised_pnl, found.value, found.held_fees
    return Applied(
        ZERO, net, value, held_fees, (), None, _lot(trade, trade.quantity, trade.price, value, held_fees)
    )


def _lot(trade: Trade | Lot, quantity: Decimal, price: Decimal, value: Decimal, fee: Decimal) -> Lot:
    return Lot(trade.trade_id, trade.executed_at, trade.source_sequence, quantity, price, value, fee)


def rest_of(trade: Trade, consumed: Sequence[Lot]) -> Lot:
    """What a `Closed` trade left of the last lot that it consumed. Runs inside `exact_arithmetic()`."""
    quantity = trade.quantity
    for lot in consumed:
        quantity += lot.quantity
    last = consumed[-1]
    return _lot(last, quantity, last.price, quantity * last.price, last.fee)


def _closed(trade: Trade, found: Closed) -> Applied:
    value = ZERO
    for lot in found.consumed:
        value -= lot.value
    rest = opened = None
    if found.left == REST:
        rest = rest_of(trade, found.consumed)
        value += rest.value
    elif found.left == OPENED:
        quantity = sum((lot.quantity for lot in found.consumed), trade.quantity)
        opened = _lot(trade, quantity, trade.price, quantity * trade.price, ZERO)
        value += opened.value
    realised = found.realised_pnl
    return Applied(realised, realised, value, ZERO, found.consumed, rest, opened)
