"""Pricing processes: as many as asked for, kept alive, each with one chunk of requests at a time.

Owns: the queue of chunks, and which process has which.
Guarantees: answers come in the order of the requests; a request is answered once, whatever dies; what a process that ended
left unfinished is tried again, request by request, and one that ends `DEATHS_MAX` more processes is answered with an error,
so that it spoils no other; what has not begun by its deadline is not begun; a long call leaves room for others, since it has no more chunks under way than there are
processes; at most `waiting_max` requests wait.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from services.pricing.answering import refusal
from services.pricing.measures import Measures
from services.pricing.wire import Work
from services.pricing.worker import Worker, WorkerDied

CHUNK_FIRST, CHUNK_MAX = 16, 512
CHUNK_SECONDS = 0.05
"""A chunk is as many requests as take about so long: others wait no longer for their turn."""

DEATHS_MAX = 2
"""Processes that end under one request that they have alone, before it is given up; silence counts as all of them."""

RESTART_SECONDS_FIRST, RESTART_SECONDS_MAX = 0.1, 5.0
"""Between two attempts to start a process, where the one before did not get ready."""

_logger = structlog.get_logger(__name__)


class TooMuchWaiting(Exception):
    """More requests wait than may."""


class DeadlinePassed(Exception):
    """Some requests were not begun in time."""


class PoolClosed(Exception):
    """The engine is stopping."""


@dataclass(eq=False, slots=True)
class _Chunk:
    """Some requests of one call from its place `start` on; `answers` grows, None for what was not begun in time."""

    start: int
    requests: Sequence[str]
    deadline: float
    future: asyncio.Future["_Chunk"]
    answers: list[str | None] = field(default_factory=list)
    seconds: float = 0.0
    deaths: int = 0

    @property
    def left(self) -> Sequence[str]:
        return self.requests[len(self.answers) :]


class WorkerPool:
    """The processes of one engine. `on_ready` hears how many are ready, whenever that changes."""

    def __init__(
        self,
        *,
        processes: int,
        waiting_max: int,
        silence_seconds_max: float,
        measures: Measures,
        on_ready: Callable[[int], None],
    ) -> None:
        self._processes = processes
        self._waiting_max = waiting_max
        self._silence = silence_seconds_max
        self._measures = measures
        self._on_ready = on_ready
        self._queue: asyncio.Queue[_Chunk] = asyncio.Queue()
        self._slots: list[asyncio.Task[None]] = []
        self._waiting = 0
        self._closed = False
        self._ready: set[Worker] = set()
        self._unanswered: set[asyncio.Future[_Chunk]] = set()

    def start(self) -> None:
        """Start the processes; those that are ready take work at once."""
        self._slots = [asyncio.create_task(self._keep()) for _ in range(self._processes)]

    @property
    def identities(self) -> list[int]:
        """The ids of the processes that are ready."""
        return sorted(worker.identity for worker in self._ready)

    async def price(self, requests: Sequence[str], deadline: float | None) -> list[str]:
        """The answers to requests, in their order. `deadline` is of `time.monotonic`.

        Raises TooMuchWaiting, DeadlinePassed, PoolClosed.
        """
        if self._closed:
            raise PoolClosed
        if self._waiting + len(requests) > self._waiting_max:
            raise TooMuchWaiting(
                f"expected at most {self._waiting_max} requests to wait, found {self._waiting} and {len(requests)} more"
            )
        self._wait(len(requests))
        try:
            return await self._price(requests, deadline or 0.0)
        finally:
            self._wait(-len(requests))

    def _wait(self, number: int) -> None:
        self._waiting += number
        self._measures.waiting.set(self._waiting)

    async def _price(self, requests: Sequence[str], deadline: float) -> list[str]:
        answers: list[str | None] = [None] * len(requests)
        under_way: set[asyncio.Future[_Chunk]] = set()
        position, size = 0, CHUNK_FIRST
        try:
            while position < len(requests) or under_way:
                while position < len(requests) and len(under_way) < self._processes:
                    under_way.add(self._put(position, requests[position : position + size], deadline))
                    position += size
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for chunk in (future.result() for future in done):
                    answers[chunk.start : chunk.start + len(chunk.answers)] = chunk.answers
                    if None in chunk.answers:
                        raise DeadlinePassed
                    size = _size_after(chunk)
        finally:
            for future in under_way:
                future.cancel()
        return [answer for answer in answers if answer is not None]

    def _put(self, start: int, requests: Sequence[str], deadline: float) -> asyncio.Future[_Chunk]:
        future: asyncio.Future[_Chunk] = asyncio.get_running_loop().create_future()
        self._unanswered.add(future)
        future.add_done_callback(self._unanswered.discard)
        self._queue.put_nowait(_Chunk(start, requests, deadline, future))
        return future

    # -- one process after the other in one slot ------------------------------------------------------------------

    async def _keep(self) -> None:
        """Have a process at work, for ever."""
        unfinished: _Chunk | None = None
        while True:
            worker = await self._started()
            self._ready.add(worker)
            self._say_ready()
            try:
                unfinished = await self._work(worker, unfinished)
            finally:
                self._ready.discard(worker)
                self._say_ready()
                await worker.kill()
            self._measures.restarts.inc()

    def _say_ready(self) -> None:
        self._measures.processes.set(len(self._ready))
        self._on_ready(len(self._ready))

    async def _started(self) -> Worker:
        pause = RESTART_SECONDS_FIRST
        while True:
            try:
                return await Worker.start(self._silence)
            except WorkerDied as error:
                _logger.error(
                    "a pricing process did not start, to be tried again", error=str(error), seconds=pause
                )
                await asyncio.sleep(pause)
                pause = min(2 * pause, RESTART_SECONDS_MAX)

    async def _work(self, worker: Worker, unfinished: _Chunk | None) -> _Chunk | None:
        """Do chunks until the process ends; returns the one that it left unfinished."""
        chunk: _Chunk | None = None
        try:
            if unfinished is not None:
                chunk = unfinished
                await self._alone(worker, chunk)
            while True:
                chunk = None
                chunk = await self._next(worker)
                await self._do(worker, chunk, chunk.left)
                _finish(chunk)
        except WorkerDied as died:
            _logger.error("a pricing process ended, to be replaced", process=worker.identity, found=str(died))
            return chunk

    async def _next(self, worker: Worker) -> _Chunk:
        """The next chunk that somebody waits for. Raises WorkerDied where the process ends while none comes."""
        while True:
            taking = asyncio.ensure_future(self._queue.get())
            try:
                await asyncio.wait({taking, worker.end}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    raise WorkerDied(worker.how_it_ended())
            finally:
                if not taking.done():
                    taking.cancel()
            chunk = taking.result()
            if not chunk.future.done():
                return chunk

    async def _do(self, worker: Worker, chunk: _Chunk, requests: Sequence[str]) -> None:
        """Have requests answered: the next ones of a chunk. Raises WorkerDied."""
        began = time.monotonic()
        async for answered in worker.ask(Work(requests, chunk.deadline)):
            chunk.answers += answered.answers
            self._measures.count(answered)
        chunk.seconds += time.monotonic() - began

    async def _alone(self, worker: Worker, chunk: _Chunk) -> None:
        """What another process left unfinished, request by request. Raises WorkerDied with the chunk ready to go on."""
        while chunk.left and not chunk.future.done():
            try:
                await self._do(worker, chunk, chunk.left[:1])
            except WorkerDied as died:
                chunk.deaths += DEATHS_MAX if died.silent else 1
                if chunk.deaths >= DEATHS_MAX:
                    self._give_up(chunk, str(died))
                raise
            chunk.deaths = 0
        _finish(chunk)

    def _give_up(self, chunk: _Chunk, found: str) -> None:
        """Answer the next request of a chunk with what it did to its process."""
        chunk.answers.append(refusal("a request that a pricing process survives", found).document)
        chunk.deaths = 0
        self._measures.given_up.inc()

    async def close(self) -> None:
        """End the processes; who still waits is told."""
        self._closed = True
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)
        for future in list(self._unanswered):
            # One that was answered or let go in this turn of the loop is still among them.
            if not future.done():
                future.set_exception(PoolClosed())


def _finish(chunk: _Chunk) -> None:
    if not chunk.future.done():
        chunk.future.set_result(chunk)


def _size_after(chunk: _Chunk) -> int:
    """How many requests the next chunk of a call has, from how long this one took."""
    wanted = int(len(chunk.requests) * CHUNK_SECONDS / max(chunk.seconds, 1e-6))
    return max(1, min(wanted, 2 * len(chunk.requests), CHUNK_MAX))
