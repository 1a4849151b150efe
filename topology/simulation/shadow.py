"""A replay that keeps up: the positions stage over the same bookings, in a log of its own."""

from collections.abc import Sequence

import msgspec

from agents.journal import JOURNAL, scan_journal
from agents.open_position import LOT, SUMMARY, OpenPosition
from agents.stage import Stage
from domain.lots.position import Position
from schemas.identity import position_key
from schemas.numbers import exact_arithmetic
from schemas.topics import POSITIONS
from topology import runtime
from topology.log_reading import table_partition
from topology.simulation.books import CommittedBooks
from topology.simulation.log import SimulatedLog, SimulatedRecord


class _Place(msgspec.Struct):
    book: str
    instrument: str = ""


_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_place = msgspec.json.Decoder(_Place).decode
_OF_STEPS = (JOURNAL, SUMMARY, LOT)
"""Families of keys whose bytes follow from how the bookings were cut into steps; what they mean does not."""


class Shadow:
    """One partition, replayed in steps of its own."""

    def __init__(self, stage: Stage, partition: int, partitions: int) -> None:
        self._stage = stage
        self._partition = partition
        self._log = SimulatedLog()
        self._runner = runtime.PartitionRunner(stage, partition, self._log, partitions)
        self._books = CommittedBooks(self._log, partitions)

    def step(self, records: Sequence[SimulatedRecord]) -> None:
        """Apply what has come."""
        if records:
            self._runner.step(records)
            self._runner.rest()

    def difference(self, log: SimulatedLog, books: CommittedBooks, updates: Sequence[SimulatedRecord]) -> str:
        """Where the books or the updates are other ones; nothing where they are the same."""
        table, partition = self._stage.table.name, self._partition
        log_table, shadow_table = (table_partition(one, table, partition) for one in (log, self._log))
        found = dict(log.scan(table, partition, b"\x01"))
        wanted = dict(self._log.scan(table, partition, b"\x01"))
        for key in sorted({*found, *wanted}):
            if key[:1] not in _OF_STEPS and found.get(key) != wanted.get(key):
                return f"partition {partition} has another value for {key!r}"
        kept = {place: opened for place, (number, opened) in books.positions().items() if number == partition}
        replayed = self._books.positions()
        if kept.keys() != replayed.keys():
            return f"partition {partition} has other positions"
        for place, opened in kept.items():
            if _contents(opened) != _contents(replayed[place][1]):
                return (
                    f"position {place[0]}/{place[1]}: {_contents(opened)} and {_contents(replayed[place][1])}"
                )
        with exact_arithmetic():
            for place in kept:
                key = position_key(*place)
                if list(scan_journal(log_table, key)) != list(scan_journal(shadow_table, key)):
                    return f"position {place[0]}/{place[1]} has another journal"
        if _by_position(self._log.records.get((POSITIONS.name, partition), [])) != _by_position(updates):
            return f"partition {partition} says other updates"
        return ""


def _contents(opened: OpenPosition) -> tuple[object, ...]:
    position = opened.position
    figures = [getattr(position, name) for name in Position.__slots__ if name != "lots"]
    return opened.revision, opened.last, figures, list(position.lots)


def _by_position(records: Sequence[SimulatedRecord]) -> dict[tuple[str, str], list[bytes]]:
    """The updates of each position in their order; a position whose re-match takes long holds up no other."""
    found: dict[tuple[str, str], list[bytes]] = {}
    for record in records:
        for item in _split(record.value or b"[]"):
            place = _place(item)
            found.setdefault((place.book, place.instrument), []).append(bytes(item))
    return found
