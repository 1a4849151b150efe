"""Replay, and looking back: a folder of booked trades (`bench.booked_log`), replayed and asked what was known before.

A replay's rate is of processor time with all threads, as in `bench.throughput`; two processes have theirs by the clock,
beside one. Looking back is timed as `pks positions --known-at` does it, once the program has started.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.booked_log import make
from bench.row import Row
from connectors.embedded.log import EmbeddedLog
from schemas.topics import BOOKINGS
from topology.documents.views import view_of
from topology.history.checkpoints import Checkpoints, opened_checkpoints, take_checkpoints
from topology.history.points import Point
from topology.log_reading import partition_count, read_records
from topology.replaying.outcome import Span
from topology.replaying.replay import replay_whole
from topology.settings import Settings

_BOOK = "BOOK7"
_REPEATS = 3


class _Discard:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def run(trades: int) -> list[Row]:
    """Replays in one and in two processes, taking checkpoints, and known-at for one book and for all."""
    folder = Path(tempfile.mkdtemp(prefix="pks-bench-"))
    try:
        make(folder, trades, _Discard())
        log = EmbeddedLog.reader(folder)
        try:
            return [*_replays(log, trades), *_looking_back(log, trades)]
        finally:
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def _replays(log: EmbeddedLog, trades: int) -> list[Row]:
    partitions = partition_count(log)
    spans = [Span(number, 0, log.end_offset(BOOKINGS.name, number)) for number in range(partitions)]

    def decode() -> None:
        for span in spans:
            for record in read_records(log, BOOKINGS.name, span.partition):
                BOOKINGS.codec.decode(record.value or b"")

    _, bare = _timed(decode)
    wall, processor = _timed(lambda: replay_whole(log, partitions, spans))
    together, _ = _timed(lambda: replay_whole(log, partitions, spans, 2))
    return [
        Row(
            "replay, one process",
            trades / processor,
            "bookings/s",
            trades / bare,
            "bare read and decode",
            processor / trades * 1e6,
            note=f"{wall:.1f} s by the clock",
        ),
        Row(
            "replay, two processes",
            trades / together,
            "bookings/s",
            trades / wall,
            "one process, by the clock",
            note=f"{together:.1f} s by the clock, starting them included",
        ),
    ]


def _looking_back(log: EmbeddedLog, trades: int) -> list[Row]:
    settings = Settings(data=log.folder)
    point = Point(sequence=log.sequence * 3 // 4)

    def known_at(book: str | None, checkpoints: Checkpoints | None) -> float:
        def show() -> None:
            with view_of(log, known_at=point, book=book, checkpoints=checkpoints) as view:
                view.positions_documents(book)

        return 1e3 * min(_timed(show)[1] for _ in range(_REPEATS if checkpoints is not None or book else 1))

    without = [known_at(_BOOK, None), known_at(None, None)]
    _, taking = _timed(
        lambda: take_checkpoints(
            log, settings.checkpoint_spacing_bytes, settings.checkpoints_max, settings.checkpoint_bytes_max
        )
    )
    rows = [
        Row(
            "checkpoints taken",
            taking / trades * 1e6,
            "us a booking",
            higher_is_better=False,
            note="background",
        )
    ]
    with opened_checkpoints(log) as checkpoints:
        for name, book, reference in zip(("one book", "all books"), (_BOOK, None), without, strict=True):
            rows.append(
                Row(
                    f"known at, {name}",
                    known_at(book, checkpoints),
                    "ms",
                    reference,
                    "replayed from the first booking",
                    higher_is_better=False,
                    note="processor time, after the start of the program",
                )
            )
    return rows
