"""The positions stage: sole writer of its books' positions.

Reads bookings (trades, corrections, day marks) in the one order of their topic; refuses a trade id that it
knows; matches lots; keeps summary, lots, journal and trade index; says what changed as `PositionUpdated`.
A late, amended or cancelled trade re-matches its own position from its place on, and no other.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import native
from agents.corrections import correct, terms_of, terms_refusal
from agents.open_position import OpenPosition
from agents.position_state import DAY, KNOWN_AT_START, PositionsState, settlement_fee
from agents.position_updates import Figures, emit_in_order, emit_rematched
from agents.rematching import rematch_position
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from agents.trade_index import FIRST, TradeIndex, index_key, pack_place
from domain.lots.matching import apply
from domain.lots.position import Terms, Trade, terms_difference
from domain.lots.rematch import TermsConflict
from schemas import events, topics
from schemas.frames import wire
from schemas.numbers import ZERO

NAME = "positions"

_TradeBooked = wire(events.TradeBooked)
_LifecycleEventApplied = wire(events.LifecycleEventApplied)
_DayClosed = wire(events.DayClosed)
_DUPLICATE = Refusal("known already, with the same content", kind="duplicate")


def handle(state: PositionsState, frames: Iterable[Frame], step: Step) -> None:
    """Apply bookings to positions."""
    compiled = native.positions()
    source: str | None = None
    counts = None
    for frame in frames:
        events_of_frame = frame.events
        place, end = 0, len(events_of_frame)
        while place < end:
            event = events_of_frame[place]
            booked = place if compiled is None else compiled.book(state, events_of_frame, place, step)
            if booked == place:
                kind = type(event)
                if kind is _TradeBooked:
                    refusal = _book(state, event, step)
                elif kind is _LifecycleEventApplied:
                    refusal = correct(state, event, step)
                else:
                    if kind is _DayClosed:
                        state.table.put(DAY + event.book.encode(), event.business_date.encode())
                    place += 1
                    continue
            if counts is None or event.source != source:
                source = event.source
                counts = state.counters.of(source)
            if booked > place:
                counts.read += booked - place
                counts.applied += booked - place
                place = booked
                continue
            counts.read += 1
            if refusal is None:
                counts.applied += 1
            elif refusal.kind == "duplicate":
                counts.duplicates += 1
            else:
                counts.refused += 1
                step.refuse(frame, place, refusal)
            place += 1


def _book(state: PositionsState, event: Any, step: Step) -> Refusal | None:
    book, instrument, trade_id = event.book, event.instrument, event.trade_id
    fee = settlement_fee(event) if event.fees else ZERO
    key = index_key(book, trade_id)
    if state.known_trades.seen(key):
        index = state.index(book, trade_id)
        if index is not None:
            return _known(index, event, fee)
    opened = state.cache.get((book, instrument)) or state.find_or_make(book, instrument, terms_of(event))
    executed_at, source_sequence = event.executed_at, event.source_sequence
    trade = Trade(trade_id, executed_at, source_sequence, event.quantity, event.price, fee)
    position = opened.position
    order = (executed_at, source_sequence, trade_id)
    terms = position.terms
    if (
        order > opened.last
        # The terms that it has, each by itself: to make `Terms` of them first takes three times as long.
        and event.lot_method is terms.lot_method
        and event.fee_policy is terms.fee_policy
        and event.inverse is terms.inverse
        and (event.multiplier is terms.multiplier or event.multiplier == terms.multiplier)
        and event.settlement_currency == terms.currency
    ):
        if not opened.dirty:
            state.touch(opened)
            step.touched[book, instrument] = opened
        applied = apply(position, trade)
        opened.note_lots(applied)
        opened.last = order
        opened.journal.add(trade, applied, terms)
        emit_in_order(opened, event, trade, applied, step)
    else:
        refusal = _insert(state, opened, event, trade, terms_of(event), step)
        if refusal is not None:
            return refusal
    state.table.changes[key] = pack_place(FIRST, executed_at, source_sequence) + instrument.encode()
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
        expected="a new trade id, the same content again, or an AMEND that names it",
        found=event.trade_id,
        trade_id=event.trade_id,
    )


def _insert(
    state: PositionsState, opened: OpenPosition, event: Any, trade: Trade, terms: Terms, step: Step
) -> Refusal | None:
    """A trade that is late, or that brings other terms."""
    late = trade.order < opened.last
    if late:
        why = "as the position has it now (the trade is late)"
        fault = terms_difference(opened.position.terms, terms, why)
        if fault is not None:
            return terms_refusal(event, fault)
    before = Figures(opened.position)
    try:
        realised_pnl = rematch_position(state, opened, None, trade, terms)
    except TermsConflict as conflict:
        state.reload(opened)
        return terms_refusal(event, conflict.fault)
    state.touch(opened)
    emit_rematched(opened, event, trade.trade_id, before, realised_pnl, step, 0)
    return None


def stage(cached_lots_max: int = 2_000_000, known_at_start: int = KNOWN_AT_START) -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.BOOKINGS,
        outputs=(topics.POSITIONS,),
        table=TableDeclaration(NAME),
        open_state=lambda table: PositionsState(table, cached_lots_max, known_at_start),
        handler=handle,
        description="matches lots, keeps positions, publishes what changed",
    )
