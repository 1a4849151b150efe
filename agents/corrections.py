"""Corrections in the positions stage: a trade is taken out, put in, replaced, or moved to another instrument.

Each changes its own positions only, from the point of change on. Positions are changed in memory first and
written when all of it went well: a correction is applied whole or refused whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agents.open_position import OpenPosition
from agents.position_state import EVENT, PositionsState, settlement_fee
from agents.position_updates import Figures, emit_rematched
from agents.rematching import rematch_position
from agents.stage import Refusal, Step
from agents.trade_index import TradeIndex
from domain.lots.position import OrderKey, Terms, TermsFault, Trade
from domain.lots.rematch import TermsConflict
from schemas.identity import position_key

_DUPLICATE = Refusal("known already, with the same content", kind="duplicate")


@dataclass(slots=True)
class _Change:
    """What happens to one position: the trade at `removed` goes, `added` (of `terms`) comes."""

    opened: OpenPosition
    removed: OrderKey | None = None
    added: Trade | None = None
    terms: Terms | None = None
    before: Figures | None = None
    realised_pnl: Mapping[str, Decimal] = field(default_factory=dict)


def correct(state: PositionsState, event: Any, step: Step) -> Refusal | None:
    """Apply a life-cycle event; None where it was applied."""
    event_key = EVENT + position_key(event.book, event.trade_id)
    known = state.table.get(event_key)
    if known is not None:
        return _DUPLICATE if known == event.event_id.encode() else _refuse_known(event)
    index = state.index(event.book, event.original_trade_id)
    live = index if index is not None and index.live else None
    if event.trade is None and live is None:
        return Refusal(
            "names no live trade of this book",
            field="original_trade_id",
            expected=f"a trade that book {event.book} holds",
            found=event.original_trade_id,
            trade_id=event.trade_id,
        )
    changes = _plan(state, event, live)
    for change in changes:
        if change.opened.dirty:
            state.flush(change.opened)
    try:
        for change in changes:
            _rematch(state, change)
    except TermsConflict as conflict:
        for change in changes:
            state.reload(change.opened)
        return terms_refusal(event.trade or event, conflict.fault)
    for number, change in enumerate(changes):
        _write(state, event, change, step, number)
    state.put_index(event.book, event.original_trade_id, _corrected_index(event, index))
    state.table.put(event_key, event.event_id.encode())
    return None


def _refuse_known(event: Any) -> Refusal:
    return Refusal(
        "the life-cycle event's id is known with other content",
        field="trade_id",
        expected="a new id, or the same content again",
        found=event.trade_id,
        trade_id=event.trade_id,
    )


def _plan(state: PositionsState, event: Any, live: TradeIndex | None) -> list[_Change]:
    trade_id, content = event.original_trade_id, event.trade
    changes: list[_Change] = []
    if live is not None:
        old = state.find(event.book, live.instrument)
        assert old is not None, "a live trade has a position"
        changes.append(_Change(old, removed=(live.executed_at, live.source_sequence, trade_id)))
    if content is not None:
        terms = terms_of(content)
        new = state.find_or_make(event.book, content.instrument, terms)
        if not changes or changes[0].opened is not new:
            changes.append(_Change(new))
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


def _rematch(state: PositionsState, change: _Change) -> None:
    change.before = Figures(change.opened.position)
    change.realised_pnl = rematch_position(state, change.opened, change.removed, change.added, change.terms)


def _write(state: PositionsState, event: Any, change: _Change, step: Step, number: int) -> None:
    opened, before = change.opened, change.before
    assert before is not None, "the change was matched"
    state.touch(opened)
    emit_rematched(opened, event, event.original_trade_id, before, change.realised_pnl, step, number)


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


def terms_refusal(event: Any, fault: TermsFault) -> Refusal:
    """Refuse a booking whose terms do not fit its position."""
    return Refusal(
        "the trade's terms do not fit the position's",
        field=fault.field,
        expected=fault.expected,
        found=fault.found,
        trade_id=event.trade_id,
    )
