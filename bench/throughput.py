"""Fills through the stages on the embedded log, on one core, beside a bare loop over the same frames.

Rates are fills a second of processor time, all threads together: on a free core that is the rate by the clock (which
the note gives), and on a busy one it is what a free core would reach, nearly.

The reference decodes the same frames and encodes the events again, and does nothing else: no Python stage between JSON
frames can be faster. (Stock Faust, one record an event, does 1,500 to 4,600 fills a second on such machines.)
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from agents import positions, trade_capture
from bench.row import Row
from bench.workload import (
    PARTITIONS,
    WORKLOADS,
    frames_of,
    fresh_log,
    make_bookings,
    make_fills,
    one_core,
)
from domain.lots.matching import apply
from domain.lots.position import Position, Terms, Trade
from schemas.frames import encode_frames
from schemas.numbers import exact_arithmetic
from schemas.topics import BOOKINGS, FILLS, Topic
from topology.drive import run_until_idle
from topology.replaying.outcome import Span
from topology.replaying.replay import replay_bookings

BARE = "bare decode and encode"


@contextmanager
def quiet() -> Iterator[None]:
    """Collection of garbage as the worker has it: not of what the preparation left behind, and in large portions."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def time_of(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time over all threads."""
    with quiet():
        wall, processor = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - wall, time.process_time() - processor


def _bare(topic: Topic, records: Sequence[tuple[int, bytes]]) -> float:
    """Events a second of processor time that only decoding and encoding would reach."""
    count = 0

    def loop() -> None:
        nonlocal count
        for _, frame in records:
            found = topic.codec.decode(frame)
            count += len(found)
            encode_frames(found)

    _, processor = time_of(loop)
    return count / processor


def _row(name: str, unit: str, count: int, timed: tuple[float, float], reference: float, beside: str) -> Row:
    wall, processor = timed
    note = f"{count / wall:,.0f} by the clock"
    return Row(name, count / processor, unit, reference, beside, processor / count * 1e6, note=note)


def _stages(name: str, workload: str, topic: Topic, stages: Sequence[str], count: int) -> Row:
    fills = make_fills(WORKLOADS[workload], count)
    records = frames_of(topic, fills if topic is FILLS else make_bookings(fills))
    del fills
    with one_core(), fresh_log() as bench:
        bench.append(topic, records)
        reference = _bare(topic, records)
        timed = time_of(lambda: run_until_idle(bench.of(*stages), bench.log))
        reference = (reference + _bare(topic, records)) / 2
    return _row(name, "fills/s", count, timed, reference, BARE)


def capture(count: int) -> list[Row]:
    """Through capture, workload W."""
    return [_stages("capture, W", "W", FILLS, [trade_capture.NAME], count)]


def books(count: int) -> list[Row]:
    """Bookings through positions, workloads W and H."""
    return [_stages(f"positions, {name}", name, BOOKINGS, [positions.NAME], count) for name in WORKLOADS]


def both(count: int) -> list[Row]:
    """Fills through capture and positions, workloads W and H."""
    names = [trade_capture.NAME, positions.NAME]
    return [_stages(f"capture and positions, {name}", name, FILLS, names, count) for name in WORKLOADS]


def replay(count: int) -> list[Row]:
    """A replay of the bookings from nothing, in one process, with the book hash."""
    records = frames_of(BOOKINGS, make_bookings(make_fills(WORKLOADS["W"], count)))
    with one_core(), fresh_log() as bench:
        bench.append(BOOKINGS, records)
        reference = _bare(BOOKINGS, records)
        ends = [bench.log.end_offset(BOOKINGS.name, partition) for partition in range(PARTITIONS)]
        spans = [Span(partition, 0, end, empty=True) for partition, end in enumerate(ends)]
        timed = time_of(lambda: replay_bookings(bench.log, PARTITIONS, spans))
        reference = (reference + _bare(BOOKINGS, records)) / 2
    return [_row("replay, W", "fills/s", count, timed, reference, BARE)]


def lots(count: int) -> list[Row]:
    """Lot matching alone: trades onto 100 positions, FIFO, nothing stored; beside decimals that are only added."""
    trades: list[tuple[int, Trade]] = [
        (
            hash_of(event.book, event.instrument),
            Trade(event.trade_id, event.executed_at, event.source_sequence, event.quantity, event.price),
        )
        for event in make_bookings(make_fills(WORKLOADS["H"], count))
    ]
    with one_core(), exact_arithmetic():
        held = [Position(Terms()) for _ in range(_LOT_POSITIONS)]

        def match() -> None:
            for place, trade in trades:
                apply(held[place], trade)

        def bare() -> None:
            sums = [trade.quantity for _, trade in trades[:_LOT_POSITIONS]] or [trades[0][1].quantity]
            for place, trade in trades:
                sums[place] += trade.quantity * trade.price

        timed = time_of(match)
        _, processor = time_of(bare)
    return [_row("lot matching, H", "trades/s", count, timed, count / processor, "exact products and sums")]


_LOT_POSITIONS = 100


def hash_of(book: str, instrument: str) -> int:
    """A number below `_LOT_POSITIONS` for each position of workload H."""
    return int(book[4:]) * 10 + int(instrument[4:])
