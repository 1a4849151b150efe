"""The observer that writes slots: after the commit, what was touched, all of it again after a restart."""

import asyncio
from decimal import Decimal
from types import SimpleNamespace

import pytest

from agents import positions
from agents.open_position import OpenPosition
from clients.python.pks_client import PositionReader, Status
from connectors.shm.errors import SharedMemoryInUse
from domain.lots.position import Terms
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from schemas.units import FeePolicy, LotMethod
from tables.partition import TablePartition
from tests.support import Book, Books, Fee, booked, fill
from topology.drive import run_until_idle
from topology.log import LogStore
from topology.shared_memory import PositionsPublisher
from topology.stages import build_runners
from topology.up import _beats

PARTITIONS = 4
FIGURES = ("quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl", "fees")


@pytest.fixture
def open_books(tmp_path, shared_memory_name):
    """Both stages with a publisher; called again it is the next process on the same folder."""
    opened = []

    def make(slots=16, **options):
        publisher = PositionsPublisher(shared_memory_name, slots, PARTITIONS, **options)
        books = Books(tmp_path / "data", partitions=PARTITIONS, observers=(publisher,))
        opened.append((books, publisher))
        return books, publisher

    yield make
    for books, publisher in opened:
        books.close()
        publisher.close()


def tables(books):
    return [
        (partition, TablePartition(LogStore(books.log, positions.NAME, partition)))
        for partition in range(PARTITIONS)
    ]


def held_equal(books, reader):
    """Every position of the table is in its slot, to the last digit, and nothing else is."""
    found = {(slot.book, slot.instrument): slot for slot in reader.positions()}
    expected = books.positions()
    assert set(found) == set(expected)
    for key, opened in expected.items():
        slot, position = found[key], opened.position
        assert slot.status is Status.LIVE
        assert (slot.lots_open, slot.revision, slot.executed_at) == (
            len(position.lots),
            opened.revision,
            opened.last[0],
        )
        assert slot.currency == position.terms.currency
        assert slot.partition == partition_of_key(key[0].encode(), PARTITIONS)
        with exact_arithmetic():
            for name in FIGURES:
                if name not in slot.inexact:
                    assert getattr(slot, name) == getattr(position, name), (key, name)
    return found


def test_slots_show_what_was_committed(open_books, shared_memory_name):
    books, publisher = open_books()
    publisher.rebuild(tables(books))
    reader = PositionReader(shared_memory_name)
    assert list(reader.positions()) == []
    books.define(
        Book(event_id="b", book="AVG", lot_methods={"*": LotMethod.AVERAGE}, fee_policy=FeePolicy.CAPITALISED)
    )
    books.book(
        fill("t1", 100, "10.5"),
        fill("t2", -30, "11.25", at=1),
        fill("t3", "0.000000000000000001", "3", book="B2", instrument="Y"),
        fill("t4", -7, "3", book="B3", instrument="Z"),
        fill("t5", 7, "2", book="B3", instrument="Z", at=1),
        fill("t6", 1, "1", book="AVG", currency="CHF", fees=(Fee(amount=Decimal("0.01")),)),
        fill("t7", 2, "2", book="AVG", at=1, currency="CHF", fees=(Fee(amount=Decimal("0.02")),)),
        fill("t8", -2, "3", book="AVG", at=2, currency="CHF"),
    )
    found = held_equal(books, reader)
    assert found["B1", "X"].quantity == 70
    assert found["B1", "X"].realised_pnl == Decimal("22.5")
    assert found["AVG", "X"].net_realised_pnl != found["AVG", "X"].realised_pnl
    flat = found["B3", "Z"]
    assert (flat.quantity, flat.average_price, flat.lots_open) == (0, None, 0)
    handle = reader.slot("B1", "X")
    assert handle.quantity == 70.0
    books.book(fill("t9", 30, "11", at=2), fill("late", 5, "9", at=-1))
    held_equal(books, reader)
    assert handle.quantity == 105.0 and handle.read().revision == 4


def test_sequences_in_the_header_are_those_of_the_log(open_books, shared_memory_name):
    books, publisher = open_books()
    publisher.rebuild(tables(books))
    books.book(fill("t1", 1, 1))
    publisher.heartbeat(5)
    [facts] = PositionReader(shared_memory_name).segments()
    assert facts.committed_sequence == publisher.committed_sequence == books.log.sequence
    assert facts.durable_sequence == 5


def test_a_step_that_fails_to_commit_is_never_shown(open_books, shared_memory_name, monkeypatch):
    books, publisher = open_books()
    publisher.rebuild(tables(books))
    books.bookings(booked("t1", 1, 1))
    books.run()
    handle = PositionReader(shared_memory_name).slot("B1", "X")
    assert handle.read().revision == 1
    books.bookings(booked("t2", 1, 1, at=1))
    make_transaction = books.log.transaction

    class Refusing:
        """A transaction that is never written."""

        def __init__(self):
            self._transaction = make_transaction()

        def __getattr__(self, name):
            return getattr(self._transaction, name)

        def commit(self):
            raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(books.log, "transaction", Refusing)
        with pytest.raises(OSError, match="no space"):
            books.run()
    assert handle.read().revision == 1 and handle.quantity == 1.0
    books.run()
    assert handle.read().revision == 2 and handle.quantity == 2.0


def test_what_steps_write_while_slots_are_filled_stays(open_books, shared_memory_name, monkeypatch):
    monkeypatch.setattr("topology.slots_publisher.FILL_SLOTS", 3)
    books, publisher = open_books()
    books.book(*(fill(f"t{number}", 1, 1, instrument=f"I{number}") for number in range(10)))
    partition, table = next(found for found in tables(books) if any(found[1].scan(b"")))
    filling = publisher.fill(partition, table)
    assert next(filling) == 3
    # Behind what is filled, before it, and one that was not there when it began.
    books.book(*(fill(f"u{number}", 5, 1, instrument=f"I{number}", at=1) for number in (0, 8, 99)))
    assert sum(filling) == 7
    publisher.writer.claim([partition])
    found = held_equal(books, PositionReader(shared_memory_name))
    assert [found["B1", f"I{number}"].quantity for number in (0, 1, 8, 99)] == [6, 1, 6, 5]


def test_a_restart_rebuilds_every_slot_from_the_tables(open_books, shared_memory_name):
    books, publisher = open_books()
    publisher.rebuild(tables(books))
    books.book(
        *(fill(f"t{number}", number, "1.5", book=f"B{number % 7}", at=number) for number in range(1, 40))
    )
    reader = PositionReader(shared_memory_name)
    handle = reader.slot("B1", "X")
    before = held_equal(books, reader)
    books.close()
    publisher.close()
    assert handle.read().status is Status.CLOSED
    books, publisher = open_books()
    assert publisher.rebuild(tables(books), books.log.sequence) == 7
    after = held_equal(books, reader)
    assert {key: slot.quantity for key, slot in after.items()} == {
        key: slot.quantity for key, slot in before.items()
    }
    assert handle.live
    [facts] = reader.segments()
    assert facts.committed_sequence == books.log.sequence


def test_more_positions_than_slots_are_an_alarm_and_never_an_error(open_books, shared_memory_name):
    alarms = []
    books, publisher = open_books(slots=16, slots_max=32, on_alarm=alarms.append)
    publisher.rebuild(tables(books))
    books.book(*(fill(f"t{number}", 1, 1, instrument=f"I{number}") for number in range(40)))
    [facts] = PositionReader(shared_memory_name).segments()
    assert (facts.slots_used, facts.waiting, facts.full) == (32, 8, True)
    assert publisher.alarms == len(alarms) == 2
    assert len(books.positions()) == 40


def test_a_second_publisher_is_refused_and_the_first_goes_on(open_books, shared_memory_name):
    books, publisher = open_books()
    publisher.rebuild(tables(books))
    with pytest.raises(SharedMemoryInUse, match="another name"):
        PositionsPublisher(shared_memory_name, 16, PARTITIONS)
    books.book(fill("t1", 1, 1))
    held_equal(books, PositionReader(shared_memory_name))


def test_what_is_released_is_not_live(open_books, shared_memory_name):
    books, publisher = open_books()
    publisher.rebuild(tables(books))
    books.book(fill("t1", 1, 1))
    handle = PositionReader(shared_memory_name).slot("B1", "X")
    assert handle.live
    publisher.release([handle.read().partition])
    assert handle.read().status is Status.NOT_OWNED


def test_a_partition_that_stopped_is_not_live_while_the_others_are(open_books, shared_memory_name):
    books, publisher = open_books()
    publisher.rebuild(tables(books))
    books.book(*(fill(f"t{number}", 1, 1, book=f"B{number}") for number in range(8)))
    reader = PositionReader(shared_memory_name)
    stopped = reader.read("B1", "X").partition
    for runner in books.runners:
        if runner.stage.name == positions.NAME and runner.partition == stopped:
            runner.stopped = "an invariant broke"
    worker = SimpleNamespace(all_runners=lambda: books.runners, log=books.log)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(_beats((publisher,))(worker), 0.05))
    found = {slot.book: (slot.partition, slot.status) for slot in reader.positions()}
    assert {partition for partition, _ in found.values()} > {stopped}
    for partition, status in found.values():
        assert status is (Status.NOT_OWNED if partition == stopped else Status.LIVE)


def test_a_commit_that_is_found_when_the_log_is_opened_again_is_shown(open_books, shared_memory_name):
    books, publisher = open_books()
    publisher.start(books.runners, books.log)
    books.book(fill("t1", 1, 1))
    reader = PositionReader(shared_memory_name)
    # A step whose commit is in the log, and that nobody was told of.
    unseen = build_runners(books.stages, books.log, PARTITIONS)
    books.fills(fill("t2", 2, 1, at=1), fill("t3", 3, 1, book="B2"))
    run_until_idle(unseen, books.log)
    assert reader.read("B1", "X").quantity == 1 and reader.read("B2", "X") is None
    publisher.beat(books.runners, books.log)
    assert reader.read("B1", "X").quantity == 1
    books.log.reopen()
    publisher.beat(books.runners, books.log)
    found = held_equal(books, reader)
    assert found["B1", "X"].quantity == 3 and found["B2", "X"].quantity == 3


def test_times_beyond_64_bits_stand_at_the_end(open_books, shared_memory_name):
    _, publisher = open_books()
    with exact_arithmetic():
        opened = OpenPosition("B1", "X", Terms())
        opened.last = (1 << 70, 0, "t")
        publisher.write_touched(opened, 0, 1)
    publisher.writer.claim()
    assert PositionReader(shared_memory_name).read("B1", "X").executed_at == (1 << 63) - 1
