"""One pricing process as the engine sees it: started, asked, ended."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

from services.pricing.wire import LENGTH, Answered, Work, decode_answered, frame

START_SECONDS_MAX = 60.0


class WorkerDied(Exception):
    """The process ended, or said nothing for too long (`silent`), while it was asked."""

    def __init__(self, found: str, *, silent: bool = False) -> None:
        super().__init__(found)
        self.silent = silent


class Worker:
    """A pricing process that is ready. `silence_seconds_max` is how long it may take over one request."""

    def __init__(self, process: asyncio.subprocess.Process, silence_seconds_max: float) -> None:
        self._process = process
        self._silence = silence_seconds_max
        # One for its whole life: each other wait for its end would be kept until it comes.
        self.end = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(cls, silence_seconds_max: float) -> "Worker":
        """Start one and wait until it is ready. Raises WorkerDied."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.pricing.process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise WorkerDied(f"expected to start a pricing process, found: {error}") from error
        worker = cls(process, silence_seconds_max)
        try:
            await worker._receive(START_SECONDS_MAX)
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def identity(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ended(self) -> str:
        """Wait until the process ends; how it did."""
        await asyncio.shield(self.end)
        return self.how_it_ended()

    def how_it_ended(self) -> str:
        """How the process ended, once `end` is done."""
        code = self.end.result()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def ask(self, work: Work) -> AsyncIterator[Answered]:
        """The answers to a work, as they come; the last is `done`. Raises WorkerDied."""
        stdin = self._process.stdin
        assert stdin is not None
        if stdin.is_closing():
            # It ended in the moment in which this work came; uvloop takes a write for an error of the program then.
            raise WorkerDied(f"a pricing process that ended with {await self.ended()}")
        try:
            stdin.write(frame(work))
            # Its answers are read meanwhile: each side could otherwise wait for the other.
            sending = asyncio.ensure_future(stdin.drain())
            try:
                while True:
                    answered = await self._receive(self._silence)
                    yield answered
                    if answered.done:
                        break
                await sending
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        except OSError as error:
            raise WorkerDied(f"a pricing process that is gone: {error}") from error

    async def _receive(self, seconds: float) -> Answered:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with asyncio.timeout(seconds):
                size = LENGTH.unpack(await stdout.readexactly(LENGTH.size))[0]
                return decode_answered(await stdout.readexactly(size))
        except asyncio.IncompleteReadError:
            raise WorkerDied(f"a pricing process that ended with {await self.ended()}") from None
        except TimeoutError:
            raise WorkerDied(f"no answer within {seconds:g} s", silent=True) from None

    async def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.shield(self.end)
