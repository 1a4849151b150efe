"""`python -m bench.booked_log FOLDER TRADES`: a data folder with so many booked trades, made quickly.

Workload W (`bench.workload`) past capture: bookings are written as text, frame by frame, and applied by the positions
stage with steps of the worker's size, so that log, table and changelog are what a worker leaves behind. Position
updates are left out: nothing that looks back reads them.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agents import positions
from bench.workload import PARTITIONS, WORKLOADS, make_bookings, make_fills
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.transaction import EmbeddedTransaction
from schemas.frames import encode_frames
from schemas.murmur2 import partition_of_key
from schemas.topics import BOOKINGS, POSITIONS
from topology.drive import run_until_idle
from topology.runtime import PartitionRunner
from topology.settings import Settings
from topology.stages import build_stages, create_topics

FRAME_TRADES = 200
CHUNK_TRADES = 100_000
"""Trades that are made, and then applied, together."""

LATE = 0.001
"""Share of the trades that come late, each behind up to `LATE_BY_MAX` others."""

LATE_BY_MAX = 1_000_000

_START = 1_767_571_200_000_000_000


def bookings(trades: int, seed: int = 1) -> Iterator[list[tuple[int, bytes]]]:
    """Chunks of records: partition and frame."""
    rng = random.Random(seed)
    workload = WORKLOADS["W"]
    places = [partition_of_key(f"BOOK{number}".encode(), PARTITIONS) for number in range(workload.books)]
    pattern = _pattern()
    for start in range(0, trades, CHUNK_TRADES):
        parts: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        for number in range(start, min(start + CHUNK_TRADES, trades)):
            book, drawn = rng.randrange(workload.books), rng.random()
            quantity, price = rng.randrange(1, 100_000), rng.randrange(9_000, 11_000)
            executed = _START + (number - (rng.randrange(LATE_BY_MAX) if drawn < LATE else 0)) * 1_000
            text = pattern % (
                number,
                number,
                number,
                number,
                book,
                rng.randrange(workload.instruments),
                "" if drawn * 7 % 1 < 0.5 else "-",
                quantity // 100,
                quantity % 100,
                price // 100,
                price % 100,
                executed,
                executed,
                number,
            )
            parts[places[book]].append(text.encode())
        yield [
            (partition, b"[" + b",".join(items[first : first + FRAME_TRADES]) + b"]")
            for partition, items in enumerate(parts)
            for first in range(0, len(items), FRAME_TRADES)
        ]


def _pattern() -> str:
    """The text of a booking, with a place for each figure that differs."""
    frame = encode_frames(make_bookings(make_fills(WORKLOADS["W"], 1)))[0].decode()
    fields = msgspec.json.decode(frame)[0]
    places = {
        "event_id": "b%d",
        "correlation_id": "f%d",
        "causation_id": "f%d",
        "trade_id": "t%d",
        "book": "BOOK%d",
        "instrument": "INST%d",
        "quantity": "%s%d.%02d",
        "price": "%d.%02d",
    }
    fields |= places
    order = [*places, "executed_at", "recorded_at", "source_sequence"]
    rest = {name: value for name, value in fields.items() if name not in order}
    head = msgspec.json.encode(rest).decode()[:-1]
    quoted = "".join(f',"{name}":"{place}"' for name, place in places.items())
    return head + quoted + ',"executed_at":%d,"recorded_at":%d,"source_sequence":%d}'


class _WithoutUpdates(EmbeddedTransaction):
    """Drops the position updates of a step."""

    __slots__ = ()

    def append(self, topic: str, partition: int, *arguments: Any, **options: Any) -> int:
        return 0 if topic == POSITIONS.name else super().append(topic, partition, *arguments, **options)


class _Log(EmbeddedLog):
    def transaction(self) -> EmbeddedTransaction:
        return _WithoutUpdates(self)


def make(folder: Path, trades: int, told: Any = sys.stderr) -> Mapping[str, float]:
    """Make the folder; returns how long each part took, in seconds of processor time."""
    settings = Settings(data=folder)
    stages = build_stages(settings)
    spent = {"written": 0.0, "applied": 0.0}
    with _Log.owner(folder, sync="os") as log:
        create_topics(log, stages, PARTITIONS)
        stage = next(found for found in stages if found.name == positions.NAME)
        runners = [PartitionRunner(stage, partition, log, PARTITIONS) for partition in range(PARTITIONS)]
        done = 0
        for records in bookings(trades):
            began = time.process_time()
            _append(log, records)
            written = time.process_time()
            done += run_until_idle(runners, log, max_bytes=settings.step_bytes_max)
            spent["written"] += written - began
            spent["applied"] += time.process_time() - written
            print(f"{done:,} of {trades:,}", file=told, flush=True)
    return spent


def _append(log: EmbeddedLog, records: Sequence[tuple[int, bytes]]) -> None:
    for first in range(0, len(records), PARTITIONS):
        transaction = log.transaction()
        for partition, frame in records[first : first + PARTITIONS]:
            transaction.append(BOOKINGS.name, partition, None, frame)
        transaction.commit()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.booked_log", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("trades", type=int)
    options = parser.parse_args()
    spent = make(options.folder, options.trades)
    print(", ".join(f"{name} in {seconds:,.0f} s" for name, seconds in spent.items()), "of processor time")


if __name__ == "__main__":
    main()
