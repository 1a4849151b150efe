"""What a replay reads, and what came of it: spans of a topic, counts by stage, the book hash.

Guarantees: events = applied + duplicates + rejected; outcomes of parts merge into that of the whole.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agents.counters import Counts
from agents.open_position import scan_positions
from domain.book_hash import BookHash, position_digest
from schemas.numbers import exact_arithmetic
from topology.log import Tables
from topology.log_reading import POSITIONS_TABLE, table_partition
from topology.runtime import PartitionRunner

STEP_RECORDS_MAX = 2_000
STEP_BYTES_MAX = 4 * 1024 * 1024

Progress = Callable[[int], None]
"""Called with the input records that a step has applied."""


@dataclass(slots=True)
class Outcome:
    """What a replay did. `applied_offsets` are next offsets of its input by partition."""

    events: int = 0
    applied: int = 0
    duplicates: int = 0
    rejected: int = 0
    waiting: int = 0
    positions: int = 0
    book_hash: BookHash = field(default_factory=BookHash)
    seconds: float = 0.0

    def merge(self, other: "Outcome") -> None:
        """Take in what another part of the replay did."""
        self.events += other.events
        self.applied += other.applied
        self.duplicates += other.duplicates
        self.rejected += other.rejected
        self.waiting += other.waiting
        self.positions += other.positions
        self.book_hash.merge(other.book_hash)


@dataclass(frozen=True, slots=True)
class Span:
    """Which records of one partition of a replay's input: `start` on to before `end`.

    What is before `start` is applied first, uncounted (the checkpoint there), unless `empty`.
    """

    partition: int
    start: int
    end: int
    empty: bool = False


def books_of(log: Tables, partitions: Iterable[int]) -> tuple[BookHash, int]:
    """The book hash of what the tables hold, flat positions included, and how many positions there are."""
    total, count = BookHash(), 0
    with exact_arithmetic():
        for partition in partitions:
            for opened in scan_positions(table_partition(log, POSITIONS_TABLE, partition)):
                total.add(position_digest(opened.book, opened.instrument, opened.position))
                count += 1
    return total, count


def counts_of(runners: Iterable[PartitionRunner]) -> dict[str, Counts]:
    """The counts of runners by stage."""
    found: dict[str, Counts] = {}
    for runner in runners:
        total = found.setdefault(runner.stage.name, Counts())
        for counts in runner.state.counters.all().values():
            total.add(counts)
    return found


def count(outcome: Outcome, before: Mapping[str, Counts], after: Mapping[str, Counts]) -> None:
    """Add what happened between two counts: events as the first stage read them, refusals of all stages."""
    first = next(iter(after))
    for name, counts in after.items():
        earlier = before.get(name, Counts())
        if name == first:
            outcome.events += counts.read - earlier.read
        outcome.duplicates += counts.duplicates - earlier.duplicates
        outcome.rejected += counts.refused - earlier.refused
        outcome.waiting += counts.waiting - earlier.waiting
    # What waits for its trade is neither applied nor refused yet: it is not among the events.
    waiting = after[first].waiting - before.get(first, Counts()).waiting
    outcome.events -= waiting
    outcome.applied = outcome.events - outcome.duplicates - outcome.rejected
