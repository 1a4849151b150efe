"""Ticks a second through the stage of bars, on one core, in order and with late ones, beside a bare loop over the same
frames, which decodes the marks and encodes them again."""

import random
import tempfile
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from agents import bars
from bench.row import Row
from bench.throughput import BARE, time_of
from bench.workload import one_core
from connectors.embedded.log import EmbeddedLog
from domain.marks.bars import LENGTHS
from schemas import market_data, topics
from schemas.frames import encode_frames, wire
from schemas.times import NANOSECONDS_PER_SECOND, Nanoseconds, parse_time
from schemas.units import MarkQuality
from topology.drive import run_until_idle
from topology.runtime import PartitionRunner
from topology.stages import create_topics

INSTRUMENTS, TICKS, TICKS_A_SECOND, FRAME = 200, 100_000, 1_000, 500
LATE_SECONDS_MAX = 600
_START = parse_time("2026-01-05T12:00:00Z")
_Mark: Any = wire(market_data.Mark)


def _marks(late_share: float) -> list[Any]:
    """Marks of all instruments, a thousand a second of event time; some of them came minutes late."""
    chance = random.Random(7)
    found = []
    for number in range(TICKS):
        at = number * NANOSECONDS_PER_SECOND // TICKS_A_SECOND
        if chance.random() < late_share:
            at -= chance.randrange(1, LATE_SECONDS_MAX) * NANOSECONDS_PER_SECOND
        found.append(
            _Mark(
                event_id=f"m{number}",
                source="bench",
                instrument=f"I{chance.randrange(INSTRUMENTS)}",
                event_time=Nanoseconds(_START + at),
                quality=MarkQuality.LIVE,
                price=Decimal(chance.randrange(9_000, 11_000)).scaleb(-2),
                source_sequence=number,
            )
        )
    return found


def _measured(name: str, late_share: float) -> Row:
    marks = _marks(late_share)
    frames = [
        frame for start in range(0, TICKS, FRAME) for frame in encode_frames(marks[start : start + FRAME])
    ]
    stage = bars.stage()
    with one_core(), tempfile.TemporaryDirectory() as folder, EmbeddedLog.owner(Path(folder) / "data") as log:
        create_topics(log, [stage], 1)
        for frame in frames:
            transaction = log.transaction()
            transaction.append(topics.MARKS.name, 0, None, frame)
            transaction.commit()
        runner = PartitionRunner(stage, 0, log, 1)
        wall, processor = time_of(partial(run_until_idle, [runner], log))
        told = log.end_offset(topics.BARS.name, 0)
        _, bare = time_of(lambda: [encode_frames(topics.MARKS.codec.decode(frame)) for frame in frames])
        state: Any = runner.state
        assert told and not any(state.too_late.values()), "bars of all ticks"
    note = f"{TICKS / wall:,.0f} by the clock; {INSTRUMENTS} instruments, bars of {', '.join(LENGTHS)}"
    return Row(name, TICKS / processor, "ticks/s", TICKS / bare, BARE, processor / TICKS * 1e6, note=note)


def run(_fills: int) -> list[Row]:
    """In order, and with a tenth of the ticks up to ten minutes late."""
    return [_measured("bars, ticks in order", 0.0), _measured("bars, a tenth of the ticks late", 0.1)]
