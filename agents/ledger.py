"""The ledger stage: from what positions and cash do to the transfers of a double-entry ledger.

Reads updates of positions, movements of cash, steps of payment orders, ends of days and locks of periods in the one order of
their topic, by entity. Posts each by the rules that its event names; a correction takes back what its trade moved and posts it
anew; nothing that was posted is edited. What was pending is posted when the day of its book closes.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import native
from agents.ledger_accounts import Scope
from agents.ledger_entries import Cause, Dates, Part, post, settle
from agents.ledger_income import position_known
from agents.ledger_movements import move, pay
from agents.ledger_payments import cancel_orders, draft
from agents.ledger_state import NO_BOOK, TRADE, LedgerPosition, LedgerState, unknown_rules
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from domain.ledger.posting import (
    Content,
    PostingError,
    Terms,
    Transfer,
    missed,
    note_residue,
    post_totals,
    reversed_transfer,
    take_in,
    trade_content,
)
from domain.ledger.rules import Rules
from schemas import events, money, topics
from schemas.frames import wire
from schemas.numbers import ZERO
from schemas.passing import PartialCodec
from schemas.times import format_time

NAME = "ledger"

_DUPLICATE = Refusal("known already", kind="duplicate")
_CODEC = PartialCodec(
    {
        events.PositionUpdated: (
            "event_id", "correlation_id", "book", "instrument", "trade_id", "revision", "executed_at", "quantity",
            "cost_basis", "realised_pnl", "currency", "quantity_delta", "cost_basis_delta", "realised_pnl_delta", "kind",
            "trade_quantity", "trade_price", "trade_fees", "accrued_interest", "business_date", "settlement_date", "entity",
            "account", "underlying", "instrument_class", "multiplier", "inverse", "posting_rules", "held_fees",
        )
    },
    *(kind for kind in topics.LEDGER_INPUT.event_classes if kind is not events.PositionUpdated),
)  # fmt: skip
UPDATED = _CODEC.head(events.PositionUpdated)
"""An updated position, as far as this stage reads it."""

_DayClosed = wire(events.DayClosed)


def handle(state: LedgerState, frames: Iterable[Frame], step: Step) -> None:
    """Post what came in."""
    compiled = native.ledger()
    for frame in frames:
        events_of_frame = frame.events
        place, end = 0, len(events_of_frame)
        while place < end:
            posted = place if compiled is None else compiled.book(state, events_of_frame, place, step)
            if posted > place:
                counts = state.counters.of(UPDATED.__name__)
                counts.read += posted - place
                counts.applied += posted - place
                place = posted
                continue
            _handle_one(state, frame, place, step)
            place += 1


def _handle_one(state: LedgerState, frame: Frame, place: int, step: Step) -> None:
    event = frame.events[place]
    kind = type(event)
    if kind is _DayClosed:
        _close_day(state, event, step)
        return
    counts = state.counters.of(kind.__name__)
    counts.read += 1
    refusal = _POSTED_BY[kind](state, event, step)
    if refusal is None:
        counts.applied += 1
    elif refusal.kind == "duplicate":
        counts.duplicates += 1
    else:
        counts.refused += 1
        step.refuse(frame, place, refusal)


def _position(state: LedgerState, event: Any, step: Step) -> Refusal | None:
    position = state.positions.get((event.book, event.instrument)) or state.position(
        event.book, event.instrument
    )
    posted = position.posted
    revision = event.revision
    first = not posted.revision
    again = revision <= posted.revision
    if again and revision not in posted.refused:
        return _DUPLICATE
    corrects = event.kind is not None
    if corrects and revision > 1 and not posted.revision and not again:
        return _elsewhere(event)
    quantity = event.quantity_delta if event.trade_quantity is None else event.trade_quantity
    taken_out = corrects and not quantity
    version = posted.posting_rules if taken_out else event.posting_rules
    rules = state.rules.get(version)
    if rules is None:
        return unknown_rules(version, state.rules)
    if not taken_out:
        _note_terms(state, posted, event)
    terms = _terms(position, rules, event, posted.instrument_class, posted.underlying)
    key = TRADE + position.key[1:] + b"\x00" + event.trade_id.encode()
    before = state.content(key) if corrects else None
    back = None if before is None else _take_back(state, position, rules, terms, before)
    if isinstance(back, Refusal):
        return _refuse(state, position, revision, back)
    account, trade_date, settlement_date, warning = _when(terms, event, before if taken_out else None)
    dates = _dates(state, rules, terms, posted.entity, event.book, trade_date, settlement_date)
    if isinstance(dates, Refusal):
        return _refuse(state, position, revision, dates)
    scope = position.scopes.get(account) or _scope(state, position, account)
    content: Content | None = None
    if not taken_out:
        content = trade_content(terms, event, quantity, trade_date, settlement_date)
        content.first = 0 if back is None else len(back[2])
    transfers = [] if content is None else _of_content(state, scope, rules, content)
    fault = _post_totals(state, position, terms, event, again, before, content, transfers)
    if fault is not None:
        return fault
    if before is not None:
        cancel_orders(state, key, event, step)
    parts: list[Part] = [] if back is None else [back]
    parts.append((scope, dates, transfers, None))
    if content is not None and (content.transfers or content.residues):
        state.put_content(key, content)
    elif before is not None:
        state.table.delete(key)
    cause = Cause(event, event.trade_id, revision, event.executed_at, event.instrument, rules, warning)
    post(state.accounts, step, cause, parts)
    if first:
        position_known(state, event.book, event.instrument, step)
    return None


def _when(terms: Terms, event: Any, taken_out: Content | None) -> tuple[str, str, str, str]:
    """In which account a trade is posted, its trade and settlement dates, and a warning about them."""
    if taken_out is not None:
        return taken_out.account, taken_out.trade_date, taken_out.settlement_date, ""
    trade_date = event.business_date or format_time(event.executed_at)[:10]
    if event.settlement_date:
        return event.account, trade_date, event.settlement_date, ""
    return event.account, trade_date, *_settles(terms, trade_date)


def _take_back(
    state: LedgerState, position: LedgerPosition, rules: Rules, terms: Terms, before: Content
) -> Part | Refusal:
    """What a trade moved, the other way round."""
    scope = _scope(state, position, before.account)
    book, posted = scope.book, position.posted
    dates = _dates(state, rules, terms, posted.entity, book, before.trade_date, before.settlement_date)
    if isinstance(dates, Refusal):
        return dates
    transfers = [reversed_transfer(each) for each in before.transfers]
    _residues(state, scope, rules, before, transfers, -1)
    return scope, dates, transfers, (before.event_id, before.first)


def _of_content(state: LedgerState, scope: Scope, rules: Rules, content: Content) -> list[Transfer]:
    transfers = list(content.transfers)
    if content.residues:
        _residues(state, scope, rules, content, transfers, 1)
    return transfers


def _post_totals(
    state: LedgerState,
    position: LedgerPosition,
    terms: Terms,
    event: Any,
    again: bool,
    before: Content | None,
    content: Content | None,
    transfers: list[Transfer],
) -> Refusal | None:
    """Add what brings the position's inventory and P&L to the totals of the event, of which all else is in `transfers`."""
    posted, revision = position.posted, event.revision
    moved = moved_base = ZERO
    if before is not None:
        moved, moved_base = -before.inventory, -before.quantity
    if content is not None:
        moved += content.inventory
        moved_base += content.quantity
    if not position.dirty:
        state.touch(position)
    if posted.refused and revision in posted.refused:
        posted.refused.remove(revision)
    if again:
        transfers += missed(terms, event, moved, moved_base)
        return None
    opened = revision != posted.revision + 1 or posted.currency not in ("", event.currency)
    if opened:
        transfers += take_in(terms, posted, event)
    posted.currency = event.currency
    try:
        transfers += post_totals(terms, posted, event, moved, moved_base, opened=opened)
    except PostingError as fault:
        return Refusal(str(fault), "cost_basis", "what the trades moved", str(moved), event.trade_id)
    posted.revision = revision
    return None


def _elsewhere(event: Any) -> Refusal:
    """A correction that moves a trade to another entity comes to both; a book is posted where it was first seen."""
    expected = "a position that this part of the ledger has, since a book belongs to one entity"
    found = f"{event.book}/{event.instrument} of entity {event.entity!r}, event {event.revision}"
    return Refusal(
        "its position is posted elsewhere, or never was", "entity", expected, found, event.trade_id
    )


def _note_terms(state: LedgerState, posted: Any, event: Any) -> None:
    """Keep what the trade says of its position; a book belongs to the entity that it was first seen with."""
    if not posted.revision:
        closed, entities = state.book(event.book)
        if not entities:
            entities = [event.entity]
            state.note_book(event.book, closed, entities)
        posted.entity = entities[0]
    posted.instrument_class = event.instrument_class
    posted.underlying = event.underlying
    posted.posting_rules = event.posting_rules


def _terms(
    position: LedgerPosition, rules: Rules, event: Any, instrument_class: str, underlying: str
) -> Terms:
    key = rules.version, instrument_class, event.currency, event.inverse, underlying
    found = position.terms.get(key)
    if found is None:
        found = position.terms[key] = Terms(
            rules, instrument_class, event.currency, inverse=event.inverse, underlying=underlying
        )
    return found


def plan_of(
    state: LedgerState, position: LedgerPosition, event: Any
) -> tuple[Rules, Terms, Scope, Dates, str] | None:
    """Rules, terms, scope, dates and a warning about them, by which a new trade is posted; None where it cannot be."""
    rules = state.rules.get(event.posting_rules)
    if rules is None:
        return None
    terms = _terms(position, rules, event, event.instrument_class, event.underlying)
    account, trade_date, settlement_date, warning = _when(terms, event, None)
    entity = position.posted.entity
    dates = _dates(state, rules, terms, entity, event.book, trade_date, settlement_date)
    if isinstance(dates, Refusal):
        return None
    return rules, terms, position.scopes.get(account) or _scope(state, position, account), dates, warning


def _scope(state: LedgerState, position: LedgerPosition, account: str) -> Scope:
    book = position.key[1:].decode().partition("\x00")[0]
    found = position.scopes[account] = state.accounts.scope(position.posted.entity, account, book)
    return found


def _settles(terms: Terms, trade_date: str) -> tuple[str, str]:
    """The settlement date of a trade, and a warning where its year is beyond the calendar."""
    if terms.cycle is None:
        return trade_date, ""
    settlement_date, covered = terms.cycle.settles(trade_date)
    return (
        settlement_date,
        "" if covered else f"weekdays counted: {terms.cycle.calendar.name} does not have the year",
    )


def _dates(
    state: LedgerState,
    rules: Rules,
    terms: Terms,
    entity: str,
    book: str,
    trade_date: str,
    settlement_date: str,
) -> Dates | Refusal:
    at_once = terms.cycle is None and settlement_date == trade_date
    return state.dates(rules, entity, book, trade_date, settlement_date, "", at_once=at_once)


def _refuse(state: LedgerState, position: LedgerPosition, revision: int, refusal: Refusal) -> Refusal:
    """Refuse an event of a position, which may come again: what comes after it has its totals."""
    if revision not in position.posted.refused:
        position.posted.refused.append(revision)
        if not position.dirty:
            state.touch(position)
    return refusal


def _residues(
    state: LedgerState, scope: Scope, rules: Rules, content: Content, transfers: list[Transfer], sign: int
) -> None:
    for account, currency, residue in content.residues:
        found = note_residue(
            state.accounts.residues(scope), account, rules.money(currency), currency, sign * residue
        )
        if found is not None:
            transfers.append(found)


def _close_day(state: LedgerState, event: Any, step: Step) -> None:
    book, day = event.book, event.business_date
    closed, entities = state.book(book)
    if day <= closed:
        return
    rules = state.rules[0]
    number = settle(state.accounts, step, event, rules, book, 0)
    state.note_book(book, day, entities)
    # What has no book settles with the first book of its entity that closes the day.
    for entity in entities:
        without_book = NO_BOOK + entity
        if day > state.book(without_book)[0]:
            number = settle(state.accounts, step, event, rules, "", number, entity)
            state.note_book(without_book, day, [])


def _lock(state: LedgerState, event: Any, step: Step) -> Refusal | None:
    """Close an entity's days up to one; an earlier one opens those after it again."""
    if event.through == state.locked(event.entity):
        return _DUPLICATE
    state.lock(event.entity, event.through)
    return None


_POSTED_BY: Mapping[type, Callable[[LedgerState, Any, Step], Refusal | None]] = {
    UPDATED: _position,
    # As whoever looks at another time has it.
    wire(events.PositionUpdated): _position,
    wire(money.CashMovement): move,
    wire(money.PaymentDue): draft,
    wire(money.PaymentInstruction): pay,
    wire(money.PeriodLocked): _lock,
}


def stage(standard: Rules) -> Stage:
    """The declaration of this stage; `standard` is version 0 of the posting rules."""
    return Stage(
        name=NAME,
        input=topics.LEDGER_INPUT,
        outputs=(topics.LEDGER_ENTRIES, topics.PAYMENT_ORDERS, topics.VALUATION_INPUT),
        table=TableDeclaration(NAME),
        open_state=lambda table: LedgerState(table, standard),
        handler=handle,
        codec=_CODEC,
        broadcasts=(topics.POSTING_RULES,),
        on_broadcast=LedgerState.define,
        description="posts trades, movements of cash and payments to a double-entry ledger",
    )
