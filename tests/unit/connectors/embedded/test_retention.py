"""Retention: what goes by time, by size and by key, what never goes, and that readers notice nothing else."""

from pathlib import Path

import pytest

from connectors.embedded import retention as retention_module
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.retention import COMPACT_RECORDS_MIN, REMOVAL_SECONDS, Retention
from schemas.changelog import PACKED_KEY, pack_changes

SECOND = 1_000_000_000


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock):
    with EmbeddedLog.owner(tmp_path / "data", sync="os", clock=clock) as opened:
        yield opened


def append(
    log: EmbeddedLog, topic: str, records: list[tuple[bytes | None, bytes | None]], partition: int = 0
) -> None:
    transaction = log.transaction()
    for key, value in records:
        transaction.append(topic, partition, key, value)
    transaction.commit()


def left(log: EmbeddedLog, topic: str, partition: int = 0) -> list[tuple[int, bytes | None, bytes | None]]:
    return [
        (record.offset, record.key, record.value)
        for record in log.read(topic, partition, 0, 1_000_000, 1 << 40)
    ]


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [(100, 10), (10, 10), (9, 9), (5, 5), (1, 1), (0, 1)],
)
def test_old_records_go_and_the_last_one_stays(log: EmbeddedLog, clock: Clock, seconds: int, kept: int):
    log.create_topic("t", 2, retention_seconds=seconds)
    for number in range(10):
        append(log, "t", [(None, str(number).encode())])
        clock.now += SECOND
    append(log, "t", [(None, b"other")], partition=1)
    assert Retention(log, clock).run_round() == 10 - kept
    assert [offset for offset, _, _ in left(log, "t")] == list(range(10 - kept, 10))
    assert log.start_offset("t", 0) == 10 - kept
    assert log.end_offset("t", 0) == 10
    assert [value for _, _, value in left(log, "t", 1)] == [b"other"]
    assert Retention(log, clock).run_round() == 0


@pytest.mark.parametrize(("bytes_max", "kept"), [(10_000, 10), (1_200, 9), (400, 3), (1, 1), (0, 1)])
def test_too_many_bytes_go_from_the_oldest_on(log: EmbeddedLog, clock: Clock, bytes_max: int, kept: int):
    log.create_topic("t", 1, retention_bytes=bytes_max)
    for _ in range(10):
        append(log, "t", [(None, bytes(100))])
    stored = log.read("t", 0, 1, 1, 1)[0].bytes_before
    assert stored == 133
    assert Retention(log, clock).run_round() == 10 - kept
    assert len(left(log, "t")) == kept
    assert kept * stored <= max(bytes_max, stored)


@pytest.mark.parametrize(("needed", "kept"), [(None, 1), (10, 1), (8, 2), (0, 10)])
def test_what_is_still_to_be_read_stays_however_old_it_is(
    log: EmbeddedLog, clock: Clock, needed: int | None, kept: int
):
    log.create_topic("t", 1, retention_seconds=0)
    for number in range(10):
        append(log, "t", [(None, str(number).encode())])
        clock.now += SECOND
    Retention(log, clock, lambda topic, partition: needed).run_round()
    assert len(left(log, "t")) == kept


def test_topics_without_retention_are_kept_for_ever(log: EmbeddedLog, clock: Clock):
    log.create_topic("t", 1)
    append(log, "t", [(b"k", b"v")] * 2 * COMPACT_RECORDS_MIN)
    clock.now += 10**9 * SECOND
    assert Retention(log, clock).run_round() == 0
    assert len(left(log, "t")) == 2 * COMPACT_RECORDS_MIN


def test_retention_survives_a_restart_and_offsets_go_on(tmp_path: Path, clock: Clock):
    with EmbeddedLog.owner(tmp_path / "data", sync="os", clock=clock) as log:
        log.create_topic("t", 1, retention_seconds=10)
        append(log, "t", [(None, b"x")] * 5)
        clock.now += 60 * SECOND
        assert Retention(log, clock).run_round() == 4
    with EmbeddedLog.owner(tmp_path / "data", sync="os", clock=clock) as log:
        assert (log.start_offset("t", 0), log.end_offset("t", 0)) == (4, 5)
        append(log, "t", [(None, b"y")])
        assert left(log, "t") == [(4, None, b"x"), (5, None, b"y")]


def test_a_reader_beside_the_owner_goes_on_from_where_it_is(log: EmbeddedLog, clock: Clock):
    log.create_topic("t", 1, retention_seconds=10)
    append(log, "t", [(None, str(number).encode()) for number in range(10)])
    with EmbeddedLog.reader(log.folder) as reader:
        assert [record.offset for record in reader.read("t", 0, 0, 4, 1 << 20)] == [0, 1, 2, 3]
        clock.now += 60 * SECOND
        Retention(log, clock).run_round()
        append(log, "t", [(None, b"new")])
        reader.catch_up()
        assert [record.value for record in reader.read("t", 0, 4, 100, 1 << 20)] == [b"9", b"new"]
        assert reader.offset_after("t", 0, sequence=10) == 10


def compacted(log: EmbeddedLog, clock: Clock) -> Retention:
    """Keys a, b, c in turn, with values that count."""
    log.create_topic("t", 1, compact=True)
    append(log, "t", [(b"abc"[n % 3 : n % 3 + 1], str(n).encode()) for n in range(COMPACT_RECORDS_MIN)])
    return Retention(log, clock)


def test_only_the_last_record_of_a_key_stays(log: EmbeddedLog, clock: Clock):
    retention = compacted(log, clock)
    assert retention.run_round() == COMPACT_RECORDS_MIN - 3
    assert left(log, "t") == [(997, b"b", b"997"), (998, b"c", b"998"), (999, b"a", b"999")]
    assert retention.run_round() == 0


def test_few_new_records_are_not_worth_a_pass(log: EmbeddedLog, clock: Clock):
    retention = compacted(log, clock)
    retention.run_round()
    append(log, "t", [(b"a", b"x")] * (COMPACT_RECORDS_MIN - 1))
    assert retention.run_round() == 0
    append(log, "t", [(b"a", b"y")])
    assert retention.run_round() == COMPACT_RECORDS_MIN
    assert [(key, value) for _, key, value in left(log, "t")] == [
        (b"b", b"997"),
        (b"c", b"998"),
        (b"a", b"y"),
    ]


def test_packed_and_keyless_records_always_stay(log: EmbeddedLog, clock: Clock):
    log.create_topic("t", 1, compact=True)
    packed = (PACKED_KEY + b"1", pack_changes([b"k", b"v"]))
    append(log, "t", [packed, packed, (None, b"n"), (None, b"n")] * (COMPACT_RECORDS_MIN // 4))
    append(log, "t", [(b"a", b"1"), (b"a", b"2")])
    assert Retention(log, clock).run_round() == 1
    assert len(left(log, "t")) == COMPACT_RECORDS_MIN + 1


def test_a_removal_goes_when_it_is_old_and_nothing_before_it_is_left(log: EmbeddedLog, clock: Clock):
    log.create_topic("t", 1, compact=True)
    fillers = [(b"f", str(n).encode()) for n in range(COMPACT_RECORDS_MIN)]
    append(log, "t", [(b"gone", b"1"), (b"gone", None), *fillers])
    retention = Retention(log, clock)
    clock.now += 2 * REMOVAL_SECONDS * SECOND
    retention.run_round()
    assert (b"gone", None) in [(key, value) for _, key, value in left(log, "t")]
    append(log, "t", fillers)
    retention.run_round()
    assert [key for _, key, _ in left(log, "t")] == [b"f"]


def test_a_young_removal_stays(log: EmbeddedLog, clock: Clock):
    log.create_topic("t", 1, compact=True)
    fillers = [(b"f", str(n).encode()) for n in range(COMPACT_RECORDS_MIN)]
    append(log, "t", [(b"gone", None), *fillers])
    retention = Retention(log, clock)
    retention.run_round()
    append(log, "t", fillers)
    retention.run_round()
    assert [key for _, key, _ in left(log, "t")] == [b"gone", b"f"]


def test_a_pass_that_was_cut_short_loses_nothing(
    log: EmbeddedLog, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention_module, "SLICE_RECORDS_MAX", 50)
    log.create_topic("t", 1, compact=True)
    append(log, "t", [(str(n % 100).encode(), str(n).encode()) for n in range(2 * COMPACT_RECORDS_MIN)])
    wanted = {key: value for _, key, value in left(log, "t")}
    sizes = []
    retention = Retention(log, clock)
    for step in range(200):
        removed = retention.step()
        if removed is not None:
            sizes.append(removed)
        assert {key: value for _, key, value in left(log, "t")} == wanted
        if step % 45 == 44:
            retention = Retention(log, clock)  # as after a kill in the middle
    assert max(sizes) <= 50
    assert len(left(log, "t")) == 100


def test_memory_is_bounded_and_the_rest_of_the_keys_waits_for_the_next_pass(
    log: EmbeddedLog, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention_module, "KEYS_MAX", 100)
    monkeypatch.setattr(retention_module, "SLICE_RECORDS_MAX", 50)
    log.create_topic("t", 1, compact=True)
    append(log, "t", [(str(n).encode(), b"1") for n in range(COMPACT_RECORDS_MIN)] * 3)
    retention = Retention(log, clock)
    removed = 0
    for _ in range(60):
        removed += retention.run_round()
    assert removed >= COMPACT_RECORDS_MIN
    newest = {key: offset for offset, key, _ in left(log, "t")}
    assert newest == {str(n).encode(): 2 * COMPACT_RECORDS_MIN + n for n in range(COMPACT_RECORDS_MIN)}
