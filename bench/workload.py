"""The fills that are measured, always the same from a fixed seed, and a log to run them on.

Workload W: 200 books x 50 instruments drawn uniformly, quantities 0.01 to 999.99, prices 90.00 to 109.99, half buys,
1 % replays of one of the last 1,000 fills. Workload H is W with 100 positions.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.embedded.log import EmbeddedLog
from schemas import events
from schemas.frames import encode_frames, wire
from schemas.identity import derived_id
from schemas.murmur2 import partition_of_key
from schemas.times import Nanoseconds
from schemas.topics import BOOKINGS, FILLS, PARTITIONS_DEFAULT, Topic
from schemas.units import Side
from topology.runtime import PartitionRunner
from topology.settings import Settings
from topology.stages import build_runners, build_spine, create_topics

PARTITIONS = PARTITIONS_DEFAULT
FRAME_FILLS = 200
_START = 1_767_571_200_000_000_000
_REPLAYED = 0.01

_FillEvent = wire(events.FillEvent)
_TradeBooked = wire(events.TradeBooked)


@dataclass(frozen=True, slots=True)
class Workload:
    """How many books and instruments the fills are spread over."""

    books: int
    instruments: int


WORKLOADS = {"W": Workload(200, 50), "H": Workload(10, 10)}


def make_fills(workload: Workload, count: int) -> list[Any]:
    """The fills, in the order of execution."""
    rng = random.Random(1)
    fills: list[Any] = []
    for number in range(count):
        if number > 1_000 and rng.random() < _REPLAYED:
            fills.append(fills[-rng.randrange(1, 1_000)])
            continue
        fills.append(
            _FillEvent(
                event_id=f"f{number}",
                trade_id=f"t{number}",
                book=f"BOOK{rng.randrange(workload.books)}",
                instrument=f"INST{rng.randrange(workload.instruments)}",
                side=Side.BUY if rng.random() < 0.5 else Side.SELL,
                quantity=Decimal(rng.randrange(1, 100_000)).scaleb(-2),
                price=Decimal(rng.randrange(9_000, 11_000)).scaleb(-2),
                executed_at=Nanoseconds(_START + number * 1_000),
                recorded_at=Nanoseconds(_START + number * 1_000),
                source_sequence=number,
                source="bench",
            )
        )
    return fills


def make_bookings(fills: Sequence[Any]) -> list[Any]:
    """What capture makes of fills, replays included."""
    return [
        _TradeBooked(
            event_id=derived_id(fill.event_id, "c", 0),
            correlation_id=fill.event_id,
            causation_id=fill.event_id,
            source=fill.source,
            trade_id=fill.trade_id,
            book=fill.book,
            instrument=fill.instrument,
            quantity=fill.quantity if fill.side is Side.BUY else -fill.quantity,
            price=fill.price,
            executed_at=fill.executed_at,
            recorded_at=fill.recorded_at,
            source_sequence=fill.source_sequence,
            business_date="2026-01-05",
        )
        for fill in fills
    ]


def frames_of(topic: Topic, found: Sequence[Any]) -> list[tuple[int, bytes]]:
    """The events as records: partition and frame, frames of all partitions in turn."""
    parts: dict[int, list[Any]] = {partition: [] for partition in range(PARTITIONS)}
    for event in found:
        key = event.trade_id if topic is FILLS else event.book
        parts[partition_of_key(key.encode(), PARTITIONS)].append(event)
    places = [
        (start, partition)
        for partition, content in parts.items()
        for start in range(0, len(content), FRAME_FILLS)
    ]
    return [
        (partition, frame)
        for start, partition in sorted(places)
        for frame in encode_frames(parts[partition][start : start + FRAME_FILLS])
    ]


@dataclass(slots=True)
class Bench:
    """A fresh log with runners of the stages that keep the books."""

    log: EmbeddedLog
    runners: list[PartitionRunner]

    def append(self, topic: Topic, records: Sequence[tuple[int, bytes]]) -> None:
        """Append records, each in a commit of its own."""
        for partition, frame in records:
            transaction = self.log.transaction()
            transaction.append(topic.name, partition, None, frame)
            transaction.commit()

    def of(self, *stages: str) -> list[PartitionRunner]:
        """The runners of some stages."""
        return [runner for runner in self.runners if runner.stage.name in stages]


@contextmanager
def log_in(folder: Path, cached_lots_max: int = 2_000_000) -> Iterator[Bench]:
    """A log in a folder, with runners of the stages that keep the books."""
    stages = build_spine(Settings(data=folder, cached_lots_max=cached_lots_max))
    with EmbeddedLog.owner(folder) as log:
        create_topics(log, stages, PARTITIONS)
        yield Bench(log, build_runners(stages, log, PARTITIONS))


@contextmanager
def fresh_log() -> Iterator[Bench]:
    """A log in a folder of its own, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pks-bench-"))
    try:
        with log_in(folder) as bench:
            yield bench
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and the threads that it starts now, on its last core, where the system lets it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


__all__ = [
    "BOOKINGS",
    "FILLS",
    "PARTITIONS",
    "WORKLOADS",
    "Bench",
    "Workload",
    "frames_of",
    "fresh_log",
    "log_in",
    "make_bookings",
    "make_fills",
    "one_core",
]
