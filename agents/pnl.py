"""The P&L stage: what each position made in its book's day, by cause, after every valuation.

Reads valuations in columns, with the bookings and the income since the last ones, and the ends of the books' days; keeps the
start of the day and the closed days; says what a position made as `PnLAttributed`: one a position and frame, one for each
closed day when it ends, and again where something late restates it: a trade, amended or cancelled too, income, a mark.
Guarantees: every identity of `domain.pnl.figures` holds at every event, without a residual; where one does not, nothing
of the step is written and the partition stops.
"""

from collections.abc import Iterable
from typing import Any

from agents.pnl_events import told
from agents.pnl_rows import Row, rows_of
from agents.pnl_state import Kept, PnLState, PositionPnL
from agents.stage import Frame, InvariantBroken, Output, Stage, Step, TableDeclaration
from domain.pnl.figures import Figures, closed_figures, open_figures, residuals
from domain.pnl.observation import Observation
from domain.pnl.restating import ClosedDay
from domain.pnl.running import Close, OpenDay
from schemas import events, topics
from schemas.frames import wire
from schemas.identity import content_id, derived_id
from schemas.numbers import ZERO

NAME = "pnl"

_DayClosed = wire(events.DayClosed)


def handle(state: PnLState, frames: Iterable[Frame], step: Step) -> None:
    """Take in valuations and ends of days."""
    for frame in frames:
        output = step.bucket_at(topics.PNL, frame.partition)
        for event in frame.events:
            if type(event) is _DayClosed:
                _close(state, event, output)
                continue
            counts = state.counters.of(event.source)
            counts.read += 1
            counts.applied += 1
            for number, row in enumerate(rows_of(event, state.interest)):
                _observe(state, event, number, row, output)


def _observe(state: PnLState, event: Any, number: int, row: Row, output: Output) -> None:
    position = state.find(row.book, row.instrument)
    if position is None:
        kept = Kept(
            event.underlying, row.currency, row.book_currency, row.revision, event.event_id, OpenDay()
        )
        position = state.make(row.book, row.instrument, kept)
    kept = position.kept
    kept.currency, kept.book_currency = row.currency, row.book_currency
    kept.revision, kept.event_id = row.revision, event.event_id
    for currency, amount in row.left_out:
        kept.left_out[currency] = kept.left_out.get(currency, ZERO) + amount
    state.touch(position)
    for closed in position.days.observe(row.observation, row.bookings, state.closes(row.book)):
        _tell_closed(state, position, closed, event, output)
    day = position.days.day
    figures = open_figures(day)
    _assert_identities(state, position, figures, day.opening, day.now)
    # One business date at most, but for bookings of tomorrow that came before the end of today.
    date = min(filter(None, day.booked), default="")
    output.append(
        told(position, derived_id(event.event_id, NAME, number), event, figures, day.now, business_date=date)
    )


def _close(state: PnLState, event: Any, output: Output) -> None:
    closes = state.closes(event.book)
    if closes and event.business_date <= closes[-1].business_date:
        return
    close = Close(event.business_date, event.event_time - 1)
    state.add_close(event.book, close)
    for position in state.of_book(event.book):
        state.touch(position)
        day = position.days.close(close)
        state.forget_days(position)
        if day is not None:
            _tell_closed(state, position, day, event, output)


def _tell_closed(state: PnLState, position: PositionPnL, day: ClosedDay, event: Any, output: Output) -> None:
    state.put_closed(position, day)
    figures = closed_figures(day)
    _assert_identities(state, position, figures, day.opening, day.closing)
    place = (position.book, position.instrument, day.business_date, str(day.restatement))
    output.append(
        told(
            position,
            content_id(event.event_id, NAME, *place),
            event,
            figures,
            day.closing,
            business_date=day.business_date,
            closed=True,
            restatement=day.restatement,
        )
    )


def _assert_identities(
    state: PnLState, position: PositionPnL, figures: Figures, opening: Observation, now: Observation
) -> None:
    for identity, residual in residuals(figures, opening, now).items():
        if residual:
            state.residual += abs(residual)
            raise InvariantBroken(
                f"P&L of {position.book}/{position.instrument}: expected total = {identity}, found a residual of "
                f"{residual}"
            )


def stage() -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.VALUATIONS,
        outputs=(topics.PNL,),
        table=TableDeclaration(NAME),
        open_state=PnLState,
        handler=handle,
        broadcasts=(topics.BOOKS,),
        on_broadcast=PnLState.define,
        description="attributes the P&L of each position's day to its causes",
    )
