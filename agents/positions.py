"""The positions stage: sole writer of its books' positions.

Reads bookings (trades, corrections, day marks) in the one order of their topic; refuses a trade id that it
knows; matches lots; keeps summary, lots, journal and trade index; says what changed as `PositionUpdated`.
A late, amended or cancelled trade re-matches its own position from its place on, and no other.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from agents.corrections import correct, keep, terms_refusal
from agents.position_state import (
    DAY,
    PACKED_FAMILIES,
    OpenPosition,
    PositionsState,
    TradeIndex,
    scan_journal,
    settlement_fee,
)
from agents.position_updates import Figures, emit_in_order, emit_rematched
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from domain.lots.matching import Applied, apply
from domain.lots.position import Terms, Trade
from domain.lots.rematch import JournalEntry, TermsConflict, rematch
from schemas import events, topics
from schemas.frames import wire

NAME = "positions"

_TradeBooked = wire(events.TradeBooked)
_LifecycleEventApplied = wire(events.LifecycleEventApplied)
_DayClosed = wire(events.DayClosed)
_DUPLICATE = Refusal("known already, with the same content", kind="duplicate")


def handle(state: PositionsState, frames: Sequence[Frame], step: Step) -> None:
    """Apply bookings to positions."""
    for frame in frames:
        for place, event in enumerate(frame.events):
            kind = type(event)
            if kind is _TradeBooked:
                refusal = _book(state, event, step)
            elif kind is _LifecycleEventApplied:
                refusal = correct(state, event, step)
            else:
                if kind is _DayClosed:
                    state.table.put(DAY + event.book.encode(), event.business_date.encode())
                continue
            counts = state.counters.of(event.source)
            counts.read += 1
            if refusal is None:
                counts.applied += 1
            elif refusal.kind == "duplicate":
                counts.duplicates += 1
            else:
                counts.refused += 1
                step.refuse(frame, place, refusal)


def _book(state: PositionsState, event: Any, step: Step) -> Refusal | None:
    book, instrument, trade_id = event.book, event.instrument, event.trade_id
    fee = settlement_fee(event)
    index = state.index(book, trade_id)
    if index is not None:
        return _known(index, event, fee)
    terms = Terms(
        event.lot_method, event.fee_policy, event.multiplier, event.inverse, event.settlement_currency
    )
    opened = state.find_or_make(book, instrument, terms)
    trade = Trade(trade_id, event.executed_at, event.source_sequence, event.quantity, event.price, fee)
    position = opened.position
    order = (event.executed_at, event.source_sequence, trade_id)
    if order > opened.last and terms == position.terms:
        state.touch(opened)
        applied = apply(position, trade)
        _note_lots(opened, applied)
        opened.last = order
        state.put_entry(opened, JournalEntry(trade, applied))
        emit_in_order(opened, event, trade, applied, step)
    else:
        refusal = _insert(state, opened, event, trade, terms, step)
        if refusal is not None:
            return refusal
    state.put_index(
        book,
        trade_id,
        TradeIndex(
            True,
            instrument,
            event.executed_at,
            event.source_sequence,
            instrument,
            event.executed_at,
            event.quantity,
            event.price,
            fee,
        ),
    )
    return None


def _known(index: TradeIndex, event: Any, fee: Decimal) -> Refusal:
    first = (
        index.first_instrument,
        index.first_executed_at,
        index.first_quantity,
        index.first_price,
        index.first_fee,
    )
    if first == (event.instrument, event.executed_at, event.quantity, event.price, fee):
        return _DUPLICATE
    return Refusal(
        "the trade id is known with other content",
        field="trade_id",
        expected="a new trade id, or the same content again",
        found=event.trade_id,
        trade_id=event.trade_id,
    )


def _note_lots(opened: OpenPosition, applied: Applied) -> None:
    changes = opened.lot_changes
    for lot in applied.consumed:
        changes[(lot.executed_at, lot.source_sequence, lot.trade_id)] = None
    rest, made = applied.rest, applied.opened
    if rest is not None:
        changes[(rest.executed_at, rest.source_sequence, rest.trade_id)] = rest
    if made is not None:
        order = (made.executed_at, made.source_sequence, made.trade_id)
        if order not in changes:
            opened.created_lots.add(order)
        changes[order] = made


def _insert(
    state: PositionsState, opened: OpenPosition, event: Any, trade: Trade, terms: Terms, step: Step
) -> Refusal | None:
    """A trade that is late, or that brings other terms."""
    late = trade.order < opened.last
    if late and terms != opened.position.terms:
        return terms_refusal(event, "a late trade of the terms that the position has now")
    state.flush(opened)
    before = Figures(opened.position)
    try:
        if late:
            undone = list(scan_journal(state.table, opened.key, trade.order))
            kept = [(entry.trade, entry.terms) for entry in undone]
            outcome = rematch(opened.position, undone, [(trade, None), *kept])
        else:
            outcome = rematch(opened.position, [], [(trade, terms)])
            opened.last = trade.order
    except TermsConflict as conflict:
        state.reload(opened)
        return terms_refusal(event, str(conflict))
    state.touch(opened)
    keep(state, opened, outcome)
    emit_rematched(opened, event, trade.trade_id, before, outcome, step, 0)
    return None


def stage(cached_lots_max: int = 2_000_000) -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.BOOKINGS,
        outputs=(topics.POSITIONS,),
        table=TableDeclaration(NAME, packed=PACKED_FAMILIES),
        open_state=lambda table: PositionsState(table, cached_lots_max),
        handler=handle,
        description="matches lots, keeps positions, publishes what changed",
    )
