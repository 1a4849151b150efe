"""The pool of pricing processes with real ones: a process that ends in the very moment in which work comes for it."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

import uvloop

from services.pricing.measures import Measures
from services.pricing.pool import PoolClosed, WorkerPool
from tests.pricing_engine_support import request


def with_pool(act: Callable[[WorkerPool], Awaitable[None]]) -> None:
    """A pool of one process, on the loop that the engine has."""

    async def scenario() -> None:
        ready = asyncio.Event()
        pool = WorkerPool(
            processes=1,
            waiting_max=1_000,
            silence_seconds_max=30.0,
            measures=Measures(),
            on_ready=lambda number: ready.set() if number else ready.clear(),
        )
        pool.start()
        try:
            async with asyncio.timeout(100):
                await ready.wait()
                await act(pool)
        finally:
            await pool.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


def test_work_that_comes_when_its_process_ends_is_done_by_the_next_one():
    async def act(pool: WorkerPool) -> None:
        for turns in range(4):
            assert len(await pool.price([request()], None)) == 1
            [identity] = pool.identities
            os.kill(identity, signal.SIGKILL)
            # The loop finds both when it goes on: the end of the process, and what it is asked some turns later.
            time.sleep(0.05)  # noqa: ASYNC251 - the loop shall not go on meanwhile
            for _ in range(turns):
                await asyncio.sleep(0)
            [answer] = await pool.price([request()], None)
            assert '"price"' in answer

    with_pool(act)


def test_who_waits_when_the_pool_ends_is_told():
    async def act(pool: WorkerPool) -> None:
        waiting = [asyncio.create_task(pool.price([request()] * 100, None)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await pool.close()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in found] == [asyncio.CancelledError, PoolClosed, PoolClosed]

    with_pool(act)
