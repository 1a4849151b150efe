"""The counts of a stage: what of them outlives a rollback, and the bytes that they are written as."""

from agents.counters import Counters, read_counts
from tables.partition import TablePartition
from topology.log import LogStore
from topology.simulation.log import SimulatedLog


def table() -> TablePartition:
    return TablePartition(LogStore(SimulatedLog(), "positions", 0))


def count(counters: Counters, source: str, applied: int = 1) -> None:
    counts = counters.of(source)
    counts.read += 1
    counts.applied += applied


def test_a_source_of_which_only_a_failing_event_came_harms_no_neighbour():
    partition = table()
    counters = Counters(partition)
    count(counters, "first")
    counters.before_commit()
    stands = dict(partition.changes)
    # An event that the handler fails on is taken back by itself; the one before it stands.
    count(counters, "failing", applied=0)
    partition.changes = stands
    counters.rollback()
    count(counters, "first")
    counters.before_commit()
    assert {source: counts.applied for source, counts in read_counts(partition).items()} == {"first": 2}


def test_counts_are_written_in_an_order_that_no_hash_decides():
    partition = table()
    counters = Counters(partition)
    for number in range(20):
        count(counters, f"source{number:02}")
    counters.before_commit()
    assert list(partition.changes) == sorted(partition.changes)
