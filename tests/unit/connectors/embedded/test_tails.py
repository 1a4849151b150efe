"""The latest records in memory: the same answers as the log's, bounded, and forgotten when records go."""

from pathlib import Path

import pytest
from rocksdict import WriteBatch

from connectors.embedded import tails
from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog


@pytest.fixture
def log(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="os") as opened:
        opened.create_topic("kept", 2)
        opened.create_topic("plain", 2)
        opened.keep_tail("kept")
        yield opened


def append(log: EmbeddedLog, sizes: list[int], **options) -> None:
    """The same records to both topics, and others to the partition beside."""
    transaction = log.transaction()
    for size in sizes:
        for topic in ("kept", "plain"):
            value = None if size < 0 else b"v" * size
            transaction.append(
                topic, 0, b"k" if size % 2 else None, value, (("h", b"x"),) if size % 3 else ()
            )
            transaction.append(topic, 1, None, b"beside")
    transaction.commit()


def contents(log: EmbeddedLog, topic: str, *bounds: int) -> list[tuple]:
    return [
        (record.offset, record.key, record.value, record.headers, record.bytes_before, record.appended_at)
        for record in log.read(topic, 0, *bounds)
    ]


def test_a_tail_answers_as_the_log_does(log: EmbeddedLog):
    for start in range(0, 60, 3):
        append(log, [start, start * 7 % 50, -1])
        end = log.end_offset("plain", 0)
        for offset in (0, end - 5, end - 3, end - 1, end, end + 1):
            for most in (1, 2, 100):
                for size in (1, 60, 100, 1 << 20):
                    bounds = max(offset, 0), most, size
                    assert contents(log, "kept", *bounds) == contents(log, "plain", *bounds)
    assert log.tails.read(("kept", 0), 0, 1, 1) is not None
    assert log.tails.read(("plain", 0), 0, 1, 1) is None


def test_a_tail_is_bounded_in_records_and_bytes(log: EmbeddedLog, monkeypatch):
    monkeypatch.setattr(tails, "RECORDS_MAX", 10)
    monkeypatch.setattr(tails, "BYTES_MAX", 5_000)
    kept = log.tails._records["kept", 0]
    for number in range(50):
        append(log, [number])
        assert 5 <= len(kept) <= 10 or number < 5
    for _ in range(20):
        append(log, [1_000])
        assert kept[-1].bytes_before - kept[0].bytes_before <= 5_000
    append(log, [100_000, 100_000])
    assert len(kept) == 1 and kept[0].offset == 71
    for offset in range(73):
        assert contents(log, "kept", offset, 3, 1 << 20) == contents(log, "plain", offset, 3, 1 << 20)


def test_what_could_not_be_written_is_in_no_tail(log: EmbeddedLog, monkeypatch):
    append(log, [1])

    def broken(batch: WriteBatch) -> None:
        raise CommitError("expected room on the disk, found none")

    with monkeypatch.context() as patch:
        patch.setattr(log, "write", broken)
        with pytest.raises(CommitError):
            append(log, [2])
    append(log, [3])
    assert [value for _, _, value, *_ in contents(log, "kept", 0, 9, 1 << 20)] == [b"v", b"vvv"]


def test_what_is_removed_from_the_log_is_in_no_tail(log: EmbeddedLog):
    append(log, [1, 2, 3])
    batch = WriteBatch(raw_mode=True)
    batch.delete(log._prefixes["kept", 0] + (0).to_bytes(8, "big"))
    log.remove(batch)
    assert [offset for offset, *_ in contents(log, "kept", 0, 9, 1 << 20)] == [1, 2]
    append(log, [4])
    assert [offset for offset, *_ in contents(log, "kept", 0, 9, 1 << 20)] == [1, 2, 3]
    assert log.start_offset("kept", 0) == 1


def test_a_log_that_is_opened_again_begins_without(log: EmbeddedLog):
    append(log, [1, 2])
    log.reopen()
    assert log.tails.read(("kept", 0), 0, 1, 1) is None
    append(log, [3])
    assert contents(log, "kept", 0, 9, 1 << 20) == contents(log, "plain", 0, 9, 1 << 20)
