"""Whose turn it is in a process: the stages that keep the books go first, then what hangs on them, a slice at a time.

Owns: when a later stage may step.
Assumes: one event loop; a step is one call that the loop waits for.
Guarantees: between two slices of later stages, whichever they are, the loop goes round, so that the spine waits for one
slice at most; while the spine has work, later stages together get a slice in `SLICE_SECONDS`, so that they stand still
under no load. A stage that has little to do rests for `REST_SECONDS` after a slice: what comes meanwhile is one step, not
many, and costs the spine as little.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

TURNS_BETWEEN_SLICES = 8
"""Turns of the event loop between two slices: whatever takes several turns (a step, a request) is not held up for as many
slices."""

SLICE_SECONDS = 0.1
"""Between two slices while the spine has work."""

REST_SECONDS = 0.01
"""Between two slices of one stage where the later one is small."""

SLICE_RECORDS_MAX = 64
SLICE_BYTES_MAX = 64 * 1024
"""Most of its input that a later stage takes in a slice, where a record is not larger by itself."""

_LOOK_SECONDS = 0.002


class Turns:
    """Gives later stages their turns; `spine_waits` says whether the spine has work."""

    def __init__(self, spine_waits: Callable[[], bool] = lambda: False) -> None:
        self.spine_waits = spine_waits
        self._lock = asyncio.Lock()
        self._ended = 0.0
        self._ended_of: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def slice(self, stage: str, *, small: bool) -> AsyncIterator[None]:
        """A turn of a stage, when it has come; `small` where it would take little of its input in it."""
        loop = asyncio.get_running_loop()
        if small:
            await asyncio.sleep(max(0.0, self._ended_of.get(stage, 0.0) + REST_SECONDS - loop.time()))
        async with self._lock:
            while self.spine_waits() and loop.time() < self._ended + SLICE_SECONDS:
                await asyncio.sleep(_LOOK_SECONDS)
            try:
                yield
            finally:
                self._ended = self._ended_of[stage] = loop.time()
            for _ in range(TURNS_BETWEEN_SLICES):
                await asyncio.sleep(0)
