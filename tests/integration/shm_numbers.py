"""Positions whose members all follow from one number: written, and checked, in processes of their own.

    shm_numbers.py write NAME POSITIONS seqlock|broken     until stdin ends; prints "ready", then how often it wrote
    shm_numbers.py read NAME POSITIONS READS CHANGES SECONDS     prints as c/read_positions.c does

`broken` is a writer that stores members one after the other and leaves the sequence alone.
"""

import select
import sys
import time
from decimal import Decimal

from clients.python.pks_client import PositionReader
from connectors.shm import layout
from connectors.shm.writer import PositionWriter

BOOK = "T"
WRITES_A_POSITION = 4_000
"""After so many writes one more position is made, so that the segment grows while it is read."""


def figures(number, place):
    """Decimals, counts and times of a number; the same functions as in c/read_positions.c."""
    return (
        (number, 2 * number + place, -3 * number, number * 10**19 + 7, number ^ 0x5555, number + 1),
        (number, number),
        (number, 5 * number),
    )


def is_whole(position, place):
    """Whether a copy is of one moment."""
    decimals, counts, times = figures(position.revision, place)
    return (
        tuple(getattr(position, name) for name in layout.DECIMALS) == decimals
        and position.raw == tuple(map(float, decimals))
        and (position.lots_open, position.revision) == counts
        and (position.executed_at, position.updated_at) == times
    )


def break_seqlock(writer):
    """Let the writer store members one by one, without a word to readers."""
    mapping = writer.segment.mapping

    def write(number, body):
        start = layout.SEGMENT_HEADER_SIZE + number * layout.SLOT_SIZE
        for place in range(0, len(body), 8):
            mapping.view[start + 8 + place : start + 16 + place] = body[place : place + 8]

    writer.segment.write = write


def write(name, positions, how):
    """Write for as long as stdin is open."""
    writer = PositionWriter(name, slots=2 * positions, partitions=1)
    number = 1
    for place in range(positions):
        put(writer, place, number)
    writer.claim()
    if how == "broken":
        break_seqlock(writer)
    print("ready", flush=True)
    while number % 64 or not select.select([sys.stdin], [], [], 0)[0]:
        number += 1
        for place in range(positions):
            put(writer, place, number)
        if how == "seqlock" and number % WRITES_A_POSITION == 0:
            writer.write((BOOK, f"more{number}"), 0, "USD", (Decimal(0),) * 6, (0, 0), (0, 0))
    writer.close(keep=False)
    print(number * positions, flush=True)


def put(writer, place, number):
    decimals, counts, times = figures(number, place)
    writer.write((BOOK, f"I{place}"), 0, "USD", tuple(map(Decimal, decimals)), counts, times)


def read(name, positions, reads_wanted, changes_wanted, seconds):
    """Read in turn, as c/read_positions.c does."""
    reader = PositionReader(name, busy_seconds=10)
    handles = [reader.slot(BOOK, f"I{place}") for place in range(positions)]
    seen = [0] * positions
    reads = torn = changes = 0
    started = time.monotonic_ns()
    until = started + seconds * 10**9
    while (reads < reads_wanted or changes < changes_wanted) and time.monotonic_ns() < until:
        place = reads % positions
        position = handles[place].read()
        reads += 1
        torn += not is_whole(position, place)
        changes += position.revision != seen[place]
        seen[place] = position.revision
    print(reads, torn, changes, 0, time.monotonic_ns() - started)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        read(sys.argv[2], *map(int, sys.argv[3:]))
