"""The positions stage: sole writer of its books' positions.

Reads bookings (trades, corrections, day marks) in the one order of their topic; refuses a trade id that it
knows; matches lots; keeps summary, lots, journal and trade index; says what changed as `PositionUpdated`, and when
a book's day ends between them.
A late, amended or cancelled trade re-matches its own position from its place on, and no other; a long re-match is done
in slices between the steps, and what concerns the same position waits for it.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import native
from agents.booking_queue import Place
from agents.corrections import (
    conflict_refusal,
    correct,
    finish_correction,
    places_of,
    plan_correction,
    terms_of,
    terms_refusal,
)
from agents.open_position import OpenPosition
from agents.position_state import (
    KNOWN_AT_START,
    REMATCH_SLICE_MIN,
    SLICE_TRADES,
    PositionsState,
    settlement_fee,
)
from agents.position_updates import emit_in_order, emit_rematched
from agents.rematch_work import TOO_LONG, Bookings, Planned, RematchWork
from agents.rematching import Change, is_long, rematch_position
from agents.stage import Frame, IdleWork, Refusal, Stage, Step, TableDeclaration
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
    queue = state.work.queue
    for frame in frames:
        events_of_frame = frame.events
        place, end = 0, len(events_of_frame)
        while place < end:
            event = events_of_frame[place]
            # The twin does not ask what waits: while something does, the plain code runs alone.
            booked = (
                place if compiled is None or queue else compiled.book(state, events_of_frame, place, step)
            )
            if booked == place:
                kind = type(event)
                if kind is _TradeBooked:
                    refusal = TOO_LONG if queue and _must_wait(state, event) else _book(state, event, step)
                elif kind is _LifecycleEventApplied:
                    refusal = TOO_LONG if queue and _must_wait(state, event) else correct(state, event, step)
                else:
                    if kind is _DayClosed:
                        _close_day(state, event, step)
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
            elif refusal is TOO_LONG:
                counts.waiting += 1
                last_end = state.last_end(event.book)
                queue.add(frame.offset, frame.indexes[place], event, _places_of(state, event), last_end)
            else:
                counts.refused += 1
                step.refuse(frame, place, refusal)
            place += 1


def _close_day(state: PositionsState, event: Any, step: Step) -> None:
    """The end of a book's day is told between the updates that came before it and those that follow."""
    state.end_day(event.book, event.event_time)
    if not step.silent:
        step.bucket(topics.POSITIONS, event.book).append(event)


def _places_of(state: PositionsState, event: Any) -> list[Place]:
    """The positions that a booking may change."""
    return [(event.book, event.instrument)] if type(event) is _TradeBooked else places_of(state, event)


def _must_wait(state: PositionsState, event: Any) -> bool:
    return state.work.queue.concerns(event, _places_of(state, event))


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


def _trade_of(event: Any) -> Trade:
    fee = settlement_fee(event) if event.fees else ZERO
    return Trade(event.trade_id, event.executed_at, event.source_sequence, event.quantity, event.price, fee)


def _note_place(state: PositionsState, event: Any) -> None:
    place = pack_place(FIRST, event.executed_at, event.source_sequence) + event.instrument.encode()
    state.table.put(index_key(event.book, event.trade_id), place)


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
    change = Change(opened, added=trade, terms=terms)
    if is_long(state, [change]):
        return TOO_LONG
    try:
        rematch_position(state, change)
    except TermsConflict as conflict:
        state.reload(opened)
        return conflict_refusal(event, conflict)
    _publish(state, event, change, step)
    return None


def _publish(state: PositionsState, event: Any, change: Change, step: Step) -> None:
    assert change.before is not None and change.realised is not None, "the change was matched"
    state.touch(change.opened)
    emit_rematched(change.opened, event, event, event.trade_id, change.before, change.realised, step, 0)


# -- in slices --------------------------------------------------------------------------------------------------


def _apply(state: PositionsState, event: Any, step: Step) -> Refusal | None:
    return _book(state, event, step) if type(event) is _TradeBooked else correct(state, event, step)


def _planned(state: PositionsState, event: Any) -> Planned:
    if type(event) is not _TradeBooked:
        return plan_correction(state, event)
    terms = terms_of(event)
    opened = state.find_or_make(event.book, event.instrument, terms)
    return Planned([Change(opened, added=_trade_of(event), terms=terms)])


def _finish(state: PositionsState, event: Any, planned: Planned, step: Step) -> None:
    if type(event) is not _TradeBooked:
        finish_correction(state, event, planned, step)
        return
    _publish(state, event, planned.changes[0], step)
    _note_place(state, event)


_BOOKINGS = Bookings(_apply, _planned, _finish, conflict_refusal)


def do_slice(state: PositionsState, step: Step, failed: Refusal | None) -> None:
    """Do some of what was left to slices (`agents.rematch_work`)."""
    state.work.slice(_BOOKINGS, step, failed)


def stage(
    cached_lots_max: int = 2_000_000,
    known_at_start: int = KNOWN_AT_START,
    waiting_bookings_max: int = 50_000,
    rematch_min: int = REMATCH_SLICE_MIN,
    slice_trades: int = SLICE_TRADES,
) -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.BOOKINGS,
        outputs=(topics.POSITIONS,),
        table=TableDeclaration(NAME),
        open_state=lambda table: PositionsState(
            table,
            cached_lots_max,
            known_at_start,
            rematch_min,
            make_work=lambda state: RematchWork(state, slice_trades),
        ),
        handler=handle,
        idle_work=IdleWork(
            is_left=lambda state: bool(state.work),
            is_full=lambda state: len(state.work.queue) >= waiting_bookings_max,
            do_slice=do_slice,
        ),
        description="matches lots, keeps positions, publishes what changed",
    )
