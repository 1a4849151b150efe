"""What became of every input, by source: the figures behind `in = applied + duplicate + refused + waiting`.

Kept in the stage's table, committed with the step that counted, so they hold after any crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from agents.stage import InvariantBroken
from tables.partition import TablePartition

FAMILY = b"c"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[int]).decode


@dataclass(slots=True)
class Counts:
    """Inputs of one source: `read` is their number, the others say what became of them."""

    read: int = 0
    applied: int = 0
    duplicates: int = 0
    refused: int = 0
    waiting: int = 0

    def figures(self) -> tuple[int, int, int, int, int]:
        """The counts in the order of the fields, without the deep copies that `dataclasses.astuple` makes."""
        return self.read, self.applied, self.duplicates, self.refused, self.waiting

    def add(self, other: "Counts") -> None:
        """Add another source's or partition's counts."""
        self.read += other.read
        self.applied += other.applied
        self.duplicates += other.duplicates
        self.refused += other.refused
        self.waiting += other.waiting


class Counters:
    """The counts of one stage on one partition, by source."""

    def __init__(self, table: TablePartition) -> None:
        self._table = table
        self._counts = read_counts(table)
        self._dirty: set[str] = set()

    def of(self, source: str) -> Counts:
        """The counts of a source, to be changed by the running step."""
        self._dirty.add(source)
        counts = self._counts.get(source)
        if counts is None:
            counts = self._counts[source] = Counts()
        return counts

    def all(self) -> Mapping[str, Counts]:
        """The counts of every source."""
        return self._counts

    def before_commit(self) -> None:
        """Write what changed, and hold it against the identity."""
        # In an order that no hash decides: the same step writes the same bytes in every process.
        for source in sorted(self._dirty):
            counts = self._counts[source]
            if counts.read != counts.applied + counts.duplicates + counts.refused + counts.waiting:
                raise InvariantBroken(
                    f"expected read = applied + duplicates + refused + waiting for source {source!r}, found {counts}"
                )
            self._table.put(FAMILY + source.encode(), encode_counts(counts))

    def committed(self) -> None:
        """The step is committed."""
        self._dirty.clear()

    def rollback(self) -> None:
        """Take the counts again from the table, which the runtime has set back."""
        if self._dirty:
            self._counts = read_counts(self._table)
            # Where a part of the step stands its counts are not committed either; a source of which nothing
            # stands has none.
            if self._table.changes:
                self._dirty.intersection_update(self._counts)
            else:
                self._dirty.clear()


def encode_counts(counts: Counts) -> bytes:
    """The value of a source's counts."""
    return _encode(counts.figures())


def read_counts(table: TablePartition) -> dict[str, Counts]:
    """The counts by source that stand in a table partition."""
    return {key[len(FAMILY) :].decode(): Counts(*_decode(value)) for key, value in table.scan_prefix(FAMILY)}
