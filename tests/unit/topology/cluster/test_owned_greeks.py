"""Greeks and marks of workers whose partitions move: live where they are owned, sums of underlyings with them."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents import bars, valuation
from agents.stage import Stage
from clients.python.pks_client import GreeksReader, MarkReader, Status
from schemas.murmur2 import partition_of_key
from tests.integration.faust_support import until
from tests.support import Books
from tests.valuation_support import mark, position
from topology.cluster.shared_memory import OwnedSlots
from topology.greeks_publisher import GreeksPublisher
from topology.marks.shared_memory import MarksPublisher
from topology.runtime import PartitionRunner

PARTITIONS = 4
HERE = partition_of_key(b"X", PARTITIONS)


class Worker:
    """One stage over an embedded log of its own, which stands for what the cluster has committed."""

    def __init__(self, stage: Stage, publisher: Any, folder: Path) -> None:
        self.owned = OwnedSlots(publisher, SimpleNamespace(silent_seconds=0.0), 60.0)
        self.books = Books(folder, partitions=PARTITIONS, stages=(stage,), observers=(self.owned,))
        self.app = SimpleNamespace(stage=stage, worker="w", runners={}, cluster_log=self.books.log)

    def apply(self, *events: Any) -> None:
        """Events of the instrument X, stepped through."""
        topic = self.app.stage.input
        self.books.append_events(topic, events, lambda event: "X")
        self.books.run()

    def own(self, *partitions: int) -> None:
        """Own these from now on, and no others."""
        stage = self.app.stage
        self.books.runners = [
            PartitionRunner(stage, partition, self.books.log, PARTITIONS, (self.owned,))
            for partition in range(PARTITIONS)
        ]
        self.app.runners = {partition: self.books.runners[partition] for partition in partitions}
        self.owned.changed(self.app)

    def close(self) -> None:
        self.books.close()
        self.owned.close()


@pytest.fixture
def two_valuing(tmp_path: Path, shared_memory_name: str) -> Iterator[tuple[Worker, Worker]]:
    def worker(name: str) -> Worker:
        publisher = GreeksPublisher(shared_memory_name, 16, PARTITIONS, "USD", name, among_others=True)
        return Worker(valuation.stage(), publisher, tmp_path / name)

    with closing(worker("one")) as one, closing(worker("two")) as two:
        yield one, two


def reader_of(kind: Any, name: str) -> Any:
    found = kind(name)
    return found if found.segments() else None


async def end(tasks: list[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_greeks_and_the_sum_of_their_underlying_move_with_the_partition(
    two_valuing: tuple[Worker, Worker], shared_memory_name: str
) -> None:
    one, two = two_valuing

    async def move() -> None:
        before = (position("X", "B1", "10"), position("X", "B2", "5"), mark("X", "100"))
        one.apply(*before)
        # The other one has what came later, too.
        two.apply(*before, mark("X", "110", at=mark().event_time + 1))
        tasks = [asyncio.ensure_future(worker.owned.serve(worker.app)) for worker in (one, two)]
        one.own(HERE)
        reader = await until(lambda: reader_of(GreeksReader, shared_memory_name))
        handle, whole = reader.slot("B1", "X"), reader.underlying("X")
        await until(lambda: handle.live)
        assert handle.raw().market_value == 1_000.0
        assert whole.live and whole.raw().market_value == 1_500.0 and whole.read().positions == 2
        # No worker has all positions of a book, so none shows its sum.
        assert reader.book("B1").read() is None
        one.own()
        assert handle.read().status is whole.read().status is Status.NOT_OWNED
        two.own(HERE)
        await until(lambda: handle.live)
        assert handle.raw().market_value == 1_100.0
        assert whole.live and whole.raw().market_value == 1_650.0
        # It comes back, after a step elsewhere; what is shown then is of now.
        later = mark("X", "120", at=mark().event_time + 2)
        one.apply(later)
        two.own()
        one.own(HERE)
        await until(lambda: handle.live)
        assert (handle.raw().market_value, whole.raw().market_value) == (1_200.0, 1_800.0)
        await end(tasks)

    asyncio.run(move())


def test_a_step_while_slots_are_written_is_not_overwritten_by_what_was_before(
    two_valuing: tuple[Worker, Worker], shared_memory_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topology.greeks_publisher.SLOTS_A_BEAT", 1)
    one, _ = two_valuing

    async def step_between() -> None:
        one.apply(*(position("X", f"B{number}", "1") for number in range(9)), mark("X", "100"))
        one.own(HERE)
        table = one.app.runners[HERE].state.table
        writing = one.owned.publisher.fill(HERE, table)
        next(writing)
        one.apply(mark("X", "200", at=mark().event_time + 1))
        for _ in writing:
            pass
        one.owned.publisher.claim([HERE])
        reader = GreeksReader(shared_memory_name)
        assert {slot.raw.market_value for slot in reader.slots() if slot.book} == {200.0}
        assert reader.underlying("X").raw().market_value == 1_800.0

    asyncio.run(step_between())


def test_marks_move_with_their_partition(tmp_path: Path, shared_memory_name: str) -> None:
    def worker(name: str) -> Worker:
        publisher = MarksPublisher(shared_memory_name, 16, PARTITIONS, name)
        return Worker(bars.stage(), publisher, tmp_path / name)

    async def move(one: Worker, two: Worker) -> None:
        one.apply(mark("X", "100"))
        two.apply(mark("X", "100"), mark("X", "101", at=mark().event_time + 1))
        tasks = [asyncio.ensure_future(each.owned.serve(each.app)) for each in (one, two)]
        one.own(HERE)
        reader = await until(lambda: reader_of(MarkReader, shared_memory_name))
        handle = reader.slot("X")
        await until(lambda: handle.live)
        assert handle.raw().price == 100.0
        one.own()
        assert handle.read().status is Status.NOT_OWNED
        two.own(HERE)
        await until(lambda: handle.live)
        assert handle.raw().price == 101.0
        await end(tasks)

    with closing(worker("one")) as one, closing(worker("two")) as two:
        asyncio.run(move(one, two))
