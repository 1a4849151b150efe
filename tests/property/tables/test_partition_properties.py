"""A table partition against a dictionary: reads see the step's own changes, in order, in both directions."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tables.partition import TablePartition, prefix_end
from tables.store import MemoryStore

keys = st.binary(min_size=1, max_size=3)


class PartitionMachine(RuleBasedStateMachine):
    """`committed` is what the store holds, `running` what the step sees."""

    @initialize()
    def begin(self) -> None:
        self.store = MemoryStore()
        self.table = TablePartition(self.store)
        self.committed: dict[bytes, bytes] = {}
        self.running: dict[bytes, bytes] = {}

    @rule(key=keys, value=st.binary(max_size=3))
    def put(self, key: bytes, value: bytes) -> None:
        self.table.put(key, value)
        self.running[key] = value

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.table.delete(key)
        self.running.pop(key, None)

    @rule()
    def commit(self) -> None:
        self.store.write(self.table.changes)
        self.table.committed()
        self.committed = dict(self.running)

    @rule()
    def roll_back(self) -> None:
        self.table.rollback()
        self.running = dict(self.committed)

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        assert self.table.get(key) == self.running.get(key)
        assert self.store.get(key) == self.committed.get(key)

    @rule(start=st.binary(max_size=2), end=st.none() | keys, reverse=st.booleans())
    def scan(self, start: bytes, end: bytes | None, reverse: bool) -> None:
        for table, contents in ((self.table, self.running), (self.store, self.committed)):
            expected = sorted(
                (key, value) for key, value in contents.items() if key >= start and (end is None or key < end)
            )
            assert list(table.scan(start, end, reverse=reverse)) == (expected[::-1] if reverse else expected)

    @rule(prefix=keys, reverse=st.booleans())
    def scan_prefix(self, prefix: bytes, reverse: bool) -> None:
        expected = sorted(item for item in self.running.items() if item[0].startswith(prefix))
        assert list(self.table.scan_prefix(prefix, reverse=reverse)) == (
            expected[::-1] if reverse else expected
        )


TestPartition = PartitionMachine.TestCase


@given(st.binary(max_size=4), st.binary(max_size=6))
def test_the_end_of_a_prefix_is_after_all_that_start_with_it_and_before_all_else(prefix: bytes, key: bytes):
    end = prefix_end(prefix)
    assert key.startswith(prefix) == (key >= prefix and (end is None or key < end))
