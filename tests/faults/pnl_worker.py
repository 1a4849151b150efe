"""A worker of all stages up to P&L, to be killed: trades in order and late, repeats, cancels, marks, ends of days.

`python -m tests.faults.pnl_worker FOLDER` prints `behind N` (how many records a stage had not applied when it began), `on`
as each batch is appended and its steps begin, and `done`; a batch begins when a line is read, so that the worker is never
ahead of the one who kills it. Each batch is one record of bookings, so that the end of the log says where to go on.
"""

import random
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from agents import mark_routing, pnl, position_routing, positions, trade_capture, valuation
from schemas import events, market_data
from schemas.frames import wire
from schemas.topics import BOOKINGS, MARKS
from schemas.units import LifecycleKind, MarkQuality
from tests.support import MONDAY, SECOND, Book, Books, LifecycleEventApplied, booked

BATCHES, TRADES, DAYS = 60, 12, 6
DAY = 86_400 * SECOND
INSTRUMENTS = ("X", "Y", "Z")


def batches() -> list[tuple[list[Any], list[Any]]]:
    """What comes, as bookings and marks. All ids are the same in every run."""
    chance = random.Random(11)
    found = []
    sent: list[Any] = []
    for number in range(BATCHES):
        day = number * DAYS // BATCHES
        bookings: list[Any] = []
        for place in range(TRADES):
            late = min(day, chance.choice([0, 0, 0, 0, 1, 2]))
            at = (day - late) * DAY // SECOND + number * 10 + place
            trade = booked(
                f"t{number:03}.{place:02}",
                chance.choice([-3, -1, 1, 2]),
                chance.randint(90, 110),
                at=at,
                instrument=chance.choice(INSTRUMENTS),
                business_date=f"2026-01-{5 + day - late:02}",
                settlement_currency="USD",
            )
            bookings.append(trade)
        bookings += chance.sample(sent, min(2, len(sent)))  # again, with the same content
        if sent and number % 3 == 0:
            trade = chance.choice(sent)
            sent.remove(trade)
            bookings.append(
                LifecycleEventApplied(
                    event_id=f"c{number}",
                    kind=LifecycleKind.CANCEL,
                    trade_id=f"c{number}",
                    original_trade_id=trade.trade_id,
                    book="B1",
                    executed_at=MONDAY + number * SECOND,
                )
            )
        sent += bookings[:TRADES]
        if (number + 1) % (BATCHES // DAYS) == 0:
            date = f"2026-01-{5 + day:02}"
            end = MONDAY + (day + 1) * DAY - 1
            bookings.append(
                wire(events.DayClosed)(
                    event_id=f"B1@{date}", book="B1", business_date=date, event_time=end, source="calendar"
                )
            )
        marks = [
            wire(market_data.Mark)(
                event_id=f"m{number}.{name}",
                source="quotes",
                instrument=name,
                event_time=MONDAY + day * DAY + number * SECOND,
                quality=MarkQuality.LIVE,
                price=Decimal(chance.randint(900, 1100)) / 10,
            )
            for name in INSTRUMENTS
        ]
        found.append((bookings, marks))
    return found


def stages() -> tuple[Any, ...]:
    """The stages from fills to P&L."""
    behind = (position_routing, mark_routing, valuation, pnl)
    return (trade_capture.stage(), positions.stage(), *(module.stage() for module in behind))


def run(folder: Path, wait: Callable[[], object] = lambda: None) -> None:
    """Append what the log does not have yet, a batch a round of steps, each when `wait` has returned."""
    with Books(folder, sync="group", stages=stages()) as books:
        began = books.log.end_offset(BOOKINGS.name, 0)
        behind = sum(
            books.log.end_offset(runner.stage.input.name, 0) - runner.next_offset for runner in books.runners
        )
        print("behind", behind, flush=True)
        if not began:
            books.define(Book(event_id="b", book="B1", base_currency="USD"))
        books.run()
        # Bookings and marks of a batch are two appends: what the kill left of the second comes again, as the same marks.
        for number, (bookings, marks) in enumerate(batches()):
            if number >= began:
                books.bookings(*bookings)
            if number >= books.log.end_offset(MARKS.name, 0):
                wait()
                print("on", flush=True)
                books.append_events(MARKS, marks, lambda event: event.instrument)
            books.run()
    print("done", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.stdin.readline)
