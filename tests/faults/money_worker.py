"""A worker to be killed: fills, movements of cash and ends of days through every stage up to the currency positions.

`python -m tests.faults.money_worker FOLDER SEED FILLS` prints the name of a stage after each of its steps, and `done` at the end. The
feed is a function of the seed: nothing but the folder is remembered.
"""

import random
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from agents import cash, currency_position, ledger, position_routing, positions, trade_capture
from schemas.frames import encode_frames
from schemas.topics import FILLS, LEDGER_INPUT
from tests.faults.stages_worker import BATCH, batches
from tests.ledger_support import day_closed, movement
from tests.support import Books, Fee
from topology.drive import run_until_idle
from topology.money.rules import standard_rules

CLASSES = ("equity", "future", "option")
BOOKS_NUMBER = 20


def stages() -> tuple[Any, ...]:
    """What the worker runs."""
    return (
        trade_capture.stage(100_000, 3),
        positions.stage(),
        position_routing.stage(),
        ledger.stage(standard_rules()),
        cash.stage(),
        currency_position.stage(),
    )


def fills_of(seed: int, number: int) -> Iterator[list[Any]]:
    """The feed of the books in appends, with what the ledger needs of a trade: a class for each book, and a fee."""
    for batch in batches(seed, number):
        yield [
            msgspec.structs.replace(
                event,
                currency="USD",
                entity="E",
                account="A",
                instrument_class=CLASSES[sum((event.book or "").encode()) % len(CLASSES)],
                instrument=CLASSES[sum((event.book or "").encode()) % len(CLASSES)],
                fees=(Fee(amount=Decimal("0.0125")),),
            )
            for event in batch
        ]


def by_hand(seed: int, number: int) -> list[Any]:
    """What stands beside an append: movements, some again, some taken back, and days that close."""
    choose = random.Random(f"{seed} {number}")
    first = movement(
        f"m{number}", f"{choose.randint(1, 10**6)}.335", choose.choice(["deposit", "dividend", "fee"])
    )
    found = [first, first] if choose.random() < 0.3 else [first]
    if choose.random() < 0.3:
        found.append(movement(f"r{number}", str(-first.amount), first.kind, reverses=f"m{number}"))
    if choose.random() < 0.5:
        found.append(day_closed(f"B{choose.randrange(BOOKS_NUMBER)}", "2026-01-05"))
    return found


def run(folder: Path, seed: int, number: int) -> None:
    """Append what the log does not have yet, an append ahead of the stages, and apply it all."""
    with Books(folder, partitions=1, stages=stages(), sync="group") as books:
        whole = list(fills_of(seed, number))
        for place in range(books.log.end_offset(FILLS.name, 0), len(whole)):
            transaction = books.log.transaction()
            transaction.append(FILLS.name, 0, None, encode_frames(whole[place])[0])
            extra = by_hand(seed, place)
            if place == len(whole) - 1:
                extra += [day_closed(f"B{book}", "2030-01-01") for book in range(BOOKS_NUMBER)]
            transaction.append(LEDGER_INPUT.name, 0, None, encode_frames(extra)[0])
            transaction.commit()
            run_until_idle(
                books.runners,
                books.log,
                max_events=BATCH,
                on_step=lambda runner, _: print(runner.stage.name, flush=True),
            )
        run_until_idle(books.runners, books.log)
        if any(runner.stopped for runner in books.runners):
            print([runner.stopped for runner in books.runners], flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
