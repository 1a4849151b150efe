"""The capture stage: from fills to bookings.

Validates, resolves and routes each fill, refuses a trade id that it knows, turns amends and cancels into
life-cycle events for the books that they touch, and lets a correction wait for its trade. What it refuses goes
to the dead letters with its bytes, and out as `TradeRejected`. Says when the business day of a book is over.
"""

from collections.abc import Iterable
from typing import Any

import native
from agents.capture_state import CaptureState
from agents.counters import Counts
from agents.day_closing import close_by_hand, close_days
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from domain.capture.faults import Fault
from domain.capture.lifecycle import Change, State, TradeRecord, Verdict, advance, content_digest, decide
from domain.capture.validation import TEXT_CHARACTERS_MAX, validate
from schemas import events, topics
from schemas.frames import encode_event, wire
from schemas.identity import content_id, derived_id
from schemas.units import Action, LifecycleKind

NAME = "trade_capture"

_FillEvent = wire(events.FillEvent)
_ClockTick = wire(events.ClockTick)
_DayClosed = wire(events.DayClosed)
_LifecycleEventApplied = wire(events.LifecycleEventApplied)
_TradeRejected = wire(events.TradeRejected)

_REASONS = {
    Verdict.OTHER_CONTENT: (
        "the trade id is known with other content",
        "a new id, the same content again, or an AMEND that names it",
    ),
    Verdict.CANCELLED_ALREADY: ("its trade is cancelled already", "a trade that is not cancelled"),
    Verdict.NAMES_NO_TRADE: ("names a correction, not a trade", "the id of a new trade"),
}


_BOOKED = advance(State.RECEIVED, Change.BOOK)
# To ask an enumeration for a member costs as much as a call.
_NEW = Action.NEW
_BOOK, _DUPLICATE = Verdict.BOOK, Verdict.DUPLICATE
_BOOKINGS = topics.BOOKINGS


def handle(state: CaptureState, frames: Iterable[Frame], step: Step) -> None:
    """Capture fills."""
    compiled = native.capture()
    source: str | None = None
    counts: Counts | None = None
    for frame in frames:
        events_of_frame = frame.events
        place, end = 0, len(events_of_frame)
        while place < end:
            event = events_of_frame[place]
            kind = type(event)
            if kind is _FillEvent:
                booked = place if compiled is None else compiled.capture(state, events_of_frame, place, step)
                if counts is None or event.source != source:
                    source = event.source
                    counts = state.counters.of(source)
                if booked > place:
                    counts.read += booked - place
                    counts.applied += booked - place
                    place = booked
                    continue
                counts.read += 1
                _capture(state, frame.offset, frame.indexes[place], event, counts, step)
            elif kind is _ClockTick:
                _tick(state, event, step)
                close_days(state, frame.partition, event.event_time, step)
            elif kind is _DayClosed:
                close_by_hand(state, event, step)
            place += 1


def _capture(state: CaptureState, offset: int, index: int, fill: Any, counts: Counts, step: Step) -> None:
    fault = validate(fill)
    if fault is not None:
        _refuse(offset, index, fill, fault, counts, step)
        return
    content = content_digest(fill)
    known = state.record(fill.trade_id)
    original = None
    if fill.action is not _NEW and known is None:
        original = state.record(fill.original_trade_id)
    verdict = decide(fill, content, known, original)
    if verdict is _DUPLICATE:
        counts.duplicates += 1
        return
    if fill.idempotency_hash and state.hash_known(fill.idempotency_hash, fill.recorded_at):
        counts.duplicates += 1
        return
    if verdict is _BOOK:
        _book(state, offset, index, fill, content, counts, step)
    elif verdict is Verdict.WAIT:
        _wait(state, offset, index, fill, content, counts, step)
    elif verdict in _REASONS:
        _refuse(offset, index, fill, _verdict_fault(verdict, fill), counts, step)
    else:
        assert original is not None, "a correction is applied to a known trade"
        _correct(state, offset, index, fill, content, original, State.RECEIVED, counts, step)


def _verdict_fault(verdict: Verdict, fill: Any) -> Fault:
    reason, expected = _REASONS[verdict]
    known = verdict is Verdict.OTHER_CONTENT
    name = "trade_id" if known else "original_trade_id"
    return Fault(reason, name, expected, fill.trade_id if known else fill.original_trade_id)


def _book(
    state: CaptureState, offset: int, index: int, fill: Any, content: bytes, counts: Counts, step: Step
) -> None:
    event_id = derived_id(fill.event_id or content.hex(), "c", 0)
    booked: Any = state.booker.book(fill, event_id, fill.trade_id, fill.source_sequence)
    if isinstance(booked, Fault):
        _refuse(offset, index, fill, booked, counts, step)
        return
    counts.applied += 1
    record = TradeRecord(_BOOKED, content, booked.book, fill.source_sequence)
    _accept(state, fill, record)
    step.bucket(_BOOKINGS, booked.book).append(booked)
    if state.waiting_count:
        for waiting in state.take_waiting(fill.trade_id):
            _release(state, waiting.offset, waiting.index, waiting.fill, step)


def _accept(state: CaptureState, fill: Any, record: TradeRecord) -> None:
    """Remember the id of a fill, and the hash that its client gave it."""
    state.put_record(fill.trade_id, record)
    if fill.idempotency_hash:
        state.note_hash(fill.idempotency_hash, fill.recorded_at)


def _forget(state: CaptureState, fill: Any) -> None:
    """A correction that was accepted is refused after all: it may come again."""
    state.forget_record(fill.trade_id)
    if fill.idempotency_hash:
        state.forget_hash(fill.idempotency_hash, fill.recorded_at)


def _release(state: CaptureState, offset: int, index: int, fill: Any, step: Step) -> None:
    """A correction whose trade has come: judge it again."""
    counts = state.counters.of(fill.source)
    counts.waiting -= 1
    original = state.record(fill.original_trade_id)
    verdict = decide(fill, b"", None, original)
    content = content_digest(fill)
    if original is None or verdict is not Verdict.CORRECT:
        _forget(state, fill)
        _refuse(offset, index, fill, _verdict_fault(verdict, fill), counts, step)
    else:
        _correct(state, offset, index, fill, content, original, State.WAITING, counts, step)


def _wait(
    state: CaptureState, offset: int, index: int, fill: Any, content: bytes, counts: Counts, step: Step
) -> None:
    if state.waiting_count >= state.waiting_max:
        found = f"{state.waiting_count} corrections waiting"
        fault = Fault("too many corrections wait", "original_trade_id", "a known trade", found)
        _refuse(offset, index, fill, fault, counts, step)
        return
    counts.waiting += 1
    _accept(state, fill, TradeRecord(advance(State.RECEIVED, Change.WAIT), content))
    state.add_waiting(offset, index, fill)


def _correct(
    state: CaptureState,
    offset: int,
    index: int,
    fill: Any,
    content: bytes,
    original: TradeRecord,
    before: State,
    counts: Counts,
    step: Step,
) -> None:
    """An amend or a cancel of a booked trade: one event, or two where it moves to another book."""
    event_id = fill.event_id or content.hex()
    trade: Any = None
    if fill.action is Action.AMEND:
        trade = state.booker.book(
            fill,
            derived_id(event_id, "c", 9),
            fill.original_trade_id,
            original.source_sequence,
            original.book,
        )
        if isinstance(trade, Fault):
            if before is State.WAITING:
                _forget(state, fill)
            _refuse(offset, index, fill, trade, counts, step)
            return
    counts.applied += 1
    kind = LifecycleKind.CANCEL if trade is None else LifecycleKind.AMEND
    if trade is None or trade.book == original.book:
        _emit_lifecycle(fill, event_id, kind, original.book, trade, 0, None, step)
    else:
        _emit_lifecycle(fill, event_id, kind, original.book, None, 0, event_id, step)
        _emit_lifecycle(fill, event_id, kind, trade.book, trade, 1, event_id, step)
    _accept(state, fill, TradeRecord(advance(before, Change.APPLY), content))
    change = Change.CANCEL if trade is None else Change.AMEND
    book = original.book if trade is None else trade.book
    record = TradeRecord(advance(original.state, change), original.content, book, original.source_sequence)
    state.put_record(fill.original_trade_id, record)


def _emit_lifecycle(
    fill: Any,
    event_id: str,
    kind: LifecycleKind,
    book: str,
    trade: Any,
    leg: int,
    group_id: str | None,
    step: Step,
) -> None:
    step.bucket(topics.BOOKINGS, book).append(
        _LifecycleEventApplied(
            event_id=derived_id(event_id, "c", leg),
            correlation_id=fill.correlation_id or event_id,
            causation_id=event_id,
            source=fill.source,
            kind=kind,
            trade_id=fill.trade_id,
            original_trade_id=fill.original_trade_id,
            book=book,
            executed_at=fill.executed_at,
            recorded_at=fill.recorded_at,
            trade=trade,
            group_id=group_id,
            leg=leg,
        )
    )


def _refuse(offset: int, index: int, fill: Any, fault: Fault, counts: Counts, step: Step) -> None:
    counts.refused += 1
    # The dead letter has the original whole; what else is said of it must fit a frame, however large it was.
    trade_id, event_id = fill.trade_id[:TEXT_CHARACTERS_MAX], fill.event_id[:TEXT_CHARACTERS_MAX]
    refusal = Refusal(fault.reason, fault.field, fault.expected, fault.found, trade_id)
    step.refuse_at(offset, index, fill, refusal)
    step.bucket(topics.REJECTIONS, trade_id).append(
        _TradeRejected(
            event_id=derived_id(_identity(fill), "cr", 0),
            correlation_id=fill.correlation_id[:TEXT_CHARACTERS_MAX] or event_id,
            causation_id=event_id,
            source=fill.source[:TEXT_CHARACTERS_MAX],
            trade_id=trade_id,
            reason=fault.reason,
            field=fault.field,
            expected=fault.expected,
            found=fault.found,
            book=(fill.book or "")[:TEXT_CHARACTERS_MAX],
            event_time=fill.executed_at,
        )
    )


def _identity(fill: Any) -> str:
    """The event id of a fill that is refused; a function of its content where it has none that can be used."""
    if 0 < len(fill.event_id) <= TEXT_CHARACTERS_MAX:
        return str(fill.event_id)
    return content_id("fill", encode_event(fill).decode())


def _tick(state: CaptureState, tick: Any, step: Step) -> None:
    state.advance_clock(tick.event_time)
    for waiting in state.take_expired():
        fill = waiting.fill
        counts = state.counters.of(fill.source)
        counts.waiting -= 1
        _forget(state, fill)
        found = f"none in {state.waiting_ticks_max} clock ticks"
        fault = Fault(
            "waited for a trade that did not come", "original_trade_id", fill.original_trade_id, found
        )
        _refuse(waiting.offset, waiting.index, fill, fault, counts, step)


def stage(waiting_max: int = 100_000, waiting_ticks_max: int = 10) -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.FILLS,
        outputs=(topics.BOOKINGS, topics.REJECTIONS),
        table=TableDeclaration(NAME),
        open_state=lambda table: CaptureState(table, waiting_max, waiting_ticks_max),
        handler=handle,
        broadcasts=(topics.INSTRUMENTS, topics.BOOKS, topics.ROUTING_RULES, topics.POSTING_RULES),
        on_broadcast=CaptureState.define,
        description="validates, resolves, routes and de-duplicates fills, and closes the days of books",
    )
