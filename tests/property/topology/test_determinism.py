"""The same input gives the same events, tables and books, however it is cut into steps, and on any partitions."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import positions, trade_capture
from agents.position_state import load_index
from schemas import topics
from schemas.frames import encode_event
from schemas.numbers import exact_arithmetic
from schemas.units import Action, LotMethod
from tables.partition import TablePartition
from tests.support import Book, Books, Instrument, fill
from topology.log import LogStore

DEFINITIONS = (
    Book(event_id="b1", book="B1", cut_off="17:00"),
    Book(event_id="b2", book="B2", lot_methods={"*": LotMethod.LIFO}),
    Book(event_id="b3", book="B3", lot_methods={"*": LotMethod.AVERAGE}),
    Instrument(event_id="i", instrument="INV", inverse=True, currency="BTC"),
)
BOOKS = ("B1", "B2", "B3")

ids = st.integers(0, 14).map(lambda number: f"t{number}")
news = st.builds(
    lambda trade_id, quantity, price, at, book, instrument, sequence: fill(
        trade_id, quantity, price, at=at, book=book, instrument=instrument, source_sequence=sequence
    ),
    ids,
    st.integers(-20, 20).filter(bool),
    st.integers(1, 50),
    st.integers(0, 10),
    st.sampled_from(BOOKS),
    st.sampled_from(["X", "Y", "INV"]),
    st.integers(0, 3),
)
corrections = st.builds(
    lambda number, original, change, quantity, price, at, book: fill(
        f"c{number}", quantity, price, at=at, book=book, action=change, original_trade_id=original
    ),
    st.integers(0, 20),
    ids,
    st.sampled_from([Action.AMEND, Action.AMEND, Action.CANCEL]),
    st.integers(-20, 20).filter(bool),
    st.integers(1, 50),
    st.integers(0, 10),
    st.sampled_from([None, *BOOKS]),
)
poison = st.sampled_from([b"null", b"17", b'{"type":"FillEvent"}']) | st.just(
    encode_event(fill("bad", price="NaN"))
)
items = st.one_of(news, news, news, corrections, corrections, poison, st.just("tick"))
records = st.lists(st.lists(items, min_size=1, max_size=6), min_size=1, max_size=12)


def feed(books: Books, found: list[list[Any]]) -> None:
    books.define(*DEFINITIONS)
    for record in found:
        events = [item for item in record if item != "tick"]
        if events:
            encoded = [item if isinstance(item, bytes) else encode_event(item) for item in events]
            books.append(topics.FILLS, None, [b"[" + b",".join(encoded) + b"]"])
        if "tick" in record:
            books.tick()


def outcome(books: Books) -> dict[str, Any]:
    """All that steps may not change: events as they stand, tables, and the books with their journals."""
    ordered = (topics.BOOKINGS, topics.REJECTIONS, topics.POSITIONS)
    result: dict[str, Any] = {topic.name: books.event_bytes(topic) for topic in ordered}
    # Letters of one step stand by kind, so that only their bytes are the same, not their order.
    for topic in (topics.FILL_DEAD_LETTERS, topics.BOOKING_DEAD_LETTERS):
        result[topic.name] = sorted(books.event_bytes(topic))
    # The first byte of a key is its family; the runtime's own note of its changelog begins with a zero byte.
    result["capture"] = {
        place: value for place, value in books.table(trade_capture.NAME).items() if place[1][:1] != b"\x00"
    }
    table = TablePartition(LogStore(books.log, positions.NAME, 0))
    with exact_arithmetic():
        result["positions"] = {
            pair: (
                opened.revision,
                opened.last,
                list(opened.position.lots),
                opened.position.terms,
                opened.position.value,
            )
            for pair, opened in books.positions().items()
        }
        result["trades"] = [
            (book, trade, load_index(table, book, trade))
            for book in BOOKS
            for trade in [f"t{n}" for n in range(15)]
        ]
    result["counts"] = (books.counts(), books.counts(positions.NAME))
    result["hash"] = books.hash()
    return result


@settings(max_examples=15)
@given(records, st.integers(0, 2**32))
def test_steps_of_any_size_give_the_same_events_tables_and_books(found: list, seed: int):
    cuts = random.Random(seed)
    with TemporaryDirectory() as scratch:
        with Books(Path(scratch) / "whole") as whole:
            feed(whole, found)
            whole.run()
            expected = outcome(whole)
        with Books(Path(scratch) / "cut") as cut:
            feed(cut, found)
            for _ in range(200):
                # A step of either stage, of any size, and now and then a restart.
                runners = [cut.runners[cuts.randrange(2)]] if cuts.random() < 0.7 else cut.runners
                events = step_each(cut, runners, cuts.randint(1, 4))
                if cuts.random() < 0.15:
                    cut.reopen()
                if not events and cuts.random() < 0.5:
                    break
            cut.run(max_events=1)
            for _ in range(2):
                found_now = outcome(cut)
                assert {name for name in expected if found_now[name] != expected[name]} == set()
                cut.reopen()
            counts = cut.counts()
            assert counts.read == counts.applied + counts.duplicates + counts.refused + counts.waiting


def step_each(books: Books, runners: list, size: int) -> int:
    """One step of `size` records for each of some runners."""
    events = 0
    for runner in runners:
        found = books.log.read(runner.stage.input.name, runner.partition, runner.next_offset, size, 1 << 30)
        if found:
            events += runner.step(found).events + 1
    return events


def trades(seed: int, number: int) -> list[Any]:
    """Fills of several books, some late, some amended, moved, cancelled or sent twice, in the order of arrival."""
    choose = random.Random(seed)
    arrivals: list[tuple[float, Any]] = []
    for index in range(number):
        book, quantity = f"B{choose.randrange(9)}", choose.choice([-7, -3, -1, 1, 2, 5])
        at = index + choose.choice([0, 0, 0, -40])
        event = fill(
            f"t{index}", quantity, choose.randint(90, 110), at=max(at, 0), book=book, source_sequence=index
        )
        arrivals.append((index, event))
        if choose.random() < 0.05:
            arrivals.append((index + choose.randint(1, 30), event))
        if choose.random() < 0.1:
            change = choose.choice([Action.AMEND, Action.CANCEL])
            to = choose.choice([None, book, f"B{choose.randrange(9)}"])
            correction = fill(
                f"c{index}",
                quantity + 10,
                100,
                at=max(at, 0),
                book=to,
                action=change,
                original_trade_id=f"t{index}",
            )
            arrivals.append((index + choose.randint(-10, 30), correction))
    return [event for _, event in sorted(arrivals, key=lambda arrival: arrival[0])]


@pytest.mark.parametrize("seed", [1, 2])
def test_any_number_of_partitions_gives_the_same_books(tmp_path: Path, seed: int):
    found = trades(seed, 600)
    hashes, applied = set(), set()
    for partitions in (1, 2, 4, 8):
        with Books(tmp_path / str(partitions), partitions=partitions, waiting_max=10_000) as books:
            books.define(Book(event_id="b", book="B2", lot_methods={"*": LotMethod.AVERAGE}))
            for start in range(0, len(found), 37):
                books.fills(*found[start : start + 37])
                books.run(max_events=3)
            hashes.add(books.hash())
            applied.add(
                (books.counts().applied, books.counts().duplicates, books.counts(positions.NAME).refused)
            )
    assert len(hashes) == 1 and len(applied) == 1
    ((number, duplicates, refused),) = applied
    assert number > 600 and duplicates > 10 and refused == 0


def test_the_hash_tells_books_apart(tmp_path: Path):
    found = [fill(f"t{number}", number + 1) for number in range(20)]
    hashes = set()
    for name, sent in {"whole": found, "less": found[:-1], "other": [*found[:-1], fill("t19", 8, 1)]}.items():
        with Books(tmp_path / name) as books:
            books.book(*sent)
            hashes.add(books.hash())
    assert len(hashes) == 3


def test_order_of_arrival_does_not_matter_to_the_books(tmp_path: Path):
    found = [event for event in trades(4, 300) if event.action is Action.NEW]
    shuffled = random.Random(5).sample(found, len(found))
    with Books(tmp_path / "in order") as one, Books(tmp_path / "shuffled") as other:
        one.book(*found)
        for start in range(0, len(shuffled), 50):
            other.book(*shuffled[start : start + 50])
        assert one.hash() == other.hash()
