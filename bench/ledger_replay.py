"""`python -m bench.ledger_replay FOLDER TRANSFERS`: so many transfers posted from trades, then replayed from the log.

Trades as in `bench.ledger`, about 2.8 transfers each. The first run posts them into a log, through all that stands before the
ledger; the second one reads the ledger's input from that log and posts it again into another one, without telling it. Both
say how fast they were and what memory the process held, and the ledger hashes must be equal.
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from agents import ledger, position_routing, positions
from bench.ledger import money_bookings
from bench.workload import frames_of
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.transaction import EmbeddedTransaction
from schemas.topics import BOOKINGS, LEDGER_ENTRIES, LEDGER_INPUT
from topology.drive import run_until_idle
from topology.log_reading import table_partition
from topology.money.documents import hash_of
from topology.runtime import PartitionRunner
from topology.settings import Settings
from topology.stages import build_all, create_topics

CHUNK_TRADES = 100_000
_BEFORE = (positions.NAME, position_routing.NAME)
_RECORDS, _BYTES = 1_000, 1 << 22


class _Untold(EmbeddedTransaction):
    """Drops the transfers of a step."""

    __slots__ = ()

    def append(self, topic: str, partition: int, *arguments: Any, **options: Any) -> int:
        return 0 if topic == LEDGER_ENTRIES.name else super().append(topic, partition, *arguments, **options)


class _UntoldLog(EmbeddedLog):
    def transaction(self) -> EmbeddedTransaction:
        return _Untold(self)


def _runners(log: EmbeddedLog, folder: Path, *names: str) -> list[PartitionRunner]:
    stages = build_all(Settings(data=folder))
    create_topics(log, stages, 1)
    return [PartitionRunner(stage, 0, log, 1) for stage in stages if stage.name in names]


def _chunks() -> Iterator[list[Any]]:
    """Bookings without end: those of `bench.ledger` again and again, later and under other ids each time."""
    made = money_bookings(CHUNK_TRADES)
    span = CHUNK_TRADES * 1_000
    number = 0
    while True:
        yield [
            msgspec.structs.replace(
                booked,
                event_id=f"{number}.{booked.event_id}",
                trade_id=f"{number}.{booked.trade_id}",
                executed_at=booked.executed_at + number * span,
            )
            for booked in made
        ]
        number += 1


def _held() -> int:
    """The bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class _Told:
    """Says how far a run is, how fast, and what memory it holds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.seconds = 0.0

    def note(self, trades: int, transfers: int, seconds: float) -> None:
        self.seconds += seconds
        held = _held()
        print(
            f"{self._name}: {trades:,} trades, {transfers:,} transfers, {trades / self.seconds:,.0f} trades/s of processor "
            f"time, {held >> 20} MiB",
            file=sys.stderr,
            flush=True,
        )


def _timed(runners: list[PartitionRunner], log: EmbeddedLog) -> tuple[int, float]:
    began = time.process_time()
    return run_until_idle(runners, log), time.process_time() - began


def _transfers(log: EmbeddedLog, offset: int) -> tuple[int, int]:
    """How many transfers stand from an offset on, and the offset after them."""
    number = 0
    while found := log.read(LEDGER_ENTRIES.name, 0, offset, _RECORDS, _BYTES):
        number += sum((record.value or b"").count(b'{"type":') for record in found)
        offset = found[-1].offset + 1
    return number, offset


def post(folder: Path, transfers: int) -> str:
    """Post trades until there are so many transfers; returns the ledger hash."""
    told = _Told("posted")
    trades = number = offset = 0
    with EmbeddedLog.owner(folder, sync="os") as log:
        before, after = _runners(log, folder, *_BEFORE), _runners(log, folder, ledger.NAME)
        for bookings in _chunks():
            for _, frame in frames_of(BOOKINGS, bookings):
                transaction = log.transaction()
                transaction.append(BOOKINGS.name, 0, None, frame)
                transaction.commit()
            run_until_idle(before, log)
            events, seconds = _timed(after, log)
            found, offset = _transfers(log, offset)
            trades, number = trades + events, number + found
            told.note(trades, number, seconds)
            if number >= transfers:
                return hash_of([table_partition(log, ledger.NAME, 0)])[0]
    raise AssertionError("chunks have no end")


def replay(folder: Path, source: Path) -> str:
    """Post the ledger's input of another log again; returns the ledger hash."""
    told = _Told("replayed")
    trades = offset = 0
    with EmbeddedLog.reader(source) as before, _UntoldLog.owner(folder, sync="os") as log:
        runners = _runners(log, folder, ledger.NAME)
        while found := before.read(LEDGER_INPUT.name, 0, offset, _RECORDS, 1 << 26):
            offset = found[-1].offset + 1
            transaction = log.transaction()
            for record in found:
                transaction.append(LEDGER_INPUT.name, 0, record.key, record.value)
            transaction.commit()
            events, seconds = _timed(runners, log)
            trades += events
            told.note(trades, 0, seconds)
        return hash_of([table_partition(log, ledger.NAME, 0)])[0]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger_replay", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("transfers", type=int)
    options = parser.parse_args()
    first = post(options.folder / "posted", options.transfers)
    again = replay(options.folder / "replayed", options.folder / "posted")
    print(f"ledger hash {first}; of the replay {again}: {'equal' if first == again else 'NOT EQUAL'}")
    sys.exit(first != again)


if __name__ == "__main__":
    main()
