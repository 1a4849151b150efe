"""Tables of stages behind the books in other partitions: counts shared out, routes that meet, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import ledger, valuation
from agents.counters import Counts
from agents.ledger_accounts import ACCOUNT, names_key
from agents.valuation_engine import Asked
from agents.valuation_state import ENGINE
from schemas import topics
from tests.property.topology.test_repartition import move
from tests.property.topology.test_repartition_later import World
from tests.support import Books
from tests.valuation_support import instrument, option
from topology.documents.valuations import valuation_documents
from topology.rebuilding.later_tables import shared
from topology.rebuilding.rebuild import RebuildRefused


def test_counts_are_shared_out_by_the_inputs_of_each_partition():
    totals = {"a": Counts(read=5, applied=3, duplicates=2), "b": Counts(read=2, refused=2)}
    found = shared(totals, [0, 4, 3])
    assert [sum(counts.read for counts in each.values()) for each in found] == [0, 4, 3]
    for source, total in totals.items():
        sums = Counts()
        for each in found:
            counts = each.get(source, Counts())
            assert counts.read == counts.applied + counts.duplicates + counts.refused + counts.waiting
            sums.add(counts)
        assert sums == total


def moved(world: World, partitions: int) -> World:
    world.over(move(world.folder, world.books, partitions))
    return world


def values(world: World) -> list[Any]:
    return valuation_documents(world.log, "USD", "B1")


def test_an_option_that_was_defined_after_its_first_trade_keeps_its_spot(tmp_path: Path):
    world = World(tmp_path / "log", 1)
    world.do(("trade", "B1", "L", 5, 3, 0, 1))
    world.do(("mark", "X", 101, 0, 2))
    world.put(topics.INSTRUMENTS, lambda event: event.instrument, option("L", "X", "100"))
    world.tick()
    (before,) = values(world)
    assert before["valued_by"] == "model" and before["delta"] is not None
    # In partitions of their own, updates of the option would have missed the marks of its underlying.
    assert values(moved(world, 5)) == [before]
    world.do(("mark", "X", 103, 0, 3))
    (after,) = values(world)
    assert after["delta"] > before["delta"]
    world.books.close()


def test_a_price_that_is_awaited_elsewhere_is_asked_for_again(tmp_path: Path):
    world = World(tmp_path / "log", 4)
    world.do(("trade", "B1", "L", 5, 3, 0, 1))
    world.put(topics.INSTRUMENTS, lambda event: event.instrument, instrument("L", "X"))
    asked = Asked("L", waiting="request", moved=True)
    transaction = world.log.transaction()
    (home,) = {place for place in range(4) if world.log.get(valuation.NAME, place, b"pB1\x00L")}
    transaction.put(valuation.NAME, home, ENGINE + b"L", msgspec.msgpack.encode(asked))
    transaction.commit()
    world.books.reopen()
    world.over(world.books)
    moved(world, 3)
    (kept,) = [value for (_, key), value in world.books.table(valuation.NAME).items() if key == ENGINE + b"L"]
    assert msgspec.msgpack.decode(kept, type=Asked).waiting == ""
    world.books.close()


def put(books: Books, table: str, partition: int, key: bytes, value: bytes) -> None:
    transaction = books.log.transaction()
    transaction.put(table, partition, key, value)
    transaction.commit()


@pytest.mark.parametrize(
    ("table", "key", "told"),
    [
        (ledger.NAME, b"\xfe", r"expected keys of ledger that can be moved, found one of b'\\xfe'"),
        (ledger.NAME, names_key(ACCOUNT, "E9", "A", "", "USD", "cash"), "expected accounts of entity 'E9'"),
        (ledger.NAME, b"cnobody", "expected that ledger has counted the 1 events"),
    ],
)
def test_what_cannot_be_moved_is_refused(tmp_path: Path, table: str, key: bytes, told: str):
    world = World(tmp_path / "log", 2)
    world.do(("trade", "B1", "X", 5, 3, 0, 1))
    value = b"[1,1,0,0,0]" if key.startswith(b"c") else b'["1","1"]'
    for partition in range(2):
        put(world.books, table, partition, key, value)
    with pytest.raises(RebuildRefused, match=told):
        moved(world, 3)
