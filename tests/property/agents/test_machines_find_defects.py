"""The machines and the relations find defects: each of these, planted in the product, fails within their examples."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from agents import (
    capture_state,
    chunk_rerun,
    corrections,
    counters,
    journal,
    open_position,
    position_state,
    positions,
    trade_capture,
)
from domain.capture import booking, lifecycle
from domain.capture.lifecycle import Change, State
from domain.lots import matching, rerun
from schemas.units import LotMethod
from tests.property.agents import test_metamorphic as metamorphic
from tests.property.agents.test_capture_machine import CaptureMachine
from tests.property.agents.test_positions_machine import PositionsMachine
from tests.support import plain_code

# A defect is found or not; which smaller example would show it does not matter.
FIND = settings(max_examples=200, stateful_step_count=50, phases=(Phase.explicit, Phase.generate))

Make = Callable[[Any], Any]


def _without_fee(lot: Any) -> Any:
    return msgspec.structs.replace(lot, fee=Decimal(0))


def _late_at_the_end(real: Any) -> Any:
    def match(self: Any, chunk: Any, *, last: bool) -> Any:
        added, self._added = self._added, None
        found = real(self, chunk, last=last)
        if last and added is not None:
            return journal.Chunk([*found.trades, added], [*found.outcomes, self._rerun.enter(added)])
        self._added = added
        return found

    return match


def _coarse(real: Any) -> Any:
    return lambda numerator, denominator: real(numerator, denominator).quantize(Decimal("1e-8"))


def _fees_stay(real: Any) -> Any:
    def leave(self: Any, trade: Any) -> None:
        fees = self._fees
        real(self, trade)
        self._fees = fees

    return leave


def _old_place(real: Any) -> Any:
    return lambda event, index: real(event, index) if index is None else index


def _moved_and_left(real: Any) -> Any:
    return lambda state, event, live: real(state, event, live)[-1:]


def _under_the_terms_now(real: Any) -> Any:
    return lambda terms, undone: [(trade, None) for trade, _ in real(terms, undone)]


def _own_sequence(real: Any) -> Any:
    def book(self: Any, fill: Any, event_id: str, trade_id: str, sequence: int, before: Any = None) -> Any:
        return real(self, fill, event_id, trade_id, fill.source_sequence, before)

    return book


def _only_put_in(real: Any) -> Any:
    def emit(*arguments: Any) -> None:
        trade, group = arguments[4], arguments[6]
        if trade is not None or group is None:
            real(*arguments)

    return emit


def _price_ignored(real: Any) -> Any:
    return lambda fill: real(msgspec.structs.replace(fill, price=Decimal(0)))


def _numbers_by_their_text(real: Any) -> Any:
    return lambda fill: real(msgspec.structs.replace(fill, venue=f"{fill.venue} {fill.price}"))


def _last_rule_wins(real: Any) -> Any:
    def route(fill: Any, instrument_class: str, reference: Any) -> Any:
        kept, reference.rules = reference.rules, reference.rules[::-1]
        try:
            return real(fill, instrument_class, reference)
        finally:
            reference.rules = kept

    return route


def _not_stored(real: Any) -> Any:
    def add_waiting(self: Any, *arguments: Any) -> None:
        before = dict(self.table.changes)
        real(self, *arguments)
        self.table.changes = before

    return add_waiting


def _one_tick_more(real: Any) -> Any:
    def take_expired(self: Any) -> Any:
        self.tick -= 1
        try:
            return real(self)
        finally:
            self.tick += 1

    return take_expired


def _without_multiplier(real: Any) -> Any:
    def emit(opened: Any, *arguments: Any) -> None:
        terms, opened.position.terms = (
            opened.position.terms,
            msgspec.structs.replace(opened.position.terms, multiplier=Decimal(1)),
        )
        try:
            real(opened, *arguments)
        finally:
            opened.position.terms = terms

    return emit


def _nothing(real: Any) -> Any:
    return lambda *arguments, **named: None


def _reversed(real: Any) -> Any:
    return lambda *arguments: real(*arguments)[::-1]


def _always(value: Any) -> Make:
    return lambda real: lambda *arguments, **named: value


def _same(value: Any) -> Make:
    return lambda real: value


POSITIONS: dict[str, tuple[Any, str, Make]] = {
    "a late trade is matched last": (chunk_rerun._UnderItsTerms, "match", _late_at_the_end),
    "first in and last in are confused": (matching, "_FIFO", _same(LotMethod.LIFO)),
    "an inverse contract is valued as a linear one": (
        matching,
        "_realised",
        lambda real: lambda *arguments: real(*arguments[:4], False),
    ),
    "a part of a lot leaves without its fee": (
        matching,
        "_reduced",
        lambda real: lambda *arguments: _without_fee(real(*arguments)),
    ),
    "shares are rounded at 8 decimals": (matching, "divide_money", _coarse),
    "the fees of a trade that goes stay": (rerun.Rerun, "leave", _fees_stay),
    "an amend loses the fee": (corrections, "settlement_fee", _always(Decimal(0))),
    "the index keeps a trade's old place": (corrections, "_corrected_index", _old_place),
    "a moved trade stays where it was as well": (corrections, "_plan", _moved_and_left),
    "trades are matched again under the terms of now": (chunk_rerun, "standing", _under_the_terms_now),
    "a known trade is applied again": (position_state.KnownKeys, "seen", _always(False)),
    "consumed lots are not written": (open_position.OpenPosition, "note_lots", _nothing),
    "a failed commit leaves positions in memory": (position_state.PositionsState, "rollback", _nothing),
    "the update has no multiplier": (positions, "emit_in_order", _without_multiplier),
    "a re-match is not journalled": (journal.Journal, "put", _nothing),
}

CAPTURE: dict[str, tuple[Any, str, Make]] = {
    "what waits is never released": (capture_state.CaptureState, "take_waiting", _always(())),
    "what waits is released in reverse": (capture_state.CaptureState, "take_waiting", _reversed),
    "what waits is not stored": (capture_state.CaptureState, "add_waiting", _not_stored),
    "what waits has a tick more": (capture_state.CaptureState, "take_expired", _one_tick_more),
    "a refused correction stays known": (capture_state.CaptureState, "forget_record", _nothing),
    "a refused correction's hash stays known": (capture_state.CaptureState, "forget_hash", _nothing),
    "hashes are kept for ever": (capture_state, "IDEMPOTENCY_NANOSECONDS", _same(1 << 62)),
    "an amend takes a place of its own": (booking.Booker, "book", _own_sequence),
    "a cancelled trade can be amended": (
        lifecycle,
        "TRANSITIONS",
        lambda real: {**real, (State.CANCELLED, Change.AMEND): State.BOOKED},
    ),
    "a trade is not taken out of its old book": (trade_capture, "_emit_lifecycle", _only_put_in),
    "the price is no part of the content": (trade_capture, "content_digest", _price_ignored),
    "10 and 10.0 are other content": (trade_capture, "content_digest", _numbers_by_their_text),
    "the last rule wins": (booking, "route", _last_rule_wins),
    "a book that is named is not asked for": (
        booking,
        "route",
        lambda real: lambda fill, *rest: real(msgspec.structs.replace(fill, book=None), *rest),
    ),
    "a failed commit leaves state in memory": (capture_state.CaptureState, "rollback", _nothing),
    "counts stay after a failed commit": (counters.Counters, "rollback", _nothing),
}


RELATIONS: dict[Callable[..., None], tuple[Any, str, Make]] = {
    metamorphic.split_in_two: POSITIONS["a part of a lot leaves without its fee"],
    metamorphic.books_renamed: (
        open_position,
        "position_key",
        lambda real: lambda book, instrument: real("B1", instrument),
    ),
    metamorphic.cancelled_and_booked_again: POSITIONS["the fees of a trade that goes stay"],
    metamorphic.amended_and_amended_back: CAPTURE["an amend takes a place of its own"],
    metamorphic.late_and_on_time: POSITIONS["a late trade is matched last"],
}


@contextmanager
def _fails(defect: tuple[Any, str, Make]) -> Iterator[None]:
    owner, name, make = defect
    with (
        plain_code(),
        patch.object(owner, name, make(getattr(owner, name))),
        # An assertion of the test, or of the product.
        pytest.raises(Exception),  # noqa: B017, PT011
    ):
        yield


@pytest.mark.parametrize("defect", POSITIONS.values(), ids=POSITIONS.keys())
def test_the_positions_machine_finds(defect: tuple[Any, str, Make]):
    with _fails(defect):
        run_state_machine_as_test(PositionsMachine, settings=FIND)


@pytest.mark.parametrize("defect", CAPTURE.values(), ids=CAPTURE.keys())
def test_the_capture_machine_finds(defect: tuple[Any, str, Make]):
    with _fails(defect):
        run_state_machine_as_test(CaptureMachine, settings=FIND)


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.__name__)
def test_the_relation_finds(relation: Callable[..., None]):
    find = settings(FIND, max_examples=500)(given(metamorphic.CASES, st.data())(relation))
    with _fails(RELATIONS[relation]):
        find()
