"""A worker to be killed: owns a folder, appends what is missing of a fixed feed, and drives both stages.

`python -m tests.faults.stages_worker FOLDER SEED FILLS` prints `on` for each round of frames that it has applied, and
`done` after the last. The feed is a
function of the seed, so whoever starts again goes on where the log ends: nothing but the folder is remembered.
"""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.topics import FILLS
from schemas.units import Action
from tests.support import Books, fill
from topology.drive import run_until_idle

PARTITIONS = 1
BATCH = 250
"""Fills of one append: one frame."""


def feed(seed: int, number: int) -> Iterator[Any]:
    """`number` fills: many books, flips, some late, amended, moved, cancelled before or after, or sent twice."""
    choose = random.Random(seed)
    held: list[Any] = []
    for index in range(number):
        if held and choose.random() < 0.08:
            yield held.pop(choose.randrange(len(held)))
            continue
        book, at = f"B{choose.randrange(20)}", max(index + choose.choice([0] * 30 + [-200]), 0)
        quantity, price = choose.choice([-5, -2, -1, 1, 2, 4]), choose.randint(90, 110)
        event = fill(f"t{index}", quantity, price, at=at, book=book, source_sequence=index)
        kind = choose.random()
        if kind < 0.03:
            held.append(event)
        elif kind < 0.06:
            action = choose.choice([Action.AMEND, Action.CANCEL])
            to = choose.choice([None, f"B{choose.randrange(20)}"])
            held.append(
                fill(f"c{index}", 3, 100, at=at, book=to, action=action, original_trade_id=f"t{index}")
            )
        elif kind < 0.07:
            # The correction comes first and waits.
            held.append(event)
            yield fill(
                f"c{index}", 7, 100, at=at, book=book, action=Action.AMEND, original_trade_id=f"t{index}"
            )
            continue
        yield event


def batches(seed: int, number: int) -> list[list[Any]]:
    """The feed in appends."""
    whole = list(feed(seed, number))
    return [whole[start : start + BATCH] for start in range(0, number, BATCH)]


def run(folder: Path, seed: int, number: int, *, ahead: int = 4) -> None:
    """Append what the log does not have yet, a few frames ahead of the stages, and apply it all."""
    with Books(folder, partitions=PARTITIONS, waiting_max=100_000, sync="group") as books:
        # One frame an append: the end of the log says how much of the feed is in it.
        todo = batches(seed, number)[books.log.end_offset(FILLS.name, 0) :]
        for start in range(0, len(todo), ahead):
            for batch in todo[start : start + ahead]:
                books.fills(*batch)
            run_until_idle(books.runners, books.log, max_events=3)
            print("on", flush=True)
        run_until_idle(books.runners, books.log)
    print("done", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
