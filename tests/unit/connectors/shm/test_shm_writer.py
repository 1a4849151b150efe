"""The writer and what readers see of it: growth, restart, death, ownership, fullness. Real shared memory."""

import os
import resource
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from clients.python.pks_client import (
    LayoutMismatch,
    NotAvailable,
    PositionReader,
    RawPosition,
    SlotBusy,
    Status,
)
from connectors.shm import layout
from connectors.shm.directory import Directory
from connectors.shm.errors import SharedMemoryError, SharedMemoryFull, SharedMemoryInUse
from connectors.shm.layout import DIRECTORY, SEGMENT, SLOT_SIZE
from connectors.shm.mapping import Mapping, path_of
from connectors.shm.writer import PositionWriter, remove
from schemas.fields import CATALOGUE_VERSION
from schemas.murmur2 import partition_of_key
from tests.support import eventually

PARTITIONS = 4
ROOT = Path(__file__).parents[4]


class Writing:
    """A writer, and the ways in which tests write with it."""

    def __init__(self, name, **options):
        self.alarms = []
        options.setdefault("slots", 16)
        options.setdefault("partitions", PARTITIONS)
        self.writer = PositionWriter(name, on_alarm=self.alarms.append, **options)

    def put(self, number, book="B1", instrument=None, currency="USD"):
        """A position whose figures follow from a number."""
        figures = (number, number + 1, -number, Decimal(number) / 4, Decimal(number) / 8, 3)
        self.writer.write(
            (book, instrument or f"I{number}"),
            partition_of_key(book.encode(), self.writer.partitions),
            currency,
            tuple(map(Decimal, figures)),
            (1, number),
            (number * 10, number * 100),
        )


@pytest.fixture
def open_writer(shared_memory_name):
    opened = []

    def make(**options):
        writing = Writing(shared_memory_name, **options)
        opened.append(writing.writer)
        return writing

    yield make
    for writer in opened:
        writer.close(keep=False)


def segments_of(name):
    return sorted(file.name for file in Path("/dev/shm").glob(f"{name[1:]}*"))


def test_every_field_comes_back(open_writer, shared_memory_name):
    writing = open_writer()
    writing.put(40, book="Büro", instrument="書", currency="CHF")
    writing.writer.claim()
    position = PositionReader(shared_memory_name).read("Büro", "書")
    assert (position.book, position.instrument, position.currency) == ("Büro", "書", "CHF")
    assert (position.quantity, position.average_price, position.cost_basis) == (40, 41, -40)
    assert (position.realised_pnl, position.net_realised_pnl, position.fees) == (10, 5, 3)
    assert (position.lots_open, position.revision) == (1, 40)
    assert (position.executed_at, position.updated_at) == (400, 4000)
    assert position.owner_epoch == writing.writer.epoch
    assert position.partition == partition_of_key("Büro".encode(), PARTITIONS)
    assert position.raw == RawPosition(40.0, 41.0, -40.0, 10.0, 5.0, 3.0)
    assert position.live and position.inexact == ()


def test_a_handle_sees_each_write_and_a_position_that_comes_later(open_writer, shared_memory_name):
    writing = open_writer()
    writing.writer.claim()
    handle = PositionReader(shared_memory_name).slot("B1", "X")
    assert handle.raw() is None and handle.read() is None and handle.quantity is None and not handle.live
    writing.put(1, instrument="X")
    assert (handle.quantity, handle.average_price, handle.realised_pnl, handle.net_realised_pnl) == (
        1.0,
        2.0,
        0.25,
        0.125,
    )
    writing.put(2, instrument="X", currency="EUR")
    assert handle.read().quantity == 2 and handle.read().currency == "EUR" and handle.live


def test_nothing_is_seen_before_it_is_claimed(open_writer, shared_memory_name):
    writing = open_writer()
    writing.put(1)
    reader = PositionReader(shared_memory_name)
    assert reader.read("B1", "I1") is None and list(reader.positions()) == [] and reader.segments() == []
    writing.writer.claim()
    assert reader.read("B1", "I1").live


def test_positions_lists_every_slot_once(open_writer, shared_memory_name):
    writing = open_writer()
    for number in range(50):
        writing.put(number, book=f"B{number % 3}")
    writing.writer.claim()
    found = {
        (slot.book, slot.instrument): slot.revision for slot in PositionReader(shared_memory_name).positions()
    }
    assert found == {(f"B{number % 3}", f"I{number}"): number for number in range(50)}


def test_equal_index_entries_are_told_apart_by_their_texts(open_writer, shared_memory_name, monkeypatch):
    # A hash that is the same for all makes every lookup probe through the others.
    monkeypatch.setattr("connectors.shm.writer.key_hash", lambda book, instrument: 5)
    monkeypatch.setattr("clients.python.pks_client.layout.key_hash", lambda book, instrument: 5)
    writing = open_writer()
    for number in range(10):
        writing.put(number)
    writing.writer.claim()
    reader = PositionReader(shared_memory_name)
    assert [reader.read("B1", f"I{number}").revision for number in range(10)] == list(range(10))
    assert reader.read("B1", "I10") is None


# -- growth ----------------------------------------------------------------------------------------------------------


def test_a_full_segment_grows_by_a_generation_and_handles_follow(open_writer, shared_memory_name):
    writing = open_writer()
    writing.put(0)
    writing.writer.claim()
    writing.writer.committed(77)
    writing.writer.heartbeat(66)
    handle = PositionReader(shared_memory_name).slot("B1", "I0")
    assert handle.quantity == 0.0
    for number in range(1, 100):
        writing.put(number)
    reader = PositionReader(shared_memory_name)
    [facts] = reader.segments()
    assert (facts.slots_used, facts.slot_count, facts.growths, facts.generation) == (100, 128, 3, 4)
    assert (facts.committed_sequence, facts.durable_sequence, facts.full) == (77, 66, False)
    assert [reader.read("B1", f"I{number}").revision for number in range(100)] == list(range(100))
    writing.put(1000, instrument="I0")
    assert handle.quantity == 1000.0 and handle.live
    assert len(writing.alarms) == 3
    assert segments_of(shared_memory_name) == [shared_memory_name[1:], f"{shared_memory_name[1:]}.0.4"]


def test_texts_that_fill_up_make_it_grow_too(open_writer, shared_memory_name):
    writing = open_writer()
    for number in range(12):
        writing.put(number, instrument=f"{number}-" + "書" * 120)
    writing.writer.claim()
    [facts] = PositionReader(shared_memory_name).segments()
    assert facts.slots_used == 12 and facts.slot_count == 16
    for number in range(12, 16):
        writing.put(number, book=f"{number}-" + "籍" * 120, instrument=f"{number}-" + "書" * 120)
    reader = PositionReader(shared_memory_name)
    assert reader.segments()[0].slot_count > 16
    assert reader.read("14-" + "籍" * 120, "14-" + "書" * 120).revision == 14


def test_a_new_currency_finds_room_as_well(open_writer, shared_memory_name):
    writing = open_writer()
    writing.writer.claim()
    for number in range(20):
        writing.put(number, instrument="X", currency=f"{number}" + "€" * 120)
    reader = PositionReader(shared_memory_name)
    assert reader.segments()[0].growths >= 1
    assert reader.read("B1", "X").currency == "19" + "€" * 120


def test_past_the_bound_it_alarms_once_goes_on_and_loses_nothing(open_writer, shared_memory_name):
    writing = open_writer(slots=16, slots_max=32)
    writing.writer.claim()
    for number in range(40):
        writing.put(number)
    writing.put(1000, instrument="I39")
    writing.put(2000, instrument="I0")
    writing.writer.heartbeat()
    reader = PositionReader(shared_memory_name)
    [facts] = reader.segments()
    assert (facts.slots_used, facts.full, facts.waiting, writing.writer.waiting) == (32, True, 8, 8)
    assert reader.read("B1", "I0").revision == 2000
    assert reader.read("B1", "I39") is None
    assert len(writing.alarms) == 2  # it grew once, then it could not


def test_without_memory_it_alarms_and_catches_up_when_there_is_some(open_writer, shared_memory_name):
    writing = open_writer()
    writing.writer.claim()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What posix_fallocate may not take is refused as in a full /dev/shm.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        for number in range(20):
            writing.put(number)
        writing.writer.heartbeat()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    reader = PositionReader(shared_memory_name)
    [facts] = reader.segments()
    assert (facts.full, facts.waiting, facts.growths) == (True, 4, 0)
    writing.put(500, instrument="I19")
    writing.writer.heartbeat()
    [facts] = reader.segments()
    assert (facts.full, facts.waiting, facts.growths) == (False, 0, 1)
    assert reader.read("B1", "I18").revision == 18
    assert reader.read("B1", "I19").revision == 500


def test_without_memory_at_the_start_it_says_what_to_do(shared_memory_name):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (layout.DIRECTORY_SIZE, hard))
    try:
        with pytest.raises(SharedMemoryFull, match="--shm-size"):
            Writing(shared_memory_name, slots=1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert segments_of(shared_memory_name) == [shared_memory_name[1:]]


# -- life, death and restart -----------------------------------------------------------------------------------------


def test_the_header_says_who_writes_and_in_which_layout(open_writer, shared_memory_name):
    writing = open_writer(slots=20)
    writing.put(1)
    writing.writer.claim()
    [facts] = PositionReader(shared_memory_name).segments()
    assert (facts.writer_pid, facts.worker, facts.owner_epoch) == (os.getpid(), "0", writing.writer.epoch)
    assert (facts.layout_version, facts.catalogue_version) == (layout.LAYOUT_VERSION, CATALOGUE_VERSION)
    assert facts.segment_size == Path(path_of(facts.name)).stat().st_size == layout.segment_sizes(20)[-1]
    assert 2 < facts.strings_used < facts.strings_size
    assert 0 < facts.started_at <= time.time_ns()
    assert facts.live and facts.state == "active" and facts.heartbeat_age_seconds >= 0


def test_a_writer_that_stands_still_shows_by_its_heartbeat(open_writer, shared_memory_name):
    writing = open_writer()
    writing.put(1)
    writing.writer.claim()
    handle = PositionReader(shared_memory_name, stale_after_seconds=0.05).slot("B1", "I1")
    eventually(lambda: handle.read().status is Status.STALE)
    assert not handle.live and handle.read().quantity == 1
    writing.writer.heartbeat()
    assert PositionReader(shared_memory_name).read("B1", "I1").live


def test_a_clean_stop_shows_as_closed_with_the_last_state(shared_memory_name):
    writing = Writing(shared_memory_name)
    writing.put(1)
    writing.writer.claim()
    handle = PositionReader(shared_memory_name).slot("B1", "I1")
    writing.writer.close()
    assert handle.read().status is Status.CLOSED and not handle.live
    assert handle.read().quantity == 1
    [facts] = PositionReader(shared_memory_name).segments()
    assert facts.state == "closed" and not facts.live


def test_after_a_restart_handles_follow_and_old_slots_are_gone(open_writer, shared_memory_name):
    first = Writing(shared_memory_name)
    first.put(1)
    first.put(2)
    first.writer.claim()
    handle = PositionReader(shared_memory_name).slot("B1", "I1")
    gone = PositionReader(shared_memory_name).slot("B1", "I2")
    epoch = handle.read().owner_epoch
    first.writer.close()
    second = open_writer()
    second.put(10, instrument="I1")
    assert handle.read().status is Status.CLOSED and handle.quantity == 1.0
    second.writer.claim()
    assert handle.quantity == 10.0 and handle.live and handle.read().owner_epoch > epoch
    assert gone.read() is None
    assert segments_of(shared_memory_name) == [shared_memory_name[1:], f"{shared_memory_name[1:]}.0.2"]


KILLED = """
import os, signal, sys
from decimal import Decimal
from connectors.shm import layout
from connectors.shm.writer import PositionWriter
writer = PositionWriter(sys.argv[1], slots=16, partitions=4)
writer.write(("B1", "I1"), 0, "USD", (Decimal(1),) * 6, (1, 1), (1, 1))
if sys.argv[2] != "building":
    writer.claim()
if sys.argv[2] == "in a slot":
    writer.segment.mapping.words[layout.SEGMENT_HEADER_SIZE >> 3] += 1
if sys.argv[2] == "in the directory":
    writer._directory._bump()
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_a_writer(name, where):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, name, where],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("ready\n", -9), done.stderr


@pytest.mark.parametrize("where", ["building", "at rest", "in a slot", "in the directory"])
def test_a_writer_killed_anywhere_is_followed_by_the_next(open_writer, shared_memory_name, where):
    kill_a_writer(shared_memory_name, where)
    reader = PositionReader(shared_memory_name, stale_after_seconds=0.05, busy_seconds=0.05)
    handle = None
    if where == "at rest":
        handle = reader.slot("B1", "I1")
        eventually(lambda: handle.read().status is Status.STALE)
    elif where == "building":
        assert reader.read("B1", "I1") is None
    else:
        with pytest.raises(SlotBusy):
            reader.read("B1", "I1")
    writing = open_writer()
    writing.put(5, instrument="I1")
    writing.writer.claim()
    assert reader.read("B1", "I1").quantity == 5
    assert handle is None or handle.quantity == 5.0
    left = [name for name in segments_of(shared_memory_name) if name != shared_memory_name[1:]]
    assert left == [f"{shared_memory_name[1:]}.0.2"]


def test_two_writers_of_one_worker_cannot_be(open_writer, shared_memory_name):
    writing = open_writer()
    with pytest.raises(SharedMemoryInUse, match=str(os.getpid())):
        Writing(shared_memory_name)
    writing.writer.claim()
    with pytest.raises(SharedMemoryInUse):
        Writing(shared_memory_name)
    for number in range(40):
        writing.put(number)
    with pytest.raises(SharedMemoryInUse):
        Writing(shared_memory_name)
    assert PositionReader(shared_memory_name).read("B1", "I39").live


def test_a_reader_follows_a_directory_that_was_removed_and_made_anew(shared_memory_name):
    first = Writing(shared_memory_name)
    first.put(1)
    first.writer.claim()
    reader = PositionReader(shared_memory_name)
    handle = reader.slot("B1", "I1")
    first.writer.close(keep=False)
    epoch = handle.read().owner_epoch
    remove(shared_memory_name)
    second = Writing(shared_memory_name)
    second.put(2, instrument="I1")
    second.writer.claim()
    assert handle.read().quantity == 2
    assert handle.live and handle.read().owner_epoch >= epoch
    assert handle.quantity == 2.0
    second.writer.close(keep=False)


# -- ownership -------------------------------------------------------------------------------------------------------


def test_what_is_released_is_not_live_and_keeps_its_last_state(open_writer, shared_memory_name):
    writing = open_writer()
    writing.put(1, book="B1")
    writing.put(2, book="B2")
    writing.writer.claim()
    reader = PositionReader(shared_memory_name)
    first, second = partition_of_key(b"B1", 4), partition_of_key(b"B2", 4)
    other = (
        "B2"
        if first != second
        else next(f"C{number}" for number in range(99) if partition_of_key(f"C{number}".encode(), 4) != first)
    )
    if other != "B2":
        writing.put(2, book=other)
    handle = reader.slot("B1", "I1")
    writing.writer.release([first])
    assert handle.read().status is Status.NOT_OWNED and handle.quantity == 1.0
    assert reader.read(other, "I2").live
    assert {slot.book: slot.live for slot in reader.positions() if slot.book in ("B1", other)} == {
        "B1": False,
        other: True,
    }
    # Owned again: nothing old is live, only what is written after.
    writing.writer.renew(first)
    writing.writer.claim([first])
    assert handle.read().status is Status.NOT_OWNED
    writing.put(3, instrument="I1")
    assert handle.read().quantity == 3 and handle.live


def test_a_book_that_moves_to_another_worker_is_read_there(open_writer, shared_memory_name):
    one, two = open_writer(worker="one"), open_writer(worker="two")
    partition = partition_of_key(b"B1", PARTITIONS)
    one.put(1, instrument="X")
    one.writer.claim()
    handle = PositionReader(shared_memory_name).slot("B1", "X")
    assert handle.quantity == 1.0
    two.writer.renew(partition)
    two.put(2, instrument="X")
    two.writer.claim([partition])
    assert handle.quantity == 2.0 and handle.live
    # The old owner does not know yet, and writes on; neither that nor a late claim makes it the owner.
    one.put(9, instrument="X")
    one.writer.claim([partition])
    one.writer.release([partition])
    assert handle.quantity == 2.0 and handle.live
    reader = PositionReader(shared_memory_name)
    assert sorted((slot.quantity, slot.live) for slot in reader.positions()) == [(2, True), (9, False)]
    assert reader.owned_partitions() == {0: PARTITIONS - 1, 1: 1}


def test_a_release_is_taken_back_only_while_nobody_else_owned_it(open_writer, shared_memory_name):
    one, two = open_writer(worker="one"), open_writer(worker="two")
    partition = partition_of_key(b"B1", PARTITIONS)
    one.put(1, instrument="X")
    one.writer.claim([partition])
    handle = PositionReader(shared_memory_name).slot("B1", "X")
    assert not one.writer.resume(partition)
    one.writer.release([partition])
    assert not handle.live
    # Not a word is written again: the slot says what it said.
    assert one.writer.resume(partition)
    assert handle.live and handle.quantity == 1.0
    one.writer.release([partition])
    two.writer.renew(partition)
    two.put(2, instrument="X")
    two.writer.claim([partition])
    assert not one.writer.resume(partition)
    assert handle.live and handle.quantity == 2.0
    two.writer.release([partition])
    # Whoever begins anew has written anew: an older release is nothing to come back to.
    two.writer.renew(partition)
    assert not two.writer.resume(partition)
    assert not handle.live


def test_partitions_without_an_owner_have_no_positions(open_writer, shared_memory_name):
    writing = open_writer()
    writing.put(1)
    writing.writer.claim([])
    reader = PositionReader(shared_memory_name)
    assert reader.read("B1", "I1") is None
    assert reader.owned_partitions() == {-1: PARTITIONS}
    assert [slot.status for slot in reader.positions()] == [Status.NOT_OWNED]


def test_epochs_rise_even_when_the_directory_was_lost(shared_memory_name):
    epochs = []
    for _ in range(3):
        directory = Directory(shared_memory_name, 4)
        with directory.locked():
            epochs += [directory.next_epoch(), directory.next_epoch()]
        directory.close()
    remove(shared_memory_name)
    directory = Directory(shared_memory_name, 4)
    with directory.locked():
        epochs.append(max(directory.next_epoch(), epochs[-1]))
    directory.close()
    assert epochs[:6] == sorted(set(epochs[:6])) and epochs[6] >= epochs[5]


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "x", "/", "/a/b", "/a b", "/" + "x" * 201])
def test_names_that_are_none(name):
    with pytest.raises(SharedMemoryError, match="expected a name"):
        PositionWriter(name, slots=16, partitions=1)


@pytest.mark.parametrize("worker", ["", "a.b", "a/b", "x" * 49, "ä"])
def test_worker_names_that_are_none(worker, shared_memory_name):
    with pytest.raises(SharedMemoryError, match="worker name"):
        PositionWriter(shared_memory_name, slots=16, partitions=1, worker=worker)


@pytest.mark.parametrize("partitions", [0, layout.PARTITIONS_MAX + 1])
def test_partition_counts_that_are_none(partitions, shared_memory_name):
    with pytest.raises(SharedMemoryError, match="partitions"):
        PositionWriter(shared_memory_name, slots=16, partitions=partitions)


def test_another_partition_count_only_when_nobody_writes(shared_memory_name):
    first = Writing(shared_memory_name, worker="one")
    with pytest.raises(SharedMemoryError, match="expected 4 partitions"):
        Writing(shared_memory_name, worker="two", partitions=8)
    first.put(1)
    first.writer.claim()
    first.writer.close()
    second = Writing(shared_memory_name, worker="two", partitions=8)
    second.writer.claim()
    reader = PositionReader(shared_memory_name)
    assert reader.owned_partitions() == {1: 8}
    assert reader.read("B1", "I1") is None
    second.writer.close()


def test_no_more_workers_than_the_directory_has_room_for(shared_memory_name):
    directory = Directory(shared_memory_name, 4)
    with directory.locked():
        indexes = [directory.worker(f"w{number}") for number in range(layout.WORKERS_MAX)]
        assert directory.worker("w3") == 3
        with pytest.raises(SharedMemoryError, match="at most 64"):
            directory.worker("one more")
    directory.close()
    assert indexes == list(range(64))


def test_memory_of_another_layout_is_refused_by_both_sides(open_writer, shared_memory_name):
    open_writer().writer.claim()
    mapping = Mapping.open(shared_memory_name)
    mapping.set(DIRECTORY["layout_version"], 99)
    with pytest.raises(LayoutMismatch, match="99"):
        PositionReader(shared_memory_name)
    with pytest.raises(SharedMemoryError, match="99"):
        Writing(shared_memory_name, worker="two")
    mapping.set(DIRECTORY["layout_version"], 1)
    mapping.close()
    segment = Mapping.open(f"{shared_memory_name}.0.1")
    segment.set(SEGMENT["layout_version"], 98)
    with pytest.raises(LayoutMismatch, match="98"):
        PositionReader(shared_memory_name).segments()
    segment.close()


def test_a_reader_says_that_nothing_runs(shared_memory_name):
    with pytest.raises(NotAvailable, match="pks up"):
        PositionReader(shared_memory_name)
    Path(path_of(shared_memory_name)).touch()
    with pytest.raises(NotAvailable, match="being made"):
        PositionReader(shared_memory_name)
    Path(path_of(shared_memory_name)).write_bytes(bytes(layout.DIRECTORY_SIZE))
    with pytest.raises(NotAvailable, match="being made"):
        PositionReader(shared_memory_name)


def test_readers_cannot_write(open_writer, shared_memory_name):
    open_writer().writer.claim()
    reader = PositionReader(shared_memory_name)
    with pytest.raises(TypeError):
        reader.directory.words[0] = 1


# -- the seqlock -----------------------------------------------------------------------------------------------------


def test_a_half_written_slot_is_waited_for_within_bounds_and_then_named(open_writer, shared_memory_name):
    writing = open_writer()
    writing.put(1)
    writing.writer.claim()
    reader = PositionReader(shared_memory_name, busy_seconds=0.02)
    handle = reader.slot("B1", "I1")
    words, sequence = writing.writer.segment.mapping.words, layout.SEGMENT_HEADER_SIZE >> 3
    words[sequence] += 1
    for read in (handle.raw, handle.read):
        with pytest.raises(SlotBusy, match="half-written"):
            read()
    words[sequence] += 1
    assert handle.quantity == 1.0 and handle.read().quantity == 1


def test_a_write_makes_the_sequence_odd_and_then_even(open_writer):
    writing = open_writer()
    segment = writing.writer.segment
    seen = []

    class Words:
        """The words of the segment, which notes what is stored where and what the slot then holds."""

        def __init__(self, words):
            self._words = words

        def __getitem__(self, place):
            return self._words[place]

        def __setitem__(self, place, value):
            self._words[place] = value
            start = layout.SEGMENT_HEADER_SIZE
            if place == start >> 3:
                seen.append((value, segment.mapping.view[start + 8 : start + SLOT_SIZE].tobytes()))

    writing.put(1)
    before = segment.mapping.view[520 : 512 + SLOT_SIZE].tobytes()
    words = segment.mapping.words
    segment.mapping.words = Words(words)
    writing.put(2, instrument="I1")
    segment.mapping.words = words
    after = segment.mapping.view[520 : 512 + SLOT_SIZE].tobytes()
    assert before != after
    assert seen == [(3, before), (4, after)]
