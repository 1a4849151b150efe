"""Corrections in the positions stage: a trade is taken out, put in, replaced, or moved to another instrument.

Each changes its own positions only, from the point of change on. Positions are changed in memory first and
written when all of it went well: a correction is applied whole or refused whole.
"""

from dataclasses import dataclass
from typing import Any

from agents.position_state import (
    EVENT,
    OpenPosition,
    PositionsState,
    TradeIndex,
    scan_journal,
    settlement_fee,
)
from agents.position_updates import Figures, emit_rematched
from agents.stage import Refusal, Step
from domain.lots.position import OrderKey, Terms, Trade
from domain.lots.rematch import Rematched, TermsConflict, rematch
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
    outcome: Rematched | None = None


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
        state.flush(change.opened)
    try:
        for change in changes:
            _rematch(state, change)
    except TermsConflict as conflict:
        for change in changes:
            state.reload(change.opened)
        return terms_refusal(event.trade or event, str(conflict))
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
    opened, removed, added = change.opened, change.removed, change.added
    places = [order for order in (removed, None if added is None else added.order) if order is not None]
    undone = list(scan_journal(state.table, opened.key, min(places)))
    kept = [(entry.trade, entry.terms) for entry in undone if entry.trade.order != removed]
    if added is not None:
        terms: Terms | None = None
        if change.terms != opened.position.terms:
            if any(entry.trade.order != removed for entry in scan_journal(state.table, opened.key)):
                raise TermsConflict("the terms of the position that the corrected trade belongs to")
            terms = change.terms
        kept.append((added, terms))
        kept.sort(key=lambda item: item[0].order)
    change.before = Figures(opened.position)
    change.outcome = rematch(opened.position, undone, kept)


def _write(state: PositionsState, event: Any, change: _Change, step: Step, number: int) -> None:
    opened, outcome, before = change.opened, change.outcome, change.before
    assert outcome is not None and before is not None, "the change was matched"
    state.touch(opened)
    if change.removed is not None and (change.added is None or change.added.order != change.removed):
        state.delete_entry(opened, change.removed)
    keep(state, opened, outcome)
    opened.last = state.last_order(opened)
    emit_rematched(opened, event, event.original_trade_id, before, outcome, step, number)


def keep(state: PositionsState, opened: OpenPosition, outcome: Rematched) -> None:
    """Note what a re-match did to lots, and write its journal entries."""
    opened.lot_changes.update(outcome.lots)
    for entry in outcome.entries:
        state.put_entry(opened, entry)


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


def terms_refusal(event: Any, reason: str) -> Refusal:
    """Refuse a booking whose terms do not fit its position."""
    return Refusal(
        "the trade's terms do not fit the position's",
        field="terms",
        expected=reason,
        found=str(getattr(event, "multiplier", "")),
        trade_id=event.trade_id,
    )
