"""The embedded log: atomic, contiguous, owned once, read beside its owner."""

import threading
from pathlib import Path

import pytest

from connectors.embedded import layout
from connectors.embedded.database import database_exists, open_owned, owner_process
from connectors.embedded.errors import CommitError, OwnedElsewhereError, StateError
from connectors.embedded.log import EmbeddedLog


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def log(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="os") as opened:
        opened.create_topic("a", 2)
        opened.create_topic("b", 1)
        yield opened


def append(log: EmbeddedLog, topic: str, *values: bytes | None, partition: int = 0) -> int:
    transaction = log.transaction()
    for value in values:
        transaction.append(topic, partition, b"k", value)
    return transaction.commit()


def values(log: EmbeddedLog, topic: str = "a", partition: int = 0, offset: int = 0) -> list[bytes | None]:
    return [record.value for record in log.read(topic, partition, offset, 1_000, 1 << 30)]


# -- transactions ---------------------------------------------------------------------------------------------------


def test_nothing_is_there_before_the_commit_and_all_of_it_after(log: EmbeddedLog):
    transaction = log.transaction()
    assert transaction.append("a", 0, b"k", b"1") == 0
    assert transaction.append("a", 0, b"k", b"2") == 1
    assert transaction.append("a", 1, None, None, (("h", b"x"),)) == 0
    transaction.put("table", 0, b"key", b"value")
    transaction.commit_offset("g", "a", 0, 17)
    assert values(log) == [] and log.get("table", 0, b"key") is None and log.committed("g", "a", 0) is None
    assert transaction.commit() == 3
    assert values(log) == [b"1", b"2"] and log.get("table", 0, b"key") == b"value"
    assert log.committed("g", "a", 0) == 17
    (record,) = log.read("a", 1, 0, 10, 10)
    assert (record.key, record.value, record.headers, record.sequence) == (None, None, (("h", b"x"),), 3)


def test_a_transaction_that_is_dropped_leaves_nothing(log: EmbeddedLog):
    transaction = log.transaction()
    transaction.append("a", 0, b"k", b"1")
    transaction.put("table", 0, b"key", b"value")
    del transaction
    append(log, "a", b"2")
    assert values(log) == [b"2"] and log.get("table", 0, b"key") is None


def test_of_two_transactions_at_once_the_second_is_refused_whole(log: EmbeddedLog):
    first, second, elsewhere = log.transaction(), log.transaction(), log.transaction()
    first.append("a", 0, b"k", b"first")
    second.append("a", 0, b"k", b"second")
    second.put("table", 0, b"key", b"second")
    elsewhere.append("b", 0, b"k", b"elsewhere")
    first.commit()
    for late in (second, elsewhere):
        with pytest.raises(CommitError, match="begin again"):
            late.commit()
    assert values(log) == [b"first"] and values(log, "b") == [] and log.get("table", 0, b"key") is None
    assert append(log, "a", b"next") == 2


def test_a_topic_partition_that_is_not_there_is_refused(log: EmbeddedLog):
    for topic, partition in (("a", 2), ("nowhere", 0)):
        with pytest.raises(CommitError, match=f"{topic}/{partition}"):
            log.transaction().append(topic, partition, b"k", b"v")


def test_offsets_are_contiguous_and_sequences_go_over_the_whole_log(log: EmbeddedLog):
    append(log, "a", b"1", b"2")
    append(log, "b", b"3")
    append(log, "a", b"4", partition=1)
    append(log, "a", b"5")
    records = [
        record
        for topic, partition in (("a", 0), ("a", 1), ("b", 0))
        for record in log.read(topic, partition, 0, 99, 1 << 20)
    ]
    assert sorted((record.sequence, record.value) for record in records) == [
        (n, b"%d" % n) for n in range(1, 6)
    ]
    assert [record.offset for record in records] == [0, 1, 2, 0, 0]
    assert next(record.bytes_before for record in log.read("a", 0, 0, 99, 1 << 20)) == 0


def test_a_read_is_bounded_by_records_and_bytes_and_gives_at_least_one(log: EmbeddedLog):
    append(log, "a", *[b"x" * 100 for _ in range(10)])
    assert len(log.read("a", 0, 0, 3, 1 << 20)) == 3
    assert len(log.read("a", 0, 0, 99, 1)) == 1
    assert len(log.read("a", 0, 0, 99, 300)) in (2, 3)
    assert log.read("a", 0, 10, 99, 99) == [] and log.read("nowhere", 0, 0, 1, 1) == []
    assert [record.offset for record in log.read("a", 0, 8, 99, 1 << 20)] == [8, 9]


def test_listeners_hear_what_grew_until_they_stop(log: EmbeddedLog):
    heard: list = []
    stop = log.subscribe(heard.append)
    transaction = log.transaction()
    transaction.append("a", 1, None, b"1")
    transaction.append("b", 0, None, b"1")
    transaction.commit()
    log.transaction().commit()
    stop()
    append(log, "a", b"2")
    assert [sorted(grown) for grown in heard] == [[("a", 1), ("b", 0)]]


def test_a_listener_that_fails_takes_no_commit_back_and_no_news_from_others(log: EmbeddedLog):
    def fail(grown: list[tuple[str, int]]) -> None:
        raise RuntimeError("expected a loop, found none")

    heard: list[list[tuple[str, int]]] = []
    log.subscribe(fail)
    log.subscribe(heard.append)
    assert append(log, "a", b"1") == 1
    assert append(log, "a", b"2") == 2
    assert values(log) == [b"1", b"2"] and heard == [[("a", 0)]] * 2
    assert log.listener_failures == 2 and log.failed is None


# -- tables ---------------------------------------------------------------------------------------------------------


def test_tables_and_partitions_do_not_see_each_other(log: EmbeddedLog):
    transaction = log.transaction()
    for table in ("one", "two"):
        for partition in (0, 1):
            transaction.put(table, partition, b"key", f"{table}{partition}".encode())
    transaction.put("one", 0, b"", b"empty key")
    transaction.commit()
    assert log.get("two", 1, b"key") == b"two1"
    assert list(log.scan("one", 0, b"")) == [(b"", b"empty key"), (b"key", b"one0")]
    assert list(log.scan("three", 0, b"")) == []


def test_scans_in_both_directions_within_their_bounds(log: EmbeddedLog):
    keys = [b"a", b"b", b"b\x00", b"b\xff", b"c", b"\xff\xff"]
    transaction = log.transaction()
    for key in keys:
        transaction.put("t", 0, key, key)
        transaction.put("t", 1, key, b"other")
    transaction.commit()
    for start, end, found in (
        (b"", None, keys),
        (b"b", b"c", keys[1:4]),
        (b"b\x00", None, keys[2:]),
        (b"b", b"b", []),
        (b"d", b"e", []),
        (b"", b"b\xff", keys[:3]),
    ):
        assert [key for key, _ in log.scan("t", 0, start, end)] == found
        assert [key for key, _ in log.scan("t", 0, start, end, reverse=True)] == found[::-1]


def test_a_scan_sees_the_table_as_it_was_when_it_began(log: EmbeddedLog):
    transaction = log.transaction()
    for key in (b"a", b"b", b"c"):
        transaction.put("t", 0, key, b"old")
    transaction.commit()
    scan = log.scan("t", 0, b"")
    first = next(scan)
    transaction = log.transaction()
    transaction.put("t", 0, b"b", b"new")
    transaction.delete("t", 0, b"c")
    transaction.commit()
    assert [first, *scan] == [(b"a", b"old"), (b"b", b"old"), (b"c", b"old")]


# -- reopening ------------------------------------------------------------------------------------------------------


def test_everything_is_there_after_reopening(tmp_path: Path):
    for number in range(3):
        with EmbeddedLog.owner(tmp_path / "data") as log:
            log.create_topic("a", 2, retention_seconds=9, retention_bytes=8, compact=True)
            assert log.end_offset("a", 0) == number and log.sequence == number
            transaction = log.transaction()
            transaction.append("a", 0, b"k", b"%d" % number)
            transaction.put("t", 0, b"key", b"%d" % number)
            transaction.commit_offset("g", "a", 0, number)
            transaction.commit()
    with EmbeddedLog.owner(tmp_path / "data") as log:
        assert values(log) == [b"0", b"1", b"2"]
        assert log.get("t", 0, b"key") == b"2" and log.committed("g", "a", 0) == 2
        topic = log.topics()["a"]
        assert (topic.partitions, topic.retention_seconds, topic.retention_bytes, topic.compact) == (
            2,
            9,
            8,
            True,
        )


def test_another_number_of_partitions_is_refused_and_says_what_to_do(log: EmbeddedLog):
    with pytest.raises(StateError, match=r"expected 3 partitions of topic a, found 2.*PKS_PARTITIONS"):
        log.create_topic("a", 3)
    assert log.create_topic("a", 2).partitions == 2


def test_a_newer_format_is_refused_by_owner_and_reader(tmp_path: Path):
    folder = tmp_path / "data"
    EmbeddedLog.owner(folder).close()
    database = open_owned(folder)
    database.put(layout.FORMAT_KEY, b"%d" % (layout.FORMAT + 1))
    database.close()
    for open_log in (EmbeddedLog.owner, EmbeddedLog.reader):
        with pytest.raises(StateError, match="newer version"):
            open_log(folder)
    assert owner_process(folder) is None


def test_a_format_that_is_no_number_is_refused(tmp_path: Path):
    folder = tmp_path / "data"
    EmbeddedLog.owner(folder).close()
    database = open_owned(folder)
    database.put(layout.FORMAT_KEY, b"garbage")
    database.close()
    with pytest.raises(StateError):
        EmbeddedLog.owner(folder)


# -- owner and readers ----------------------------------------------------------------------------------------------


def test_a_second_owner_is_refused_and_told_who_owns(tmp_path: Path):
    import os

    folder = tmp_path / "data"
    with EmbeddedLog.owner(folder):
        with pytest.raises(OwnedElsewhereError, match=rf"process {os.getpid()} .*--data"):
            EmbeddedLog.owner(folder)
        assert owner_process(folder) == os.getpid()
    EmbeddedLog.owner(folder).close()
    assert owner_process(folder) is None


def test_a_folder_that_cannot_be_one_is_a_fault_of_the_state(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateError, match="expected"):
            EmbeddedLog.owner(folder)


def test_a_reader_follows_its_owner_and_cannot_write(log: EmbeddedLog):
    append(log, "a", b"1")
    with EmbeddedLog.reader(log.folder) as reader:
        assert values(reader) == [b"1"] and not reader.writable
        append(log, "a", b"2")
        log.create_topic("late", 1)
        append(log, "late", b"3")
        transaction = log.transaction()
        transaction.put("new table", 0, b"k", b"v")
        transaction.commit()
        assert values(reader) == [b"1"]
        reader.catch_up()
        assert values(reader) == [b"1", b"2"] and values(reader, "late") == [b"3"]
        assert reader.get("new table", 0, b"k") == b"v"
        assert reader.sequence == log.sequence
        with pytest.raises(CommitError, match="opened to read"):
            append(reader, "a", b"4")
    assert values(log) == [b"1", b"2"]


def test_a_reader_of_nothing_says_what_to_do(tmp_path: Path):
    with pytest.raises(StateError, match="--data"):
        EmbeddedLog.reader(tmp_path / "nothing")
    assert not database_exists(tmp_path / "nothing") and not (tmp_path / "nothing").exists()


def test_a_reader_leaves_no_notes_behind(log: EmbeddedLog):
    reader = EmbeddedLog.reader(log.folder)
    notes = Path(reader._notes.name)
    assert notes.exists()
    reader.close()
    reader.close()
    assert not notes.exists()


def test_a_reader_of_a_folder_without_owner_follows_one_that_comes(tmp_path: Path):
    folder = tmp_path / "data"
    with EmbeddedLog.owner(folder) as owner:
        owner.create_topic("a", 1)
        append(owner, "a", b"1")
    with EmbeddedLog.reader(folder) as reader:
        with EmbeddedLog.owner(folder) as owner:
            append(owner, "a", b"2")
            assert values(reader) == [b"1"]
            reader.catch_up()
            assert values(reader) == [b"1", b"2"]
            append(owner, "a", b"3")
            reader.catch_up()
        assert values(reader) == [b"1", b"2", b"3"]


def test_readers_that_open_and_owners_that_start_do_not_refuse_each_other(tmp_path: Path):
    """A reader looks whether the folder has an owner: that must not look like one."""
    folder = tmp_path / "data"
    EmbeddedLog.owner(folder).close()
    ends = threading.Event()
    failures: list[Exception] = []

    def look() -> None:
        while not ends.is_set():
            try:
                owner_process(folder)
                EmbeddedLog.reader(folder).close()
            except Exception as error:
                failures.append(error)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(15):
        with EmbeddedLog.owner(folder, sync="os") as owner:
            owner.create_topic(f"t{number}", 1)
    ends.set()
    for reader in readers:
        reader.join()
    assert failures == []


# -- time -----------------------------------------------------------------------------------------------------------


def test_appended_at_rises_with_each_commit_whatever_the_clock_does_even_over_a_reopening(tmp_path: Path):
    clock = Clock(1_000)
    with EmbeddedLog.owner(tmp_path / "data", clock=clock) as log:
        log.create_topic("a", 1)
        for now in (1_000, 500, 2_000, 100):
            clock.now = now
            append(log, "a", b"x")
        assert [record.appended_at for record in log.read("a", 0, 0, 9, 1 << 20)] == [
            1_000,
            1_001,
            2_000,
            2_001,
        ]
    clock.now = 3
    with EmbeddedLog.owner(tmp_path / "data", clock=clock) as log:
        append(log, "a", b"x")
        assert log.read("a", 0, 4, 1, 1)[0].appended_at == 2_002


def test_offsets_after_a_sequence_and_after_a_time(tmp_path: Path):
    clock = Clock()
    with EmbeddedLog.owner(tmp_path / "data", clock=clock) as log:
        log.create_topic("a", 1)
        log.create_topic("b", 1)
        for number in range(5):
            clock.now = 1_000 + 10 * number
            append(log, "a", b"x")
            append(log, "b", b"x")
        # a holds the sequences 1, 3, 5, 7, 9 at 1000, 1010, 1020, 1030, 1040
        assert [log.offset_after("a", 0, sequence=sequence) for sequence in (0, 1, 2, 3, 8, 9, 99)] == [
            0,
            1,
            1,
            2,
            4,
            5,
            5,
        ]
        assert [log.offset_after("a", 0, time_ns=time) for time in (0, 999, 1_000, 1_015, 1_040, 9_999)] == [
            0,
            0,
            1,
            2,
            5,
            5,
        ]
        assert log.offset_after("nowhere", 0, sequence=3) == 0


def test_the_start_is_the_first_record_that_is_there(log: EmbeddedLog):
    assert log.start_offset("a", 0) == 0
    append(log, "a", b"1", b"2")
    assert log.start_offset("a", 0) == 0 and log.end_offset("a", 0) == 2


# -- durability -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sync", ["always", "group", "os"])
def test_every_policy_can_wait_for_the_disk(tmp_path: Path, sync):
    with EmbeddedLog.owner(tmp_path / "data", sync=sync) as log:
        log.create_topic("a", 1)
        sequence = append(log, "a", b"1")
        assert log.wait_durable(sequence)
        assert log.durable_sequence >= sequence


def test_a_group_syncs_by_itself_and_never_claims_more_than_is_committed(tmp_path: Path):
    from tests.support import eventually

    with EmbeddedLog.owner(tmp_path / "data", sync="group") as log:
        log.create_topic("a", 1)
        for _ in range(20):
            sequence = append(log, "a", b"1")
            assert log.durable_sequence <= log.sequence
        eventually(lambda: log.durable_sequence == sequence)
        assert not log.wait_durable(sequence + 1, timeout_seconds=0.01)


def test_a_sync_that_fails_is_told_to_who_waits(tmp_path: Path):
    from connectors.embedded.durability import GroupSync

    def broken() -> None:
        raise OSError("no such device")

    committed = [0]
    group = GroupSync(broken, lambda: committed[0])
    committed[0] = 1
    with pytest.raises(OSError, match="no such device"):
        group.wait(1, 5.0)
    assert group.durable == 0
    group.close()


def test_waiting_for_the_disk_from_another_thread(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="group") as log:
        log.create_topic("a", 1)
        found: list[bool] = []
        waiter = threading.Thread(target=lambda: found.append(log.wait_durable(1, 10.0)))
        waiter.start()
        append(log, "a", b"1")
        waiter.join(10)
        assert found == [True]
