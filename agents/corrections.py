"""Corrections in the positions stage: a trade is taken out, put in, replaced, or moved to another instrument.

Each changes its own positions only, from the point of change on. Positions are changed in memory first and
written when all of it went well: a correction is applied whole or refused whole.
"""

from typing import Any

from agents.booking_queue import Place
from agents.position_state import EVENT, PositionsState, settlement_fee
from agents.position_updates import emit_rematched
from agents.rematch_work import TOO_LONG, Planned
from agents.rematching import Change, is_long, rematch_position
from agents.stage import Refusal, Step
from agents.trade_index import TradeIndex
from domain.lots.position import Terms, TermsFault, Trade
from domain.lots.rematch import TermsConflict
from schemas.identity import position_key

_DUPLICATE = Refusal("known already, with the same content", kind="duplicate")


def correct(state: PositionsState, event: Any, step: Step) -> Refusal | None:
    """Apply a life-cycle event; None where it was applied, TOO_LONG where it is to be done in slices."""
    known = state.table.get(_event_key(event))
    if known is not None:
        return _DUPLICATE if known == event.event_id.encode() else _refuse_known(event)
    planned = plan_correction(state, event)
    if not planned.changes:
        return Refusal(
            "names no live trade of this book",
            field="original_trade_id",
            expected=f"a trade that book {event.book} holds",
            found=event.original_trade_id,
            trade_id=event.trade_id,
        )
    changes = planned.changes
    if is_long(state, changes):
        return TOO_LONG
    for change in changes:
        if change.opened.dirty:
            state.flush(change.opened)
    try:
        for change in changes:
            rematch_position(state, change)
    except TermsConflict as conflict:
        for change in changes:
            state.reload(change.opened)
        return conflict_refusal(event, conflict)
    finish_correction(state, event, planned, step)
    return None


def _event_key(event: Any) -> bytes:
    return EVENT + position_key(event.book, event.trade_id)


def finish_correction(state: PositionsState, event: Any, planned: Planned, step: Step) -> None:
    """All changes of a life-cycle event are matched: publish them, and note where the trade stands."""
    for number, change in enumerate(planned.changes):
        assert change.before is not None and change.realised is not None, "the change was matched"
        state.touch(change.opened)
        emit_rematched(
            change.opened,
            event,
            None if change.added is None else event.trade,
            event.original_trade_id,
            change.before,
            change.realised,
            step,
            number,
            change.removed[0] if change.added is None and change.removed is not None else None,
        )
    state.put_index(event.book, event.original_trade_id, _corrected_index(event, planned.index))
    state.table.put(_event_key(event), event.event_id.encode())


def places_of(state: PositionsState, event: Any) -> list[Place]:
    """The positions that a life-cycle event may change, as its trade stands now."""
    found = []
    index = state.index(event.book, event.original_trade_id)
    if index is not None and index.live:
        found.append((event.book, index.instrument))
    if event.trade is not None:
        found.append((event.book, event.trade.instrument))
    return found


def _refuse_known(event: Any) -> Refusal:
    return Refusal(
        "the life-cycle event's id is known with other content",
        field="trade_id",
        expected="a new id, or the same content again",
        found=event.trade_id,
        trade_id=event.trade_id,
    )


def plan_correction(state: PositionsState, event: Any) -> Planned:
    """What a life-cycle event changes; nothing where it names no live trade and brings none."""
    index = state.index(event.book, event.original_trade_id)
    return Planned(_plan(state, event, index if index is not None and index.live else None), index)


def _plan(state: PositionsState, event: Any, live: TradeIndex | None) -> list[Change]:
    trade_id, content = event.original_trade_id, event.trade
    changes: list[Change] = []
    if live is not None:
        old = state.find(event.book, live.instrument)
        assert old is not None, "a live trade has a position"
        changes.append(Change(old, removed=(live.executed_at, live.source_sequence, trade_id)))
    if content is not None:
        terms = terms_of(content)
        new = state.find_or_make(event.book, content.instrument, terms)
        if not changes or changes[0].opened is not new:
            changes.append(Change(new))
        changes[-1].added = Trade(
            trade_id,
            content.executed_at,
            content.source_sequence,
            content.quantity,
            content.price,
            settlement_fee(content),
        )
        changes[-1].terms = terms
    return changes


def _corrected_index(event: Any, index: TradeIndex | None) -> TradeIndex:
    content = event.trade
    if index is None:
        fee = settlement_fee(content)
        first = (content.instrument, content.executed_at, content.quantity, content.price, fee)
    else:
        first = (
            index.first_instrument,
            index.first_executed_at,
            index.first_quantity,
            index.first_price,
            index.first_fee,
        )
    if content is None:
        assert index is not None, "only a known trade is taken out"
        return TradeIndex(False, index.instrument, index.executed_at, index.source_sequence, *first)
    return TradeIndex(True, content.instrument, content.executed_at, content.source_sequence, *first)


def terms_of(booked: Any) -> Terms:
    """The terms that a booked trade carries."""
    return Terms(
        booked.lot_method, booked.fee_policy, booked.multiplier, booked.inverse, booked.settlement_currency
    )


def conflict_refusal(event: Any, conflict: TermsConflict) -> Refusal:
    """Refuse a booking whose re-match met terms that do not fit."""
    return terms_refusal(getattr(event, "trade", None) or event, conflict.fault)


def terms_refusal(event: Any, fault: TermsFault) -> Refusal:
    """Refuse a booking whose terms do not fit its position."""
    return Refusal(
        "the trade's terms do not fit the position's",
        field=fault.field,
        expected=fault.expected,
        found=fault.found,
        trade_id=event.trade_id,
    )
