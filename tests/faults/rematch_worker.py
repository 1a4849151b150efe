"""A worker to be killed inside re-matches: one long position, then late trades and corrections far back in it.

`python -m tests.faults.rematch_worker FOLDER [TRADES]` prints `behind N` (how many records had no committed step when it
began, and how many bookings waited for a re-match), `on` as each batch is appended and its step begins, and `done`. Each
batch is one record, so that the end of the log says where to go on. With TRADES, re-matches are done in slices of so many.
"""

import random
import sys
from pathlib import Path
from typing import Any

from agents import positions, trade_capture
from schemas.topics import BOOKINGS
from schemas.units import LifecycleKind
from tests.support import MONDAY, SECOND, Books, LifecycleEventApplied, booked

TRADES = 6_000
BATCH = 1_000
LATE = 24
REMATCH_MIN = 100
"""Of re-matches in slices: all that come are longer."""


def trade(number: int, at: float, chance: random.Random) -> Any:
    quantity = chance.choice([-5, -2, -1, 1, 2, 4])
    return booked(
        f"t{number:05}",
        quantity,
        chance.randint(90, 110),
        at=at,
        source_sequence=number,
        event_id=f"e{number}",
    )


def batches() -> list[list[Any]]:
    """What comes: trades in order, then one change at a time."""
    chance = random.Random(7)
    whole = [trade(number, number, chance) for number in range(TRADES)]
    found = [whole[start : start + BATCH] for start in range(0, TRADES, BATCH)]
    for number in range(LATE):
        far = chance.randrange(TRADES // 6)
        if number % 3:
            found.append([trade(TRADES + number, far + 0.5, chance)])
            continue
        original = f"t{far * 5:05}"
        content = trade(far * 5, far * 5, chance) if number % 2 else None
        found.append(
            [
                LifecycleEventApplied(
                    event_id=f"c{number}",
                    kind=LifecycleKind.AMEND if content is not None else LifecycleKind.CANCEL,
                    trade_id=f"c{number}",
                    original_trade_id=original,
                    book="B1",
                    executed_at=MONDAY + number * SECOND,
                    trade=content,
                )
            ]
        )
    return found


def standing() -> list[Any]:
    """The trades that stand in the end, in the order of matching."""
    trades: dict[str, Any] = {}
    for event in (event for batch in batches() for event in batch):
        if hasattr(event, "original_trade_id"):
            trades.pop(event.original_trade_id, None)
            if event.trade is not None:
                trades[event.original_trade_id] = event.trade
        else:
            trades[event.trade_id] = event
    return sorted(trades.values(), key=lambda event: (event.executed_at, event.source_sequence))


def run(folder: Path, slice_trades: int = 0) -> None:
    """Append what the log does not have yet, a batch a step."""
    stage = positions.stage(rematch_min=REMATCH_MIN, slice_trades=slice_trades) if slice_trades else None
    stages = None if stage is None else (trade_capture.stage(), stage)
    with Books(folder, sync="group", stages=stages) as books:
        ends = books.log.end_offset(BOOKINGS.name, 0)
        waiting = books.counts(positions.NAME).waiting
        print("behind", ends - books.runners[-1].next_offset + waiting, flush=True)
        books.run()
        for batch in batches()[ends:]:
            books.bookings(*batch)
            print("on", flush=True)
            books.run()
    print("done", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), *map(int, sys.argv[2:]))
