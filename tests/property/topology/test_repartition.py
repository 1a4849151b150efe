"""A log moved over any numbers of partitions holds the same events and the same books, and goes on as one that was not."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.frames import encode_event
from schemas.murmur2 import partition_of_key
from schemas.topics import Topic
from tests.property.topology.test_determinism import DEFINITIONS, items
from tests.support import Books, Instrument, fill_key
from topology.rebuilding.rebuild import open_to_rebuild
from topology.rebuilding.repartition import repartition
from topology.settings import Settings
from topology.verifying.verify import verify

records = st.lists(st.lists(items, min_size=1, max_size=5), min_size=1, max_size=6)
counts = st.integers(1, 6)
LATER = Instrument(event_id="later", instrument="Y", multiplier=10, currency="EUR")


def with_own_ids(record: list[Any]) -> list[Any]:
    """Corrections of two trades have two ids: an id for both is known where both trades are, so by chance."""
    return [
        msgspec.structs.replace(item, trade_id=f"{item.trade_id}.{item.original_trade_id}")
        if getattr(item, "original_trade_id", None)
        else item
        for item in record
    ]


def append(books: Books, found: list[list[Any]]) -> None:
    """Records of several partitions in one commit each, poison in the first of them."""
    for record in map(with_own_ids, found):
        frames: dict[int, list[bytes]] = {}
        for item in record:
            if item == "tick":
                continue
            poison = isinstance(item, bytes)
            place = 0 if poison else partition_of_key(fill_key(item).encode(), books.partitions)
            frames.setdefault(place, []).append(item if poison else encode_event(item))
        transaction = books.log.transaction()
        for place, together in frames.items():
            transaction.append(topics.FILLS.name, place, None, b"[" + b",".join(together) + b"]")
        transaction.commit()
        if "tick" in record:
            books.tick()
        books.run()


def move(folder: Path, books: Books, partitions: int) -> Books:
    """The same folder with another number of partitions."""
    stages, chosen = books.stages, Settings(waiting_corrections_max=100, waiting_ticks_max=3)
    books.close()
    with open_to_rebuild(folder, "os") as log:
        moved = repartition(log, stages, chosen, partitions)
    assert moved.book_hash == moved.book_hash_before
    return Books(folder, partitions=partitions, stages=stages)


def by_key(books: Books, topic: Topic) -> dict[str, list[bytes]]:
    """The events of each key, in order."""
    found: dict[str, list[bytes]] = {}
    for item in books.event_bytes(topic):
        (event,) = topic.codec.decode_each(item)
        found.setdefault(topic.key_of(event), []).append(item)
    return found


def content(books: Books) -> dict[str, Any]:
    """What no number of partitions changes."""
    ordered = (topics.BOOKINGS, topics.REJECTIONS, topics.POSITIONS)
    letters = (topics.FILL_DEAD_LETTERS, topics.BOOKING_DEAD_LETTERS)
    return {
        "hash": books.hash(),
        "counts": (books.counts(), books.counts("positions")),
        **{topic.name: by_key(books, topic) for topic in (*ordered, *letters)},
        "fills": Counter(item for item in books.event_bytes(topics.FILLS) if b"ClockTick" not in item),
        "sequences": Counter(
            (topic.name, item, record.sequence, record.appended_at)
            for topic in ordered
            for partition in range(books.partitions)
            for record in books.log.read(topic.name, partition, 0, 1_000_000, 1 << 40)
            for item in topic.codec.items(record.value)
        ),
    }


@settings(max_examples=15, deadline=None)
@given(records, records, counts, st.lists(counts, min_size=1, max_size=2))
def test_a_moved_log_is_the_same_log(first: list, second: list, before: int, path: list[int]):
    with TemporaryDirectory() as scratch:
        folder, twin_folder = Path(scratch) / "moved", Path(scratch) / "twin"
        books, twin = Books(folder, partitions=before), Books(twin_folder, partitions=before)
        for one in (books, twin):
            one.define(*DEFINITIONS)
            append(one, first)
            one.define(LATER)
        expected = content(books)
        for partitions in path:
            if partitions != books.partitions:
                books = move(folder, books, partitions)
                assert content(books) == expected
        assert [check.findings for check in verify(books.log) if not check.ok] == []
        append(books, second)
        append(twin, second)
        # Letters name places, and where trades of one commit meet their book is for their partitions to say.
        assert (books.hash(), books.counts()) == (twin.hash(), twin.counts())
        letters = [letter.event_id for topic in (topics.FILL_DEAD_LETTERS,) for letter in books.events(topic)]
        assert len(letters) == len(set(letters))
        books.close()
        twin.close()
