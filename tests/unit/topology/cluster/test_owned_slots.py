"""Slots of a worker whose partitions come and go: live when all of them are written, and only while they are its own."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest

from clients.python.pks_client import PositionReader, Status
from schemas.murmur2 import partition_of_key
from tests.integration.faust_support import until
from tests.support import Books, fill
from topology.cluster.shared_memory import OwnedSlots, StoodStill
from topology.runtime import PartitionRunner
from topology.shared_memory import PositionsPublisher

PARTITIONS = 4
HERE = partition_of_key(b"B1", PARTITIONS)


class Worker:
    """A worker with the positions stage over an embedded log; its cluster is only how long it has been silent."""

    def __init__(self, name, data, shared_memory, session_seconds=60.0):
        self.cluster = SimpleNamespace(silent_seconds=0.0)
        publisher = PositionsPublisher(shared_memory, 16, PARTITIONS, worker=name)
        self.owned = OwnedSlots(publisher, self.cluster, session_seconds)
        self.books = Books(data, partitions=PARTITIONS, observers=(self.owned,))
        self.app = SimpleNamespace(
            stage=self.books.stages[1], worker=name, runners={}, cluster_log=self.books.log
        )

    def own(self, *partitions):
        """Own these from now on, taken over from somebody else."""
        before = {runner.partition: runner for runner in self.books.runners if runner.stage is self.app.stage}
        self.app.runners = {
            partition: PartitionRunner(self.app.stage, partition, self.books.log, PARTITIONS, (self.owned,))
            for partition in partitions
        }
        self.books.runners = [
            *(runner for runner in self.books.runners if runner.stage is not self.app.stage),
            *(self.app.runners.get(partition) or before[partition] for partition in range(PARTITIONS)),
        ]
        self.owned.changed(self.app)

    def close(self):
        self.books.close()
        self.owned.close()


@pytest.fixture
def open_worker(tmp_path, shared_memory_name):
    opened = []

    def make(name="one", **options):
        opened.append(Worker(name, tmp_path / name, shared_memory_name, **options))
        return opened[-1]

    yield make
    for worker in opened:
        worker.close()


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


def serving(*workers):
    return [asyncio.ensure_future(worker.owned.serve(worker.app)) for worker in workers]


async def end(tasks):
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


@in_a_loop
async def test_slots_come_with_the_partition_and_go_with_it(open_worker, shared_memory_name):
    worker = open_worker()
    worker.books.book(fill("t1", 3, 1))
    tasks = serving(worker)
    worker.own(HERE)
    reader = await until(lambda: _reader(shared_memory_name))
    handle = reader.slot("B1", "X")
    await until(lambda: handle.live)
    worker.books.book(fill("t2", 4, 1, at=1))
    assert handle.quantity == 7.0
    worker.own()
    assert handle.read().status is Status.NOT_OWNED
    # It comes back, with what was done to it elsewhere.
    worker.books.book(fill("t3", 1, 1, at=2))
    worker.own(HERE)
    await until(lambda: handle.live)
    assert handle.read().quantity == 8
    await end(tasks)


@in_a_loop
async def test_what_comes_back_untouched_is_live_at_once(open_worker, shared_memory_name):
    worker = open_worker()
    worker.books.book(fill("t1", 3, 1))
    tasks = serving(worker)
    worker.own(HERE)
    handle = (await until(lambda: _reader(shared_memory_name))).slot("B1", "X")
    await until(lambda: handle.live)
    runner = worker.app.runners[HERE]
    worker.own()
    assert not handle.live
    worker.app.runners = {HERE: runner}
    worker.owned.changed(worker.app)
    assert handle.live
    await end(tasks)


@in_a_loop
async def test_a_partition_that_moves_on_a_host_is_read_where_it_went(open_worker, shared_memory_name):
    one, two = open_worker("one"), open_worker("two")
    one.books.book(fill("t1", 3, 1))
    two.books.book(fill("t1", 3, 1), fill("t2", 2, 1, at=1))
    tasks = serving(one, two)
    one.own(HERE)
    handle = (await until(lambda: _reader(shared_memory_name))).slot("B1", "X")
    await until(lambda: handle.live)
    # `one` hangs and says nothing; its slots are not its own from the moment in which `two` shows them.
    two.own(HERE)
    await until(lambda: handle.quantity == 5.0)
    assert handle.live
    one.own()
    assert handle.live and handle.quantity == 5.0
    await end(tasks)


@in_a_loop
async def test_cut_off_from_the_cluster_slots_turn_stale(open_worker, shared_memory_name):
    worker = open_worker()
    worker.books.book(fill("t1", 3, 1))
    tasks = serving(worker)
    worker.own(HERE)
    reader = await until(lambda: _reader(shared_memory_name))
    handle = reader.slot("B1", "X")
    await until(lambda: handle.live)
    worker.cluster.silent_seconds = 3.1
    await until(lambda: handle.read().status is Status.STALE)
    worker.cluster.silent_seconds = 0.0
    await until(lambda: handle.live)
    await end(tasks)


@in_a_loop
async def test_a_stopped_partition_is_not_live(open_worker, shared_memory_name):
    worker = open_worker()
    worker.books.book(fill("t1", 3, 1))
    tasks = serving(worker)
    worker.own(HERE)
    handle = (await until(lambda: _reader(shared_memory_name))).slot("B1", "X")
    await until(lambda: handle.live)
    worker.app.runners[HERE].stopped = "an invariant was broken"
    await until(lambda: handle.read().status is Status.NOT_OWNED)
    await end(tasks)


@in_a_loop
async def test_who_stood_still_beyond_its_session_beats_no_more_and_ends(open_worker, shared_memory_name):
    worker = open_worker()
    worker.books.book(fill("t1", 3, 1))
    tasks = serving(worker)
    worker.own(HERE)
    handle = (await until(lambda: _reader(shared_memory_name))).slot("B1", "X")
    await until(lambda: handle.live)
    worker.owned._ran -= 61.0  # as if nothing had run for a minute
    worker.books.book(fill("t2", 4, 1, at=1))
    assert handle.quantity == 3.0
    with pytest.raises(StoodStill, match="others have its partitions"):
        await tasks[0]


def _reader(name):
    reader = PositionReader(name)
    return reader if reader.segments() else None
