"""What capture knows, moved to other partitions, is what it would know had the fills come there; what waits, and counts, too."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given, settings

from agents.capture_state import (
    CLOCK,
    HASH,
    HASH_BY_TIME,
    OPEN_DAY,
    REFERENCE,
    TRADE,
    waiting_corrections,
)
from agents.counters import read_counts
from schemas.topics import FILLS
from schemas.units import Action
from tables.partition import TablePartition
from tables.store import MemoryStore
from tests.property.topology.test_determinism import DEFINITIONS
from tests.property.topology.test_repartition import append, counts, move, records
from tests.support import Books, fill
from topology.log_reading import CAPTURE_TABLE, table_partition
from topology.rebuilding.capture_memory import CaptureMemory, MemoryFault
from topology.rebuilding.rekeying import rekeyed

FAMILIES = (TRADE, HASH, HASH_BY_TIME, CLOCK, OPEN_DAY)


def tables_of(books: Books) -> list[TablePartition]:
    return [table_partition(books.log, CAPTURE_TABLE, partition) for partition in range(books.partitions)]


def moved(books: Books, partitions: int) -> list[TablePartition]:
    """The tables of capture, moved by the rule."""
    stores = [MemoryStore() for _ in range(partitions)]
    memory = CaptureMemory(
        tables_of(books),
        partitions,
        lambda partition, key: stores[partition].get(key),
        lambda partition, changes: stores[partition].write(changes),
    )
    ends: Counter[int] = Counter()
    for old in range(books.partitions):
        for record in books.log.read(FILLS.name, old, 0, 1_000_000, 1 << 40):
            for place, value in rekeyed(FILLS, [(old, record.value)], books.partitions, partitions).items():
                memory.saw(old, place, ends[place], FILLS.codec.decode_each(value or b""))
                ends[place] += 1
    memory.move()
    return [TablePartition(store) for store in stores]


def known(table: TablePartition) -> dict[bytes, bytes]:
    return {key: value for family in FAMILIES for key, value in table.scan_prefix(family)}


def waits(table: TablePartition) -> Counter[tuple[str, int]]:
    """What waits, and for how many ticks it has."""
    clock = int(table.get(CLOCK) or 0)
    return Counter((waiting.fill.trade_id, clock - waiting.tick) for waiting in waiting_corrections(table))


def counted(tables: list[TablePartition]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for table in tables:
        for source, found in read_counts(table).items():
            if source in total:
                total[source].add(found)
            else:
                total[source] = found
    return total


@settings(max_examples=40, deadline=None)
@given(records, counts, counts)
def test_what_is_moved_is_what_the_fills_would_have_made(found: list, before: int, partitions: int):
    assume(partitions != before)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "log"
        books = Books(folder, partitions=before)
        books.define(*DEFINITIONS)
        append(books, found)
        tables = moved(books, partitions)
        total, definitions = counted(tables_of(books)), dict(tables_of(books)[0].scan_prefix(REFERENCE))
        # In a log that is not moved a stray fill stays where it is.
        books = move(folder, books, partitions)
        anew = tables_of(books)
        assert [known(table) for table in tables] == [known(table) for table in anew]
        assert [waits(table) for table in tables] == [waits(table) for table in anew]
        assert all(dict(table.scan_prefix(REFERENCE)) == definitions for table in tables)
        assert counted(tables) == total
        for table, other in zip(tables, anew, strict=True):
            assert {source: (one.read, one.waiting) for source, one in read_counts(table).items()} == {
                source: (one.read, one.waiting) for source, one in read_counts(other).items()
            }
        books.close()


def test_an_id_that_corrected_two_trades_is_refused_where_they_meet(tmp_path: Path):
    with Books(tmp_path / "log", partitions=4) as books:
        books.book(*(fill(f"t{number}", 1, 1) for number in range(8)))
        for number in range(8):
            books.book(fill("same", 2, 1, action=Action.AMEND, original_trade_id=f"t{number}"))
        with pytest.raises(MemoryFault, match="found same for corrections of several trades"):
            moved(books, 1)
        assert sum(TRADE + b"same" in known(table) for table in moved(books, 8)) > 1


def test_counts_that_are_not_those_of_the_fills_are_refused(tmp_path: Path):
    with Books(tmp_path / "log", partitions=2) as books:
        books.book(*(fill(f"t{number}", 1, 1) for number in range(8)))
        transaction = books.log.transaction()
        transaction.put(CAPTURE_TABLE, 0, b"ctest", b"[9,9,0,0,0]")
        transaction.commit()
        with pytest.raises(MemoryFault, match=r"expected .* fills of source 'test'"):
            moved(books, 3)


def test_an_id_without_a_fill_is_refused(tmp_path: Path):
    with Books(tmp_path / "log", partitions=2) as books:
        books.book(fill("t1", 1, 1))
        (record,) = [value for table in tables_of(books) for _, value in table.scan_prefix(TRADE)]
        transaction = books.log.transaction()
        for partition in range(2):
            transaction.put(CAPTURE_TABLE, partition, TRADE + b"t2", record)
        transaction.commit()
        with pytest.raises(MemoryFault, match="expected a fill of t2"):
            moved(books, 3)
