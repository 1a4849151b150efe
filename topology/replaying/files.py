"""Replaying canonical files: through capture and positions, into a data folder or into a scratch state.

Guarantees: every file is read whole before anything is applied, and all faults of all files are said together;
rows that are in the state already count as duplicates, so a replay that was killed is simply run again.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from connectors.files.canonical import read_canonical
from connectors.files.faults import InputFaults
from connectors.files.source import open_source
from schemas.events import FillEvent
from topology.control.entry import OwnedGate, Receipt, open_entry
from topology.log_reading import WholeLog, applied_offsets, partition_count
from topology.replaying.outcome import books_of
from topology.settings import Settings


@dataclass(slots=True)
class FileReplay:
    """What a replay of files came to: its receipt, and the books after it."""

    receipt: Receipt
    book_hash: str
    positions: int
    seconds: float
    sequence: int | None
    offsets: dict[str, dict[str, int]] = field(default_factory=dict)


def read_files(names: Sequence[str], input_format: str | None) -> list[FillEvent]:
    """The fills of canonical files, in the order of the files and their rows.

    Raises InputFaults with every fault of every file.
    """
    fills: list[FillEvent] = []
    faults = []
    for name in names:
        try:
            fills.extend(read_canonical(open_source(name), input_format=input_format))
        except InputFaults as found:
            faults.extend(found.faults)
    if faults:
        raise InputFaults(faults)
    return fills


def replay_files(
    fills: Sequence[FillEvent],
    settings: Settings,
    opened: Callable[[Settings], AbstractContextManager[WholeLog]],
    *,
    scratch: bool,
    progress: Callable[[int], None],
) -> FileReplay:
    """Put fills into the log of `settings.data` (or into a state that is dropped again), and say what came of it.

    `opened` opens the log to read where this process does not own it. Corrections whose trade is not there are rejected at the end, where this process owns the log.
    """
    began = time.perf_counter()
    with _scratch_settings(settings) if scratch else contextlib.nullcontext(settings) as used:
        with open_entry(used) as entry:
            receipt = entry.submit(fills, expire_waiting_ticks=used.waiting_ticks_max, on_progress=progress)
            if isinstance(entry.gate, OwnedGate):
                return _outcome(receipt, entry.gate.log, began)
        with opened(used) as log:
            return _outcome(receipt, log, began)


@contextlib.contextmanager
def _scratch_settings(settings: Settings) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="pks-scratch-") as folder:
        yield settings.model_copy(update={"data": Path(folder), "sync": "os", "transport": "embedded://"})


def _outcome(receipt: Receipt, log: WholeLog, began: float) -> FileReplay:
    partitions = partition_count(log)
    book_hash, count = books_of(log, range(partitions))
    offsets = applied_offsets(log, partitions)
    seconds = time.perf_counter() - began
    return FileReplay(receipt, book_hash.hexadecimal, count, seconds, log.sequence, offsets)
