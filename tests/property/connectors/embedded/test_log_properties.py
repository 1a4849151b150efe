"""The embedded log against a model of lists and dictionaries, through reopenings and beside a reader."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.embedded.log import EmbeddedLog

PARTITIONS = 2
places = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, PARTITIONS - 1))
keys = st.binary(max_size=3)
writes = st.lists(
    st.one_of(
        st.tuples(st.just("append"), places, st.none() | keys, st.none() | st.binary(max_size=40)),
        st.tuples(st.just("put"), places, keys, st.binary(max_size=5)),
        st.tuples(st.just("delete"), places, keys),
        st.tuples(st.just("offset"), places, st.integers(0, 99)),
    ),
    max_size=6,
)


class LogMachine(RuleBasedStateMachine):
    """Whatever is committed is there, in order; whatever is dropped is not."""

    @initialize()
    def begin(self) -> None:
        self.scratch = TemporaryDirectory()
        self.folder = Path(self.scratch.name) / "data"
        self.records: dict = {(topic, partition): [] for topic in "ab" for partition in range(PARTITIONS)}
        self.tables: dict = {place: {} for place in self.records}
        self.offsets: dict = {}
        self.open()

    def open(self) -> None:
        self.log = EmbeddedLog.owner(self.folder, sync="os")
        for topic in "ab":
            self.log.create_topic(topic, PARTITIONS)

    @rule(found=writes, commit=st.booleans())
    def transact(self, found: list, commit: bool) -> None:
        transaction = self.log.transaction()
        for kind, (name, partition), *rest in found:
            if kind == "append":
                transaction.append(name, partition, *rest)
            elif kind == "put":
                transaction.put(name, partition, *rest)
            elif kind == "delete":
                transaction.delete(name, partition, *rest)
            else:
                transaction.commit_offset("group", name, partition, *rest)
        if not commit:
            return
        transaction.commit()
        for kind, place, *rest in found:
            if kind == "append":
                self.records[place].append(tuple(rest))
            elif kind == "put":
                self.tables[place][rest[0]] = rest[1]
            elif kind == "delete":
                self.tables[place].pop(rest[0], None)
            else:
                self.offsets[place] = rest[0]

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.open()

    @rule()
    def read_beside(self) -> None:
        with EmbeddedLog.reader(self.folder) as reader:
            self.compare(reader)

    @rule(place=places, start=keys, end=st.none() | keys, reverse=st.booleans())
    def scan(self, place: tuple, start: bytes, end: bytes | None, reverse: bool) -> None:
        expected = sorted(
            (key, value)
            for key, value in self.tables[place].items()
            if key >= start and (end is None or key < end)
        )
        found = list(self.log.scan(*place, start, end, reverse=reverse))
        assert found == (expected[::-1] if reverse else expected)

    @invariant()
    def everything_is_there(self) -> None:
        if hasattr(self, "log"):
            self.compare(self.log)

    def compare(self, log: EmbeddedLog) -> None:
        sequences = []
        for (topic, partition), expected in self.records.items():
            records = log.read(topic, partition, 0, 1_000, 1 << 30)
            assert [(record.key, record.value) for record in records] == expected
            assert [record.offset for record in records] == list(range(len(expected)))
            assert log.end_offset(topic, partition) == len(expected)
            assert log.committed("group", topic, partition) == self.offsets.get((topic, partition))
            assert dict(log.scan(topic, partition, b"")) == self.tables[topic, partition]
            sequences += [record.sequence for record in records]
        assert sorted(sequences) == list(range(1, len(sequences) + 1))

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            self.scratch.cleanup()


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=15, stateful_step_count=12)
